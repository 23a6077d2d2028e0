"""Agreement beyond chance, and what one of many expectations is worth: worked by hand."""

from __future__ import annotations

from math import isnan

import pytest

from tests.evidence.test_expectations import found, judged, plan
from tracelang.evidence.agreement import cohen, fleiss
from tracelang.evidence.bench import Judgement
from tracelang.evidence.judges import Class
from tracelang.evidence.metrics.metric import Drawn, Measured
from tracelang.evidence.panel import Sought, panel
from tracelang.evidence.pictures import rows, samples_of
from tracelang.evidence.report.agreeing import agreements
from tracelang.evidence.report.figures import Evidence
from tracelang.evidence.report.many import holm, many
from tracelang.evidence.work import Run


def test_cohens_kappa_is_agreement_beyond_chance() -> None:
    # 20 both, 15 neither, 5 and 10 apart: p = 0.7, e = 0.5 · 0.6 + 0.5 · 0.4 = 0.5
    one = [True] * 25 + [False] * 25
    other = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert cohen(one, other) == pytest.approx(0.4)
    assert cohen(one, one) == 1 and cohen(one, [not seen for seen in one]) == -1
    assert isnan(cohen([True] * 5, [True] * 5)) and isnan(cohen([], []))


def test_fleiss_kappa_of_three_raters() -> None:
    rows = [["a", "a", "a"], ["a", "a", "b"], ["b", "b", "b"], ["a", "b", "b"]]
    # shares of agreeing pairs 1, 1/3, 1, 1/3; six answers of each: (2/3 - 1/2)/(1/2)
    assert fleiss(rows) == pytest.approx(1 / 3)
    two = [(True, True), (True, False), (False, False), (True, True)]
    as_words = [[str(a), str(b)] for a, b in two]
    assert fleiss(as_words) <= cohen([a for a, _ in two], [b for _, b in two])  # it knows no rater's own habit
    with pytest.raises(ValueError, match="two or more raters"):
        fleiss([["a", "b"], ["a"]])


def test_holm_multiplies_the_smallest_most_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([]) == []


def test_one_of_many_that_was_barely_decided_does_not_stand_among_them() -> None:
    barely = found(plan("expect over 100 samples { shown(dog) <= 10% }"), {"dog": ["dog"] * 4 + ["cat"] * 96})
    clear = found(plan("expect over 100 samples { shown(dog) <= 10% }"), {"dog": ["cat"] * 100})
    open_ = found(plan("expect over 100 samples { shown(dog) <= 10% }"), {"dog": ["dog"] * 9 + ["cat"] * 91})
    assert (barely.verdict, clear.verdict, open_.verdict) == ("pass", "pass", "inconclusive")
    (alone,) = many([barely, open_])
    assert alone.p == alone.holm == pytest.approx(0.0228, abs=1e-4) and alone.stays  # z = (0.1 - 0.04)/0.03
    told = many([barely, clear])
    assert [one.stays for one in told] == [True, True] and told[1].holm == pytest.approx(2 * told[1].p)
    told = many([barely, barely, clear])
    assert [one.stays for one in told] == [False, False, True]


def test_with_many_members_one_is_likely_to_miss_the_bound_by_chance() -> None:
    names = [f"thing{i}" for i in range(50)]
    more = "\n".join(f'preserve "{name}"' for name in names)
    each = plan(f"expect over 30 samples {{ kept({', '.join(chr(34) + n + chr(34) for n in names)}) >= 70% }}", more)
    members = {m: (Sought("fake", Class("concept", m[0])),) for m in each.expect[0].concepts}
    pictures = {
        sample: Drawn(judged(row.member[0]), judged(row.member[0]))
        for row in rows(each, members, 0)
        for sample in samples_of(each, row)
    }
    from tracelang.evidence.expectations import outcome

    (told,) = many([outcome(each.expect[0], Measured(each, members, {}, pictures))])
    assert told.verdict == "pass" and told.members == 50
    assert told.alarm is not None and 0.5 < told.alarm < 0.95  # each alone: about 3 %


def test_two_judges_that_know_the_same_are_compared_and_the_first_decides() -> None:
    class Other:
        def __init__(self, name: str) -> None:
            from tracelang.evidence.schema import JudgeCard

            self.card = JudgeCard(name=name, digest=name, classes=("dog", "cat"))

        def find(self, words: object, kind: object) -> Class | None:
            (word, *_) = words  # type: ignore[misc]
            return Class("concept", word) if word in ("dog", "cat") else None

        def subject(self, answer: object) -> bool | None:
            return None

        def look(self, images: object) -> list[object]:
            return []

    of = plan("expect over 20 samples { shown(dog) <= 50% }")
    both = panel(of, [Other("one"), Other("two")], None)  # type: ignore[list-item]
    assert both.classes[("dog",)] == (Sought("one", Class("concept", "dog")),)
    assert both.also[("dog",)] == (Sought("two", Class("concept", "dog")),)
    run = Run.of(both, {"samples": 0}, [], {})
    assert run.also == both.also

    def seen(one: str, two: str) -> dict[str, Judgement]:
        return {"one": Judgement({"concept": one}), "two": Judgement({"concept": two})}

    pictures = {
        sample: Drawn(seen("dog", "dog"), seen("cat", "dog" if i < 5 else "cat"))
        for row in rows(of, both.classes, 0)
        for i, sample in enumerate(samples_of(of, row))
    }
    measured = Measured(of, both.classes, {}, pictures)
    evidence = Evidence(of, run, measured, (), {}, None, None, None, (), ())
    (told,) = [one for one in agreements(evidence) if one.member == ("dog",)]
    assert (told.n, told.both, told.first, told.second, told.neither) == (40, 20, 0, 5, 15)
    assert told.kappa == pytest.approx(0.75) and told.judges == ("one", "two")
