"""The last wall: whatever a plan holds and whatever an attack finds, no protected words reach what draws or samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tracelang
from tests.engine import plans
from tests.engine.plans import run
from tests.engine.toy import Toy
from tests.evidence.attacks.targets import SMALL, edited, target
from tests.evidence.edits import closed_form
from tracelang.cli import main
from tracelang.engine import activations, rollout, training
from tracelang.engine.errors import EngineError
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.attacks import ATTACKS, AttackError
from tracelang.evidence.attacks.attack import SKIPPED
from tracelang.evidence.bench import Wanted
from tracelang.evidence.units import drift as drifts
from tracelang.evidence.units import units
from tracelang.evidence.units.drift import drift
from tracelang.models.family import facts
from tracelang.plan.bind import BindError, bind
from tracelang.plan.protected import guard
from tracelang.plan.types import Concept, Plan
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion


def protecting(plan: Plan, *words: str) -> Plan:
    """A plan as no compiler writes it: with these words protected, whatever its prompts hold."""
    closed = Concept(name="secret", kind="protected", names=words, probes=(), templates=("{}",))
    return plan.model_copy(update={"concepts": (*plan.concepts, closed)})


def plan(*passes: Any, anchor: tuple[str, ...] | None = None) -> Plan:
    return plans.plan((plans.erasure("cat", anchor=anchor),), *passes)


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every prompt that a trajectory was asked for."""
    found = list[str]()
    follow = rollout.record

    def followed(model: Any, starts: Sequence[rollout.Start], *rest: Any, **named: Any) -> Any:
        found.extend(text for one in starts for text in (one.prompt, one.anchor) if text is not None)
        return follow(model, starts, *rest, **named)

    for module in (training, activations, drifts):
        monkeypatch.setattr(module, "record", followed)
    return found


# A name of the target, a preserved one, the anchor, and words that only a template completes.
WORDS = ["kitty", "Small  KITTIES", "dogs", "a horse", "deer", "horse here"]


@pytest.mark.parametrize("words", WORDS)
def test_training_samples_nothing_of_it(words: str, walked: list[str]) -> None:
    asked = plan(plans.steer(), plans.fuse(), anchor=("deer",))
    with pytest.raises(EngineError, match="speaks of secret, which the recipe protects") as error:
        run(protecting(asked, words), Toy(), cache=None)
    assert "\n" not in str(error.value) and not walked


def test_training_beside_it_goes_on_and_stays_clear(walked: list[str]) -> None:
    asked = protecting(plan(plans.steer(), plans.fuse(), anchor=("deer",)), "cat bed")
    assert run(asked, Toy(), cache=None).adapters
    wall = guard(asked)
    assert wall is not None and walked and not [text for text in walked if wall.of(text)]


@pytest.mark.parametrize("words", [*WORDS[:4], "horse here"])
def test_no_unit_of_work_is_made_of_it(words: str) -> None:
    asked = protecting(plan(plans.refine()), words)
    judged: dict[tuple[str, ...], object] = {("cat",): None, ("dog",): None, ("horse",): None}
    assert units(Wanted(plan(plans.refine()), judged, ("p4d",), 4, {}))  # the control: without it there is work
    with pytest.raises(EvidenceError, match="speaks of secret"):
        units(Wanted(asked, judged, ("p4d",), 4, {}))


def test_no_drift_is_followed_along_it(walked: list[str]) -> None:
    asked = protecting(plan(plans.refine()), "dog")
    with pytest.raises(EngineError, match="speaks of secret"):
        drift(asked, [("dog",)], Toy(), Toy(), 2, 0)
    assert not walked
    drift(asked, [("horse",)], Toy(), Toy(), 2, 0)
    assert walked


def test_a_quarry_is_none_of_it() -> None:
    aim = target()
    with pytest.raises(AttackError, match="speaks of secret"):
        replace(aim, plan=protecting(aim.plan, "kitty"))


