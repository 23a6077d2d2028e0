"""What a command writes never destroys: every sort of target, for everything that writes to a path which a user names.

What a recipe's author asks a command to write to may be a file, a link, a pipe, a device. Only a file is replaced, in
its own folder; a device or a pipe is written into, as a shell's `>` would.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tracelang import files
from tracelang.checkpoint.output import MARK, OutputError, refuse, staged
from tracelang.cli import main

FIXABLE = '# old\nconcept cat { names "cat" }\nerase   "cat"  # tracec: allow TL401 gone\npreserve "dog"\n'
UGLY = 'erase   "cat"\npreserve "dog"\n'
ROOT = os.geteuid() == 0

Target = Callable[[], tuple[str, Path | None]]
"""Makes a target in the current folder: how a user names it, and the file that must hold what is written."""


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def picture(target: str) -> tuple[int, str]:
    """As `tracec sample` writes its sheet, and with what it says where that fails."""
    from PIL import Image

    from tracelang.evidence.sheet import write

    try:
        write(Image.new("RGB", (8, 8)), Path(target))
    except OSError as error:
        return 1, f"error: {error.filename}: {error.strerror}\n"
    return 0, ""


WRITERS: dict[str, Callable[[str], tuple[int, str]]] = {
    "compile": lambda target: invoke("compile", "r.erase", "-o", target),
    "init": lambda target: invoke("init", target, "--force"),
    "import": lambda target: invoke("import", "leco", "p.yaml", "-o", target, "--force"),
    "sample": picture,
}
BEGINNINGS = {"compile": b"{", "init": b"# Removes", "import": b"# Written", "sample": b"\x89PNG"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("r.erase").write_text(UGLY, "utf-8")
    Path("p.yaml").write_text("- target: cat\n", "utf-8")
    Path("away").mkdir()
    return tmp_path


def old(path: str) -> Path:
    """A file with permissions of its own."""
    file = Path(path)
    file.write_text(UGLY, "utf-8")
    file.chmod(0o640)
    return file


def link(path: str, to: str) -> str:
    Path(path).symlink_to(to)
    return path


def chain() -> tuple[str, Path]:
    link("away/two", "three")
    link("one", "away/two")
    return link("zero", str(Path("one").absolute())), old("away/three")


def dangling() -> tuple[str, Path]:
    return link("gone", "away/new"), Path("away/new")


def absolute() -> tuple[str, Path]:
    return str(Path("x").absolute()), old("x")


FILES: dict[str, Target] = {
    "absolute": absolute,
    "regular": lambda: ("x", old("x")),
    "missing": lambda: ("x", Path("x")),
    "link": lambda: (link("x", "away/file"), old("away/file")),
    "chain": chain,
    "dangling": dangling,
    "through a folder's link": lambda: (link("inside", "away") + "/file", old("away/file")),
}


def everything(*, without: Path | None) -> dict[str, tuple[object, ...]]:
    """Kind, mode and contents of all that lies below the current folder, but for one file's contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(Path().rglob("*")):
        state = path.lstat()
        held: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        if without is not None and path == without:
            held = None
        found[str(path)] = stat.S_IFMT(state.st_mode), stat.S_IMODE(state.st_mode), held
    return found


