"""The hooks for pre-commit, by pre-commit itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tracelang.cli import main

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
HOOKS = {hook["id"]: hook for hook in yaml.safe_load(MANIFEST.read_text("utf-8"))}


def pre_commit(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pre_commit", *arguments]
    environment = {**os.environ, "PRE_COMMIT_HOME": str(folder / ".cache"), "PRE_COMMIT_COLOR": "never"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_manifest_is_valid(tmp_path: Path) -> None:
    done = pre_commit("validate-manifest", str(MANIFEST), folder=tmp_path)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "broken.yaml"
    broken.write_text(MANIFEST.read_text("utf-8").replace("language: python", "language: erase"), "utf-8")
    assert pre_commit("validate-manifest", str(broken), folder=tmp_path).returncode == 1


def test_there_is_a_hook_for_each_of_the_four() -> None:
    assert HOOKS.keys() == {"tracec-fmt", "tracec-lint", "tracec-compile", "tracec-breaking"}
    assert all(hook["entry"].split()[:2] == ["tracec", name.removeprefix("tracec-")] for name, hook in HOOKS.items())


@pytest.mark.parametrize("name", ["tracec-fmt", "tracec-lint", "tracec-compile"])
def test_a_hook_takes_several_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pre-commit calls it: the entry's words and arguments, then the files that changed."""
    words = HOOKS[name]["entry"].split()[1:]
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(main, ["init", "a.erase"])
    CliRunner().invoke(main, ["init", "b.erase", "--concept", "fox"])
    good = CliRunner().invoke(main, [*words, "a.erase", "b.erase"])
    assert good.exit_code == 0, good.output
    Path("b.erase").write_text("erase fox\n", "utf-8")
    Path("c.erase").write_text('erase "fox', "utf-8")
    assert CliRunner().invoke(main, [*words, "a.erase", "b.erase", "c.erase"]).exit_code == 1
    assert sorted(path.name for path in Path().iterdir()) == ["a.erase", "b.erase", "c.erase"]


def test_what_a_list_or_an_included_file_says_is_looked_at_too() -> None:
    """A hook that waits for recipes to change does not run when their lists do; the style is the file's own."""
    for name, hook in HOOKS.items():
        whole = name != "tracec-fmt"
        assert (hook.get("always_run", False), not hook.get("pass_filenames", True)) == (whole, whole)
        assert hook.get("args", ["."])[-1] == "."


@pytest.mark.slow
def test_pre_commit_installs_and_runs_the_hooks(tmp_path: Path) -> None:
    """`pre-commit try-repo` clones this repository, installs it as a user's pre-commit does, and runs the hooks: also
    where a list alone has changed.
    """
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"]

    def run(*words: str) -> None:
        subprocess.run([*git, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "good.erase").write_text('tracelang 1\n\nerase list "names.txt"\npreserve "dog"\n', "utf-8")
    (tmp_path / "gone.erase").write_text('tracelang 1\n\nerase "fox"\npreserve "dog"\n', "utf-8")
    (tmp_path / "names.txt").write_text("cat\n", "utf-8")
    (tmp_path / ".gitignore").write_text(".cache\n", "utf-8")
    run("init", "-q")
    run("add", "-A")
    run("commit", "-qm", "x")
    done = pre_commit("try-repo", str(ROOT), "--all-files", folder=tmp_path)
    assert done.returncode == 0 and done.stdout.count("Passed") == len(HOOKS), done.stdout + done.stderr
    (tmp_path / "names.txt").write_text("", "utf-8")
    run("rm", "-q", "gone.erase")
    run("add", "names.txt")
    done = pre_commit("try-repo", str(ROOT), "--files", "names.txt", folder=tmp_path)
    assert done.returncode == 1 and done.stdout.count("Failed") == len(HOOKS) - 1, done.stdout + done.stderr
    assert "error[TL218]" in done.stdout and "error[TL427]" in done.stdout and "good.erase:3:12" in done.stdout