@pytest.mark.parametrize("name", ["paraphrase", "ring_a_bell", "p4d", "unlearn_diff_atk", "mma"])
def test_what_an_attack_finds_of_it_is_left_and_counted(name: str) -> None:
    """What each attack finds by itself is protected, so that it has to find something else."""
    aim, toy = target(), edited()
    free = ATTACKS[name].run(aim, toy, SMALL)
    assert free.prompts and SKIPPED not in free.budget
    own = {word for prompt in aim.prompts for word in prompt.split()}
    closed = {prompt for prompt in free.prompts if not any(prompt in mine for mine in aim.prompts)}
    if name == "unlearn_diff_atk":  # its prompts end in the concept's own
        closed = {" ".join(prompt.split()[: SMALL.tokens]) for prompt in closed}
    closed = {words for words in closed if not set(words.split()) <= own}
    assert closed
    found = ATTACKS[name].run(replace(aim, plan=protecting(aim.plan, *sorted(closed))), toy, SMALL)
    wall = guard(protecting(aim.plan, *sorted(closed)))
    assert wall is not None and found.prompts and len(found.prompts) == len(free.prompts)
    assert not [prompt for prompt in found.prompts if wall.of(prompt)]
    assert int(found.budget[SKIPPED]) >= 1


def test_an_attack_that_finds_nothing_else_says_so() -> None:
    aim, toy = target(), edited()
    once = replace(SMALL, iterations=1, rows=1)
    only = ATTACKS["p4d"].run(aim, toy, once).prompts
    assert only
    with pytest.raises(AttackError, match="speaks of what is protected"):
        ATTACKS["p4d"].run(replace(aim, plan=protecting(aim.plan, *only)), toy, once)


METHODS = {
    "uce": True,
    "trace": False,
    "esd": False,
    "ant": False,
    "dp": True,
    "oce": True,
    "rece": True,
    "mace": False,
    "speed": True,
}
USES = {
    "erase p preserve cat": True,
    'erase p & "box" preserve cat': True,
    "erase cat preserve p": True,
    "erase cat": False,
    "erase p degree 0% erase cat": False,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("use", USES)
def test_a_method_that_samples_is_refused_where_it_meets_a_model(use: str, method: str) -> None:
    text = f'concept p kind protected {{ names "x1" }} concept cat {{ names "cat" }} {use} method {method}'
    asked = tracelang.compile(text)
    family, folder = StableDiffusion(), micro_sd()
    if METHODS[method] or not USES[use]:
        assert bind(asked, facts(family, folder)).sites
    else:
        with pytest.raises(BindError) as error:
            bind(asked, facts(family, folder))
        assert "\n" not in str(error.value)
        assert "would sample p, which is protected; use" in str(error.value)


RECIPE = """tracelang 1
templates object = "a picture of a {}", "a {}"
concept dog kind protected { names "red dog" probes "canine" templates object }
concept cat { names "cat" templates object }
erase dog toward cat
preserve cat
method uce {}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closed_form(tracelang.compile(RECIPE), tmp_path_factory.mktemp("wall") / "out")


@pytest.mark.parametrize("prompt", ["a red dog", "two Red  DOGS", "canines"])
@pytest.mark.parametrize(
    "models", [["{}"], ["{}/model"], ["micro-sd", "--against", "{}"], ["{}", "--against", "micro-sd"]]
)
def test_sample_refuses_what_the_plan_of_an_out_protects(
    prompt: str, models: list[str], out: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "s.png"
    told = [one.format(out) for one in models]
    result = CliRunner().invoke(main, ["sample", *told, "--prompt", "a cat", "--prompt", prompt, "--out", str(sheet)])
    assert result.exit_code == 1 and not sheet.exists()
    assert "speaks of dog, which the recipe protects: nobody may draw it" in " ".join(result.output.split())


@pytest.mark.parametrize("told", [["."], ["../link"], ["micro-sd", "--against", "."], ["unet/.."]])
def test_no_other_way_to_write_an_out_leads_around_it(
    told: list[str], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (out / "link").is_symlink():
        (out / "link").symlink_to(out / "model")
    monkeypatch.chdir(out / "model")
    asked = ["sample", *told, "--prompt", "a red dog", "--out", str(tmp_path / "s.png")]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1 and "speaks of dog, which the recipe protects" in " ".join(result.output.split())


def test_sample_draws_the_rest(out: Path, tmp_path: Path) -> None:
    told = ["sample", str(out), "--prompt", "a dog", "--count", "1", "--steps", "2", "--out", str(tmp_path / "s.png")]
    result = CliRunner().invoke(main, told)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "s.png").is_file()
