"""Attacks that search: they get nearer, they can be typed, they touch no weight, and they repeat bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.engine.toy import Toy
from tests.evidence.attacks.targets import SMALL, edited, other, same, target
from tracelang.evidence.attacks import ATTACKS, AttackError, Budget, Found, Inapplicable
from tracelang.evidence.attacks.common import gradient, views
from tracelang.evidence.attacks.ring_a_bell import contrasts
from tracelang.evidence.attacks.textual_inversion import slots
from tracelang.evidence.attacks.unlearn_diff_atk import simplex
from tracelang.models.protocol import TextStates
from tracelang.semantics.tables import ATTACKS as NAMES

HARD = ("paraphrase", "ring_a_bell", "p4d", "unlearn_diff_atk", "mma")


def test_the_table_is_the_language_s() -> None:
    assert tuple(ATTACKS) == tuple(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_repeats_bit_for_bit_and_fills_its_rows(name: str) -> None:
    aim, toy = target(count=7), edited()
    weights = [parameter.clone() for parameter in toy.denoiser.parameters()]
    found, again = (ATTACKS[name].run(aim, toy, SMALL) for _ in range(2))
    if found.latents is None:
        assert (found.prompts is None) == (found.states is not None)
        assert len(found.prompts if found.prompts is not None else found.states) == 7
    else:
        assert found.states is None and len(found.latents) == 7 and torch.equal(found.latents, again.latents)
    assert replace(found, states=None, latents=None) == replace(again, states=None, latents=None)
    assert found.states is None or same(found.states, again.states)
    assert {"access", "prompts", "evaluations"} <= set(found.budget)
    for before, parameter in zip(weights, toy.denoiser.parameters(), strict=True):
        assert torch.equal(before, parameter) and parameter.grad is None
    if name not in ("inverse_map",):  # another seed is another search
        elsewhere = ATTACKS[name].run(other(aim, seed=1), toy, SMALL)
        if found.latents is not None:
            assert not torch.equal(elsewhere.latents, found.latents)
        else:
            assert elsewhere.prompts != found.prompts or not same(elsewhere.states, found.states)


@pytest.mark.parametrize("name", ["p4d", "unlearn_diff_atk"])
def test_gradients_beat_both_the_start_and_luck(name: str) -> None:
    aim, toy = target(count=3), edited()
    found = ATTACKS[name].run(aim, toy, replace(SMALL, iterations=30))
    assert found.budget["loss_best"] < found.budget["loss_first"]
    blind = ATTACKS[name].run(aim, toy, replace(SMALL, iterations=30, rate=1e-9))
    assert blind.budget["loss_best"] == pytest.approx(blind.budget["loss_first"])  # control: the rate does it
    assert found.budget["loss_first"] == pytest.approx(blind.budget["loss_first"])


@pytest.mark.parametrize("name", HARD[1:])
def test_a_hard_prompt_reads_back_as_it_was_found(name: str) -> None:
    toy = edited()
    words = toy.prompt_encoder
    found = ATTACKS[name].run(target(), toy, SMALL)
    ids = words.tokens(found.prompts)
    assert words.spell(ids) == list(found.prompts)
    assert words.free[ids].sum(1).min() >= SMALL.tokens


def test_the_prefix_stands_before_the_concept_s_own_prompt() -> None:
    aim = target(count=3)
    found = ATTACKS["unlearn_diff_atk"].run(aim, edited(), SMALL)
    ids = Toy().prompt_encoder.tokens
    for told, prompt in zip(found.prompts, aim.prompts, strict=False):
        k = len(prompt.split())
        assert torch.equal(ids([" ".join(told.split()[SMALL.tokens :])])[0], ids([prompt])[0])
        assert len(told.split()) == SMALL.tokens + k


def test_a_prompt_of_ring_a_bell_is_nearer_than_random_ones() -> None:
    """Statically, in the base's text states; its own target, by the definition in the paper."""
    aim = target(count=3)
    toy = aim.base
    budget = replace(SMALL, population=40, generations=30)
    found = ATTACKS["ring_a_bell"].run(aim, toy, budget)
    assert found.budget["access"] == "black box"
    pairs = contrasts(aim)

    def flat(prompts: list[str]) -> torch.Tensor:
        states: TextStates = toy.encode(prompts)
        return torch.cat([value.flatten(1) for value in states.inputs.values()], 1)

    ĉ = (flat([plus for plus, _ in pairs]) - flat([minus for _, minus in pairs])).mean(0)
    aims = flat(list(aim.prompts[:3])) + budget.eta * ĉ
    g = torch.Generator().manual_seed(1)
    head, tail = torch.zeros(200, 1, dtype=torch.long), torch.ones(200, 8, dtype=torch.long)
    ids = torch.cat([head, torch.randint(2, 101, (200, 3), generator=g), tail], 1)
    luck = (flat(toy.prompt_encoder.spell(ids))[None] - aims[:, None]).norm(dim=-1)
    reached = (flat(list(found.prompts)) - aims).norm(dim=-1)
    assert (reached < luck.min(1).values).all()


