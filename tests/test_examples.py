"""The examples run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tracelang.evidence import judges
from tracelang.plan.compile import compile

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def test_every_example_is_in_the_table() -> None:
    linked = set(re.findall(r"\]\(([\w/.]+)\)", (EXAMPLES / "README.md").read_text("utf-8")))
    for path in EXAMPLES.rglob("*"):
        place = path.relative_to(EXAMPLES)
        if path.suffix in (".py", ".yml", ".toml"):
            assert linked & {str(place), *map(str, place.parents)}, place


def test_applying_from_python(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "apply.py", "micro-sd", tmp_path / "out"]
    env = {**os.environ, "TRACELANG_CACHE": str(tmp_path / "cache")}
    result = subprocess.run(command, capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stderr
    assert "on micro-sd, a sd1 model" in result.stdout
    assert "moved by 0%" not in result.stdout and "the prediction for a dog moved by" in result.stdout
    assert (tmp_path / "out" / "model" / "model_index.json").exists() and (tmp_path / "out/lora.safetensors").exists()


@pytest.fixture
def twilight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as pip installs it: its module can be imported, its entry point is among those there are."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "judge"))
    group = "tracelang.judges"
    written = tomllib.loads((EXAMPLES / "judge" / "pyproject.toml").read_text())["project"]["entry-points"][group]
    points = [EntryPoint(name, value, group) for name, value in written.items()]
    monkeypatch.setattr(judges, "entry_points", lambda group: points)


@pytest.mark.usefixtures("twilight")
def test_a_judge_that_is_a_plug_in() -> None:
    judge = judges.load("twilight")
    plan = compile('concept dark { names "night" probes "darkness" } erase dark preserve "dog"')
    (dark,) = (one for one in plan.concepts if one.names == ("night",))
    wanted = judge.find(dark.names, dark.kind)
    assert wanted == judges.Class("light", "night") and judge.find(["dog"], "object") is None
    black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    assert [one.labels[wanted.head] for one in judge.look(torch.cat([black, white]))] == ["night", "day"]
    assert judge.subject(judge.look(black)[0]) is None and judge.card.classes == ("night", "day")
    assert judges.load("twilight=0.5").card.threshold == 0.5
    with pytest.raises(ValueError, match="not finite"):
        judge.look(black / 0)
    assert len((EXAMPLES / "judge" / "twilight_judge.py").read_text().splitlines()) <= 36


JOB: dict[str, Any] = yaml.safe_load((EXAMPLES / "ci" / "recipes.yml").read_text())["jobs"]["review"]
SCRIPTS = {step["name"]: step["run"] for step in JOB["steps"] if "name" in step}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a repository with one recipe, on a branch of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    tracec = tmp_path / "bin" / "tracec"
    tracec.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from tracelang.cli import main; main()" "$@"\n')
    tracec.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tracec.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    (tmp_path / "there" / "recipes").mkdir(parents=True)
    (tmp_path / "there" / "recipes" / "r.erase").write_text(RECIPE)
    for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "a recipe"]):
        git("-C", "there", *words)
    git("clone", "-q", "there", "here")
    return tmp_path / "here"


RECIPE = (
    'tracelang 1\n\nerase "cat"\npreserve "dog"\nexpect over 200 samples { shown("cat") <= 5%  kept("dog") >= 80% }\n'
)


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True)


def step(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-e", "-c", SCRIPTS[name]], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("change", "stopped"),
    [
        (("", ""), None),
        (('"cat"\n', '"cat", "fox"\n'), None),
        (('erase "cat"', 'erase   "cat"'), "style"),
        (('preserve "dog"\n', ""), "findings"),
        (("<= 5%", "<= 9%"), "no broken promise"),
    ],
)
def test_the_job_stops_what_should_not_pass(checkout: Path, change: tuple[str, str], stopped: str | None) -> None:
    (checkout / "recipes" / "r.erase").write_text(RECIPE.replace(*change, 1))
    found = {name: step(name, checkout).returncode for name in SCRIPTS}
    assert list(SCRIPTS) == ["style", "findings", "no broken promise"]
    if stopped is None:
        assert not any(found.values()), found
    else:
        assert found[stopped] == 1, found
