"""What is added at run time: a file in a package of tracelang's, and an edit to verify with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.evidence.units import drift, everyday, noise

Add = Callable[[str, str, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Adds a file of this name and text to a package, before the files that are there, until the test is over."""

    def put(package: str, name: str, text: str) -> None:
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(text, "utf-8")
        home = import_module(package)
        monkeypatch.setattr(home, "__path__", [str(folder), *home.__path__])
        for table, key in ((sys.modules, f"{package}.{name}"), (vars(home), name)):
            monkeypatch.setitem(table, key, None)  # what was there comes back
            del table[key]

    return put


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[str], Path]:
    """An edit of `micro-sd` under these expectations."""
    return lambda expect: closed_form(tracelang.compile(RECIPE + expect), tmp_path / "out")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little work beside what is added."""
    monkeypatch.setattr(everyday, "COUNT", everyday.LEAST)
    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)
