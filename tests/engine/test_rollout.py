"""Trajectories and their cache."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from tests.engine.toy import Toy
from tracelang.engine.cache import cached, key
from tracelang.engine.errors import EngineError
from tracelang.engine.rollout import Trajectories, judged_by, record, starts
from tracelang.engine.seeds import seed
from tracelang.models import store


def some(count: int = 5, anchor: str | None = "a dog") -> tuple[object, ...]:
    return starts([[("a cat", anchor), ("the cat here", anchor)]], count, "train", 0)


def equal(a: Trajectories, b: Trajectories) -> bool:
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


def test_seeds_never_meet_across_purposes() -> None:
    drawn = {seed(purpose, prompt, i, 0) for purpose in ("train", "verify") for prompt in ("a", "b") for i in range(50)}
    assert len(drawn) == 200 and all(0 <= s < 2**63 for s in drawn)
    assert seed("train", "a", 0, 0) == 1277927297584417556
    assert {s.seed for s in some()} & {s.seed for s in starts([[("a cat", None)]], 9, "verify", 0)} == set()


def test_starts_are_dealt_evenly_over_groups_and_prompts() -> None:
    groups = [[(f"{name} {i}", None) for i in range(3)] for name in "ab"]
    dealt = starts(groups, 12, "train", 0)
    assert [start.prompt[0] for start in dealt] == ["a", "b"] * 6
    assert {start.prompt for start in dealt[:6]} == {prompt for group in groups for prompt, _ in group}
    assert len({start.seed for start in dealt}) == 12


def test_a_trajectory_is_guided_sampling_with_its_predictions_kept() -> None:
    model = Toy()
    steps, guidance, group = 4, 3.0, some()
    made = record(model, group, steps, guidance)
    assert made.latents.shape == (5, 4, 4, 4, 4) and made.anchor is not None
    assert sum(model.evaluations) == made.evaluations == 5 * 4 * 3
    with torch.no_grad():
        for n, start in enumerate(group):
            x = model.noise([start.seed])
            for s, time in enumerate(model.clock.times(steps)):
                t = torch.tensor([time])
                c, e, y = (model.predict(x, t, model.encode([p])) for p in (start.prompt, "", "a dog"))
                for held, expected in ((made.latents, x), (made.conditional, c), (made.empty, e), (made.anchor, y)):
                    assert torch.allclose(held[n, s], expected[0], atol=1e-5)
                x = model.step(e + guidance * (c - e), s, steps, x)


def test_judging_the_models_own_trajectories_gives_them_back() -> None:
    model, group = Toy(), some()
    made = record(model, group, 4, 3.0)
    again = judged_by(model, made, group)
    assert torch.allclose(again.conditional, made.conditional, atol=1e-6)
    assert torch.allclose(judged_by(Toy(1), made, group).conditional, made.conditional, atol=1e-3) is False


def test_the_cache_returns_what_was_made_and_makes_again_what_was_damaged(tmp_path: Path) -> None:
    model, calls = Toy(), 0
    name = key(model, some(), 4, 3.0)

    def make() -> Trajectories:
        nonlocal calls
        calls += 1
        return record(model, some(), 4, 3.0)

    first = cached(name, make, tmp_path)
    assert equal(cached(name, make, tmp_path), first) and calls == 1
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damage in (whole[:-5], whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], b"", b"not a tensor file"):
        file.write_bytes(damage)
        calls = 0
        assert equal(cached(name, make, tmp_path), first) and calls == 1
    assert equal(cached(name, make, None), first) and calls == 2


def test_every_fact_that_matters_is_in_the_key() -> None:
    keys = [
        key(Toy(), some(), 4, 3.0),
        key(Toy(1), some(), 4, 3.0),
        key(Toy(), some(4), 4, 3.0),
        key(Toy(), some(anchor=None), 4, 3.0),
        key(Toy(), some(), 5, 3.0),
        key(Toy(), some(), 4, 2.0),
    ]
    assert len(set(keys)) == len(keys)


def test_the_oldest_files_go_first_when_the_cache_is_full(tmp_path: Path) -> None:
    for i in range(4):
        file = tmp_path / f"{i}.safetensors"
        file.write_bytes(bytes(100))
        os.utime(file, (i, i))
    store.write(tmp_path / "new.safetensors", {"x": torch.ones(3)})
    size = (tmp_path / "new.safetensors").stat().st_size
    (tmp_path / "new.safetensors").unlink()
    store.KNOWN[tmp_path] = store._looked_through(tmp_path)
    os.utime(tmp_path / "0.safetensors")  # used since the folder was looked through
    store.keep(tmp_path / "new.safetensors", {"x": torch.ones(3)}, limit=250 + size)
    assert sorted(file.name[0] for file in tmp_path.iterdir()) == ["0", "3", "n"]


def test_a_prediction_that_is_no_number_stops_the_rollout() -> None:
    model = Toy()
    model.denoiser.outer.weight.data[0, 0] = float("nan")
    with pytest.raises(EngineError, match="prediction at time 999"):
        record(model, some(), 4, 3.0)
