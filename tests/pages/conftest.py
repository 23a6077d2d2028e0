from __future__ import annotations

from pathlib import Path

import pytest

from tests.random_sd import build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def here(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in with a cache of its own and the model `tiny`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny").symlink_to(tiny, target_is_directory=True)
    return tmp_path
