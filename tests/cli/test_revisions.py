"""A version in git is the revision's own, however its path is written, or there is none: nothing else is read for it.

The repository's `main` erases a cat and a lion. The working tree erases the cat alone, in the file itself and in every
other place that a path could lead to: whoever compares with one of those finds nothing broken.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang.cli import main

PROMISED = 'tracelang 1\n\nerase "cat", "lion"\npreserve "dog"\n'
WEAK = 'tracelang 1\n\nerase "cat"\npreserve "dog"\n'

OPENED: list[str] = []
WATCHING: list[bool] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if WATCHING and event == "open" and isinstance(arguments[0], str | bytes):
        OPENED.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_note)


def git(*arguments: str, stdin: bytes | None = None) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    more = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *more, *arguments], check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


def commit() -> None:
    git("add", "-A"), git("commit", "-qm", "x")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "outside.erase").write_text(WEAK, "utf-8")
    (tmp_path / "module").mkdir()
    monkeypatch.chdir(tmp_path / "module")
    git("init", "-q"), Path("r.erase").write_text(WEAK, "utf-8"), commit()
    whole = tmp_path / "whole"
    whole.mkdir()
    monkeypatch.chdir(whole)
    git("init", "-q")
    for folder in ("policy", "other", "weak"):
        Path(folder).mkdir()
        Path(folder, "r.erase").write_text(WEAK if folder == "weak" else PROMISED, "utf-8")
    links = {
        "current": "policy",
        "link.erase": "policy/r.erase",
        "chain.erase": "link.erase",
        "policy/up.erase": "../other/../link.erase",
        "absolute.erase": str(whole / "policy/r.erase"),
        "out.erase": "../outside.erase",
        "loop.erase": "loop.erase",
        "top": ".",
        "etc": "/etc",
        "lost.erase": "none",
    }
    for name, there in links.items():
        Path(name).symlink_to(there)
    git("submodule", "add", "-q", str(tmp_path / "module"), "sub")
    commit()
    git("tag", "v1")
    for path in ("policy/r.erase", "other/r.erase", "new.erase"):
        Path(path).write_text(WEAK, "utf-8")
    Path("current").unlink()
    Path("current").symlink_to("weak")
    (tmp_path / "way").symlink_to("whole")
    return whole


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and all that is said."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def opened(repository: Path) -> Iterator[Callable[[], set[str]]]:
    """The files below the fixture's folder that this process opened, git's processes aside."""
    OPENED.clear()
    WATCHING.append(True)
    yield lambda: {path for path in OPENED if path.startswith(str(repository.parent) + "/") and os.path.isfile(path)}
    WATCHING.clear()


LED = {
    "plain": "policy/r.erase",
    "from here": "./policy/r.erase",
    "absolute": "{whole}/policy/r.erase",
    "absolute, with detours": "{whole}/weak/../policy//./r.erase",
    "absolute, through a link to the tree": "{way}/policy/r.erase",
    "absolute, through a link in the tree": "{whole}/top/policy/r.erase",
    "absolute, through the revision's link": "{whole}/current/r.erase",
    "with detours": "weak/../policy//./r.erase",
    "a link": "link.erase",
    "a chain": "chain.erase",
    "a link that goes up": "policy/up.erase",
    "a folder's link, which leads elsewhere now": "current/r.erase",
    "a folder's link, from here": "./current/r.erase",
    "the top's link, again and again": "top/top/top/policy/r.erase",
}
NOT_LED = {
    "a file of the system": "/etc/hostname",
    "a file outside": "{outside}",
    "up and out": "../outside.erase",
    "far up": "../../../../../../../../etc/passwd",
    "from here and out": "./../outside.erase",
    "absolute and out": "{whole}/../outside.erase",
    "a tree beside": "{whole}-2/r.erase",
    "a file that is new": "new.erase",
    "a file that is new, absolute": "{whole}/new.erase",
    "a folder": "policy",
    "nothing": "",
    "the top": ".",
    "backslashes": "policy\\r.erase",
    "another case": "Policy/R.erase",
    "two colons": "v1:policy/r.erase",
    "a colon after": "policy/r.erase:1",
    "a submodule": "sub",
    "a submodule's file": "sub/r.erase",
    "git's own": ".git/HEAD",
    "a link to an absolute path": "absolute.erase",
    "a link that leaves the tree": "out.erase",
    "a folder's link that leaves the tree": "etc/hostname",
    "a loop": "loop.erase",
    "a link to nothing": "lost.erase",
    "below a file": "policy/r.erase/x",
    "a wildcard": "policy/*.erase",
    "a drive": "C:/r.erase",
}


def spelt(path: str, whole: Path) -> str:
    return path.format(whole=whole, way=whole.parent / "way", outside=whole.parent / "outside.erase")


@pytest.mark.parametrize("path", LED.values(), ids=LED)
def test_the_revision_s_file_is_what_is_compared(repository: Path, path: str, opened: Callable[[], set[str]]) -> None:
    text = f"main:{spelt(path, repository)}"
    code, said = run("diff", text, "../outside.erase")
    assert code == 1 and "- erase lion" in said
    assert opened() == {str(repository.parent / "outside.erase")}
    assert run("breaking", "policy/r.erase", "--against", text)[0] == 1
    assert run("breaking", "other/r.erase", "--against", text.replace("main", "v1", 1))[0] == 1


@pytest.mark.parametrize("path", NOT_LED.values(), ids=NOT_LED)
def test_what_the_revision_does_not_hold_is_not_read(
    repository: Path, path: str, opened: Callable[[], set[str]]
) -> None:
    text = f"main:{spelt(path, repository)}"
    for arguments in (
        ("diff", text),
        ("diff", text, "../outside.erase"),
        ("diff", "v1:policy/r.erase", text),
        ("breaking", "policy/r.erase", "--against", text),
    ):
        code, said = run(*arguments)
        assert code == 2 and "main has no file" in said and said.count("\n") == 1, arguments
    assert opened() == set()


def test_from_a_folder_below(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "policy")
    for path in ("./r.erase", "../policy/r.erase", "policy/r.erase", str(repository / "policy/r.erase")):
        assert run("breaking", "r.erase", "--against", f"main:{path}")[0] == 1
        assert run("diff", f"main:{path}")[0] == 1
    assert run("diff", "main:../../outside.erase")[0] == 2


READ = {
    "absolute": '"{whole}/policy/r.erase"',
    "out": '"../../outside.erase"',
    "new": '"../new.erase"',
    "absolute link": '"../absolute.erase"',
    "link that leaves": '"../out.erase"',
    "submodule": '"../sub/r.erase"',
    "folder link that leaves": '"../etc/hostname"',
    "loop": '"../loop.erase"',
    "backslash": '"..\\\\policy\\\\r.erase"',
}


@pytest.mark.parametrize(
    "how", ["include {}", 'import {} as a\nerase "x"', 'from {} import a\nerase "x"', "erase list {}"]
)
@pytest.mark.parametrize("named", READ.values(), ids=READ)
def test_what_a_revision_s_recipe_reads_is_the_revision_s(
    repository: Path, named: str, how: str, opened: Callable[[], set[str]]
) -> None:
    Path("policy/reads.erase").write_text(how.format(named.format(whole=repository)), "utf-8")
    git("add", "policy/reads.erase"), git("commit", "-qm", "reads")
    opened()
    OPENED.clear()
    code, said = run("diff", "main:policy/reads.erase", "../outside.erase")
    assert code == 2 and "main:policy/reads.erase:1:" in said
    assert opened() <= {str(repository.parent / "outside.erase")}


def test_a_recipe_reads_through_the_revision_s_links_from_where_they_lead(repository: Path) -> None:
    """As in a working tree, a path in a file that is reached by a link starts at the file itself."""
    Path("shared/lists").mkdir(parents=True)
    Path("shared/base.txt").write_text('erase list "lists/names.txt"\n', "utf-8")
    Path("shared/lists/names.txt").write_text("cat\nlion\n", "utf-8")
    Path("policy/lists").mkdir()
    Path("policy/lists/names.txt").write_text("horse\n", "utf-8")
    Path("policy/base.txt").symlink_to("../shared/base.txt")
    Path("all.erase").write_text('include "policy/base.txt"\npreserve "dog"\n', "utf-8")
    commit()
    assert run("diff", "HEAD:all.erase") == (0, "")
    Path("shared/lists/names.txt").write_text("cat\n", "utf-8")
    code, said = run("breaking", "all.erase", "--against", "HEAD")
    assert code == 1 and "lion is no longer erased" in said


# `--against REV` takes the recipe's own path.


def to_a_weak_file() -> str:
    Path("policy/r.erase").unlink()
    Path("policy/r.erase").symlink_to("../new.erase")
    return "policy/r.erase"


def another_case() -> str:
    os.rename("policy/r.erase", "policy/R.erase")
    return "policy/R.erase"


def from_outside() -> str:
    Path("../own.erase").symlink_to("whole/policy/r.erase")
    return "../own.erase"


CALLED: dict[str, Callable[[], str]] = {
    "plain": lambda: "policy/r.erase",
    "absolute": lambda: str(Path("policy/r.erase").absolute()),
    "with detours": lambda: "weak/../policy/./r.erase",
    "through a link to the tree": lambda: "../way/policy/r.erase",
    "a link from outside": from_outside,
    "replaced by a link": to_a_weak_file,
    "in a folder whose link leads elsewhere now": lambda: "current/r.erase",
    "a link in both": lambda: "link.erase",
    "another case": another_case,
}


@pytest.mark.parametrize("call", CALLED.values(), ids=CALLED)
def test_a_recipe_is_held_against_what_was_at_its_path(repository: Path, call: Callable[[], str]) -> None:
    code, said = run("breaking", call(), "--against", "main")
    assert (code == 1 and "lion is no longer erased" in said) or (code == 2 and "main has no file" in said)


@pytest.mark.parametrize("name", ["out.erase", "absolute.erase", "lost.erase", "loop.erase", "etc/new.erase"])
def test_a_recipe_that_was_a_link_to_elsewhere_is_not_new(repository: Path, name: str) -> None:
    os.remove(Path(name).parts[0])
    code, said = run("breaking", add(name), "--against", "main")
    assert code == 2 and "main has" in said and "leads to no file" in said


def test_a_recipe_that_is_new_stays_new(repository: Path) -> None:
    code, said = run("breaking", "new.erase", "--against", "main")
    assert code == 0 and "is new since main" in said
    Path("policy/R.erase").write_text(WEAK, "utf-8")  # beside r.erase, where a system tells them apart
    if not Path("policy/R.erase").samefile("policy/r.erase"):
        assert run("breaking", "policy/R.erase", "--against", "main")[0] == 0
    assert run("breaking", "none.erase", "--against", "main")[0] == 2


def add(path: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(WEAK, "utf-8")
    return path


@pytest.mark.parametrize("name", ["main", "v1", "HEAD", "refs/heads/main", "main:policy/r.erase", "HEAD~0", "v1^0"])
def test_a_file_that_is_called_as_a_revision_is_not_taken_for_it(repository: Path, name: str) -> None:
    add(name)
    for arguments in (("breaking", "policy/r.erase", "--against", name), ("diff", name, "policy/r.erase")):
        code, said = run(*arguments)
        assert code == 2 and f"write ./{name} for the file" in said
    assert run("diff", f"./{name}", "new.erase") == (0, "")
    if ":" not in name and name != "HEAD":
        os.remove(name)
        Path(name).mkdir()
        assert run("breaking", "policy/r.erase", "--against", name)[0] == 1


def test_where_git_gives_no_answer_a_name_is_not_guessed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user does not own the working tree."""
    add("main")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    code, said = run("breaking", "policy/r.erase", "--against", "main")
    assert code == 2 and "dubious ownership" in said
    assert run("diff", "policy/r.erase", "new.erase") == (0, "")


def test_a_revision_is_what_was_committed_not_what_replaces_it_here(repository: Path) -> None:
    there, here = git("rev-parse", "main:policy/r.erase"), git("hash-object", "-w", "new.erase")
    git("replace", there, here)
    assert run("breaking", "policy/r.erase", "--against", "main")[0] == 1


@pytest.mark.parametrize("name", ["..", "/", "."])
def test_a_tree_that_no_file_system_could_hold(repository: Path, name: str) -> None:
    """Such an entry is made by hand; nothing is written for it."""
    blob = git("hash-object", "-w", "new.erase")
    try:
        tree = git("mktree", stdin=f"100644 blob {blob}\t{name}\n".encode())
        bad = git("commit-tree", tree, "-m", "bad")
    except subprocess.CalledProcessError:
        pytest.skip("this git makes no such tree")
    before = sorted(repository.parent.rglob("*.erase"))
    for path in (name, f"./{name}", f"x/../{name}"):
        assert run("diff", f"{bad}:{path}", "new.erase")[0] == 2
    assert sorted(repository.parent.rglob("*.erase")) == before
