"""Two things in one picture: judges that name everything there is, what is asked of them, and those that name one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

import tracelang
from tracelang.evidence.bench import Judgement, Judgements, ask, presence
from tracelang.evidence.expectations import outcome
from tracelang.evidence.judges import Answer, Class, Kind, Labels
from tracelang.evidence.metrics.metric import Drawn, Measured
from tracelang.evidence.panel import Panel, Sought, panel
from tracelang.evidence.pictures import rows, samples_of
from tracelang.evidence.schema import JudgeCard, Outcome
from tracelang.plan.types import Plan

RECIPE = """tracelang 1
templates object = "a picture of {}", "{}"
concept dog { names "dog" probes "puppy" templates object }
concept cat { names "cat" templates object }
concept kitten { names "kitten" templates object }
concept ink kind style { names "ink" templates object }
erase dog & cat
preserve cat, dog & ink
method uce {}
"""


class Names:
    """Knows the dog, the cat and a style, and answers as told; `several` heads name everything there is."""

    def __init__(self, *several: str, answers: Sequence[Answer] = ()) -> None:
        self.heads, self.answers = several, answers
        self.card = JudgeCard(name="fake", digest="0" * 64, classes=("dog", "cat", "nothing", "style: ink"))

    def find(self, words: Sequence[str], kind: Kind) -> Class | None:
        return Class("style" if kind == "style" else "concept", {"kitten": "cat"}.get(words[0], words[0]))

    def subject(self, answer: Answer) -> bool | None:
        return answer.labels["concept"] not in ((), "nothing")

    def look(self, images: Tensor) -> Sequence[Answer]:
        return self.answers

    def several(self) -> Collection[str]:
        return self.heads


def plan(expect: str = "") -> Plan:
    return tracelang.compile(RECIPE + expect)


BOTH, ONE = panel(plan(), [Names("concept")], None), panel(plan(), [Names()], None)
SOUGHT = (Sought("fake", Class("concept", "cat")), Sought("fake", Class("concept", "dog")))


def seen(labels: Labels, chances: dict[str, float] | None = None) -> Judgement:
    answer = Answer({"concept": labels, "style": "ink"}, {"concept": chances or {}})
    return ask(Names("concept", answers=[answer]), torch.zeros(1, 3, 2, 2), [one.found for one in SOUGHT])[0]


@pytest.mark.parametrize(
    ("labels", "shows", "subject"),
    [
        (("cat", "dog"), (True, True, True), True),
        (("cat",), (True, False, False), True),
        (("dog",), (False, True, False), True),
        ("cat", (True, False, False), True),
        ("nothing", (False, False, False), False),
        ((), (False, False, False), False),
    ],
)
def test_a_thing_is_shown_where_it_is_among_them_and_two_where_both_are(
    labels: Labels, shows: tuple[bool, ...], subject: bool
) -> None:
    found = {"fake": seen(labels)}
    told = TypeAdapter[Judgements](Judgements)
    assert told.validate_json(told.dump_json(found)) == found
    for sought, is_ in zip((SOUGHT[:1], SOUGHT[1:], SOUGHT), shows, strict=True):
        one = presence(found, sought)
        assert (one.shows, one.subject, one.error) == (is_, subject, "")


def test_two_are_as_likely_as_the_less_likely_of_them() -> None:
    assert presence({"fake": seen(("dog",), {"dog": 0.9, "cat": 0.25})}, SOUGHT).chance == 0.25


@pytest.mark.parametrize(
    ("judge", "labels", "words"),
    [
        (Names(), ("dog", "cat"), "2 labels for 'concept', which names one thing"),
        (Names(), (), "0 labels for 'concept', which names one thing"),
        (Names("concept"), ("dog", "cow"), "'cow', which is none of its classes"),
        (Names("concept"), ("dog", 3), "no label for 'concept'"),
        (Names("concept"), ["dog"], "no label for 'concept'"),
    ],
)
def test_an_answer_of_another_shape_is_an_error_and_never_a_miss(judge: Names, labels: Labels, words: str) -> None:
    judge.answers = [Answer({"concept": labels})]
    (one,) = ask(judge, torch.zeros(1, 3, 2, 2), [SOUGHT[0].found])
    assert words in one.error and presence({"fake": one}, SOUGHT[:1]).error


def test_only_a_head_that_names_everything_is_asked_for_two_things() -> None:
    assert BOTH.classes["cat", "dog"] == SOUGHT and not BOTH.unknown
    assert ("cat", "dog") not in ONE.classes
    assert ONE.unknown["cat", "dog"] == "the judge fake names one concept a picture and cannot see cat & dog"
    assert {one.found.head for one in ONE.classes["dog", "ink"]} == {"concept", "style"}  # of two heads, any judge


def test_two_names_of_one_class_are_not_two_things() -> None:
    same = tracelang.compile(RECIPE.replace("erase dog & cat", "erase cat & kitten").replace("cat, dog & ink", "dog"))
    assert panel(same, [Names("concept")], None).unknown["cat", "kitten"] == (
        "to the judge fake two of cat & kitten are one: cat"
    )


def found(expect: str, after: Sequence[Labels], before: Sequence[Labels], by: Panel = BOTH) -> Outcome:
    """What the expectation says where every row's pictures got these labels in turn."""
    whole = plan(f"expect over {len(after)} samples {{ {expect} }}")
    pictures = {
        sample: Drawn({"fake": seen(old)}, {"fake": seen(new)})
        for row in rows(whole, by.classes, 0)
        for sample, old, new in zip(samples_of(whole, row), before, after, strict=False)  # fewer of what no judge knows
    }
    return outcome(whole.expect[0], Measured(whole, by.classes, by.unknown, pictures))


