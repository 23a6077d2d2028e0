"""What is added at run time: a file in a package of tracelang's, and an edit to verify with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import tracelang
from tests.evidence.edits import RECIPE, closed_form
from tracelang.evidence import everyday
from tracelang.evidence.units import drift, noise

Add = Callable[[ModuleType, str, str], ModuleType]
"""package, name, text → the module of that name in the package."""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    def added(package: ModuleType, name: str, text: str) -> ModuleType:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        module = import_module(f"{package.__name__}.{name}")
        monkeypatch.delattr(package, name, raising=False)
        return module

    return added


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
