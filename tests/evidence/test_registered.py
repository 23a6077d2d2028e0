"""What was planned before anyone looked stays known: registrations, runs begun and verdicts, in the order they came."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tracelang
from tests.evidence.edits import RECIPE, closed_form, expecting
from tracelang.cli import main
from tracelang.evidence import registered
from tracelang.evidence.artifact import EvidenceError, read
from tracelang.evidence.known import Known, write
from tracelang.evidence.panel import alone, digest
from tracelang.evidence.report.standing import canonical, standing
from tracelang.evidence.schema import Accuracy, Report
from tracelang.evidence.verdicts import rate
from tracelang.evidence.work import Run, Work, WorkError

EXPECT = "expect { residual(dog) <= 80% }"
FAST = ("--samples", "0", "--steps", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return closed_form(tracelang.compile(RECIPE + EXPECT), tmp_path_factory.mktemp("fresh") / "out")


@pytest.fixture
def out(fresh: Path, tmp_path: Path) -> Path:
    shutil.copytree(fresh, tmp_path / "out")
    return tmp_path / "out"


def run(*words: str) -> str:
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code in (0, 1, 3), ran.output
    return ran.stdout


def told(out: Path) -> Any:
    return Report.model_validate_json((out / "report" / "report.json").read_bytes()).registered


def test_a_run_is_held_to_what_was_registered(out: Path) -> None:
    """As registered; then with another number of steps, which is named, and every earlier run with its verdict."""
    assert f"{out}: registered at 20" in run("verify", str(out), "--register", *FAST)
    assert not (out / "report" / "work").exists() and not (out / "report" / "report.json").exists()
    assert "and run so" in run("verify", str(out), *FAST)
    first = told(out)
    assert first.registered and first.begun >= first.registered and not first.differs and not first.before
    page = (out / "report" / "report.html").read_text()
    assert "tracec reproduce OUT" in page and first.begun in page and "was not registered (--register)" not in page
    text, log = (out / "report" / "report.json").read_bytes(), (out / "report" / "registered.json").read_bytes()
    run("merge", str(out))
    run("verify", str(out), *FAST)
    assert (out / "report" / "report.json").read_bytes() == text
    assert (out / "report" / "registered.json").read_bytes() == log

    ran = run("verify", str(out), *FAST[:2], "--steps", "3", "--device", "cpu")
    assert "and run otherwise (sampler.steps: 2 was registered, 3 was run); 1 run began here before" in ran
    (before,) = told(out).before
    assert before.same_plan and before.logged and before.verdicts and before.begun == first.begun
    assert "never finished" not in (out / "report" / "report.html").read_text()
    run("verify", str(out), *FAST)  # the first run again: what came after it changes nothing
    assert (out / "report" / "report.json").read_bytes() == text


def test_a_run_is_held_to_what_was_known_of_its_judge_and_its_report_to_both(out: Path, tmp_path: Path) -> None:
    card = alone("micro", (), ())[1]
    seen = Accuracy(label="dog", sensitivity=rate(7, 20), specificity=rate(19, 20))
    file = tmp_path / "micro.json"
    write(Known(judge="micro", digest=digest(card), set="0", pictures=40, accuracy=(seen,)), file)
    given = ("--judge-known", str(file))
    run("verify", str(out), "--register", *given, *FAST)
    assert "and run so" in run("verify", str(out), *given, *FAST) and not told(out).differs
    artifact = read(out)
    canonical(artifact, *standing(artifact))
    report = out / "report" / "report.json"
    whole = report.read_text()
    assert '"hits": 7' in whole
    report.write_text(whole.replace('"verdict": "pass"', '"verdict": "fail"'))
    with pytest.raises(EvidenceError, match="is not what its records give"):
        canonical(artifact, *standing(artifact))
    report.write_text(whole)
    said = run("verify", str(out), *FAST)
    assert "judges_known.micro.dog: 7 of 20 found, 19 of 20 passed over was registered, nothing was run" in said


def test_a_log_outlives_the_edit_and_cannot_be_thinned(out: Path) -> None:
    folder = out / "report"
    run("verify", str(out), *FAST)
    assert told(out).registered == "" and "registered: nothing before this run" in run("merge", str(out))
    assert "the run was not registered (--register)" in (folder / "report.html").read_text()
    expecting(out, "expect { residual(dog) <= 79% }")
    run("verify", str(out), *FAST)
    (before,) = told(out).before
    assert not before.same_plan and before.verdicts

    log = json.loads((folder / "registered.json").read_text())
    assert [one["what"] for one in log["entries"]] == ["begun", "verdict", "begun", "verdict"]
    for change in ("thin", "verdict", "nonsense"):
        entries = [dict(one) for one in log["entries"]]
        if change == "thin":
            del entries[1]
        else:
            entries[1]["verdict"] = "pass, of course"
        text = "[]" if change == "nonsense" else json.dumps({**log, "entries": entries})
        (folder / "registered.json").write_text(text)
        ran = CliRunner().invoke(main, ["merge", str(out)])
        assert ran.exit_code == 2 and ran.stderr.count("\n") == 1 and "registered.json: " in ran.stderr, change
    (folder / "registered.json").unlink()
    run("merge", str(out))
    (before,) = told(out).before
    assert not before.logged and "not in the log" in (folder / "report.html").read_text()


def test_expectations_judges_and_budgets_are_what_a_registration_fixes(tmp_path: Path) -> None:
    plan = tracelang.compile(RECIPE + EXPECT)
    facts = {"plan": plan.digest, "samples": 50, "budget": {"rows": "10"}, "sampler": {"steps": 20}}
    one = registered.asked(plan, Run(facts, ("a", "b"), (), {}, {}, (), {}))
    assert registered.differing(one, one) == []
    easier = tracelang.compile(RECIPE + EXPECT.replace("80%", "90%"))
    other = {**facts, "plan": easier.digest, "budget": {"rows": "5"}, "controls": ["never-1"]}
    lines = registered.differing(one, registered.asked(easier, Run(other, ("a",), (), {}, {}, (), {})))
    assert "budget.rows: 10 was registered, 5 was run" in lines and "units.number: 2 was registered, 1 was run" in lines
    assert 'controls: nothing was registered, ["never-1"] was run' in lines
    assert any("residual(dog) <= 80% over" in line and "it was registered, nothing was run" in line for line in lines)
    assert any("residual(dog) <= 90% over" in line for line in lines) and "plan: another recipe was registered" in lines


def test_a_run_begins_once_and_at_the_earliest_of_its_shards(tmp_path: Path) -> None:
    work = Work(tmp_path / "work" / "r", Run({"plan": "p"}, (), (), {}, {}, (), {}))
    work.begin("2026-01-02T00:00:00Z")
    work.begin("2026-01-01T00:00:00Z")
    work.begin("2026-01-03T00:00:00Z")
    work.begin()
    assert work.begun == "2026-01-01T00:00:00Z" and work.machines == []
    for cpu in ("a", "b", "a"):
        work.note({"cpu": cpu})
    work.begin()
    assert [one["cpu"] for one in work.machines] == ["a", "b"]
    for _ in range(2):
        registered.begun(tmp_path, work)
    assert len(registered.read(tmp_path).entries) == 1
    (tmp_path / "registered.json").unlink()
    (tmp_path / "registered.json").mkdir()
    with pytest.raises(WorkError, match=r"registered\.json"):
        registered.begun(tmp_path, work)
