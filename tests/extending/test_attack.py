"""An attack is a file in `evidence/attacks` and a row in `semantics.tables.ATTACKS`; all of the product knows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tests.extending.conftest import Add
from tracelang.engine.sampling import sample
from tracelang.evidence import attacks
from tracelang.evidence.judges import load
from tracelang.plan.explain import explain
from tracelang.semantics.tables import ATTACKS
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion

FILE = '''
"""The concept's own prompts, shouted."""

from __future__ import annotations

from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.models.protocol import Model


def run(target: Target, model: Model, budget: Budget) -> Found:
    prompts = tuple(f"{prompt}!".upper() for prompt in target.dealt(target.count))
    spent: dict[str, int | float | str] = {"access": "black box", "prompts": len(set(prompts)), "evaluations": 0}
    return Found(prompts, None, spent, None, prompts[:1])
'''


def test_an_attack_is_a_file_and_a_row(
    add: Add, edit: Callable[[str], Path], small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(tracelang.CompileError, match="no attack is called `shouting`"):
        tracelang.compile(RECIPE + "expect { attack(dog, shouting) <= 10% }")
    monkeypatch.setitem(ATTACKS, "shouting", ("black box", "Shouting: its names in capital letters"))
    with pytest.raises(
        ImportError, match=r"names the attack shouting, and no file of tracelang\.evidence\.attacks has it"
    ):
        attacks.found()
    add(attacks.__name__, "shouting", FILE)
    monkeypatch.setattr(attacks, "ATTACKS", attacks.found())

    out = edit("expect over 3 samples { attack(dog, shouting) <= 99% }")
    assert "attack(dog, shouting) <= 99%" in explain(tracelang.load_plan(out / "plan.json"))
    report = tracelang.verify(out, samples=0, steps=2)
    (found,) = report.attacks
    assert (found.attack, found.access, found.error) == ("shouting", "black box", "")
    assert found.adaptive is not None and found.adaptive.n == 3 and found.examples == ("A PICTURE OF A DOG!",)
    assert report.outcomes[0].measures[0].rate == found.adaptive
    page = (out / "report/report.html").read_text()
    assert "Shouting: its names in capital letters" in page and "under the attack shouting" in page


def test_a_file_without_a_row_is_found_when_it_is_imported(add: Add) -> None:
    add(attacks.__name__, "shouting", FILE)
    with pytest.raises(ImportError, match="has the attack shouting, and the language has no row for it"):
        attacks.found()


SAMPLES = '''
"""The concept's own prompts, sampled by the attack itself."""

from __future__ import annotations

from tracelang.engine.sampling import sample_latents
from tracelang.evidence.attacks.attack import Budget, Found, Target
from tracelang.models.protocol import Model


def run(target: Target, model: Model, budget: Budget) -> Found:
    prompts = target.dealt(target.count)
    drawn = sample_latents(model, model.encode(prompts), target.seeds("sketching"), steps=target.steps, fast=True)
    spent: dict[str, int | float | str] = {"access": "black box", "prompts": len(set(prompts)), "evaluations": 0}
    return Found(tuple(prompts), None, spent, None, (), latents=drawn)
'''


def test_an_attack_that_samples_by_itself_is_judged_on_what_each_model_arrives_at(
    add: Add, edit: Callable[[str], Path], small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are what each model draws of the row's prompt and seed; there is no static side, and no error of it."""
    monkeypatch.setitem(ATTACKS, "sketching", ("black box", "Sketching: its names, drawn"))
    add(attacks.__name__, "sketching", SAMPLES)
    monkeypatch.setattr(attacks, "ATTACKS", attacks.found())
    out = edit("expect over 3 samples { attack(dog, sketching) <= 99% }")
    report = tracelang.verify(out, samples=0, steps=8)
    (found,) = report.attacks
    assert (found.error, found.static, found.adaptive.n, found.base.n) == ("", None, 3, 3)
    assert report.outcomes[0].measures[0].rate == found.adaptive and report.outcomes[0].measures[0].base == found.base
    (record,) = (json.loads(file.read_text()) for file in out.glob("**/attack-0000-sketching.json"))
    rows = record["adaptive"]["rows"]
    judge = load("micro")
    for side, folder in (("after", out / "model"), ("base", micro_sd())):
        model = StableDiffusion().load(folder, dtype="float32")
        images = sample(model, [r["prompt"] for r in rows], [r["seed"] for r in rows], steps=8, fast=True)
        for row, seen in zip(rows, judge.look(images), strict=True):
            assert row[side]["micro"]["labels"]["concept"] == [*seen.labels["concept"]]
