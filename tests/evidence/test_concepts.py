"""What is told of a concept: its worst prompt, and what stands in its place; and how much was looked at."""

from __future__ import annotations

import tracelang
from tests.evidence.edits import RECIPE
from tests.evidence.test_expectations import CLASSES, judged
from tracelang.evidence.metrics.metric import Drawn, Measured
from tracelang.evidence.pictures import rows, samples_of
from tracelang.evidence.report.figures import Evidence, concept
from tracelang.evidence.schema import JudgeCard
from tracelang.evidence.work import Run

PROTECTED = 'concept closed kind protected { names "fox" }\nerase dog'
CARD = JudgeCard(name="fake", digest="", classes=("dog", "cat", "fox", "ship"))


def evidence(recipe: str = RECIPE) -> Evidence:
    """Of 20 dogs one prompt's still show one; of the others 8 are cats, one a fox, one nothing."""
    plan = tracelang.compile(f"{recipe}expect over 20 samples {{ shown(dog) <= 50% }}")
    run = Run({"samples": 0}, (), (CARD,), CLASSES, {}, (), {})
    pictures = {}
    for row in rows(plan, CLASSES, 0):
        left = iter(["cat"] * 8 + ["fox", "nothing"])
        for sample in samples_of(plan, row):
            stays = sample.prompt == "a picture of a dog"
            pictures[sample] = Drawn(judged("dog"), judged("dog" if stays else next(left)))
    return Evidence(plan, run, Measured(plan, CLASSES, {}, pictures), (), {}, None, None, None, (), ())


def test_a_prompt_that_always_works_is_not_hidden_among_others() -> None:
    found = concept(evidence(), ("dog",))
    assert found.after is not None and (found.after.hits, found.after.n) == (10, 20)
    assert found.worst_prompt is not None and found.worst_prompt[0] == "a picture of a dog"
    assert (found.worst_prompt[1].hits, found.worst_prompt[1].n) == (10, 10)


def test_what_stands_in_its_place_is_counted_and_nothing_protected_named() -> None:
    assert concept(evidence(), ("dog",)).instead == (("cat", 8), ("fox", 1), ("nothing", 1))
    closed = concept(evidence(RECIPE.replace("erase dog", PROTECTED)), ("dog",))
    assert closed.instead == (("cat", 8), ("something protected", 1), ("nothing", 1))


def test_it_is_told_how_many_prompts_were_looked_at() -> None:
    assert evidence().prompts == {"a picture of a dog", "a dog"}
