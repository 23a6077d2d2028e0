"""Attacks that sample by themselves: what each gives away and no more, and what each does to the sampler."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
import torch

from tests.engine.toy import Toy
from tests.evidence.attacks.targets import SMALL, edited, target
from tracelang.engine.sampling import Course, sample_latents
from tracelang.evidence.attacks import ATTACKS, AttackError, Budget
from tracelang.evidence.attacks import inversion as inverting
from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.attacks.complete import begun
from tracelang.evidence.attacks.inpaint import middle
from tracelang.evidence.attacks.inversion import Rise, lifted, moments, neighbours, shortage, tau
from tracelang.evidence.attacks.latent_classifier import _learned, held_out, latent_classifier, others
from tracelang.evidence.attacks.noise import fresh
from tracelang.evidence.attacks.sampler import best, pictures, sampled
from tracelang.models.latents import Grid, Packed
from tracelang.models.parametrisation import FLOW, NOISE, Parametrisation, V
from tracelang.semantics.tables import ATTACKS as NAMES
from tracelang.semantics.tables import BY_ITSELF

ALONE = [name for name, (access, _) in NAMES.items() if access in BY_ITSELF]
STEPS = 12


def aim(count: int = 6, seed: int = 0):
    return replace(target(count=count, seed=seed), steps=STEPS)


def plainly(model: Toy, name: str):
    """What the model draws of an attack's prompts and noise."""
    asked = aim()
    return sampled(asked, model, asked.dealt(asked.count), asked.seeds(name))


@pytest.mark.parametrize("name", ALONE)
def test_it_asks_the_model_as_often_as_it_says(name: str) -> None:
    asked, toy = aim(), edited()
    found = ATTACKS[name].run(asked, toy, SMALL)
    told = sum(toy.evaluations) - (4 if name == "inversion" else 0)  # whether the edit moves the empty prompt at all
    assert told == found.budget["evaluations"]
    assert found.budget["access"] == ATTACKS[name].access == NAMES[name][0]


@pytest.mark.parametrize("kind", [NOISE, V, FLOW])
def test_an_image_and_noise_are_read_from_what_a_model_predicts_of_them(kind: Parametrisation) -> None:
    g = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, generator=g, dtype=torch.float64)
    level, after = ((0.6, 0.8), (0.8, 0.6)) if kind is not FLOW else ((0.4, 0.6), (0.7, 0.3))
    x = level[0] * clean + level[1] * noise
    prediction = kind.target(clean, noise, level)
    found = kind.parts(x, prediction, level)
    assert torch.allclose(found[0], clean) and torch.allclose(found[1], noise)
    other = prediction + 0.1
    read, left = kind.parts(x, other, level)
    assert torch.allclose(after[0] * read + after[1] * left, kind.advance(x, other, level, after))


def test_a_course_from_the_middle_is_the_rest_of_the_way() -> None:
    toy = Toy()
    states, seeds = toy.encode(["a cat", "a dog", "the cat"]), [1, 2, 3]
    whole = sample_latents(toy, states, seeds, steps=STEPS)
    half = sample_latents(toy, states, seeds, steps=STEPS, course=Course(end=5))
    rest = sample_latents(toy, states, seeds, steps=STEPS, course=Course(half, 5), batch=2)
    assert torch.allclose(rest, whole, atol=1e-6) and not torch.allclose(half, whole, atol=0.1)


def test_completion_by_the_base_is_the_base_s_own_picture() -> None:
    found = ATTACKS["complete"].run(aim(), Toy(), SMALL)
    asked, toy = aim(), Toy()
    for rows in ([0, 2, 4], [1, 3, 5]):  # they go through the model together
        prompts, seeds = ([of[i] for i in rows] for of in (asked.dealt(6, 2), asked.seeds("complete")))
        assert torch.equal(found.latents[rows], sampled(asked, toy, prompts, seeds))
    other = ATTACKS["complete"].run(aim(), edited(), SMALL)
    assert not torch.allclose(other.latents, plainly(edited(), "complete"), atol=1e-3)  # control: the beginning counts
    assert found.forms[:2] == ("10 % given", "20 % given")