@pytest.mark.parametrize("sort", FILES)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_replaced_where_it_lies_and_nothing_else(writer: str, sort: str) -> None:
    target, file = FILES[sort]()
    assert file is not None
    before = everything(without=file)
    assert WRITERS[writer](target) == (0, "")
    assert file.read_bytes().startswith(BEGINNINGS[writer])
    after = everything(without=file)
    if str(file) not in before:
        assert stat.S_IMODE(after.pop(str(file))[1]) == 0o666 & ~umask()  # type: ignore[arg-type]
    assert after == before


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("sort", [sort for sort in FILES if sort not in ("missing", "dangling")])
@pytest.mark.parametrize("arguments", [("fmt",), ("lint", "--fix")])
def test_a_recipe_is_mended_where_it_lies(arguments: tuple[str, ...], sort: str) -> None:
    target, file = FILES[sort]()
    assert file is not None
    file.write_text(FIXABLE, "utf-8")
    before, held = everything(without=file), file.read_bytes()
    invoke(*arguments, target)
    assert file.read_bytes() != held
    assert everything(without=file) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_the_null_device_stays_one(writer: str) -> None:
    for name in ("/dev/null", link("null", "/dev/null")):
        assert WRITERS[writer](name) == (0, "")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert Path("null").is_symlink()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_device_is_one_line(writer: str) -> None:
    code, said = WRITERS[writer]("/dev/full")
    assert code == 1 and "no space left" in said.lower() and said.count("\n") == 1
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_pipe_is_written_into(writer: str) -> None:
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    assert WRITERS[writer](link("way", "pipe")) == (0, "")
    reader.join(20)
    assert got[0].startswith(BEGINNINGS[writer]) and stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_pipe_that_nobody_reads_is_waited_for_and_then_said(writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WAIT", 0.2)
    os.mkfifo("pipe")
    code, said = WRITERS[writer]("pipe")
    assert code == 1 and "nobody opened this pipe" in said and stat.S_ISFIFO(os.stat("pipe").st_mode)


def test_a_reader_that_goes_is_one_line() -> None:
    os.mkfifo("pipe")

    def read() -> None:
        os.close(os.open("pipe", os.O_RDONLY))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    Path("big.erase").write_text("erase " + ", ".join(f'"thing number {i}"' for i in range(4000)), "utf-8")
    code, said = invoke("compile", "big.erase", "-o", "pipe")
    assert code == 1 and "broken pipe" in said


def loop() -> str:
    link("b", "a")
    return link("a", "b")


def bound() -> str:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    return "socket"


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "folder": (lambda: "away", "is a"),
    "link to a folder": (lambda: link("way", "away"), "is a"),
    "loop": (loop, "symbolic link"),
    "socket": (bound, "no such device"),
    "below a file": (lambda: "r.erase/x", "not a directory"),
    "below nothing": (lambda: "none/x", "no such file"),
    "dangling below nothing": (lambda: link("way", "none/x"), "no such file"),
    "a descriptor that is closed": (lambda: "/dev/fd/987", "bad file descriptor"),
    "a descriptor that only reads": (lambda: "/dev/fd/3333", "bad file descriptor"),
    "a name with a NUL": (lambda: "a\0b", "null"),
}


@pytest.mark.parametrize("sort", REFUSED)
@pytest.mark.parametrize("writer", ["compile", "init", "import"])
def test_what_cannot_be_written_is_one_line_and_stays(writer: str, sort: str) -> None:
    make, words = REFUSED[sort]
    target = make()
    if sort == "a descriptor that only reads":
        handle = os.open(old("y"), os.O_RDONLY)
        target = f"/dev/fd/{handle}"
    before = everything(without=None)
    code, said = WRITERS[writer](target)
    assert code == 1 and words in said.lower() and said.count("\n") == 1
    assert everything(without=None) == before


@pytest.mark.skipif(ROOT, reason="root writes everywhere")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_takes_no_files(writer: str) -> None:
    Path("away").chmod(0o555)
    code, said = WRITERS[writer](link("x", "away/file"))
    assert code == 1 and "permission denied" in said.lower()


@pytest.mark.parametrize("arguments", [("init", "x"), ("import", "leco", "p.yaml", "-o", "x")])
@pytest.mark.parametrize("sort", [sort for sort in FILES if sort not in ("missing", "dangling")])
def test_without_force_a_file_stays(arguments: tuple[str, ...], sort: str) -> None:
    target, _ = FILES[sort]()
    before = everything(without=None)
    code, said = invoke(*(target if word == "x" else word for word in arguments))
    assert code == 1 and "--force" in said and everything(without=None) == before


