"""Standard streams that are full, closed or broken: one line and exit code 2, for every command, never a verdict."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from tests.random_sd import build
from tracelang.cli import COMMANDS, main
from tracelang.cli.streams import BROKEN, FAILED

CLEAN = 'tracelang 1\nerase "cat"\npreserve "dog"\nexpect { shown("cat") <= 10% kept("dog") >= 50% }\n'
CLOSED_FORM = """templates object = "a {}"
erase "cat"
preserve "dog"
method uce
expect over 1 samples { shown("cat") <= 90% }
"""
SUITE = """
title = "One"
models = ["tiny"]
against = "uce"
[methods]
uce = ["uce"]
[parts.one]
tasks = ["r.erase"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipes, another tool's file, a model, its edit and that one's finished measurement, a labelled
    set, a key and a suite.
    """
    folder = tmp_path_factory.mktemp("made")
    build(folder / "tiny", config="tiny")
    (folder / "r.erase").write_text(CLOSED_FORM, "utf-8")
    (folder / "clean.erase").write_text(CLEAN, "utf-8")
    (folder / "other.erase").write_text('erase "dog"\n', "utf-8")
    (folder / "wrong.erase").write_text("erase cat\n", "utf-8")
    (folder / "ugly.erase").write_text('erase   "cat"\npreserve "dog"\n', "utf-8")
    (folder / "suite.toml").write_text(SUITE, "utf-8")
    (folder / "p.yaml").write_text("- target: cat\n", "utf-8")
    for name in ("cat", "none"):
        (folder / "set" / name).mkdir(parents=True)
        Image.new("RGB", (64, 64), "teal").save(folder / "set" / name / "0.png")
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    here = Path.cwd()
    os.chdir(folder)
    delta = "apply r.erase --model tiny --out changed --emit delta"
    try:
        for line in ("compile r.erase", "apply r.erase --model tiny --out out", delta, VERIFY, EXPORT):
            code, said = outcome(line.split(), io.StringIO())
            assert code in (0, 3), said
    finally:
        os.chdir(here)
    return folder


@pytest.fixture(autouse=True)
def there(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    for folder in ("patched", "blind"):
        shutil.rmtree(folder, ignore_errors=True)
    Path("blind.key.json").unlink(missing_ok=True)
    monkeypatch.setenv("TRACELANG_CACHE", str(made / "cache"))
    return made


VERIFY = "verify out --samples 0 --steps 2 --model tiny --judge micro --keep all"
EXPORT = "rate export out --n 1 -o blind"
SAYING = [
    "--help",
    "--version",
    *(f"{command} --help" for command in COMMANDS),
    "init -",
    "init new.erase --force",
    "import leco p.yaml",
    "compile r.erase",
    "compile r.erase --json",
    "compile r.erase -o -",
    "compile r.erase -o /dev/stdout",
    "lint wrong.erase",
    "lint r.erase --format json",
    "lint r.erase --format sarif",
    "fmt --check ugly.erase",
    "fmt --diff ugly.erase",
    "explain r.erase --prompts",
    "rule --all --format json",
    "doctor",
    "cache",
    "inspect tiny",
    "diff r.erase other.erase",
    "diff r.erase r.erase --json",
    "breaking r.erase --against other.erase --json",
    "breaking r.erase --against other.erase --format sarif",
    "explain r.erase",
    "explain r.plan.json",
    "rule",
    "rule TL101",
    "models",
    "models --json",
    "plan r.erase --model tiny",
    "plan r.erase --model tiny --config-only --json",
    "apply r.erase --model tiny --out out2 --force",
    "apply r.erase --model tiny --out out2 --force --json",
    "patch changed/delta.safetensors --model tiny --out patched",
    "sample tiny --prompt cat --out cat.png --count 1 --steps 2",
    VERIFY,
    f"{VERIFY} --json",
    "merge out",
    "merge out --json",
    EXPORT,
    "reproduce out --model tiny --share 1%",
    "certify out --model tiny",
    "judge micro --set set -o micro.known.json",
    "attest out --key key.pem",
    "bench suite.toml --plan",
]
"""Command lines that write to standard output, at least one of every command but `lsp`, which speaks to an editor."""


def outcome(arguments: list[str], stdout: io.TextIOBase | None) -> tuple[int, str]:
    """Exit code and standard error of a command with that standard output, in this process."""
    before, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), stdout, io.StringIO()  # type: ignore[assignment]
    try:
        main.main(arguments, prog_name="tracec")
        raise AssertionError("a command ends with an exit code")
    except SystemExit as done:
        return int(done.code or 0), sys.stderr.getvalue()  # type: ignore[attr-defined, union-attr]
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def output(sort: str) -> Iterator[io.TextIOBase | None]:
    if sort == "closed":
        yield None
        return
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as broken, open("/dev/full", "w") as full:
        yield broken if sort == "broken" else full


def test_every_command_has_a_line() -> None:
    assert {line.partition(" ")[0] for line in SAYING if "--help" not in line} >= set(COMMANDS) - {"lsp"}


@pytest.mark.parametrize("sort", ["full", "closed", "broken"])
@pytest.mark.parametrize("line", SAYING)
def test_output_that_nobody_gets_is_no_outcome(line: str, sort: str) -> None:
    with output(sort) as stream:
        code, said = outcome(line.split(), stream)
    lines = [one for one in said.splitlines() if one.startswith("error: cannot write to standard output: ")]
    assert code == (BROKEN if sort == "broken" else FAILED), said
    assert len(lines) == (0 if sort == "broken" else 1) and "Traceback" not in said


@pytest.mark.parametrize("sort", ["full", "closed", "broken"])
@pytest.mark.parametrize("line", ["lint clean.erase", "fmt --check r.erase", "compile --check wrong.erase"])
def test_a_command_that_says_nothing_there_keeps_its_outcome(line: str, sort: str) -> None:
    with open(os.devnull, "w") as null:
        expected = outcome(line.split(), null)
    with output(sort) as stream:
        assert outcome(line.split(), stream) == expected


def test_a_plan_of_changes_is_never_mistaken_for_a_lost_one() -> None:
    """There 2 means changes, and 1 an error."""
    line = ["plan", "r.erase", "--model", "tiny", "--config-only", "--detailed-exitcode"]
    with open(os.devnull, "w") as null:
        assert outcome(line, null)[0] == 2
    for sort, code in {"full": 1, "closed": 1, "broken": BROKEN}.items():
        with output(sort) as stream:
            assert outcome(line, stream)[0] == code


def test_what_was_asked_for_is_done_all_the_same() -> None:
    with output("full") as stream:
        assert outcome(["compile", "other.erase", "-o", "kept.json"], stream)[0] == FAILED
    assert Path("kept.json").read_text("utf-8").startswith("{")


# In processes of their own: there descriptors are really closed.

COMMAND = [sys.executable, "-c", "from tracelang.cli import main; main()"]


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    words = f'tracec() {{ "{sys.executable}" -c "from tracelang.cli import main; main()" "$@"; }}; {line}'
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(["bash", "-c", words], capture_output=True, env=here, check=False, timeout=60)


CASES = [
    ("lint wrong.erase >/dev/full", FAILED, b"error: cannot write to standard output: no space left on device\n"),
    ("lint wrong.erase >&-", FAILED, b"error: cannot write to standard output: it is closed\n"),
    ("lint wrong.erase >/dev/full 2>/dev/full", FAILED, b""),
    ("lint wrong.erase >&- 2>&-", FAILED, b""),
    ("lint wrong.erase 2>&-", 1, b""),
    ("lint wrong.erase 2>/dev/full", 1, b""),
    ("lint clean.erase >&- 2>&- <&-", 0, b""),
    ("compile wrong.erase 2>/dev/full", 1, b""),
    ("compile wrong.erase 2>&-", 1, b""),
    ("breaking r.erase --against other.erase 2>/dev/full", 1, b""),
    ("breaking r.erase --against other.erase 2>&-", 1, b""),
    ("compile none.erase >&- 2>&-", 1, b""),
    ("nonsense >/dev/full 2>/dev/full", 2, b""),
    ("nonsense >&- 2>&-", 2, b""),
    ("compile r.erase -o - >/dev/full", FAILED, b"error: cannot write to standard output: no space left on device\n"),
    ("compile r.erase -o /dev/stdout >&-", FAILED, b"error: cannot write to standard output: it is closed\n"),
    ("fmt - <ugly.erase >/dev/full", FAILED, b"error: cannot write to standard output: no space left on device\n"),
    ("lint - <&-", FAILED, b"error: cannot read standard input: it is closed\n"),
    ("compile - -o x.json <&-", FAILED, b"error: cannot read standard input: it is closed\n"),
    ("import leco - <&-", FAILED, b"error: cannot read standard input: it is closed\n"),
]


@pytest.mark.parametrize(("line", "code", "said"), CASES, ids=[line for line, _, _ in CASES])
def test_in_a_shell(line: str, code: int, said: bytes) -> None:
    done = shell(f"tracec {line}")
    assert (done.returncode, done.stderr) == (code, said)


def test_a_reader_that_has_enough() -> None:
    done = shell('set -o pipefail; tracec rule | head -n 1; echo "${PIPESTATUS[0]}"')
    assert done.stdout.decode().splitlines()[1:] in (["0"], [str(BROKEN)]) and not done.stderr
    done = shell('tracec lint wrong.erase --format json | true; echo "${PIPESTATUS[0]}"')
    assert done.stdout in (b"1\n", b"141\n") and not done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_a_closed_stream_s_place(closed: str) -> None:
    """What means standard error must not end up in the file that was opened next."""
    code = "import os; from tracelang.cli.streams import guarded\nwith guarded():\n"
    code += " file = open('held', 'wb')\n assert file.fileno() > 2\n os.write(1, b'loud'); os.write(2, b'loud')"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" {closed}'], env=here, check=True, timeout=60)
    assert Path("held").read_bytes() == b""


def test_a_pipe_that_does_not_wait_gets_all() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        while part := os.read(reading, 1 << 16):
            got.extend(part)

    reader = threading.Thread(target=read)
    Path("many.erase").write_text(
        "tracelang 1\nerase " + ", ".join(f'"thing number {i}"' for i in range(4000)) + '\npreserve "dog"', "utf-8"
    )
    with open(writing, "w") as stream:
        timer = threading.Timer(0.5, reader.start)
        timer.start()
        assert outcome(["compile", "many.erase", "-o", "-"], stream) == (0, "")
    timer.join()
    reader.join(20)
    os.close(reading)
    assert len(got) > 1 << 17 and got.endswith(b"}\n")
