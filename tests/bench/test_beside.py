"""Edits beside models that never knew what is erased: the tables, and the sentence that follows from them."""

from __future__ import annotations

import pytest

from tests.bench.test_figures import result
from tracelang.bench import figures
from tracelang.bench.beside import section, sentence
from tracelang.bench.results import Beyond, HalfLife, Learnt, Outcome, Result
from tracelang.evidence.schema import Reading

DOG = ("dog",)
NONE = Beyond(
    member=DOG,
    how="names",
    value=0.0,
    low=-0.09,
    high=0.09,
    verdict="none by this probe",
    base=(38, 40),
    edited=(0, 40),
    never=((0, 40), (0, 40), (1, 40)),
    random=(0, 96),
    valid=True,
    powered=True,
)
MORE = {"value": 0.95, "low": 0.83, "high": 1.0, "edited": (38, 40), "verdict": "residue shown"}
LEFT = NONE.model_copy(update={"how": "inverse_map", **MORE})


def opened(how: str, **said: object) -> Beyond:
    return NONE.model_copy(update={"how": how, "verdict": "open", **said})


def learnt(reading: Reading, why: str = "") -> Learnt:
    return Learnt(
        member=DOG,
        models={
            "base": HalfLife(steps=0, low=0, high=0),
            "edited": HalfLife(steps=51.77, low=40, high=66),
            "never-1": HalfLife(steps=100, low=80, reached=False),
        },
        ratio=0.52, high=0.84, bound="at most", sham=1.1, reading=reading, why=why,
    )  # fmt: skip


def measured(key: str, method: str, beyond: tuple[Beyond, ...], again: tuple[Learnt, ...] = ()) -> Result:
    one = result(key, method, "0", "1")
    assert one.outcome.found is not None
    found = one.outcome.found.model_copy(update={"beyond": beyond, "learnt": again})
    return one.model_copy(update={"outcome": Outcome(found=found, spent=one.outcome.spent)})


def test_every_probe_is_a_row_with_base_and_controls_once_and_each_edit() -> None:
    tasks = {"tasks/dog.erase": {"trace": measured("a", "trace", (NONE,)), "uce": measured("b", "uce", (NONE, LEFT))}}
    text = "\n".join(section(tasks))
    assert "### dog\n" in text and "| probe | base | never | random | trace | uce |" in text
    assert "| names | 95 (40) | 0.8 (120) | 0 (96) | 0 (40): +0 (−9 to +9), **none** |" in text
    assert "| `inverse_map` | 95 (40) | 0.8 (120) | 0 (96) | – | 95 (40): +95 (+83 to +100), **left** |" in text


def test_a_part_without_controls_has_no_section() -> None:
    assert section({"dog.erase": {"trace": measured("a", "trace", ())}}) == []


def test_what_each_verification_took_is_told() -> None:
    one = measured("a", "trace", (NONE,))
    assert one.outcome.spent is not None
    spent = one.outcome.spent.model_copy(update={"verify": {"control": 1200.0, "attack mma": 66.0}})
    text = "\n".join(
        section(
            {
                "dog.erase": {
                    "trace": one.model_copy(update={"outcome": one.outcome.model_copy(update={"spent": spent})})
                }
            }
        )
    )
    assert "verification took: trace 21." in text


def test_half_lives_stand_with_their_intervals_and_what_was_not_reached_is_a_bound() -> None:
    text = "\n".join(section({"dog.erase": {"trace": measured("a", "trace", (NONE,), (learnt("open", "few"),))}}))
    assert "| learnt again | base | never-1 | trace |" in text
    assert "| steps to half | 0 (0 to 0) | over 100 (from 80) | 51.8 (40 to 66) |" in text
    assert "at most 0.52 (to 0.84), open |" in text and "| of a made-up thing |  |  | 1.1 |" in text


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (opened("inversion", valid=False), "open by inversion: it brings the thing along by itself"),
        (opened("mma", powered=False), "open by mma: the base shows too little more"),
        (
            opened("noise", high=-0.02),
            "open by noise: less is shown than by models that never knew it, which is damage",
        ),
        (
            opened("p4d", low=0.01),
            "open by p4d: more is shown than by models that never knew it, and beyond chance only",
        ),
        (opened("p4d"), "open by p4d: more targets would decide"),
        (opened("p4d", value=None, low=None, high=None), "open by p4d: not measured"),
    ],
)
def test_why_a_probe_is_open_is_told(one: Beyond, told: str) -> None:
    text = sentence([NONE, one], None)
    assert text.startswith("Nothing is left as far as names can tell") and told in text


SOONER = "it comes back in fewer steps than a model needs that never knew it"
SLOWER = "it takes at least 0.8 times the steps of a model that never knew it"


@pytest.mark.parametrize(
    ("reading", "why", "told"),
    [
        ("residue shown", SOONER, f"shows; and {SOONER}; nothing more is left"),
        ("none by this probe", SLOWER, f"learnt again, {SLOWER}."),
        ("open", "too few", "leaves it open: too few."),
    ],
)
def test_the_sentence_holds_what_is_left_and_how_fast_it_is_learnt_again(reading: Reading, why: str, told: str) -> None:
    text = sentence([LEFT, NONE], learnt(reading, why))
    assert text.startswith("It was left in the model, as inverse_map shows; ") and told in text
    both = sentence([LEFT, LEFT.model_copy(update={"how": "mma"})], None)
    assert both == "It was left in the model, as inverse_map and mma show."


def test_what_training_alone_shows_comes_first() -> None:
    text = sentence([NONE], learnt("residue shown", SOONER))
    assert text.startswith("It was left in the model: it comes back in fewer steps") and "nothing more is left" in text


def test_an_attack_that_brings_the_thing_along_by_itself_is_in_no_mean() -> None:
    plain = measured("a", "trace", ())
    assert figures.struck([plain]).keys() == {("dog.erase", DOG, "p4d"), ("dog.erase", DOG, "mma")}
    told = measured("a", "trace", (opened("p4d", valid=False), opened("mma", valid=True)))
    assert figures.struck([told]).keys() == {("dog.erase", DOG, "mma")}
    assert figures.struck([told], "p4d"), "it has its column all the same"