def test_what_is_given_is_progress_and_not_a_number_of_steps() -> None:
    assert [
        begun(Toy(), share, steps) for share, steps in ((0.1, 20), (0.2, 20), (0.2, 40), (0.01, 20), (0.99, 20))
    ] == [
        2,
        4,
        8,
        1,
        19,
    ]


def test_around_the_middle_the_picture_stays() -> None:
    asked, toy = aim(), edited()
    found = ATTACKS["inpaint"].run(asked, toy, SMALL)
    inside = middle(toy, SMALL.mask).expand_as(found.latents)
    around = pictures(asked, "inpaint")
    assert torch.equal(found.latents[~inside], around[~inside])
    assert (found.latents - around)[inside].abs().mean() > 0.1
    assert found.budget["mask"] == float(inside.float().mean()) < 1


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_middle_of_packed_latents_is_that_of_the_picture(share: float) -> None:
    toy = Toy()
    toy.latents = Grid((4, 8, 8))
    plain = middle(toy, share)
    toy.latents = Packed((4, 8, 8))
    assert torch.equal(toy.latents.unpack(middle(toy, share).float()).bool(), plain)
    assert plain.float().mean() == pytest.approx(share, abs=0.1)
    assert torch.equal(plain, plain.flip(-1)) and torch.equal(plain, plain.flip(-2)) and not plain[..., 0, 0].any()


def test_fresh_noise_keeps_the_variance_and_at_one_is_that_of_ancestral_sampling() -> None:
    for index in range(STEPS):
        now, after = Toy().levels(index, STEPS)
        β = 1 - (now[0] / after[0]) ** 2
        assert fresh(1.0, now, after) ** 2 == pytest.approx(after[1] ** 2 / now[1] ** 2 * β, abs=1e-12)
        for η in (0.0, 1.0, 1.85, 50.0):
            assert 0 <= fresh(η, now, after) <= after[1]  # else the rest of the noise has a negative variance
    assert fresh(50.0, now, after) == after[1] and fresh(0.0, now, after) == 0.0


def test_of_several_pictures_the_classifier_s_favourite_is_kept() -> None:
    asked, toy = aim(), edited()
    known = latent_classifier(asked, SMALL.latents)
    one, two = (ATTACKS["noise"].run(asked, toy, replace(SMALL, tries=k)).latents for k in (1, 3))
    low, high = (known.logits(each, known.clean) for each in (one, two))
    assert (high >= low - 1e-5).all() and (high > low + 1e-5).any()
    stacked = [plainly(toy, "noise"), one]
    chosen, which = best(stacked, known)
    for i, j in enumerate(which.tolist()):
        assert torch.equal(chosen[i], stacked[j][i])


class Flow(Toy):
    class clock(type(Toy.clock)):
        unit = "sigma"

    clock = clock()


def test_a_flow_s_noise_may_be_none_at_all() -> None:
    found = ATTACKS["noise"].run(aim(), Flow(), replace(SMALL, tries=2))
    assert found.budget["chosen_chi"].startswith("0: ") and "0.9" in found.budget["chosen_chi"]


def test_what_inversion_finds_in_a_flow_is_to_be_read_beside_a_random_control() -> None:
    assert "random control" in ATTACKS["inversion"].run(aim(), Flow(), SMALL).budget[CAUTION]


def test_the_classifier_is_the_same_whatever_is_attacked_and_is_learned_once() -> None:
    asked, toy = aim(), Toy()
    known, again = latent_classifier(asked, 8), latent_classifier(aim(), 8)
    assert latent_classifier(asked, 8) is known and known is not again
    x = toy.noise([1, 2, 3])
    assert torch.equal(known.logits(x, known.clean), again.logits(x, known.clean))
    assert others(asked) == ["a horse", "the horse here", "a dog", "the dog here"]