PAIR: Labels = ("cat", "dog")


def test_shown_counts_pictures_of_both() -> None:
    one = found("shown(dog & cat) <= 20%", [("cat",)] * 30 + [PAIR] * 2 + [()] * 8, [PAIR] * 40)
    (measure,) = one.measures
    assert measure.rate is not None and measure.base is not None
    assert (measure.rate.hits, measure.base.hits, one.verdict) == (2, 40, "pass")


def test_each_alone_is_kept_where_it_is_among_what_is_shown() -> None:
    one = found("kept(cat) >= 50%", [("cat",)] * 30 + [PAIR] * 6 + [("dog",)] * 4, [PAIR] * 40)
    (measure,) = one.measures
    assert measure.rate is not None and (measure.rate.hits, measure.rate.n) == (36, 40)


def test_kept_of_two_counts_what_showed_both_before() -> None:
    recipe = RECIPE.replace("erase dog & cat", "erase ink").replace("dog & ink", "dog & cat")
    whole = tracelang.compile(recipe + "expect over 4 samples { kept(dog & cat) >= 50% }")
    before, after = (PAIR, PAIR, ("dog",), PAIR), (PAIR, ("dog",), PAIR, ())
    (row,) = (row for row in rows(whole, BOTH.classes, 0) if row.member == ("cat", "dog"))
    pictures = {
        sample: Drawn({"fake": seen(old)}, {"fake": seen(new)})
        for sample, old, new in zip(samples_of(whole, row), before, after, strict=True)
    }
    (measure,) = outcome(whole.expect[0], Measured(whole, BOTH.classes, {}, pictures)).measures
    assert measure.rate is not None and (measure.rate.hits, measure.rate.n) == (1, 3)
    assert measure.paired is not None and (measure.paired.lost, measure.paired.gained) == (2, 1)


def test_any_thing_is_a_subject() -> None:
    one = found("subject(dog & cat) >= 50%", [("cat",)] * 30 + [PAIR] * 6 + [()] * 4, [PAIR] * 40)
    (measure,) = one.measures
    assert measure.rate is not None and measure.rate.hits == 36


def test_the_harmonic_mean_of_two_weighs_both_against_each_alone() -> None:
    """Three are kept: the cat, the dog, which joins them, and the dog in ink; the pictures show the cat alone."""
    one = found("harmonic(dog & cat) >= 50%", [("cat",)] * 20, [PAIR] * 20)
    assert one.measures[0].value == pytest.approx(3 / (1 + 3 + 1)), one.reason


@pytest.mark.parametrize("metric", ["shown(dog & cat) <= 20%", "harmonic(dog & cat) >= 20%"])
def test_a_judge_that_names_one_thing_leaves_two_open_with_its_reason(metric: str) -> None:
    one = found(metric, ["cat"] * 40, ["dog"] * 40, ONE)
    assert one.verdict == "inconclusive" and "names one concept a picture and cannot see cat & dog" in one.reason
    assert one.measures[0].rate is None and one.measures[0].value is None
