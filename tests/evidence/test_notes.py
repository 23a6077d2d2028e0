"""What a run leaves out is said before it begins, and stands in the report."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracelang
from tracelang.evidence.notes import STEPS, notes
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion

LONG = "a picture of a cat " + "and of another cat " * 30


def test_a_suite_s_prompts_that_are_cut_off_are_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.csv").write_text(f"case_number,prompt,evaluation_seed\n0,a dog,1\n1,{LONG},2\n")
    asked = 'expect over 9 samples { shown(dog) on suite "dog.csv" as unlearn_diff_atk <= 90% }'
    plan = tracelang.compile(f'concept dog {{ names "dog" }} erase dog method uce\n{asked}', root=tmp_path)
    (cut,) = notes(plan, StableDiffusion().text(micro_sd()), STEPS)
    assert cut.startswith("the end of 1 of ")


def test_prompts_that_are_cut_off_are_counted_and_few_steps_are_told() -> None:
    text = StableDiffusion().text(micro_sd())
    short = tracelang.compile('erase "dog" preserve "cat" method uce')
    assert [*notes(short, text, STEPS)] == []
    (few,) = notes(short, text, 20)
    assert few.startswith("pictures of more than 20 sampler steps") and "--steps 50" in few
    probed = tracelang.compile(
        f'concept dog {{ names "dog" probes "canine", "{LONG}" templates "{{}}" }} erase dog preserve "cat" method uce'
    )
    (cut,) = notes(probed, text, STEPS)
    assert cut.startswith("the end of 1 of ") and "tokens" in cut
    closed = tracelang.compile(
        f'concept dog kind protected {{ names "dog" probes "{LONG}" templates "{{}}" }} erase dog method uce'
    )
    assert [*notes(closed, text, STEPS)] == []  # nothing of it is drawn, whole or cut
