"""A judge that fails, in every way it can, leaves an error and never an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from tracelang.evidence.artifact import Ended, going_on
from tracelang.evidence.bench import Judgement, Judgements, ask, attempt, judged, presence
from tracelang.evidence.judges import Answer, Class, Kind
from tracelang.evidence.panel import Panel, Sought
from tracelang.evidence.schema import JudgeCard

DOG = Class("concept", "dog")
SOUGHT = (Sought("fake", DOG),)


def said(label: str = "dog", chance: float = 0.9) -> Answer:
    return Answer({"concept": label}, {"concept": {"dog": chance, "cat": 1 - chance}})


class Fake:
    """Answers as told: from each image's first pixel to a `Answer`, or the whole batch at once."""

    def __init__(self, each: Callable[[float], Any] | None = None, batch: Callable[[int], Any] | None = None) -> None:
        self.each, self.batch = each, batch
        self.card = JudgeCard(name="fake", digest="0" * 64, classes=("dog", "cat"))

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        return DOG if "dog" in words else None

    def subject(self, answer: Answer) -> bool | None:
        return True

    def look(self, images: Tensor) -> Any:
        if self.batch is not None:
            return self.batch(len(images))
        assert self.each is not None
        return [self.each(float(image.flatten()[0])) for image in images]


def raise_(error: BaseException) -> Any:
    raise error


def images(*first: float) -> Tensor:
    return torch.tensor(first)[:, None, None, None].expand(-1, 3, 2, 2)


def test_a_good_answer_is_taken_whole() -> None:
    (found,) = ask(Fake(lambda _: said()), images(0), [DOG])
    assert found == Judgement({"concept": "dog"}, {"concept": {"dog": 0.9}}, True)
    assert presence({"fake": found}, SOUGHT).shows
    told = TypeAdapter[Judgements](Judgements)
    assert told.validate_json(told.dump_json({"fake": found})) == {"fake": found}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: raise_(RuntimeError("no memory left")), "RuntimeError: no memory left"),
        (lambda: raise_(KeyError("x")), "KeyError"),
        (lambda: None, "error"),
        (lambda: Answer({}), "no label"),
        (lambda: said("zebra"), "none of its classes"),
        (lambda: said(chance=float("nan")), "no probability"),
        (lambda: said(chance=7.0), "no probability"),
        (lambda: Answer({"concept": 3}), "no label"),  # type: ignore[dict-item]
    ],
)
def test_a_failure_on_one_image_is_the_error_of_that_image(answer: Callable[[], Any], words: str) -> None:
    found = ask(Fake(lambda pixel: answer() if pixel == 2 else said()), images(1, 2, 3), [DOG])
    assert [bool(one.error) for one in found] == [False, True, False]
    assert words.lower() in found[1].error.lower()
    lost = presence({"fake": found[1]}, SOUGHT)
    assert lost.error and not lost.shows


@pytest.mark.parametrize(
    "batch", [lambda n: None, lambda n: [], lambda n: [said()] * (n - 1), lambda n: [said()] * (n + 1)]
)
def test_nothing_too_few_or_too_many_answers_are_errors(batch: Callable[[int], Any]) -> None:
    assert all(one.error for one in ask(Fake(batch=batch), images(1, 2, 3), [DOG]))


def test_a_judge_that_fails_on_many_and_not_on_one_is_told_of() -> None:
    found = ask(Fake(batch=lambda n: [said()] if n == 1 else raise_(MemoryError())), images(1, 2, 3), [DOG])
    assert all(one.again and not one.error for one in found)
    told = TypeAdapter[Judgements](Judgements)
    assert told.validate_json(told.dump_json({"fake": found[0]})) == {"fake": found[0]}
    assert b"again" not in told.dump_json({"fake": ask(Fake(lambda _: said()), images(0), [DOG])[0]})


def test_a_subject_that_fails_is_an_error() -> None:
    judge = Fake(lambda _: said())
    judge.subject = lambda answer: raise_(ValueError("blind"))  # type: ignore[method-assign]
    assert "blind" in ask(judge, images(1), [DOG])[0].error


def test_a_picture_that_is_not_finite_is_shown_to_no_judge() -> None:
    judge = Fake(lambda pixel: said() if pixel == pixel else raise_(AssertionError("it was shown")))
    (good, bad) = judged(Panel((judge,), {("dog",): SOUGHT}, {}), images(1, float("nan")))
    assert not good["fake"].error
    assert bad["fake"].error == "the picture holds values that are not finite"


def test_an_interruption_is_no_failure_of_a_judge() -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(lambda: raise_(KeyboardInterrupt()))


@pytest.mark.parametrize("label", ["dogg", "", "style: dog", "concept: cow"])
@pytest.mark.parametrize("scored", [True, False])
def test_a_label_that_is_no_class_is_an_error_scored_or_not(label: str, scored: bool) -> None:
    scores = {"concept": {label: 0.99, "dog": 0.01}} if scored else {}
    (one,) = ask(Fake(lambda _: Answer({"concept": label}, scores)), torch.zeros(1, 3, 2, 2), [DOG])
    assert "none of its classes" in one.error and not one.labels


def test_a_class_may_stand_below_its_head() -> None:
    judge = Fake(lambda _: said())
    judge.card = judge.card.model_copy(update={"classes": ("concept: dog", "style: cat")})
    assert not ask(judge, torch.zeros(1, 3, 2, 2), [DOG])[0].error
    assert (
        ask(Fake(lambda _: Answer({"style": "dog"})), torch.zeros(1, 3, 2, 2), [Class("style", "dog")])[0].error == ""
    )
    judge.card = judge.card.model_copy(update={"classes": ("style: dog",)})  # of another head
    assert "none of its classes" in ask(judge, torch.zeros(1, 3, 2, 2), [DOG])[0].error


class Gone(BaseException):
    """What a library may raise that no `except Exception` sees."""


@pytest.mark.parametrize("how", [SystemExit(0), SystemExit(), SystemExit("bye"), SystemExit(3), Gone("bye")])
def test_a_judge_that_exits_is_neither_an_answer_nor_the_end(how: BaseException) -> None:
    def leave(_: object) -> Any:
        raise how

    for judge in (Fake(leave), Fake(batch=leave)):
        with pytest.raises(Ended, match="the judge fake ended the program"):
            attempt(lambda judge=judge: ask(judge, torch.zeros(2, 3, 2, 2), [DOG]))
    with pytest.raises(Ended, match="a thing ended the program"), going_on("a thing"):
        leave(0)
    with pytest.raises(KeyboardInterrupt), going_on("a thing"):
        raise KeyboardInterrupt
