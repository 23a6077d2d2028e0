"""What a run leaves out is said before it begins, and stands in the report."""

from __future__ import annotations

import tracelang
from tracelang.evidence.notes import STEPS, notes
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion

LONG = "a picture of a cat " + "and of another cat " * 30


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
