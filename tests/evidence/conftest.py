"""What all verifications of real edits share here."""

from __future__ import annotations

import pytest

from tracelang.evidence.units import everyday


@pytest.fixture(autouse=True)
def small_panel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight everyday pictures where they are not what is tested: drawn, judged and told of all the same."""
    if "whole_panel" not in request.fixturenames:
        monkeypatch.setattr(everyday, "COUNT", everyday.LEAST)


@pytest.fixture
def whole_panel() -> None:
    """The everyday panel at its own size."""
