"""The attacks on a model that was really trained, under a closed form that erases for anyone who types."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

import tracelang
from tests.engine.plans import run
from tracelang.engine.sampling import sample_latents
from tracelang.engine.seeds import seed
from tracelang.evidence.attacks import ATTACKS, Budget, Found, Target
from tracelang.evidence.judges import load, named
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts
from tracelang_micro import micro_sd, table
from tracelang_sd import StableDiffusion

N, STEPS = 20, 10


@dataclass(frozen=True)
class Hunt:
    target: Target
    edited: Model

    def cats(self, found: Found) -> int:
        """In how many of the rows, drawn by the edited model, the judge sees a cat."""
        states = self.edited.encode(found.prompts) if found.states is None else found.states
        seeds = [seed("attacked", "cat", i, 0) for i in range(len(states))]
        images = self.edited.decode(sample_latents(self.edited, states, seeds, steps=STEPS))
        return sum("cat" in named(seen.labels["concept"]) for seen in load("micro").look(images))


@pytest.fixture(scope="module")
def aim() -> Hunt:
    base, edited = (StableDiffusion().load(micro_sd(), dtype="float32") for _ in range(2))
    recipe = table.recipe(table.BY_NAME["cat"], "method uce { refine.ridge = 0.01 }", "dog")
    plan = tracelang.compile(recipe)
    run(plan, base).to(edited)
    prompts = tuple(prompt.text for prompt in edit_prompts(plan, ("cat",)))
    clean = sample_latents(base, base.encode(prompts), [seed("clean", text, 0, 0) for text in prompts], steps=STEPS)
    return Hunt(Target(plan, ("cat",), 0, clean, prompts, base, N), edited)


@pytest.mark.slow
def test_the_inverse_map_brings_back_what_no_prompt_does(aim: Hunt) -> None:
    plain = Found(tuple(aim.target.dealt(N)), None, {}, None, ())
    static, adaptive = (ATTACKS["inverse_map"].run(aim.target, m, Budget()) for m in (aim.target.base, aim.edited))
    assert aim.cats(plain) <= 2 and aim.cats(static) <= 2
    assert aim.cats(adaptive) >= 0.7 * N
    assert adaptive.price is not None and adaptive.price < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_runs_on_a_real_model(aim: Hunt, name: str) -> None:
    few = Budget(rows=2, tokens=3, iterations=3, views=1, population=6, generations=3, tries=1, latents=16, fixes=1)
    small = replace(few, length=4, candidates=4)
    found = ATTACKS[name].run(aim.target, aim.edited, small)
    if found.latents is not None:
        assert found.latents.shape == (N, *aim.edited.latent_shape) and found.latents.isfinite().all()
        return
    told = aim.edited.encode(found.prompts) if found.states is None else found.states
    assert len(told) == N and all(value.isfinite().all() for value in told.inputs.values())
    if found.prompts is not None and name != "paraphrase":
        words = aim.edited.prompt_encoder
        assert words.spell(words.tokens(found.prompts)) == list(found.prompts)
        assert len(set(found.prompts)) <= small.rows
    if name in ("p4d", "unlearn_diff_atk"):
        assert found.budget["loss_best"] <= found.budget["loss_first"]
