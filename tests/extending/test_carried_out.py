"""A pass and a term, each added at run time by two files: its declaration and its engine. With the first alone a recipe
may name it, and is refused where it meets a model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.engine.plans import bound, run
from tests.engine.toy import Toy
from tracelang.cli import main
from tracelang.engine.edit import applied
from tracelang.plan.bind import BindError
from tracelang.plan.compile import compile
from tracelang.plan.explain import explain

PASS = '''"""Declared."""

from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number, sites
from tracelang.semantics.kinds import Pass
from tracelang.semantics.values import Layers


@dataclass(frozen=True, slots=True)
class Dim(Pass):
    """Dimming whatever the erased concepts' last states have in common.

    No paper.
    """

    kind: str = "dim"
    label: str = "dim"
    on: Layers = sites("prompt", "layers that read prompt states alone")
    share: float = number(0.5, "how much of it goes", low=0, high=1, more=True)
    closed_form = True
    maps_states = True
'''
PASS_ENGINE = '''"""Carried out: `T = I − share · u uᵀ` with `u` the unit mean of the states."""

from __future__ import annotations

from tracelang.engine.edit import Edit
from tracelang.engine.statements import states
from tracelang.engine.text_map import TextMap
from tracelang.plan.prompts import edit_prompts

needs = "text"


def run(part, plan, text, edit, options):
    prompts = [prompt for erasure in plan.active for prompt in edit_prompts(plan, erasure.targets)]
    maps = {}
    for name, e in states(text, prompts).items():
        u = e[:, -1].mean(0)
        u = (u / u.norm())[:, None]
        maps[name] = TextMap(-part.settings.share * u, u)
    return Edit({site: maps[site.reads] for site in part.sites}, edit.adapters, edit.gate, edit.figures)
'''
TERM = '''"""Declared."""

from __future__ import annotations

from tracelang.records import dataclass
from tracelang.semantics.fields import number
from tracelang.semantics.kinds import Term


@dataclass(frozen=True, slots=True)
class Soften(Term):
    """Drawing the prediction for erased prompts toward that for none."""

    kind: str = "soften"
    label: str = "soften"
    amount: float = number(0.5, "how far", low=0, high=1, more=True)
'''
TERM_ENGINE = '''"""Carried out."""


def target(term, seen, degree):
    return seen.conditional + degree * term.amount * (seen.empty - seen.conditional)
'''
PLACES = {"passes": ("dim", PASS, PASS_ENGINE), "terms": ("soften", TERM, TERM_ENGINE)}

Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Put a file beside those of a package."""
    made: list[str] = []

    def put(package: str, kind: str, source: str) -> None:
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{kind}.py").write_text(source, "utf-8")
        module = import_module(package)
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
        made.append(f"{package}.{kind}")

    yield put
    for name in made:
        sys.modules.pop(name, None)


DIMS = 'define method dims { dim { share = 0.75 } }\nerase "cat" preserve "house" method dims'
SOFTENS = """
define method softens {
  steer { steps = 60  trajectories = 6  sampler_steps = 5  batch = 8  rate = 1e-2  soften { amount = 0.8 } }
}
erase "cat" preserve "dog" method softens
"""


@pytest.mark.parametrize(("part", "recipe"), [("passes", DIMS), ("terms", SOFTENS)])
def test_with_a_declaration_alone_it_is_refused_where_it_meets_a_model(part: str, recipe: str, add: Add) -> None:
    kind, declaration, engine = PLACES[part]
    add(f"tracelang.semantics.{part}", kind, declaration)
    plan = compile(recipe)
    assert kind in explain(plan)
    with pytest.raises(BindError, match=f"`{kind}` .* is not carried out yet; use a method without it"):
        bound(plan, Toy())
    add(f"tracelang.engine.{part}", kind, engine)
    assert bound(plan, Toy()).passes


def test_a_pass_runs_on_a_model(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for room, source in (("semantics", PASS), ("engine", PASS_ENGINE)):
        add(f"tracelang.{room}.passes", "dim", source)
    Path("dims.erase").write_text(DIMS, "utf-8")
    told = CliRunner().invoke(main, ["plan", "dims.erase", "--model", "micro-sd", "--device", "cpu", "--json"])
    assert told.exit_code == 0, told.output
    shown = json.loads(told.stdout)
    assert shown["passes"][0]["kind"] == "dim" and shown["passes"][0]["tensors"] == len(shown["tensors"]) > 0
    assert shown["collateral"]["erased"]["cat"] > shown["collateral"]["preserved"]["house"] > 0
    words = ["apply", "dims.erase", "--model", "micro-sd", "--device", "cpu", "--out", "out"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0 and f"{len(shown['tensors'])} matrices changed" in done.output


def test_a_term_trains_and_costs_what_it_was_said_to(add: Add) -> None:
    for room, source in (("semantics", TERM), ("engine", TERM_ENGINE)):
        add(f"tracelang.{room}.terms", "soften", source)
    plan, model, frozen = compile(SOFTENS), Toy(), Toy()
    edit = run(plan, model, cache=None, autocast=False)
    (cost,) = (part.cost for part in bound(plan, model).passes)
    assert sum(model.evaluations) == cost.frozen + cost.trained and cost.trained == 60 * 8
    x, times = model.noise(range(16)), torch.full((16,), 300.0)
    with torch.no_grad(), applied(model, edit) as edited:
        c, e = (frozen.predict(x, times, frozen.encode([prompt] * 16)) for prompt in ("a photo of a cat", ""))
        now = edited.predict(x, times, frozen.encode(["a photo of a cat"] * 16))
    goal = c + 0.8 * (e - c)
    assert (now - goal).norm() < 0.5 * (c - goal).norm()
