"""Two verifications side by side: only by the same judges and sampler, and noise is no difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracelang
from tests.evidence import sample
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.judges import Class
from tracelang.evidence.panel import Sought
from tracelang.evidence.report.against import asked, compare, earlier
from tracelang.evidence.report.html import page
from tracelang.evidence.schema import DegreePoint, Report
from tracelang.evidence.verdicts import rate, rises
from tracelang.evidence.work import Run


def run(report: Report, **facts: Any) -> Run:
    told = {"sampler": report.provenance.sampler, "base": report.provenance.base_fingerprint}
    return Run({**told, **facts}, (), report.judges, {}, {}, (), {})


def kept(report: Report, folder: Path) -> Path:
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.json").write_text(report.model_dump_json())
    return folder


def test_a_report_beside_itself_has_no_difference() -> None:
    report = sample.full()
    rows = compare(report, report).differences
    assert {(row.member, row.what) for row in rows} >= {
        (("cat",), "erased, by name"),
        (("cat",), "erased, suggested"),
        (("dog",), "preserved, by name"),
        (("cat",), "under p4d"),
    }
    assert not any(row.apart for row in rows) and not any(row.what == "under ring_a_bell" for row in rows)


def test_noise_is_not_told_apart_and_a_difference_is(tmp_path: Path) -> None:
    here = sample.full()
    p4d = here.attacks[1].model_copy(update={"adaptive": rate(60, 100)})
    cat = here.concepts[0].model_copy(update={"after": rate(2, 100)})
    there = here.model_copy(
        update={
            "title": "Another <edit>",
            "attacks": (here.attacks[0], p4d),
            "concepts": (cat, *here.concepts[1:]),
        }
    )
    found = compare(here, there)
    rows = {(row.member, row.what): row for row in found.differences}
    assert rows[("cat",), "under p4d"].apart  # 31 against 60 of 100
    assert not rows[("cat",), "erased, by name"].apart  # 0 against 2 of 100
    assert (("cat",), "under inverse_map") not in rows
    text = page(here.model_copy(update={"comparison": found}), tmp_path)
    assert "Another &lt;edit&gt;" in text and "under p4d" in text


def test_another_judge_or_sampler_is_refused(tmp_path: Path) -> None:
    report = sample.full()
    out = kept(report, tmp_path / "out")
    assert earlier(out, run(report)) == report
    with pytest.raises(EvidenceError, match="other judges"):
        earlier(out, run(report.model_copy(update={"judges": report.judges[:1]})))
    other = {**report.provenance.sampler, "steps": 3, "precision": "float32"}
    with pytest.raises(EvidenceError, match=r"another sampler .*\(steps 20 where here it is 3, precision none where"):
        earlier(out, run(report, sampler=other))
    with pytest.raises(EvidenceError, match="has no report; run: tracec verify"):
        earlier(tmp_path, run(report))
    (out / "report" / "report.json").write_text("{}")
    with pytest.raises(EvidenceError, match="cannot be read as a report"):
        earlier(out, run(report))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", "0" * 64),
        ("setting", "0.9"),
        ("code", "somebody 2.0"),
        ("threshold", 0.25),
        ("classes", ("dog",)),
        ("source", "nobody"),
    ],
)
def test_judges_are_the_same_by_all_that_decides_their_answers(tmp_path: Path, field: str, value: Any) -> None:
    report = sample.full()
    out = kept(report, tmp_path / "out")
    first = report.judges[0]
    cards = (first.model_copy(update={field: value}), *report.judges[1:])
    with pytest.raises(EvidenceError, match=rf"other judges .*{first.name}: {field} .* where here it is"):
        earlier(out, run(report.model_copy(update={"judges": cards})))
    counted = (first.model_copy(update={"pictures": 7, "errors": 3}), *report.judges[1:])
    assert earlier(out, run(report.model_copy(update={"judges": counted}))) == report


def test_another_base_is_refused_and_other_questions_are_named(tmp_path: Path) -> None:
    report = sample.full()
    out = kept(report, tmp_path / "out")
    with pytest.raises(EvidenceError, match=r"of another base model \(owner/tiny\)"):
        earlier(out, run(report, base="0" * 64))
    asked = {f"{' & '.join(row.member)}, {row.what}": "a" for row in compare(report, report).differences}
    one, other = (
        report.model_copy(update={"provenance": report.provenance.model_copy(update={"asked": told})})
        for told in (asked, {**asked, "cat, under p4d": "b"})
    )
    found = compare(one, other)
    assert found.incomparable == ("cat, under p4d: of other prompts, samples or seeds",)
    assert {(row.member, row.what) for row in found.differences}.isdisjoint({(("cat",), "under p4d")})
    assert len(found.differences) == len(asked) - 1
    assert "Not compared: cat, under p4d" in page(one.model_copy(update={"comparison": found}), tmp_path)


def test_what_was_asked_is_told_apart_by_prompts_samples_seeds_class_and_budget() -> None:
    text = 'templates object = "a {}"\nerase "dog" toward "cat"\npreserve "cat"\n'
    known = {("dog",): (Sought("micro", Class("concept", "dog")),), ("cat",): ()}

    def told(text: str = text, classes: Any = known, **facts: Any) -> dict[str, str]:
        facts = {"samples": 4, "budget": {"rows": "2"}, **facts}
        return asked(tracelang.compile(text), Run(facts, (), (), classes, {}, (), {"p4d": "white box"}))

    one = told()
    assert set(one) == {"dog, erased, by name", "dog, under p4d", "cat, preserved, by name"}
    assert told() == one
    for other in (told(text.replace('"a {}"', '"the {}"')), told(samples=5)):
        assert all(other[name] != digest for name, digest in one.items())
    spent = told(budget={"rows": "3"})
    assert {name for name in one if spent[name] != one[name]} == {"dog, under p4d"}
    seen = told(classes={**known, ("dog",): (Sought("clip", Class("object", "dog")),)})
    assert {name for name in one if seen[name] != one[name]} == {"dog, erased, by name", "dog, under p4d"}
    seeded = told(text + "expect over 4 samples seed 7 { shown(dog) <= 99% }".replace("dog", '"dog"'))
    assert seeded["dog, erased, by name"] != one["dog, erased, by name"]


def test_a_dial_that_turns_back_is_seen_and_noise_is_not() -> None:
    def points(*hits: int) -> list[DegreePoint]:
        return [DegreePoint(degree=i / 4, shown=rate(hit, 50), kept=None) for i, hit in enumerate(hits)]

    assert not rises(points(50, 40, 20, 22, 0))
    assert [point.degree for point in rises(points(50, 10, 30, 5, 0))] == [0.5]
