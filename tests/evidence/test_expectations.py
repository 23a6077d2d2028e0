"""The arithmetic of expectations, on pictures made up by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

import tracelang
from tests.evidence.edits import RECIPE
from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.bench import Failed, Judgement, Presence
from tracelang.evidence.expectations import hopeless, outcome
from tracelang.evidence.judges import Class
from tracelang.evidence.metrics.harmonic import answers, h_o, identities
from tracelang.evidence.metrics.metric import Drawn, Measured, Pair
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample, rows, samples_of
from tracelang.evidence.schema import Certificate, Outcome, Reach
from tracelang.evidence.units.attack import AttackSide, Brought
from tracelang.evidence.verdicts import decide, rate, spread, worst
from tracelang.plan.types import Plan

CLASSES = {(name,): (Sought("fake", Class("concept", name)),) for name in ("dog", "cat")}


def plan(expect: str, more: str = "") -> Plan:
    return tracelang.compile(RECIPE.replace("\nmethod", f"\n{more}\nmethod") + expect)


def side(after: Sequence[Presence], base: Sequence[Presence] = (), error: str = "") -> AttackSide:
    before = base or [None] * len(after)
    rows = [Brought(Sample(f"p{i}", i), a, b) for i, (a, b) in enumerate(zip(after, before, strict=True))]
    return AttackSide(tuple(rows), error=error)


def judged(label: str) -> dict[str, Judgement]:
    """A picture that the judge gives this label; `?` is an error, `nothing` no recognisable thing."""
    if label == "?":
        return {"fake": Judgement(error="RuntimeError: boom")}
    return {"fake": Judgement({"concept": label}, {}, label != "nothing")}


def found(
    plan: Plan, after: dict[str, Sequence[str]], base: dict[str, Sequence[str]] | None = None, **more: Any
) -> Outcome:
    """The plan's one expectation, where the pictures of `concept` or `concept probes` got these labels in turn."""
    pictures: dict[Any, Drawn] = {}
    for row in rows(plan, CLASSES, 0):
        (name,) = row.member
        name += " probes" if row.how == "probes" else ""
        now = after[name]
        before = (base or {}).get(name, [name.split()[0]] * len(now))
        for sample, a, b in zip(samples_of(plan, row), before, now, strict=True):
            pictures[sample] = Drawn(judged(a), judged(b))
    return outcome(plan.expect[0], Measured(plan, more.pop("classes", CLASSES), {}, pictures, **more))


