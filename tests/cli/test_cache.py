"""`tracec cache` shows and removes what the cache itself wrote, and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from tracelang.cli import main
from tracelang.models import digests, store, text_cache
from tracelang.models.errors import CacheFull


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRACELANG_CACHE_LIMIT", raising=False)
    return tmp_path / "cache"


def cache(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["cache", *words])
    assert result.exit_code == code, result.output
    return result


def told(*words: str) -> dict:
    return json.loads(cache(*words, "--json").stdout)


def held(home: Path) -> Path:
    file = text_cache.path(home / "states", "toy", "a cat")
    store.write(file, {"tokens": torch.ones(2, 3)})
    return file


def test_an_empty_cache_holds_nothing_and_none_is_made(home: Path) -> None:
    assert {kind: one["entries"] for kind, one in told()["kinds"].items()} == dict.fromkeys(told()["kinds"], 0)
    assert told("--clear")["kinds"]["states"]["removed"] == 0 and not home.exists()


def test_what_the_store_wrote_is_counted_and_cleared(home: Path) -> None:
    file = held(home)
    prior = home / "trajectories" / f"prior-{'0' * 64}.safetensors"
    store.write(prior, {"x": torch.ones(1)})
    kinds = told()["kinds"]
    assert kinds["states"]["entries"] == 1 and kinds["states"]["bytes"] == file.stat().st_size
    assert kinds["trajectories"]["entries"] == 1 and "1 held" in cache().stdout
    assert told("--clear", "states")["kinds"]["states"]["removed"] == 1
    assert not file.exists() and prior.exists()
    cache("--clear")
    assert not prior.exists()


def test_digests_are_counted_and_cleared(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "LEAST", 0)
    monkeypatch.setattr(digests, "YOUNG", -1.0)
    (tmp_path / "weights").write_bytes(b"w")
    digests.recalled(tmp_path / "weights")
    (file,) = (home / "digests").iterdir()
    assert told()["kinds"]["digests"]["entries"] == 1
    assert told("--clear", "digests")["kinds"]["digests"]["removed"] == 1 and not file.exists()


def test_nothing_that_is_not_its_own_is_removed(home: Path, tmp_path: Path) -> None:
    file, precious = held(home), tmp_path / "precious.safetensors"
    precious.write_bytes(b"mine")
    (home / "states" / "notes.txt").write_text("mine")
    link = home / "states" / f"{'a' * 64}.safetensors"
    link.symlink_to(precious)
    (home / "states" / f"{'b' * 64}.safetensors").mkdir()
    assert told()["kinds"]["states"]["not_own"] == 3
    cache("--clear")
    assert not file.exists() and precious.read_bytes() == b"mine" and link.is_symlink()
    assert (home / "states" / "notes.txt").exists()


def test_a_linked_folder_is_not_followed(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file = elsewhere / f"{'a' * 64}.safetensors"
    store.write(file, {"x": torch.ones(1)})
    home.mkdir()
    (home / "states").symlink_to(elsewhere)
    assert "a link, which is not followed" in cache("--clear").stdout and file.exists()


def test_folders_go_whole_and_what_their_links_lead_to_stays(home: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "weights").write_text("w")
    single = home / "single" / ("0" * 32)
    single.mkdir(parents=True)
    (single / "vae").symlink_to(base)
    (single / "model_index.json").write_text("{}")
    assert told("--clear", "single")["kinds"]["single"]["removed"] == 1
    assert not single.exists() and (base / "weights").read_text() == "w"


def test_what_is_locked_stays_until_it_is_not(home: Path) -> None:
    file = held(home)
    with file.open("rb") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH)
        assert "1 left that are in use" in cache("--clear").stdout and file.exists()
    cache("--clear")
    assert not file.exists()


def test_a_fresh_draft_is_somebody_s_and_an_old_one_is_nobody_s(home: Path) -> None:
    held(home)
    draft = home / "states" / ".tracec-abc123_x.part"
    draft.write_bytes(b"half")
    cache("--clear")
    assert draft.exists()
    os.utime(draft, (time.time() - 2 * 86400,) * 2)
    cache("--clear")
    assert not draft.exists()


def test_the_limit_is_the_environment_s(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told()["limit"] == 8 * 2**30 and "TRACELANG_CACHE_LIMIT" in cache().stdout
    monkeypatch.setenv("TRACELANG_CACHE_LIMIT", "0.5")
    assert told()["limit"] == 2**29
    monkeypatch.setenv("TRACELANG_CACHE_LIMIT", str(100 / 2**30))
    with pytest.warns(CacheFull, match="at most"):
        store.keep(home / "states" / f"{'c' * 64}.safetensors", {"x": torch.ones(100)})
    assert not list((home / "states").glob("*.safetensors"))


@pytest.mark.parametrize("wrong", ["much", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_said_and_the_usual_one_holds(
    home: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("TRACELANG_CACHE_LIMIT", wrong)
    assert "is a number of GiB" in cache(code=1).stderr
    file = home / "trajectories" / f"{'c' * 64}.safetensors"
    with pytest.warns(CacheFull, match="is a number of GiB"):
        store.keep(file, {"x": torch.ones(1)})
    assert file.exists()
