"""A file appears whole or not at all, whatever stops the writing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tracelang.files import contents, whole, write_text


def full(_: int) -> None:
    raise OSError("full")


def test_a_stopped_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "x", "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old" and os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_writer_that_fails_leaves_the_old_file_and_no_draft(error, tmp_path):
    file = tmp_path / "x"
    file.write_text("old")
    with pytest.raises(error if isinstance(error, type) else OSError) as caught, whole(file) as draft:
        draft.write_text("half")
        raise error
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["x"]
    assert not isinstance(error, OSError) or caught.value.filename == str(file)


def test_file_and_folder_are_on_the_disk_before_it_is_said_to_be_written(tmp_path, monkeypatch):
    folders: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda handle: folders.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    write_text(tmp_path / "deep/x", "é\n")
    assert folders == [False, True] and (tmp_path / "deep/x").read_bytes() == "é\n".encode()


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "x")
        (tmp_path / "old").touch(0o600)
        write_text(tmp_path / "old", "x")
    finally:
        os.umask(mask)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old")] == [0o640, 0o600]


def test_without_force_what_another_wrote_meanwhile_stays(tmp_path):
    with pytest.raises(FileExistsError), whole(tmp_path / "x", force=False) as draft:
        draft.write_text("mine")
        (tmp_path / "x").write_text("theirs")
    assert (tmp_path / "x").read_text() == "theirs" and os.listdir(tmp_path) == ["x"]


def test_a_pipe_or_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    """Who gives `--key <(…)` or a pipe that nobody writes into gets a line, at once; a link leads to its file."""
    pipe, file, link = (tmp_path / name for name in ("pipe", "file", "link"))
    os.mkfifo(pipe)
    file.write_bytes(b"12345")
    link.symlink_to(file)
    for place in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            contents(place, 3)
    assert contents(link, 3) == b"1234" and contents(file, 9) == b"12345"
