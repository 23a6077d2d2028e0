"""Drift: nothing for an edit that does nothing, the truth for one that does, and no picture on the way."""

from __future__ import annotations

from statistics import fmean

import pytest
import torch
from torch import Tensor

from tests.engine.plans import erasure, plan, refine, run
from tests.engine.toy import Toy
from tracelang.engine.errors import EngineError
from tracelang.engine.rollout import Start, predictions, record
from tracelang.engine.seeds import seed
from tracelang.evidence.units.drift import STEPS, drift, levels, relative
from tracelang.evidence.verdicts import spread
from tracelang.models.protocol import TextStates
from tracelang.plan.types import Plan

CLOSED = plan((erasure("cat", anchor=("ship",)),), refine())


def edited(step: Plan = CLOSED) -> Toy:
    after = Toy()
    run(step, Toy(), cache=None).to(after)
    return after


def test_an_edit_that_does_nothing_does_not_drift() -> None:
    assert drift(CLOSED, [("cat",)], Toy(), Toy(), 6, 0) == [(0.0,) * 6]
    found = levels(CLOSED, Toy(), Toy(), 0, 4)
    assert found.erased == found.preserved == (0.0,) * STEPS
    assert list(found.logsnr) == sorted(found.logsnr)


def test_an_edit_moves_what_it_erases_more_than_what_it_preserves() -> None:
    after = edited()
    gone, kept = map(fmean, drift(CLOSED, [("cat",), ("dog",)], Toy(), after, 8, 0))
    assert gone > 2 * kept > 0
    found = levels(CLOSED, Toy(), after, 0, 8)
    assert len(found.erased) == len(found.preserved) == len(found.logsnr) == STEPS
    assert sum(found.erased) > 2 * sum(found.preserved)


def test_drift_is_the_mean_relative_change_and_independent_of_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    base, after = Toy(), edited()
    prompts = ["a cat", "a small kitty", "the cat here", "the small kitty here"]
    starts = [Start(prompts[i % 4], None, seed("drift", prompts[i % 4], i, 3)) for i in range(6)]
    paths = record(base, starts, STEPS, base.guidance)
    assert torch.allclose(predictions(base, paths), paths.conditional, atol=1e-6)
    share = relative(predictions(after, paths) - paths.conditional, paths.conditional)
    found = fmean(drift(CLOSED, [("cat",)], base, after, 6, 3)[0])
    assert found == pytest.approx(float(share.mean()), rel=1e-5)
    assert found != fmean(drift(CLOSED, [("cat",)], base, after, 6, 4)[0])
    monkeypatch.setattr("tracelang.evidence.units.drift.CHUNK", 4)
    assert fmean(drift(CLOSED, [("cat",)], base, after, 6, 3)[0]) == pytest.approx(found, rel=1e-5)


class Silent(Toy):
    """A toy that nobody may ask anything."""

    def predict(self, latents: Tensor, times: Tensor, states: TextStates) -> Tensor:
        raise AssertionError("the denoiser was asked")


def test_of_a_protected_concept_nothing_is_asked() -> None:
    concepts = tuple(
        one.model_copy(update={"kind": "protected"}) if one.name == "cat" else one for one in CLOSED.concepts
    )
    guarded = CLOSED.model_copy(update={"concepts": concepts})
    with pytest.raises(EngineError, match="speaks of cat, which the recipe protects"):
        drift(guarded, [("cat",)], Silent(), Silent(), 4, 0)
    assert levels(guarded, Toy(), edited(), 0, 2).erased == ()
    assert len(drift(CLOSED, [("cat",)], Toy(), edited(), 4, 0)[0]) == 4


def test_the_interval_holds_the_mean_of_many_trajectories_and_narrows_with_their_number() -> None:
    base, after = Toy(), edited()
    few, many = (spread(drift(CLOSED, [("cat",)], base, after, n, 0)[0]) for n in (4, 32))
    assert (few.n, many.n) == (4, 32)
    assert few.low is not None and few.high is not None and many.low is not None and many.high is not None
    assert few.low <= many.mean <= few.high and many.high - many.low < few.high - few.low
    assert spread([0.3]).low is None


def test_a_broken_prediction_is_an_error_and_no_figure() -> None:
    broken = Toy()
    broken.denoiser.outer.weight.data[0, 0] = float("nan")
    with pytest.raises(EngineError, match="NaN"):
        drift(CLOSED, [("cat",)], Toy(), broken, 2, 0)[0]
    with pytest.raises(ValueError, match="no trajectory"):
        drift(CLOSED, [("cat",)], Toy(), Toy(), 0, 0)[0]


def test_a_side_without_members_is_empty() -> None:
    alone = plan((erasure("cat"),), refine(), preserve={})
    found = levels(alone, Toy(), edited(alone), 0, 2)
    assert found.preserved == () and len(found.erased) == STEPS
