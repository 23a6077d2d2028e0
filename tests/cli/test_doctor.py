"""`tracec doctor` tells what is here, and what is missing for which command."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from click.testing import CliRunner

from tracelang.cli import COMMANDS, doctor, main
from tracelang.version import __version__


def told(code: int = 0) -> dict[str, dict]:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == code, result.output
    data = json.loads(result.stdout)
    assert data["format_version"] == 1 and data["ok"] == (code == 0)
    return {one["name"]: one for one in data["checks"]}


def without(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """As if these packages were missing, or of another version."""
    real = doctor.version

    def version(package: str) -> str:
        found = versions[package] if package in versions else real(package)
        if found is None:
            raise PackageNotFoundError(package)
        return found

    monkeypatch.setattr(doctor, "version", version)


def test_all_is_here_in_a_line_each() -> None:
    checks = told()
    assert __version__ in checks["tracelang"]["detail"] and "cpu" in checks["devices"]["detail"]
    assert "micro-sd" in checks["models"]["detail"] and {"run", "eval", "cache", "git", "lark"} <= set(checks)
    lines = CliRunner().invoke(main, ["doctor"]).stdout.splitlines()
    assert len(lines) == len(checks) and all(line.split()[0] in ("ok", "missing", "broken") for line in lines)


def test_a_missing_package_is_told_with_the_commands_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, scipy=None, diffusers="0.1")
    checks = told()
    assert checks["eval"]["status"] == "missing" and "scipy" in checks["eval"]["detail"]
    assert "verify" in checks["eval"]["detail"] and "tracelang[eval]" in checks["eval"]["detail"]
    assert checks["run"]["status"] == "broken" and "0.1 is here" in checks["run"]["detail"]
    assert checks["import"]["status"] == "ok"


def test_what_the_basic_commands_need_decides_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, lark=None)
    assert told(1)["lark"]["status"] == "missing"
    without(monkeypatch, lark="2.0")
    assert told(1)["lark"]["status"] == "broken"


def test_the_commands_of_extras_are_commands() -> None:
    words = {word.strip(",") for extra in ("run", "eval") for word in doctor.EXTRAS[extra].split()}
    assert words <= set(COMMANDS)


@pytest.mark.parametrize(
    ("found", "bound", "good"),
    [
        ("1.10", ">=1.2,<2", True),
        ("2.0", "<2,>=1.2", False),
        ("1.1.9", ">=1.2", False),
        ("2.13.0+cpu", ">=2.4", True),
        ("2", ">=2.0", True),
        ("5.0rc1", ">=5", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_by_numbers(found: str, bound: str, good: bool) -> None:
    assert doctor._within(found, bound) is good


def test_without_torch_nothing_asks_for_it() -> None:
    code = (
        "import sys, importlib.util as u\n"
        "sys.modules['torch'] = None\n"
        "from tracelang.cli import doctor, main\n"
        "real = doctor.find_spec\n"
        "doctor.find_spec = lambda name: None if name == 'torch' else real(name)\n"
        "main(['doctor'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "torch is not installed" in done.stdout, done.stderr


def test_a_cache_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACELANG_CACHE_LIMIT", "lots")
    assert told()["cache"]["status"] == "broken" and "is a number of GiB" in told()["cache"]["detail"]
