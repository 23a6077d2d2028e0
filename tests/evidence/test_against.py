"""Two verifications side by side: only by the same judges and sampler, and noise is no difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evidence import sample
from tracelang.evidence.against import compare, earlier
from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.html import page
from tracelang.evidence.metrics import rises
from tracelang.evidence.rates import rate
from tracelang.evidence.report import DegreePoint, Report
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
        (("cat",), "erased, by name"), (("cat",), "erased, suggested"), (("dog",), "preserved, by name"),
        (("cat",), "under p4d"),
    }
    assert not any(row.apart for row in rows) and not any(row.what == "under ring_a_bell" for row in rows)


def test_noise_is_not_told_apart_and_a_difference_is(tmp_path: Path) -> None:
    here = sample.full()
    p4d = here.attacks[1].model_copy(update={"adaptive": rate(60, 100)})
    cat = here.concepts[0].model_copy(update={"after": rate(2, 100)})
    there = here.model_copy(update={
        "title": "Another <edit>", "attacks": (here.attacks[0], p4d), "concepts": (cat, *here.concepts[1:]),
    })
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


def test_a_dial_that_turns_back_is_seen_and_noise_is_not() -> None:
    def points(*hits: int) -> list[DegreePoint]:
        return [DegreePoint(degree=i / 4, shown=rate(hit, 50), kept=None) for i, hit in enumerate(hits)]

    assert not rises(points(50, 40, 20, 22, 0))
    assert [point.degree for point in rises(points(50, 10, 30, 5, 0))] == [0.5]
