"""A base's digest is remembered from one command to the next, and never of a file that changed since."""

import hashlib
import os
import time

import pytest

from tracelang.models import digests, weights


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "LEAST", 1)
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"one")
    return path


def true(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashed(monkeypatch):
    found = []
    monkeypatch.setattr(digests, "sha256", lambda path: found.append(path) or true(path))
    return found


def test_an_old_file_is_hashed_once_and_again_when_anything_of_it_changed(file, monkeypatch):
    seen = hashed(monkeypatch)
    now = time.time()
    monkeypatch.setattr(digests.time, "time", lambda: now + 10)
    assert digests.recalled(file) == digests.recalled(file) == true(file) and len(seen) == 1
    status = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a restored backup has it
    assert digests.recalled(file) == true(file) and len(seen) == 2
    other = file.with_name("y")
    other.write_bytes(b"six")
    other.replace(file)
    assert digests.recalled(file) == true(file) and len(seen) == 3


def test_a_file_written_to_within_its_times_grain_is_not_trusted(file, monkeypatch):
    seen = hashed(monkeypatch)
    assert digests.recalled(file) == digests.recalled(file) == true(file)
    assert len(seen) == 2 and not list(file.parent.glob("cache/digests/*"))


def test_one_that_is_written_to_while_it_is_hashed_is_not_remembered(file, monkeypatch):
    now = time.time()
    monkeypatch.setattr(digests.time, "time", lambda: now + 10)
    monkeypatch.setattr(digests, "sha256", lambda path: (true(path), path.write_bytes(b"more"))[0])
    digests.recalled(file)
    assert not list(file.parent.glob("cache/digests/*"))


def test_a_damaged_memory_is_made_anew(file, monkeypatch):
    now = time.time()
    monkeypatch.setattr(digests.time, "time", lambda: now + 10)
    digests.recalled(file)
    (kept,) = file.parent.glob("cache/digests/*")
    for text in ("{", "[]", kept.read_text().replace(true(file), "zz")):
        kept.write_text(text)
        assert digests.recalled(file) == true(file)


def test_what_vouches_for_a_model_reads_its_bytes(file, monkeypatch):
    monkeypatch.setattr(digests, "recalled", lambda path: pytest.fail("asked the memory"))
    assert weights.sha256(file) == true(file)
