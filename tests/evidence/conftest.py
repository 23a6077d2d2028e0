"""What all verifications of real edits share here."""

from __future__ import annotations

import pytest

from tracelang.evidence.units import everyday, relearn


@pytest.fixture(autouse=True)
def small_panel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight everyday pictures where they are not what is tested: drawn, judged and told of all the same."""
    if "whole_panel" not in request.fixturenames:
        monkeypatch.setattr(everyday, "COUNT", everyday.LEAST)


@pytest.fixture
def whole_panel() -> None:
    """The everyday panel at its own size."""


@pytest.fixture(autouse=True)
def small_trainings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of one training, few pictures, where relearning is not what is tested: done and told all the same."""
    if "whole_trainings" not in request.fixturenames:
        for name in ("HELD", "KEPT", "FIGURES"):
            monkeypatch.setattr(relearn, name, 2)
        monkeypatch.setattr(relearn, "SEEDS", 1)
        monkeypatch.setattr(relearn, "TURNS", 0)
        for name in ("grid", "fine_grid"):
            monkeypatch.setattr(relearn, name, lambda steps: (0, 1))


@pytest.fixture
def whole_trainings() -> None:
    """Trainings of their own size."""
