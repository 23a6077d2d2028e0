"""OUT appears whole or not at all."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tracelang.checkpoint.output import MARK, OutputError, staged


def fill(out, text="new", force=False):
    with staged(out, force) as folder:
        (folder / MARK).write_text(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)


def test_it_appears_with_everything_and_alone(tmp_path):
    out = tmp_path / "out"
    with staged(out) as folder:
        (folder / "a").write_text("x")
        assert not out.exists() and folder.parent.parent == tmp_path
    assert (out / "a").read_text() == "x"
    assert os.listdir(tmp_path) == ["out"]
    mask = os.umask(0)
    os.umask(mask)
    assert out.stat().st_mode & 0o777 == 0o777 & ~mask


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing(failure, tmp_path):
    with pytest.raises(failure), staged(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise failure
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError) as caught, staged(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device", "half")
    assert "No space left" in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_an_existing_output_is_refused_or_replaced_whole(tmp_path):
    out = tmp_path / "out"
    fill(out, "old")
    with pytest.raises(OutputError, match="--force"):
        fill(out)
    assert (out / MARK).read_text() == "old"
    (out / "extra").write_text("of the old one")
    fill(out, force=True)
    assert (out / MARK).read_text() == "new" and not (out / "extra").exists()
    assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(ValueError), staged(out, force=True):
        raise ValueError
    assert (out / MARK).read_text() == "new"


def test_replacing_works_where_two_folders_cannot_be_exchanged(tmp_path, monkeypatch):
    fill(tmp_path / "out", "old")
    monkeypatch.setattr("tracelang.checkpoint.output._exchange", lambda one, other: False)
    fill(tmp_path / "out", force=True)
    assert (tmp_path / "out" / MARK).read_text() == "new" and os.listdir(tmp_path) == ["out"]


def test_force_never_replaces_what_is_not_ours(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(home)
    for name in ("home", "file", "link"):
        with pytest.raises(OutputError, match="not an earlier output"):
            fill(tmp_path / name, force=True)
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", force=True)
    for impossible in (tmp_path / "file" / "out", tmp_path.__class__("/")):
        with pytest.raises(OutputError):
            fill(impossible)


def test_folders_above_are_made_and_taken_back_when_it_fails(tmp_path):
    with pytest.raises(ValueError), staged(tmp_path / "a/b/out"):
        raise ValueError
    assert os.listdir(tmp_path) == []
    fill(tmp_path / "a/b/out")
    assert (tmp_path / "a/b/out" / MARK).read_text() == "new" and os.listdir(tmp_path / "a/b") == ["out"]


CODE = """
import sys, time
from pathlib import Path
from tracelang.checkpoint.output import staged
with staged(Path(sys.argv[1]), force=True) as folder:
    (folder / "half").write_text("x")
    print("there", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_output_and_the_next_one_cleans_up(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", CODE, tmp_path / "out"], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"there\n"
        fill(tmp_path / "out", "meanwhile")  # a draft in use is left alone
        assert len(os.listdir(tmp_path)) == 2
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert (tmp_path / "out" / MARK).read_text() == "meanwhile"
    time.sleep(0.01)
    fill(tmp_path / "out", force=True)
    assert os.listdir(tmp_path) == ["out"]