@pytest.mark.parametrize("arguments", [("init", "x"), ("import", "leco", "p.yaml", "-o", "x")])
def test_no_hard_links_are_needed(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    words = [*arguments[:-1], "new.erase"]
    assert invoke(*words) == (0, "")
    written = Path("new.erase").read_bytes()
    assert b"erase" in written and not list(Path().glob(".tracec-*"))
    code, said = invoke(*words)
    assert code == 1 and "--force" in said and Path("new.erase").read_bytes() == written


@pytest.mark.parametrize("arguments", [("init", "x"), ("import", "leco", "p.yaml", "-o", "x")])
def test_without_force_what_has_nothing_to_lose_is_written(arguments: tuple[str, ...]) -> None:
    target, file = dangling()
    for name in (target, "/dev/null"):
        assert invoke(*(name if word == "x" else word for word in arguments)) == (0, "")
    assert file.is_file() and Path(target).is_symlink() and stat.S_ISCHR(os.stat("/dev/null").st_mode)


# From here on in processes of their own: descriptors and limits are a process's.

COMMAND = [sys.executable, "-c", "from tracelang.cli import main; main()"]
LINES = {
    "compile": ("compile", "r.erase", "-o"),
    "init": ("init", "--force"),
    "import": ("import", "leco", "p.yaml", "--force", "-o"),
}


def ran(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    options = {"stderr": subprocess.PIPE, "env": here, "check": False, "timeout": 60, **options}
    return subprocess.run([*COMMAND, *arguments], **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link", "-"])
@pytest.mark.parametrize("writer", LINES)
def test_standard_output_by_any_name(writer: str, name: str) -> None:
    if name == "link":
        link("link", "/dev/stdout")
    with open("log", "wb") as log:
        log.write(b"before\n")
        log.flush()
        inode = os.stat("log").st_ino
        done = ran(*LINES[writer], name, stdout=log)
        log.write(b"after\n")
    data = Path("log").read_bytes()
    assert (done.returncode, done.stderr, os.stat("log").st_ino) == (0, b"", inode)
    assert data.startswith(b"before\n" + BEGINNINGS[writer]) and data.endswith(b"\nafter\n")
    assert b"sha256 " not in data and b"erases" not in data.partition(b"tracelang 1")[0]


def test_an_open_descriptor_is_written_where_it_stands() -> None:
    with open("log", "wb+") as log:
        log.write(b"before\n")
        log.flush()
        done = ran("compile", "r.erase", "-o", f"/dev/fd/{log.fileno()}", pass_fds=[log.fileno()], stdout=-3)
        assert done.returncode == 0
    assert Path("log").read_bytes().startswith(b"before\n{")


@pytest.mark.parametrize("writer", LINES)
def test_no_room_leaves_the_old_file(writer: str) -> None:
    file = old("x")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    before = everything(without=None)
    done = ran(*LINES[writer], "x", stdout=subprocess.PIPE, preexec_fn=limited)
    assert done.returncode == 1 and b"file too large" in done.stderr and done.stderr.count(b"\n") == 1
    assert everything(without=None) == before and file.read_text("utf-8") == UGLY


# `apply` writes a folder.


@pytest.fixture
def earlier() -> Iterator[Path]:
    out = Path("out")
    out.mkdir()
    (out / MARK).write_text('{"format_version": 1, "plan": "00"}', "utf-8")
    yield out


def other_program() -> str:
    Path("x").mkdir()
    Path("x", MARK).write_text('{"manifest_version": 3, "name": "somebody else\'s"}', "utf-8")
    return "x"


FOLDERS: dict[str, Callable[[], str]] = {
    "a file": lambda: str(old("x")),
    "a link to a file": lambda: link("x", "r.erase"),
    "a link to an earlier output": lambda: link("x", "out"),
    "a dangling link": lambda: link("x", "away/new"),
    "a loop": loop,
    "a pipe": lambda: (os.mkfifo("x"), "x")[1],
    "a socket": bound,
    "the null device": lambda: "/dev/null",
    "a folder of something else": lambda: ((Path("x").mkdir(), Path("x/mine").touch()), "x")[1],
    "another program's manifest": other_program,
    "below a file": lambda: "r.erase/out",
    "a mount": lambda: "/proc",
    "the root": lambda: "/",
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("sort", FOLDERS)
def test_an_output_folder_replaces_nothing_but_an_earlier_one(earlier: Path, sort: str, force: bool) -> None:
    target = FOLDERS[sort]()
    before = everything(without=None)
    with pytest.raises(OutputError) as caught, staged(Path(target), force):
        raise AssertionError("this is no place to write to")
    assert "\n" not in str(caught.value) and everything(without=None) == before


def test_a_mount_is_refused_before_long_work() -> None:
    with pytest.raises(OutputError, match="mount point"):
        refuse(Path("/proc"), force=True)


def test_an_earlier_output_is_replaced(earlier: Path) -> None:
    with staged(earlier, force=True) as draft:
        (draft / "new").touch()
    assert [path.name for path in earlier.iterdir()] == ["new"]
