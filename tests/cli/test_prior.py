"""What `tracec plan` and `tracec apply` say of a prior."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang.cli import main

RECIPE = 'tracelang 1\nerase "cat" toward "deer"\npreserve prior weight 0.3 { sample = 40 }\nmethod uce\n'


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "recipe.erase"
    path.write_text(RECIPE, "utf-8")
    return str(path)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_plan_says_how_many_prompts_before_and_after_a_model_is_asked(recipe: str) -> None:
    before = said("plan", recipe, "--model", "micro-sd", "--config-only")
    assert "preserve prior weight 0.3: at most 40 prompts to encode" in before
    (found,) = json.loads(said("plan", recipe, "--model", "micro-sd", "--json"))["priors"]
    assert found["prompts"] + found["left_out"] == 40 and len(found["digest"]) == 64
    words = f"preserve prior weight 0.3: {found['prompts']} prompts, {found['left_out']} left out near the erased"
    assert words in said("plan", recipe, "--model", "micro-sd")


def test_apply_records_what_was_held(recipe: str, tmp_path: Path) -> None:
    outcome = json.loads(said("apply", recipe, "--model", "micro-sd", "--out", str(tmp_path / "out"), "--json"))
    (found,) = outcome["figures"]["refine.prior"]
    (planned,) = json.loads(said("plan", recipe, "--model", "micro-sd", "--json"))["priors"]
    assert found.items() <= planned.items()
    assert outcome["figures"]["refine"]["tokens"]["prior"].keys() == {"states", "trace", "effective_rank", "leak"}
    manifest = next(path for path in (tmp_path / "out").rglob("*.json") if "refine.prior" in path.read_text("utf-8"))
    assert found["digest"] in manifest.read_text("utf-8")
