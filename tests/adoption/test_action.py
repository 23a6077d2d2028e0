"""The GitHub Action without GitHub: what its steps say, and its scripts run by bash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "action.yml").read_text("utf-8")
ACTION: dict[str, Any] = yaml.safe_load(TEXT)
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SCRIPTS = {step["id"]: step for step in STEPS if "run" in step}

GOOD = 'erase "cat"\npreserve "dog"\nexpect { shown("cat") <= 5% }\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "runner").mkdir()
    for name in ("a.erase", "deep/b c.erase", "deep/er/d.erase"):
        (tmp_path / "work" / name).write_text(GOOD, "utf-8")
    tracec = tmp_path / "tracec"
    tracec.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from tracelang.cli import main; main()" "$@"\n')
    tracec.chmod(0o755)
    return tmp_path


def run(name: str, folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run a step's script as the runner does; what it wrote to its outputs."""
    output = folder / f"{name}.output"
    output.write_text("")
    assert set(variables) == set(SCRIPTS[name]["env"])
    environment = {**os.environ, **variables, "GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(folder / "runner")}
    # The tracec of these tests is this working tree's; what pip installs must not see it, nor what else is here.
    environment.pop("PYTHONPATH", None)
    if name != "install":
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPTS[name]["run"]]
    done = subprocess.run(command, cwd=folder / "work", env=environment, capture_output=True, text=True, check=False)
    return done, dict(line.split("=", 1) for line in output.read_text().splitlines())


Done = tuple[subprocess.CompletedProcess[str], dict[str, str]]


def step(name: str, folder: Path, files: str, **variables: str) -> Done:
    """Run a step after the one that finds the places."""
    done, outputs = run("find", folder, FILES=files)
    if done.returncode:
        return done, outputs
    return run(name, folder, PLACES=outputs["places"], TRACEC=str(folder / "tracec"), **variables)


def lint(folder: Path, files: str, args: str = "") -> Done:
    return step("lint", folder, files, ARGS=args)


def test_every_reference_leads_somewhere() -> None:
    places = re.findall(r"\$\{\{ *([\w.-]+) *\}\}", TEXT) + re.findall(r"if: (inputs\.[\w-]+)", TEXT)
    known = {f"inputs.{name}" for name in ACTION["inputs"]}
    known |= {f"steps.{name}.outputs.{word}" for name, step in SCRIPTS.items() for word in _outputs(step["run"])}
    assert set(places) <= known | {"github.action_path"}
    assert {f"inputs.{name}" for name in ACTION["inputs"]} <= set(places)


def _outputs(script: str) -> list[str]:
    return re.findall(r'echo "(\w+)=[^\n]*>> "\$GITHUB_OUTPUT"', script)


def test_what_a_composite_action_needs() -> None:
    assert ACTION["runs"]["using"] == "composite" and ACTION["name"] and ACTION["description"]
    assert all(("uses" in step) != ("run" in step) for step in STEPS)
    assert all(step["shell"] == "bash" for step in SCRIPTS.values())
    assert all("description" in one and isinstance(one["default"], str) for one in ACTION["inputs"].values())
    assert {"files", "version", "args"} <= set(ACTION["inputs"])


def test_no_input_is_ever_text_of_a_script() -> None:
    assert not any("${{" in step["run"] for step in SCRIPTS.values())


def test_findings_are_uploaded_before_they_fail_the_job() -> None:
    order = [step.get("id") or step.get("uses", "").partition("@")[0] for step in STEPS]
    assert order.index("lint") < order.index("github/codeql-action/upload-sarif") < order.index("result")


@pytest.mark.parametrize("step", SCRIPTS)
def test_the_scripts_are_bash(step: str) -> None:
    assert subprocess.run(["bash", "-n", "-c", SCRIPTS[step]["run"]], check=False).returncode == 0


def test_nothing_to_check_is_an_error(folder: Path) -> None:
    for files in ("none/*.erase", "", "  \n"):
        done, outputs = lint(folder, files)
        assert done.returncode == 2 and "::error::no recipe matches" in done.stdout and not outputs


