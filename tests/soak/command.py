"""`tracec apply` in a process of its own that is ready at once: a fork of this one, which has imported everything."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from click.testing import CliRunner

from tests.layouts import folder, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.judge import RECIPE
from tracelang.checkpoint import forms, room
from tracelang.cli import main

Tree = dict[str, bytes]


@dataclass(frozen=True)
class Base:
    """What is edited: `words` name it on the command line, `at` is the folder or the file that must stay as it is."""

    name: str
    at: Path
    words: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A base and a form that go together: the whole output to compare with, its bytes, the seconds that it takes."""

    base: Base
    form: str
    whole: Tree
    size: int
    seconds: float


def bases(at: Path) -> tuple[Base, ...]:
    """A folder and a single file, tiny, of two families."""
    plain = folder.build(at / "folder", checkpoint("sd1"))
    model = checkpoint("sdxl")
    file = single.build(at / "file" / "sdxl.safetensors", model, ema=True)
    config = folder.build(at / "config", model, only=())
    return (
        Base("a folder", plain, ("--model", str(plain))),
        Base("a single file", file, ("--model", str(file), "--config", str(config))),
    )


def words(base: Base, recipe: Path, form: str, out: Path, *more: str) -> list[str]:
    given = [*base.words, "--device", "cpu", "--out", str(out), "--emit", form, *more]
    return ["apply", str(recipe), *given]


def recipe(at: Path) -> Path:
    (at / "r.erase").write_text(RECIPE)
    return at / "r.erase"


def forked(given: list[str], said: Path, unforeseen: bool = False) -> int:
    """Start the command, what it says going into the file `said`; the process's id. `unforeseen`: it does not ask
    for room beforehand, as where somebody else fills the disk meanwhile.
    """
    child = os.fork()
    if child:
        return child
    try:
        if unforeseen:
            room.refuse = lambda *told: None
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1)
        code = main(given, standalone_mode=True) or 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # also KeyboardInterrupt: past `_exit` nothing of the parent's may run in this process
        traceback.print_exc()
        code = 99
    os._exit(int(code))


def finished(given: list[str], said: Path, unforeseen: bool = False) -> tuple[int, str, float]:
    """Run the command to its end: exit code, what it said, seconds."""
    begin = time.perf_counter()
    _, status = os.waitpid(forked(given, said, unforeseen), 0)
    return os.waitstatus_to_exitcode(status), said.read_text(errors="replace"), time.perf_counter() - begin


def tree(at: Path) -> Tree:
    """sha256 of every file below, by path; of a file, its own."""
    if at.is_file():
        return {"": sha256(at.read_bytes()).digest()}
    return {
        path.relative_to(at).as_posix(): sha256(path.read_bytes()).digest()
        for path in sorted(at.rglob("*"))
        if path.is_file()
    }


def line(code: int, said: str) -> str:
    """The one line of a refusal. Raises AssertionError where there is a traceback, or another number of lines."""
    assert "Traceback" not in said, said
    errors = [one for one in said.splitlines() if one.lower().startswith("error: ")]
    assert code in (1, 2) and len(errors) == 1, (code, said)
    return errors[0]


def pairs(at: Path) -> list[Pair]:
    """Every base and form that go together.

    A form that does not fit a base says so in one line; every form fits some base.
    """
    found, given = list[Pair](), recipe(at)
    for base in bases(at):
        for form in forms.known():
            out = at / "reference" / f"{base.at.name}-{form}" / "out"
            finished(words(base, given, form, out), at / "said")  # fills the caches
            code, said, seconds = finished(words(base, given, form, out, "--force"), at / "said")
            if code:
                line(code, said)
                continue
            size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            found.append(Pair(base, form, tree(out), size, seconds))
    lost = set(forms.known()) - {pair.form for pair in found}
    assert not lost, f"no base takes the form {lost}"
    return found


def invoke(given: list[str]) -> tuple[int, str]:
    """The command in this process: exit code and what it said. Raises whatever the command does not catch."""
    result = CliRunner().invoke(main, given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{' '.join(given)}: {result.exception!r}") from result.exception
    return result.exit_code, result.output
