"""The loss terms: their algebra, their windows, their share of a batch (docs/methods.md §7, item 5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.engine.plans import EARLY, LATE, part, steer, term
from tests.engine.toy import Toy
from tracelang.engine import batch
from tracelang.engine.batch import Slot, draw_batch
from tracelang.engine.rollout import Seen, record, starts
from tracelang.plan.bind import BindError
from tracelang.plan.types import Window
from tracelang.semantics.kinds import Term
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.terms.push import Push

C, E, Y = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def target(one: Term, c: torch.Tensor, e: torch.Tensor, y: torch.Tensor | None, degree: float) -> torch.Tensor:
    return batch.target(one, Seen(c, e, y, c), degree)


def slots(settings: Steer, preserves: bool) -> tuple[Slot, ...]:
    """As a pass is given them that was bound to the toy."""
    bound = part(settings, Toy(), None if preserves else {})
    return batch.slots(settings, bound.met.shares, Toy().clock)


def test_the_push_target_and_the_frozen_prediction_average_to_nothing_at_strength_one() -> None:
    assert torch.allclose((target(term("push"), C, E, None, 1) + C) / 2, E, atol=1e-6)
    assert torch.equal(target(term("push", strength=0), C, E, None, 1), E)
    assert torch.allclose(target(term("push"), C, E, None, 1), C - 2 * (C - E), atol=1e-6)  # ESD's later script, η = 2


def test_with_an_anchor_the_push_starts_from_the_anchor() -> None:
    assert torch.allclose(target(term("push", strength=2), C, E, Y, 1), Y - 2 * (C - E), atol=1e-6)


def test_from_the_anchor_the_push_goes_away_from_the_concept_as_seen_from_there() -> None:
    one = Push(strength=2, from_="anchor")
    assert torch.allclose(target(one, C, E, Y, 1), Y - 2 * (C - Y), atol=1e-6)
    assert torch.equal(target(one, C, E, Y, 1), target(one, C, C, Y, 1)), "of the empty prompt it asks nothing"
    assert not torch.allclose(target(one, C, E, Y, 1), target(term("push", strength=2), C, E, Y, 1))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_degree_goes_from_the_frozen_prediction_to_the_target(p: float) -> None:
    full = target(term("push"), C, E, Y, 1)
    assert torch.allclose(target(term("push"), C, E, Y, p), C + p * (full - C), atol=1e-6)


def test_the_other_terms_ask_for_the_frozen_model() -> None:
    assert target(term("hold"), C, E, Y, 0.5) is C and target(term("keep"), C, E, Y, 1) is C
    assert target(term("blank"), C, E, Y, 1) is E


def test_a_batch_holds_every_terms_rows_inside_its_window() -> None:
    model, settings = Toy(), steer(batch=9, sampler_steps=8)
    share = slots(settings, True)
    assert {slot.term.kind: slot.rows for slot in share} == {"push": 5, "hold": 4, "keep": 9, "blank": 2}
    erased = record(model, starts([[("a cat", None)]], 4, "train", 0), 8, 3.0)
    kept = record(model, starts([[("a dog", None)], [("a horse", None)]], 4, "train", 0), 8, 3.0)
    seen: Counter[tuple[str, bool]] = Counter()
    for i in range(40):
        drawn = draw_batch(share, [erased], kept, torch.tensor([1.0, 0.5] * 2), [1.0], torch.Generator().manual_seed(i))
        late = [model.clock.logsnr(float(t)) >= model.clock.logsnr(model.clock.time(0.25)) for t in drawn.times]
        seen.update(zip(drawn.prompts, late, strict=True))
        assert late[:5] == [True] * 5 and late[5:9] == [False] * 4
        assert drawn.prompts == ("a cat",) * 9 + drawn.prompts[9:18] + ("",) * 2
        weights = dict(zip(drawn.prompts[9:18], drawn.weights[9:18].tolist(), strict=True))
        assert weights == {name: pytest.approx({"a dog": 3 / 9, "a horse": 1.5 / 9}[name]) for name in weights}
        assert float(drawn.weights[:5].sum()) == pytest.approx(1.0) and float(
            drawn.weights[5:9].sum()
        ) == pytest.approx(0.5)
    assert {(name, late) for name in ("a dog", "a horse", "") for late in (True, False)} <= set(seen)


def test_rows_carry_the_targets_of_the_place_they_were_drawn_from() -> None:
    model, settings = Toy(), steer(sampler_steps=4)
    erased = record(model, starts([[("a cat", "a dog")]], 3, "train", 0), 4, 3.0)
    drawn = draw_batch(slots(settings, False), [erased], None, torch.empty(0), [0.5], torch.Generator().manual_seed(0))
    assert len(drawn.prompts) == 8 + 2
    with torch.no_grad():
        for i, (x, t) in enumerate(zip(drawn.latents, drawn.times, strict=True)):
            c, e, y = (model.predict(x[None], t[None], model.encode([p]))[0] for p in ("a cat", "", "a dog"))
            expected = [c + 0.5 * (y - (c - e) - c), c, e][0 if i < 4 else 1 if i < 8 else 2]
            assert torch.allclose(drawn.targets[i], expected, atol=1e-4)


def test_hold_alone_asks_for_the_model_before_the_pass() -> None:
    model, settings = Toy(), steer(sampler_steps=4)
    erased = record(model, starts([[("a cat", None)]], 3, "train", 0), 4, 3.0)
    one = slots(settings, False)
    plain, held = (
        draw_batch(one, [paths], None, torch.empty(0), [1], torch.Generator().manual_seed(0)).targets
        for paths in (erased, replace(erased, before=erased.conditional + 1))
    )
    rows = [1.0 if kind == "hold" else 0.0 for slot in one for kind in [slot.term.kind] * slot.rows]
    assert torch.allclose((held - plain).flatten(1).mean(1), torch.tensor(rows), atol=1e-6) and 1.0 in rows


def test_as_velocities_the_errors_of_noise_count_for_what_they_move_in_the_image() -> None:
    model, settings = Toy(), steer(sampler_steps=4, terms=(term("push", weight=2.0),))
    erased = record(model, starts([[("a cat", None)]], 3, "train", 0), 4, 3.0)
    plain, counted = (
        draw_batch(slots(one, False), [erased], None, torch.empty(0), [1], torch.Generator().manual_seed(0))
        for one in (settings, replace(settings, loss="velocity"))
    )
    assert torch.equal(plain.latents, counted.latents) and torch.equal(plain.targets, counted.targets)
    squares = {t: model.clock.velocity(t) ** 2 for t in model.clock.times(4)}
    ratio = [squares[float(t)] * 4 / sum(squares.values()) for t in counted.times]
    assert (counted.weights / plain.weights).tolist() == pytest.approx(ratio) and len(set(ratio)) > 2


def test_terms_without_weight_or_without_prompts_take_no_rows() -> None:
    settings = steer(terms=(term("push"), term("hold", weight=0), term("keep")))
    assert [(slot.term.kind, slot.rows) for slot in slots(settings, False)] == [("push", 8)]


def test_a_window_without_a_sampler_step_is_an_error() -> None:
    narrow = Window(unit="progress", low=0.501, high=0.502)
    with pytest.raises(BindError, match="window of push holds none of the 5 sampler steps"):
        slots(steer(terms=(term("push", narrow),)), True)
    assert slots(steer(terms=(term("push", EARLY), term("hold", LATE))), True)