@pytest.mark.parametrize("name", ["FMT", "COMPILE", "BREAKING", "LINT"])
@pytest.mark.parametrize(("status", "code"), [("", 0), ("0", 0), ("1", 1), ("2", 2)])
def test_the_job_ends_as_the_worst_of_its_steps_did(folder: Path, name: str, status: str, code: int) -> None:
    statuses = {"FMT": "0", "COMPILE": "", "BREAKING": "0", "LINT": "0", name: status}
    done, _ = run("result", folder, SARIF="x.sarif", **statuses)
    assert done.returncode == code and (f"::error::tracec {name.lower()} " in done.stdout) == bool(code)


def test_each_step_can_be_left_out() -> None:
    conditions = {name: one["if"] for name, one in SCRIPTS.items() if "if" in one}
    assert conditions == {
        "fmt": "inputs.fmt == 'true'",
        "compile": "inputs.compile == 'true'",
        "breaking": "inputs.breaking != ''",
        "lint": "inputs.lint == 'true'",
    }


def test_style_and_what_does_not_compile(folder: Path) -> None:
    done, outputs = step("compile", folder, ".")
    assert done.returncode == 0 and outputs == {"status": "0"} and not list((folder / "work").rglob("*.json"))
    (folder / "work" / "deep" / "b c.erase").write_text("erase  'cat'\n".replace("'", '"'), "utf-8")
    done, outputs = step("fmt", folder, ".")
    assert done.returncode == 0 and outputs == {"status": "1"} and "deep/b c.erase would change" in done.stdout
    (folder / "work" / "deep" / "b c.erase").write_text("erase cat\n", "utf-8")
    assert step("compile", folder, "deep")[1] == {"status": "1"}


def test_a_recipe_that_is_dropped_or_weaker_is_an_annotation(folder: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder / "work")]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    assert step("breaking", folder, ".", AGAINST="main")[1] == {"status": "0"}
    (folder / "work" / "a.erase").unlink()
    (folder / "work" / "deep" / "b c.erase").write_text('erase "fox"\n', "utf-8")
    done, outputs = step("breaking", folder, ".", AGAINST="main")
    assert outputs == {"status": "1"} and "::error title=error[TL427],file=a.erase::" in done.stdout
    assert "file=deep/b c.erase,line=1" in done.stdout
    assert step("breaking", folder, ".", AGAINST="--help")[1] == {"status": "2"}


@pytest.mark.parametrize(
    ("files", "count"),
    [(".", 3), ("**/*.erase", 3), ("a.erase deep", 3), ("deep/*.erase\na.erase", 2), ("deep/er", 1), ("d*", 2)],
)
def test_the_recipes_that_are_read(folder: Path, files: str, count: int) -> None:
    done, outputs = lint(folder, files)
    assert done.returncode == 0, done.stderr + done.stdout
    assert outputs["status"] == "0"
    for path in (folder / "work").rglob("*.erase"):
        path.write_text("erase cat\n", "utf-8")
    found = json.loads(Path(lint(folder, files)[1]["sarif"]).read_text("utf-8"))["runs"][0]["results"]
    assert len(found) == count
    for path in (folder / "work").rglob("*.erase"):
        path.write_text(GOOD, "utf-8")
    done, outputs = lint(folder, files, "--format json")
    assert json.loads(Path(outputs["sarif"]).read_text("utf-8"))["version"] == "2.1.0"


def test_findings_become_sarif(folder: Path) -> None:
    (folder / "work" / "deep" / "b c.erase").write_text("erase cat\n", "utf-8")
    done, outputs = lint(folder, "**/*.erase")
    assert done.returncode == 0 and outputs["status"] == "1"
    results = json.loads(Path(outputs["sarif"]).read_text("utf-8"))["runs"][0]["results"]
    (result,) = (one for one in results if one["ruleId"] == "TL201")
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place.endswith("deep/b%20c.erase") and not place.startswith("/")


def test_a_lint_that_cannot_run_uploads_nothing(folder: Path) -> None:
    done, outputs = lint(folder, "a.erase", "--no-such-option")
    assert done.returncode == 2 and "sarif" not in outputs


@pytest.mark.parametrize("evil", ["$(touch hacked)", "`touch hacked`", "a.erase; touch hacked", "--force", '"'])
def test_inputs_are_data(folder: Path, evil: str) -> None:
    lint(folder, f"a.erase {evil}", evil)
    assert not list(folder.rglob("hacked"))
