"""Whatever is changed in a recipe, compiling it ends in a plan or in diagnostics, never in an exception."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from time import process_time

import pytest
from click.testing import CliRunner

from tests.snippets import snippets
from tracelang.cli import main
from tracelang.diagnostics import Findings, Source
from tracelang.diagnostics.human import render
from tracelang.plan.compile import compile, compile_with_findings
from tracelang.plan.explain import explain
from tracelang.syntax.parser import parse

HERE = Path(__file__).parent
TEXTS = [path.read_text("utf-8") for path in sorted(HERE.parents[1].glob("recipes/**/*.erase"))]
TEXTS += [text for _, text in snippets(HERE.parent / "plan" / "good.txt")]
TEXTS += [text for _, text in snippets(HERE.parent / "syntax" / "good.txt") if text]
WORDS = " ".join(TEXTS).split()
MARKS = ["", "{", '"', "\u00e9", "9", "%", "..", "\\", "(", ")", ",", "&", "\x00", "\r", "# "]


def mutated(chance: random.Random, text: str) -> str:
    if chance.random() < 0.7:
        words = text.split(" ")
        at = chance.randrange(len(words))
        words[at : at + chance.choice([0, 1, 1, 2])] = [chance.choice(WORDS)]
        return " ".join(words)
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(MARKS) + text[at + chance.choice([0, 1, 3]) :]


def outcome(recipe: str | Path) -> bool:
    plan, findings = compile_with_findings(recipe)
    if plan is None:
        assert findings and "\x1b" not in render(findings)
        return False
    assert compile(explain(plan)).digest == plan.digest
    return True


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutations(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE.parents[1] / "recipes")
    chance = random.Random(count)
    outcomes = []
    for _ in range(count):
        text = mutated(chance, chance.choice(TEXTS))
        while chance.random() < 0.5:
            text = mutated(chance, text)
        start = process_time()
        outcomes.append(outcome(text))
        assert process_time() - start < 10
    assert any(outcomes) and not all(outcomes)


def test_a_recipe_with_an_error_is_not_formatted(tmp_path: Path) -> None:
    chance = random.Random(5)
    path = tmp_path / "r.erase"
    refused = 0
    for _ in range(200):
        text = mutated(chance, chance.choice(TEXTS))
        path.write_text(text, "utf-8", newline="")
        report = Findings()
        if parse(Source("r.erase", text), report) is None:
            assert CliRunner().invoke(main, ["fmt", str(path)]).exit_code == 1
            assert path.read_bytes() == text.encode()
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_mutations_of_one_file_of_several(count: int, tmp_path: Path) -> None:
    shutil.copytree(HERE / "files" / "good", tmp_path, dirs_exist_ok=True)
    files = sorted(path for path in tmp_path.rglob("*.erase") if path.name != "same.erase")
    chance = random.Random(count)
    outcomes = []
    for _ in range(count):
        path = chance.choice(files)
        text = path.read_text("utf-8")
        path.write_text(mutated(chance, text), "utf-8", newline="")
        top = tmp_path / path.relative_to(tmp_path).parts[0] / "top.erase"
        outcomes.append(outcome(top))
        path.write_text(text, "utf-8")
    assert any(outcomes) and not all(outcomes)
