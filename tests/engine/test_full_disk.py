"""A disk that fills up: the caches do without, a run's state says so and keeps what it had."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.engine.toy import Toy
from tracelang.engine import state
from tracelang.engine.state import State
from tracelang.models import text_cache


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows past 64 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_cache_is_no_reason_to_stop(tmp_path: Path) -> None:
    with full_disk():
        found = text_cache.cached("toy", ["a cat"], Toy().encode, tmp_path, torch.device("cpu"))
    assert found.inputs["tokens"].equal(Toy().encode(["a cat"]).inputs["tokens"])
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_cannot_be_saved_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "steer-0.safetensors"
    before, after = (State("key", step, {}, (), {"adapter": torch.full((9,), float(step))}) for step in (1, 2))
    state.save(before, path)
    with full_disk(), pytest.raises(OSError, match="large"):
        state.save(after, path)
    found = state.load(path, "key")
    assert found is not None and found.step == 1 and found.tensors["adapter"].equal(before.tensors["adapter"])