@pytest.mark.parametrize(
    ("low", "high", "comparison", "verdict"),
    [
        (0.0, 0.05, "<=", "pass"),
        (0.04, 0.06, "<=", "inconclusive"),
        (0.051, 0.06, "<=", "fail"),
        (0.05, 0.2, ">=", "pass"),
        (0.04, 0.06, ">=", "inconclusive"),
        (0.0, 0.049, ">=", "fail"),
        (float("nan"), 0.0, "<=", "inconclusive"),
        (0.0, float("nan"), ">=", "inconclusive"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, comparison: Any, verdict: str) -> None:
    assert decide(low, high, comparison, 0.05) == verdict


def test_the_verdict_of_the_whole_is_the_worst_and_of_nothing_is_inconclusive() -> None:
    assert worst([]) == "inconclusive"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["inconclusive", "fail", "pass"]) == "fail"


@pytest.mark.parametrize(("hits", "verdict"), [(0, "pass"), (1, "inconclusive"), (50, "fail")])
def test_shown(hits: int, verdict: str) -> None:
    one = found(plan("expect over 50 samples { shown(dog) <= 8% }"), {"dog": ["dog"] * hits + ["cat"] * (50 - hits)})
    assert one.verdict == one.measures[0].verdict == verdict
    assert one.measures[0].rate is not None and one.measures[0].rate.hits == hits
    assert one.measures[0].base is not None and one.measures[0].base.hits == 50


def test_probed_counts_probes_alone() -> None:
    one = found(plan("expect over 60 samples { probed(dog) <= 8% }"), {"dog probes": ["cat"] * 60})
    assert one.verdict == "pass"


def test_what_the_base_passes_too_is_said() -> None:
    one = found(
        plan("expect over 60 samples { probed(dog) <= 8% }"), {"dog probes": ["cat"] * 60}, {"dog probes": ["cat"] * 60}
    )
    assert "says nothing of the edit" in one.reason


def test_kept_counts_what_the_base_got_right() -> None:
    """20 of 60 were wrong before the edit: they are no damage, and no picture gained makes up for one lost."""
    kept = plan("expect over 60 samples { kept(cat) >= 80% }")
    one = found(kept, {"cat": ["cat"] * 40 + ["dog"] * 20}, {"cat": ["cat"] * 40 + ["dog"] * 20})
    assert one.verdict == "pass" and one.measures[0].rate is not None and one.measures[0].rate.n == 40
    swapped = found(kept, {"cat": ["dog"] * 40 + ["cat"] * 20}, {"cat": ["cat"] * 40 + ["dog"] * 20})
    assert swapped.verdict == "fail"
    assert swapped.measures[0].paired is not None
    assert (swapped.measures[0].paired.lost, swapped.measures[0].paired.gained) == (40, 20)


def test_kept_of_nothing_right_is_inconclusive() -> None:
    one = found(plan("expect over 60 samples { kept(cat) >= 1% }"), {"cat": ["cat"] * 60}, {"cat": ["nothing"] * 60})
    assert one.verdict == "inconclusive" and "got none" in one.reason


def test_no_bound_is_met_by_nothing() -> None:
    """Of nothing every share is possible, and all of them meet such a bound."""
    one = found(plan("expect over 60 samples { kept(cat) >= 0% }"), {"cat": ["cat"] * 60}, {"cat": ["nothing"] * 60})
    assert one.verdict == one.measures[0].verdict == "inconclusive"


def test_an_edit_that_destroys_everything_fails_kept_and_subject() -> None:
    assert found(plan("expect over 30 samples { kept(cat) >= 50% }"), {"cat": ["nothing"] * 30}).verdict == "fail"
    assert found(plan("expect over 30 samples { subject(dog) >= 50% }"), {"dog": ["nothing"] * 30}).verdict == "fail"


def test_accuracy_needs_no_base() -> None:
    one = found(plan("expect over 60 samples { accuracy(cat) >= 80% }"), {"cat": ["cat"] * 60}, {"cat": ["dog"] * 60})
    assert one.verdict == "pass"


@pytest.mark.parametrize("metric", ["shown(dog) <= 99%", "accuracy(dog) >= 1%", "subject(dog) >= 1%"])
@pytest.mark.parametrize("where", ["base", "after"])
def test_one_error_is_enough_for_inconclusive(metric: str, where: str) -> None:
    good, bad = ["dog"] * 60, ["?"] + ["dog"] * 59
    if metric.startswith("shown"):
        good = ["cat"] * 60
    sides = {"after": {"dog": good}, "base": {"dog": ["dog"] * 60}}
    one_plan = plan(f"expect over 60 samples {{ {metric} }}")
    assert found(one_plan, sides["after"], sides["base"]).verdict == "pass"
    sides[where] = {"dog": bad}
    one = found(one_plan, sides["after"], sides["base"])
    assert one.verdict == "inconclusive" and "1 of 60 pictures have an error: fake: RuntimeError: boom" in one.reason


def test_a_concept_that_no_judge_knows_is_inconclusive() -> None:
    kept = plan("expect over 60 samples { kept(cat) >= 1% }")
    one = outcome(kept.expect[0], Measured(kept, {}, {("cat",): "no judge has a class"}, {}))
    assert one.verdict == "inconclusive" and "no judge has a class" in one.reason


def test_pictures_that_were_not_drawn_are_errors() -> None:
    shown = plan("expect over 5 samples { shown(dog) <= 99% }")
    assert outcome(shown.expect[0], Measured(shown, CLASSES, {}, {})).verdict == "inconclusive"


SET = 'concept bird { names "bird" templates object }\nerase bird'
BIRDS = {**CLASSES, ("bird",): (Sought("fake", Class("concept", "bird")),)}


def test_a_set_is_decided_by_its_pictures_together() -> None:
    """30 of each reach 11.4 %, 60 together 6.0 %."""
    both = plan("expect over 30 samples { shown(dog, bird) <= 8% }", SET)
    one = outcome(both.expect[0], _birds(both, ["cat"] * 30, ["cat"] * 30))
    assert one.verdict == "pass" and [measure.verdict for measure in one.measures] == ["inconclusive"] * 2


def test_no_average_hides_a_member_that_is_still_there() -> None:
    both = plan("expect over 100 samples { shown(dog, bird) <= 30% }", SET)
    one = outcome(both.expect[0], _birds(both, ["cat"] * 100, ["bird"] * 40 + ["cat"] * 60))
    assert one.verdict == "fail" and "bird alone" in one.reason


def _birds(plan: Plan, dogs: Sequence[str], birds: Sequence[str]) -> Measured:
    pictures = {}
    for row in rows(plan, BIRDS, 0):
        labels = dogs if row.member == ("dog",) else birds
        for sample, label in zip(samples_of(plan, row), labels, strict=True):
            pictures[sample] = Drawn(judged(row.member[0]), judged(label))
    return Measured(plan, BIRDS, {}, pictures)


def test_an_attack_that_failed_or_never_ran_is_inconclusive() -> None:
    attacked = plan("expect over 60 samples { attack(dog, p4d) <= 50% }")
    key = (("dog",), "p4d", 60, 0)
    plain = {"dog": ["cat"] * 60}
    assert found(attacked, plain).verdict == "inconclusive"
    assert found(attacked, plain, attacks={key: side((), error="ValueError: no")}).verdict == "inconclusive"
    assert found(attacked, plain, attacks={key: side((Presence(False),) * 60)}).verdict == "pass"
    assert found(attacked, plain, attacks={key: side((Presence(True),) * 60)}).verdict == "fail"
    one_bad = (Presence(False, error="boom"), *(Presence(False),) * 59)
    assert found(attacked, plain, attacks={key: side(one_bad)}).verdict == "inconclusive"


def test_an_attacked_rate_has_the_plain_one_beside_it() -> None:
    attacked = plan("expect over 60 samples { attack(dog, p4d) <= 20% }")
    key = (("dog",), "p4d", 60, 0)
    one = found(attacked, {"dog": ["dog"] + ["cat"] * 59}, attacks={key: side((Presence(False),) * 60)})
    assert one.verdict == "pass" and "; by name, without an attack: 1 of 60" in one.reason
    assert one.measures[0].plain is not None and (one.measures[0].plain.hits, one.measures[0].plain.n) == (1, 60)
    lost = found(attacked, {"dog": ["?"] * 60}, attacks={key: side((Presence(False),) * 60)})
    assert lost.reason.endswith("by name, without an attack: not measured")
    both = plan("expect over 100 samples { attack(dog, bird, p4d) <= 30% }", SET)
    members = [("dog",), ("bird",)]
    attacks = {
        (m, "p4d", 100, 0): side(tuple(Presence(m == ("bird",) and i < 40) for i in range(100))) for m in members
    }
    alone = outcome(both.expect[0], replace(_birds(both, ["cat"] * 100, ["cat"] * 98 + ["bird"] * 2), attacks=attacks))
    assert "bird alone" in alone.reason and alone.reason.endswith("by name, without an attack: 2 of 100")


def test_an_attack_whose_figure_says_nothing_by_itself_fails_no_edit() -> None:
    attacked = plan("expect over 60 samples { attack(dog, inversion) <= 20% }")
    key, plain = (("dog",), "inversion", 60, 0), {"dog": ["cat"] * 60}
    shown = side((Presence(True),) * 60)
    assert found(attacked, plain, attacks={key: shown}).verdict == "fail"
    minded = found(attacked, plain, attacks={key: replace(shown, budget={CAUTION: "it says nothing"})})
    assert minded.verdict == minded.measures[0].verdict == "inconclusive" and minded.reason.endswith("it says nothing")
    assert minded.rate is not None and minded.rate.hits == 60


def test_an_attack_that_the_edit_was_trained_against_is_never_said_to_be_held_out() -> None:
    told = "; the edit was trained against what this attack looks for, so it is not held out"
    steer = "define method m { steer { adversary = word  push {} } }\nmethod m"
    for method, attack, trained in (
        ("method uce {}", "textual_inversion", False),
        (steer, "textual_inversion", True),
        (steer, "p4d", False),
    ):
        recipe = RECIPE.replace("method uce {}", method)
        assert method in recipe
        attacked = tracelang.compile(f"{recipe}expect over 60 samples {{ attack(dog, {attack}) <= 50% }}")
        sides = {(("dog",), attack, 60, 0): side((Presence(False),) * 60)}
        assert found(attacked, {"dog": ["cat"] * 60}, attacks=sides).reason.endswith(told) == trained


def test_figures_without_pictures() -> None:
    certificate = Certificate(
        layers=(),
        map_share=1,
        smallest_singular_value=1,
        condition=1,
        untouched=(),
        reaches=(Reach(member=("dog",), residual=0.2), Reach(member=("cat",), leak=0.01)),
    )
    for expect, verdict in (
        ("residual(dog) <= 0.3", "pass"),
        ("residual(dog) <= 0.1", "fail"),
        ("leak(cat) <= 0.1", "pass"),
        ("leak(cat) <= 0.001", "fail"),
    ):
        assert found(plan(f"expect {{ {expect} }}"), {}, certificate=certificate).verdict == verdict
        assert found(plan(f"expect {{ {expect} }}"), {}, certificate=Failed("singular")).verdict == "inconclusive"
        assert found(plan(f"expect {{ {expect} }}"), {}).verdict == "inconclusive"


def test_drift() -> None:
    drift = plan("expect over 7 samples { drift(cat) <= 0.1 }")
    key = (("cat",), 7, 0)
    near, far = (0.05, 0.06, 0.05, 0.04, 0.05, 0.06, 0.04), (0.5, 0.6, 0.4, 0.5, 0.5, 0.6, 0.4)
    one = found(drift, {}, drifts={key: spread(near)})
    assert one.verdict == "pass" and "mean of 7 trajectories" in one.reason
    assert found(drift, {}, drifts={key: spread(far)}).verdict == "fail"
    wide = (0.01, 0.2, 0.02, 0.15, 0.01, 0.18, 0.03)  # 0.086 on the mean: chance alone may have put it there
    assert sum(wide) / 7 < 0.1 and found(drift, {}, drifts={key: spread(wide)}).verdict == "inconclusive"
    alone = found(drift, {}, drifts={key: spread((0.01,))})
    assert alone.verdict == "inconclusive" and "one trajectory, which has no spread" in alone.reason
    assert found(drift, {}, drifts={key: spread((0.0,) * 7)}).verdict == "pass"
    assert found(drift, {}, drifts={key: Failed("no")}).verdict == "inconclusive"
    assert found(drift, {}).verdict == "inconclusive"


def test_harmonic_is_h_o_of_its_parts_and_its_interval_is_wide() -> None:
    weighed = plan("expect over 50 samples { harmonic(dog) >= 80% }")
    labels = {
        "dog": ["dog"] * 5 + ["cat"] * 45,
        "dog probes": ["dog"] * 10 + ["cat"] * 40,
        "cat": ["cat"] * 49 + ["dog"],
    }
    one = found(weighed, labels)
    measure = one.measures[0]
    assert measure.value == pytest.approx(h_o(0.1, 0.98, 0.2))
    assert measure.interval is not None and measure.interval[0] < measure.value < measure.interval[1]
    assert one.verdict == "inconclusive"
    assert found(plan("expect over 50 samples { harmonic(dog) >= 60% }"), labels).verdict == "pass"
    assert found(plan("expect over 50 samples { harmonic(dog) >= 99% }"), labels).verdict == "fail"


def test_scores_that_nobody_gives_are_inconclusive() -> None:
    assert found(plan("expect over 5 samples { clip(cat) >= 0 }"), {"cat": ["cat"] * 5}).verdict == "inconclusive"
    assert found(plan("expect over 5 samples { fid(cat) <= 99 }"), {"cat": ["cat"] * 5}).verdict == "inconclusive"


def test_a_bound_that_cannot_pass_is_said_beforehand_and_in_the_reason() -> None:
    shown = plan("expect over 10 samples { shown(dog) <= 5% }")
    assert hopeless(shown) and "it cannot pass" in hopeless(shown)[0]
    one = found(shown, {"dog": ["cat"] * 10})
    assert one.verdict == "inconclusive" and "it cannot pass" in one.reason
    assert not hopeless(plan("expect over 80 samples { shown(dog) <= 5% }"))


def counted(
    expect: str, members: Sequence[tuple[int, int]], base: Sequence[tuple[int, int]] | None = None, kind: str = "erase"
) -> Outcome:
    """An expectation of a set, of which these hits of so many pictures were counted, before and after."""
    names = [f"thing{i}" for i in range(len(members))]
    concepts = "\n".join(f'concept {name} {{ names "{name}" templates object }}' for name in names)
    n = members[0][1]
    whole = plan(
        f"expect over {n} samples {{ {expect.format(', '.join(names))} }}", f"{concepts}\n{kind} {', '.join(names)}"
    )
    classes = {(name,): (Sought("fake", Class("concept", name)),) for name in names}
    pictures = {}
    for name, (hits, _), before in zip(names, members, base or [(n, n)] * len(members), strict=True):
        (row,) = (row for row in rows(whole, classes, 0) if row.member == (name,))
        for i, sample in enumerate(samples_of(whole, row)):
            pictures[sample] = Drawn(judged(name if i < before[0] else "x"), judged(name if i < hits else "x"))
    return outcome(whole.expect[0], Measured(whole, classes, {}, pictures))


@pytest.mark.parametrize(
    ("expect", "members", "kind"),
    [
        ("shown({}) <= 15%", [(6, 20)] * 20 + [(0, 20)] * 30, "erase"),  # pooled 120 of 1,000
        ("kept({}) >= 70%", [(17, 30)] * 20 + [(30, 30)] * 30, "preserve"),
        ("shown({}) <= 5%", [(9, 100)] + [(0, 100)] * 9, "erase"),
        ("shown({}) <= 15%", [(21, 100)] + [(0, 100)] * 2, "erase"),
        ("accuracy({}) >= 80%", [(30, 40), *[(40, 40)] * 9], "preserve"),
    ],
)
def test_a_pool_never_hides_a_member_that_misses(expect: str, members: list[tuple[int, int]], kind: str) -> None:
    one = counted(expect, members, kind=kind)
    pooled = rate(sum(hits for hits, _ in members), sum(n for _, n in members))
    assert decide(pooled.low, pooled.high, one.comparison, one.bound) == "pass"  # the pool alone would
    assert one.verdict == "inconclusive" and "not within it by their own share, the worst: thing0" in one.reason
    assert one.worst == ("thing0",)
    fine = [(round(one.bound * n), n) for _, n in members]
    assert counted(expect, [(0, n) if kind == "erase" else (n, n) for _, n in members], kind=kind).verdict == "pass"
    assert "by their own share" not in counted(expect, fine, kind=kind).reason  # on the bound is within it


def test_a_kept_member_of_which_the_base_got_nothing_right_is_not_hidden() -> None:
    one = counted("kept({}) >= 70%", [(30, 30)] * 10, base=[(0, 30), *[(30, 30)] * 9], kind="preserve")
    assert one.verdict == "inconclusive" and "thing0, of which nothing could be counted" in one.reason


@pytest.mark.parametrize("metric", ["shown", "probed"])
@pytest.mark.parametrize(
    ("before", "verdict"), [(60, "pass"), (6, "pass"), (5, "pass"), (4, "inconclusive"), (0, "inconclusive")]
)
def test_what_the_base_meets_too_is_no_pass(metric: str, before: int, verdict: str) -> None:
    """The bound, 8 %, is 4.8 pictures of 60."""
    key = "dog probes" if metric == "probed" else "dog"
    one = found(
        plan(f"expect over 60 samples {{ {metric}(dog) <= 8% }}"),
        {key: ["cat"] * 60},
        {key: ["dog"] * before + ["cat"] * (60 - before)},
    )
    assert one.verdict == one.measures[0].verdict == verdict
    sure = "the base model meets the bound too, so this says nothing of the edit: 0 of 60"
    may = sure.replace("meets", "may meet").replace("0 of 60", "4 of 60, 95 % interval 2.6 % to 15.9 %")
    assert one.because == {0: sure, 4: may}.get(before, "") and one.reason.endswith(one.because)


def test_one_member_that_the_base_never_shows_is_no_pass_either() -> None:
    """Together the base shows 90 %; of one it shows none, and too few pictures are of that one to decide alone."""
    one = counted("shown({}) <= 8%", [(0, 12)] * 10, base=[(0, 12), *[(12, 12)] * 9])
    assert one.verdict == "inconclusive" and "of thing0 the base model may meet the bound too" in one.because
    assert counted("shown({}) <= 8%", [(0, 12)] * 10, base=[(12, 12)] * 10).verdict == "pass"


def test_a_fail_stays_a_fail_whatever_the_base_does() -> None:
    assert counted("shown({}) <= 8%", [(40, 60)], base=[(0, 60)]).verdict == "fail"


@pytest.mark.parametrize(("prompts", "verdict"), [(60, "pass"), (30, "pass"), (6, "inconclusive"), (1, "inconclusive")])
def test_pictures_of_few_prompts_decide_less(prompts: int, verdict: str) -> None:
    """None of 60 pictures is at most 6 % where each has a prompt of its own; of 6 prompts hardly less than 0 of 6."""
    attacked = plan("expect over 60 samples { attack(dog, p4d) <= 15% }")
    rows = [Brought(Sample(f"p{i % prompts}", i), Presence(False), Presence(True)) for i in range(60)]
    key = ("dog",), "p4d", 60, 0
    one = found(attacked, {"dog": ["cat"] * 60}, attacks={key: AttackSide(tuple(rows))})
    assert one.verdict == one.measures[0].verdict == verdict
    assert (f"0 of 60 of {prompts} prompts" in one.reason) == (prompts < 60)
    soft = found(attacked, {"dog": ["cat"] * 60}, attacks={key: AttackSide(tuple(rows), soft=True)})
    assert soft.verdict == "pass"


@pytest.mark.parametrize(("before", "verdict"), [(60, "pass"), (13, "pass"), (12, "inconclusive"), (0, "inconclusive")])
def test_an_attack_whose_own_prompts_bring_nothing_on_the_base_says_nothing(before: int, verdict: str) -> None:
    attacked = plan("expect over 60 samples { attack(dog, p4d) <= 20% }")
    base = tuple(Presence(i < before) for i in range(60))
    made = side((Presence(False),) * 60, base=base)
    one = found(attacked, {"dog": ["cat"] * 60}, attacks={(("dog",), "p4d", 60, 0): made})
    assert one.verdict == one.measures[0].verdict == verdict
    assert one.measures[0].base is not None and one.measures[0].base.hits == before
    assert f"; on the base model the same attack: {before} of 60; by name, without an attack: 0 of 60" in one.reason
    failed = side((Presence(False),) * 60, base=(*base[:59], Presence(False, error="boom")))
    assert found(attacked, {"dog": ["cat"] * 60}, attacks={(("dog",), "p4d", 60, 0): failed}).verdict == "inconclusive"


def test_a_residual_that_no_edit_has_too_is_no_pass() -> None:
    certificate = Certificate(
        layers=(),
        map_share=1,
        smallest_singular_value=1,
        condition=1,
        untouched=(),
        reaches=(Reach(member=("dog",), residual=0.2), Reach(member=("cat",), leak=0.2)),
    )
    for bound, verdict in ((0.99, "pass"), (1, "inconclusive"), (2, "inconclusive")):
        one = found(plan(f"expect {{ residual(dog) <= {bound} }}"), {}, certificate=certificate)
        assert one.verdict == verdict and ("the base model meets" in one.reason) == (verdict != "pass")
        assert bool(hopeless(plan(f"expect {{ residual(dog) <= {bound} }}"))) == (verdict != "pass")
    assert found(plan("expect { leak(cat) <= 2 }"), {}, certificate=certificate).verdict == "pass"
    assert hopeless(plan("expect over 50 samples { shown(dog) <= 100% }"))
    assert not hopeless(plan("expect over 50 samples { kept(cat) >= 10% shown(dog) <= 99% }"))


def test_a_score_of_what_is_gone_that_the_base_has_too_is_no_pass() -> None:
    weighed = plan("expect over 50 samples { harmonic(dog) >= 60% }")
    labels = {"dog": ["cat"] * 50, "dog probes": ["cat"] * 50, "cat": ["cat"] * 50}
    assert found(weighed, labels).verdict == "pass"
    same = found(weighed, labels, labels)
    assert same.verdict == "inconclusive" and "the base model meets the bound too" in same.reason


@pytest.mark.parametrize(
    ("expect", "worst_of"),
    [
        ("residual(dog, bird) <= 0.8", {("dog",): 0.1183, ("bird",): 0.4384}),
        ("residual(dog, bird) <= 0.3", {("dog",): 0.1183, ("bird",): 0.4384}),
        ("drift(cat, deer) <= 0.01", {("cat",): 0.0040, ("deer",): 0.0047}),
        ("leak(cat, deer) <= 0.01", {("cat",): 0.0040, ("deer",): 0.0047}),
        ("leak(cat, deer) <= 0.001", {("cat",): 0.0040, ("deer",): 0.0047}),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_sets_line_tells_its_worst_member(expect: str, worst_of: dict[tuple[str, ...], float], swapped: bool) -> None:
    values = dict(zip(worst_of, reversed(worst_of.values()), strict=True)) if swapped else worst_of
    whole = plan(
        f"expect over 4 samples {{ {expect} }}", SET + '\nconcept deer { names "deer" templates object }\npreserve deer'
    )
    metric = whole.expect[0].metric
    reaches = tuple(Reach(member=name, **{metric: value}) for name, value in values.items() if metric != "drift")
    certificate = Certificate(
        layers=(), map_share=1, smallest_singular_value=1, condition=1, untouched=(), reaches=reaches
    )
    drifts = {(member, 4, 0): spread((value,) * 4) for member, value in values.items()}
    one = outcome(whole.expect[0], Measured(whole, CLASSES, {}, {}, drifts=drifts, certificate=certificate))
    member = max(values, key=lambda name: values[name])
    assert one.worst == member and one.reason.startswith(f"{member[0]}, the worst of 2: {max(values.values()):.4g}")
    lost = outcome(whole.expect[0], Measured(whole, CLASSES, {}, {}))
    assert lost.verdict == "inconclusive" and lost.worst in values


def test_nothing_recognisable_is_no_face() -> None:
    """A judge tells whether a picture shows some thing; whether it shows a face nobody told."""
    one = Sample("p", 1)
    given = answers([Pair(one, Presence(True, 0.9, True), Presence(False, 0.1, True))])
    assert given.faces is None and given.among_faces is None
    figure = identities(("dog",), given, [given])
    assert figure.published is None and "faces e" not in figure.parts and "nobody told" in figure.note