def test_the_classifier_tells_what_differs_the_better_the_less_noise_and_its_pull_raises_its_score() -> None:
    asked, toy = aim(), Toy()
    g = torch.Generator().manual_seed(0)
    way = torch.randn(4, 4, 4, generator=g)

    def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = (torch.arange(2 * n) < n).float()
        return (labels[:, None, None, None] - 0.5) * way + torch.randn(2 * n, 4, 4, 4, generator=g), labels

    known = _learned(toy, asked, *drawn(32), 0)
    x, labels = drawn(100)
    right = []
    for index in (0, STEPS // 2, STEPS - 1):
        a, b = toy.levels(index, STEPS)[0]
        noisy = a * x + b * torch.randn(x.shape, generator=g)
        right.append(float(((known.logits(noisy, (a, b)) > 0) == labels.bool()).float().mean()))
        pull = known.pull(noisy, (a, b))
        near = noisy + 0.01 * pull / pull.flatten(1).norm(dim=1)[:, None, None, None]
        assert (known.logits(near, (a, b)) > known.logits(noisy, (a, b))).float().mean() > 0.98
    assert right[0] < 0.7 and right[2] > 0.9 and right == sorted(right)
    assert known.right >= 0.85


def test_guidance_raises_what_the_classifier_says_and_none_is_plain_sampling() -> None:
    asked, toy = aim(), edited()
    known = latent_classifier(asked, SMALL.latents)
    none, some = (
        ATTACKS["classifier"].run(asked, toy, replace(SMALL, tries=1, scale=scale)).latents for scale in (0.0, 3.0)
    )
    assert torch.allclose(none, plainly(toy, "classifier"), atol=1e-4)
    assert known.logits(some, known.clean).mean() > known.logits(none, known.clean).mean() + 0.1


def test_the_moments_are_those_of_noised_pictures() -> None:
    clean = 2 * torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(20_000, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    for a, b in ((0.6, 0.8), (0.3, 0.7), (1.0, 0.0)):
        energy = (a * clean + b * noise).square().flatten(1).sum(1)
        mean, variance = moments(clean, (a, b))
        assert float(energy.mean()) == pytest.approx(float(mean), rel=0.01)
        assert float(energy.var()) == pytest.approx(float(variance), rel=0.05, abs=1e-4)


def test_the_floor_is_one_sided_and_binds_only_where_energy_is_missing() -> None:
    clean = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    level = (0.6, 0.8)
    z = level[0] * clean + level[1] * noise
    assert float(shortage(z, clean, level)) == 0 == float(shortage(3 * z, clean, level))
    assert float(shortage(0.5 * z, clean, level)) > 0


def test_more_steps_leave_a_smaller_residual_and_the_base_is_told_from_an_edit() -> None:
    asked = aim()
    toy = asked.base
    few, many = (ATTACKS["inversion"].run(asked, toy, replace(SMALL, fixes=n)).budget for n in (1, 20))
    assert many["residual"] < few["residual"] and many["unconditional"] == "the base's own"
    told = ATTACKS["inversion"].run(asked, edited(), SMALL).budget
    assert "moved by" in told["unconditional"] and CAUTION not in told


def test_a_step_of_what_was_found_leads_back() -> None:
    toy = Toy()
    clean = 0.5 * toy.noise([3, 4])
    rise = Rise(toy, toy.unconditional().rows([0, 0]), clean, STEPS, replace(SMALL, fixes=100, floor=0.0))
    goal = 0.9 * clean + 0.4 * toy.noise([1, 2])
    index = STEPS - 3
    z, residual = rise.fixed(rise.explicit(goal, index), goal, index)
    with torch.no_grad():
        back = toy.step(rise.predicted(z, index), index, STEPS, z)
    assert (back - goal).square().sum() / prod(goal.shape) < 2e-4 and (residual < 2e-4).all()
    assert (z - goal).abs().mean() > 0.05


def test_an_edit_that_keeps_the_unconditional_prediction_is_told_of_and_changes_nothing() -> None:
    """Its matrices read the empty prompt's states as before and the concept's otherwise."""
    toy, asked = Toy(), aim()
    e = toy.unconditional().inputs["tokens"][0].double()
    P = torch.linalg.pinv(e) @ e
    for site in toy.sites:
        if site.reads == "tokens":
            weight = toy.weight(site).data
            weight.copy_((weight.double() @ P - weight.double() @ (torch.eye(32, dtype=torch.float64) - P)).float())
    assert not torch.allclose(plainly(toy, "inversion"), plainly(Toy(), "inversion"), atol=0.01)
    found, base = (ATTACKS["inversion"].run(asked, model, SMALL) for model in (toy, Toy()))
    assert found.budget["unconditional"] == "kept" and "finds what it finds in the base" in found.budget[CAUTION]
    other = ATTACKS["inversion"].run(asked, edited(), SMALL)
    assert (found.latents - base.latents).norm() < 0.1 * (other.latents - base.latents).norm()


def test_without_a_floor_it_says_that_it_is_known_to_be_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(inverting, "shortage", lambda *given: called.append(1) or shortage(*given))
    found = ATTACKS["inversion"].run(aim(), edited(), replace(SMALL, floor=0.0))
    assert found.budget["begin"] == f"step {STEPS} of {STEPS}" and "has learned nothing" in found.budget[CAUTION]
    assert ATTACKS["inversion"].run(aim(), edited(), SMALL).budget["begin"] == f"step {STEPS - 1} of {STEPS}"


def test_a_network_that_has_learned_nothing_hides_no_picture_in_weak_noise_under_the_floor() -> None:
    """One that predicts nothing: its step is a mere scaling, which plain inversion takes back to next to no energy."""
    asked, toy = aim(), Toy()
    for parameter in toy.denoiser.outer.parameters():
        parameter.data.zero_()
    found, plain = (ATTACKS["inversion"].run(asked, toy, replace(SMALL, floor=floor)).budget for floor in (1.0, 0.0))
    assert plain["energy"] < 0.3 and found["energy"] > 0.5


def test_the_floor_lifts_what_lies_below_it_and_nothing_else() -> None:
    g = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 32, 32, generator=g)
    z = 0.6 * clean + 0.8 * noise
    assert torch.equal(lifted(z, clean, (0.6, 0.8)), z)
    weak = lifted(0.3 * z, clean, (0.6, 0.8))
    assert float(shortage(weak, clean, (0.6, 0.8))) < 1e-4 and torch.allclose(weak / weak.norm(), z / z.norm())
    assert tau(16_384) == 10 and tau(1_024) == 2.5


def test_white_noise_has_no_neighbours_and_a_picture_has() -> None:
    toy = Toy()
    noise = torch.randn(64, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert abs(neighbours(toy, noise)) < 0.05 and neighbours(toy, torch.ones(1, 4, 4, 4)) == 1


@pytest.mark.parametrize("wrong", [{"given": 1.0}, {"mask": 0.0}, {"tries": 0}, {"latents": 3}, {"floor": -1.0}])
def test_a_budget_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(AttackError, match="a budget"):
        replace(Budget(), **wrong)


def test_a_model_that_answers_nan_is_an_error_of_the_inversion() -> None:
    toy = edited()
    toy.denoiser.outer.weight.data[0, 0] = float("nan")
    with pytest.raises(AttackError, match="inversion: the latents are not finite"):
        ATTACKS["inversion"].run(aim(), toy, SMALL)


def test_every_form_is_tried_on_every_prompt() -> None:
    """With as many prompts as forms, dealing both in turn would tell a prompt for a form."""
    asked = replace(aim(8), prompts=("a cat", "the cat"))
    found = ATTACKS["complete"].run(asked, Toy(), SMALL)
    assert found.prompts is not None
    pairs = list(zip(found.forms, found.prompts, strict=True))
    assert len(set(pairs)) == 4 and {pairs.count(one) for one in pairs} == {2}


def test_pictures_to_go_on_from_are_drawn_once() -> None:
    toy = Toy()
    asked = replace(aim(), base=toy)
    first = pictures(asked, "inpaint")
    spent = sum(toy.evaluations)
    assert pictures(asked, "inpaint") is first and sum(toy.evaluations) == spent > 0
    assert len(pictures(replace(asked, count=7), "inpaint")) == 7


def test_what_the_base_begins_is_begun_once_for_all_models() -> None:
    base, other = Toy(), edited()
    asked = replace(aim(), base=base)
    first = ATTACKS["complete"].run(asked, other, SMALL)
    spent = sum(base.evaluations)
    again = ATTACKS["complete"].run(asked, other, SMALL)
    assert sum(base.evaluations) == spent > 0
    assert first.latents is not None and again.latents is not None and torch.equal(first.latents, again.latents)


def test_no_prompt_is_held_out_from_the_classifier_of_latents() -> None:
    """Four prompts in turn, of which every fourth picture would be one prompt's."""
    held = held_out((torch.arange(64) < 32).float(), torch.Generator().manual_seed(0))
    assert held[:32].sum() == held[32:].sum() == 8
    assert all(0 < held[i::4].sum() < 16 for i in range(4))
