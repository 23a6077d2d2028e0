"""Every rule at once, as text and as data; and the ways in beside the script `tracec`."""

from __future__ import annotations

import json
import subprocess
import sys

from click.testing import CliRunner

from tracelang.cli import main
from tracelang.cli.rulebook import rules
from tracelang.version import __version__


def rule(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["rule", *words])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def test_all_of_them_as_data_say_what_the_page_says() -> None:
    data = json.loads(rule("--all", "--format", "json"))
    assert data["format_version"] == 1 and [one["code"] for one in data["rules"]] == list(rules())
    for told, known in zip(data["rules"], rules().values(), strict=True):
        assert told["title"] == known.title and told["severity"] == known.severity
        assert told["what_it_does"] == known.sections["What it does"]


def test_all_of_them_as_text_are_each_one_after_the_other() -> None:
    assert rule("--all").count("What it does:") == len(rules())
    assert rule("TL401") in rule("--all")


def test_one_as_data_and_the_list_as_data() -> None:
    (one,) = json.loads(rule("tl401", "--format", "json"))["rules"]
    assert one["code"] == "TL401"
    assert len(json.loads(rule("--format", "json"))["rules"]) == len(rules())


def test_one_and_all_do_not_go_together() -> None:
    assert "--all" in rule("TL401", "--all", code=2) and "TL431" in rule("TL4O1", code=2)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "tracelang", "-V"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and __version__ in done.stdout
    assert CliRunner().invoke(main, ["-V"]).stdout == CliRunner().invoke(main, ["--version"]).stdout