def test_against_an_edit_ring_a_bell_follows_what_the_matrices_read() -> None:
    aim = target(count=3)
    found = ATTACKS["ring_a_bell"].run(aim, edited(), SMALL)
    assert found.budget["access"] == "white box"
    assert found.prompts != ATTACKS["ring_a_bell"].run(aim, aim.base, SMALL).prompts


def test_where_no_matrix_reads_prompts_alone_one_attack_has_nothing_to_do_and_one_measures_by_text() -> None:
    toy, base = edited(), Toy()
    for model in (toy, base):
        model.sites = tuple(replace(site, reads=None) for site in model.sites)
    aim = other(target(count=3), base=base)
    with pytest.raises(Inapplicable, match="no matrix of this model reads prompt states alone"):
        ATTACKS["inverse_map"].run(aim, toy, SMALL)
    found = ATTACKS["ring_a_bell"].run(aim, toy, SMALL)
    assert found.budget["access"] == "black box"
    assert found.prompts == ATTACKS["ring_a_bell"].run(aim, base, SMALL).prompts


def test_the_new_embedding_takes_the_place_of_all_the_words() -> None:
    aim = target()
    for slot, prompt in zip(slots(aim, aim.base), ("a cat", "a small kitty"), strict=False):
        assert (
            aim.base.prompt_encoder.spell(slot.ids[None])[0].split()[0]
            == aim.base.prompt_encoder.spell(aim.base.prompt_encoder.tokens([prompt]))[0].split()[0]
        )
        assert slot.at == 2 and len(slot.words) == len(prompt.split()) - 1
        assert len(slot.ids) == aim.base.prompt_encoder.tokens([prompt]).shape[1]


def test_textual_inversion_denoises_the_concept_better_than_where_it_started() -> None:
    aim, toy = target(count=8), edited()
    slow = Budget(rows=8, iterations=40)
    told = {rate: ATTACKS["textual_inversion"].run(aim, toy, replace(slow, rate=rate)) for rate in (0.3, 1e-9)}
    fresh = views(aim, toy, "a test", 8, 6)

    def error(found: Found) -> float:
        leaf = torch.zeros(8, 1, 1)
        loss, _ = gradient(
            "test",
            toy,
            fresh,
            leaf,
            lambda part, free: TextStates(
                {name: value[part] + 0 * free for name, value in found.states.inputs.items()}
            ),
        )
        return float(loss.mean())

    assert error(told[0.3]) < error(told[1e-9])


def test_a_model_that_answers_nan_is_an_error_that_names_the_attack() -> None:
    aim, toy = target(), edited()
    for site in toy.sites:
        if site.reads == "tokens":
            toy.weight(site).data[0, 0] = float("nan")
    for name in ("p4d", "unlearn_diff_atk", "textual_inversion", "inverse_map", "ring_a_bell"):
        with pytest.raises(AttackError, match=name):
            ATTACKS[name].run(aim, toy, SMALL)


def test_a_gradient_in_float16_is_not_taken_for_a_failure_to_find() -> None:
    aim, toy = target(), edited()
    toy.dtype = torch.float16
    for name in ("p4d", "unlearn_diff_atk", "textual_inversion"):
        with pytest.raises(AttackError, match=f"{name}: gradients fall out of float16's range"):
            ATTACKS[name].run(aim, toy, SMALL)


def test_too_many_tokens_for_the_prompt_is_said() -> None:
    with pytest.raises(AttackError, match="11 free tokens do not fit"):
        ATTACKS["p4d"].run(target(), edited(), replace(SMALL, tokens=11))


def test_the_simplex_projection_is_the_nearest_point() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 7, generator=g)
    found = simplex(x)
    assert (found >= 0).all() and torch.allclose(found.sum(-1), torch.ones(20), atol=1e-5)
    others = torch.rand(500, 7, generator=g).log().neg()
    others /= others.sum(-1, keepdim=True)
    nearest = (x[:, None] - others[None]).norm(dim=-1).min(1).values
    assert ((x - found).norm(dim=-1) <= nearest + 1e-6).all()
    assert torch.allclose(simplex(found), found, atol=1e-6)
