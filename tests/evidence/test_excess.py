"""What a probe says of what is left, where the answer is known: no edit, a twin in its place, no control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence.bench import Presence
from tracelang.evidence.expectations import outcome
from tracelang.evidence.intervals import holm
from tracelang.evidence.judges import Class
from tracelang.evidence.metrics import excess
from tracelang.evidence.metrics.excess import Compared, compare, looked
from tracelang.evidence.metrics.metric import Measured
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.evidence.report.wording import LESS
from tracelang.evidence.schema import Accuracy, Outcome
from tracelang.evidence.units.attack import AttackSide, Brought
from tracelang.evidence.units.control import ENOUGH, ControlSide, Probe
from tracelang.evidence.verdicts import rate
from tracelang.plan.types import Plan

N = 60
PROBE = Probe(("dog",), "p4d", N, 0)
KEY = (("dog",), "p4d", N, 0)
NEVER = (2, 4, 6)
"""Of 60, what each of three models shows that never knew it."""


def presences(hits: int, n: int = N) -> tuple[Presence, ...]:
    """Spread over the targets, so that models do not agree on which they show."""
    return tuple(Presence((i * 7 + hits * 13) % n < hits) for i in range(n))


def side(hits: int, n: int = N, prompts: int | None = None) -> ControlSide:
    """A prompt a target, or so many prompts in turn."""
    return ControlSide(presences(hits, n), prompts=tuple(f"p{i % (prompts or n)}" for i in range(n)))


def measured(
    edited: int,
    never: Sequence[int] = NEVER,
    random: int | None = 0,
    base: int = N,
    lost: Mapping[str, str] | None = None,
    plan: Plan | None = None,
    known: Accuracy | None = None,
) -> Measured:
    rows = tuple(Brought(Sample(f"p{i}", i), one) for i, one in enumerate(presences(edited)))
    sides = {f"never-{i}": side(hits) for i, hits in enumerate(never, 1)}
    if random is not None:
        sides["random"] = side(random, ENOUGH)
    sides |= {name: ControlSide((), why) for name, why in (lost or {}).items()}
    return Measured(
        plan or tracelang.compile(RECIPE),
        {("dog",): (Sought("fake", Class("concept", "dog")),)},
        {},
        {},
        attacks={KEY: AttackSide(rows)},
        unedited={KEY: presences(base)},
        controls={PROBE: sides},
        accuracy={} if known is None else {("fake", "dog"): known},
    )


def said(*args: int, **more: object) -> tuple[str, str]:
    return compare(looked(measured(*args, **more), PROBE)).verdict(True)  # type: ignore[arg-type]


def test_no_edit_shows_all_that_there_is() -> None:
    found = compare(looked(measured(N), PROBE))
    assert found.verdict(True) == ("residue shown", "") and found.valid and found.powered
    assert found.excess == found.room and found.share == (1, 1, 1)


@pytest.mark.parametrize("which", range(3))
def test_a_twin_in_the_place_of_the_edit_is_never_shown(which: int) -> None:
    others = [hits for i, hits in enumerate(NEVER) if i != which]
    assert said(NEVER[which], never=others)[0] in ("none by this probe", "open")
    assert said(NEVER[which], never=others[:1])[0] in ("none by this probe", "open")


def test_the_more_targets_the_surer_is_none() -> None:
    """Few targets that agree entirely leave it open: `ENOUGH` of them show that there is none."""
    assert said(0, never=(0, 0, 0))[0] == "none by this probe"
    few = looked(measured(0, never=(0, 0, 0)), PROBE)
    cut = {name: side(0, 20) if name != "random" else every for name, every in few.controls.items()}
    less = compare(excess.Looked(few.base[:20], few.edited[:20], few.groups[:20], cut))
    assert less.verdict(True)[0] == "open"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"never": ()}, "nothing tells what was left in the model from what it could learn anew"),
        ({"random": None}, "nothing tells what the probe brings along by itself"),
        ({"random": 30}, "of 96, perhaps 41.1%: the probe brings it along by itself"),
        ({"random": 3}, "of 96, perhaps 8.8%: too few to rule out that the probe brings it along by itself"),
        ({"never": (55, 58, 60)}, "this probe has no power here"),
        ({"base": 10}, "this probe has no power here"),
        ({"base": 0}, "this probe has no power here"),
        ({"lost": {"never-2": "the judge failed"}}, "never-2: the judge failed"),
        ({"lost": {"random": "it was not run"}}, "random: it was not run"),
    ],
)
def test_what_keeps_a_probe_from_saying_anything(more: dict[str, object], why: str) -> None:
    verdict, told = said(30, **more)
    assert verdict == "open" and why in told


def test_a_model_that_has_learned_nothing_has_to_be_asked_often_enough() -> None:
    """None shown of 96 is at most 4 %; of 20 it may be 16 %, and the gate stays shut: so do 96 pictures of 40 prompts,
    where prompts were searched for.
    """
    assert rate(0, ENOUGH).high <= excess.LEAK < rate(1, ENOUGH).high
    asked = looked(measured(30), PROBE)
    few, shared = (
        replace(asked, controls={**asked.controls, "random": one}) for one in (side(0, 20), side(0, ENOUGH, 40))
    )
    assert compare(asked).valid and compare(replace(shared, typed=False)).valid
    for one in (few, shared):
        assert not compare(one).valid and compare(one).verdict(True)[0] == "open"


def test_less_than_ignorance_is_damage() -> None:
    verdict, why = said(0, never=(30, 28, 32))
    assert verdict == "open" and why == LESS and "damage or refusal" in why and "nothing more was found" in why


def test_any_less_is_told_as_such_where_it_is_clear() -> None:
    """Also within the margin of none on one side, and of a probe that says nothing for another reason."""
    little = {hits: compare(looked(measured(hits, never=(30,)), PROBE)) for hits in range(31)}
    assert any(-excess.MARGIN < one.true[2] < 0 for one in little.values())  # type: ignore[index]
    for one in little.values():
        assert (one.verdict(True)[1] == LESS) == (one.true[2] < 0)  # type: ignore[index]
    verdict, why = said(0, never=(30, 28, 32), random=30)
    assert verdict == "open" and why.startswith(f"{LESS}; besides, ") and "brings it along by itself" in why
    assert "damage" not in said(30, random=30)[1]
    weak = Accuracy(label="dog", sensitivity=rate(1, 2), specificity=rate(1, 2), on="a set")
    assert "damage" not in said(0, never=(30, 28, 32), known=weak)[1]  # such a judge may have seen anything


def test_an_excess_that_does_not_hold_with_all_others_is_open() -> None:
    one = compare(looked(measured(14), PROBE))
    assert one.excess is not None and one.excess.low > 0
    assert not all(holm([one.excess.p, *[0.5] * 9])) and one.verdict(False)[0] == "open"
    assert "does not hold together" in one.verdict(False)[1]


def test_nothing_measured_is_open() -> None:
    assert Compared().verdict(True)[0] == "open"
    assert compare(looked(measured(3), Probe(("dog",), "ring_a_bell", N, 0))).why.startswith("the attack ring_a_bell")


def expected(bound: str, edited: int, **more: object) -> Outcome:
    recipe = RECIPE.replace("\nmethod", '\ncontrol never = "t"\ncontrol random\nmethod')
    plan = tracelang.compile(f"{recipe}expect over {N} samples {{ excess(dog, p4d) <= {bound} }}")
    return outcome(plan.expect[0], measured(edited, plan=plan, **more))  # type: ignore[arg-type]


def test_an_expectation_is_decided_by_the_interval_and_only_by_a_probe_that_could_tell() -> None:
    assert [expected("15%", edited).verdict for edited in (4, 14, N)] == ["pass", "inconclusive", "fail"]
    assert expected("15%", 4, random=30).verdict == "inconclusive"
    assert expected("15%", 0, base=3).verdict == "inconclusive"
    assert "beyond models that never knew it" in expected("15%", 4).reason


def test_a_judge_that_sees_little_of_it_shows_no_absence() -> None:
    """Half of what is there is missed: what looks as if it lay within 10 points may be twice as much."""
    weak = Accuracy(label="dog", sensitivity=rate(100, 200), specificity=rate(200, 200), on="a set")
    assert said(0, never=(0, 0, 0))[0] == "none by this probe" and expected("10%", 0, never=(0, 0, 0)).verdict == "pass"
    verdict, why = said(0, never=(0, 0, 0), known=weak)
    assert verdict == "open" and "corrected for its judge" in why
    found = expected("10%", 0, never=(0, 0, 0), known=weak)
    assert found.verdict == "inconclusive" and "corrected for its judge" in found.reason
    assert said(N, known=weak)[0] == "residue shown"


def test_damage_does_not_pass_for_absence() -> None:
    found = expected("15%", 0, never=(30, 28, 32))
    assert found.verdict == "inconclusive" and "damage or refusal" in found.reason


def test_what_was_measured_and_says_nothing_is_told_apart_from_what_was_not() -> None:
    found = expected("15%", 4, random=30)
    (one,) = found.measures
    assert one.unread and one.reason.startswith("measured, but it says nothing of the edit: a model that has learned")
    assert found.because.startswith("a model that has learned nothing shows it in 30 of 96")
    assert not expected("15%", 4, never=()).measures[0].unread  # nothing to measure it against
    assert expected("15%", 0, never=(30, 28, 32)).measures[0].unread


def test_an_excess_within_the_bound_and_above_none_says_so() -> None:
    for bound, edited, above in (("45%", 14, True), ("15%", 4, False), ("15%", 14, False), ("15%", N, False)):
        one = expected(bound, edited)
        assert ("and above none: something of it is likely there" in one.reason) == above
        assert not above or (one.verdict == "pass" and one.measures[0].interval[0] > 0)  # type: ignore[index, operator]
