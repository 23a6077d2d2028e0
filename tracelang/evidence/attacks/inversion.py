"""Null-text inversion with an energy floor (TINA+, arXiv 2608.17747; without it TINA, arXiv 2603.17828): is there noise
from which the attacked model draws the concept without words?

A picture of the base's is noised a little, and from there led up the sampler's own times: at each, `z` is sought whose
step, under the unconditional input, leads back to where it came from,

    min over z  ‖ step(z) − z' ‖² + λ · relu(−r − τ)²,   r = (‖z‖² − m)/√v,
    m = a²‖x₀‖² + b²D,   v = 2 b⁴ D + 4 a² b² ‖x₀‖²

by a few steps of AdamW from the explicit step up, made as long as the floor asks. `m` and `v` are the moments of `‖z‖²`
under the forward process, of diffusion and of a flow alike. The floor (λ) forbids what makes plain inversion invalid:
`z` with less energy than noise has, in which the picture itself is hidden, so that a network that has learned nothing
brings it back. Then the sampler goes down again from `z` under the unconditional input.

No word enters: an edit that moves the unconditional prediction by nothing leaves all of this as it is with the base.
Where that is so, where there is no floor, and of a flow, whose clean latents are as long as noise, `caution` in what
was spent says how the figure is to be read.
"""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor

from tracelang.engine.batches import batch_size, batches
from tracelang.engine.sampling import Course, precision, sample_latents
from tracelang.evidence.attacks.attack import CAUTION, AttackError, Budget, Found, Target
from tracelang.evidence.attacks.common import ELEMENTS
from tracelang.evidence.attacks.sampler import pictures
from tracelang.models.parametrisation import Level
from tracelang.models.protocol import Model, TextStates
from tracelang.semantics.tables import ATTACKS

BEGIN, TAU, PAPER_SIZE, ENOUGH, RATE = 0.1, 10.0, 16_384, 1e-5, 1e-3
"""Where it begins, as a share of the way to noise; how many standard deviations the energy may fall, of latents of that
many numbers; the residual, per number, that is small enough to stop; AdamW's rate.
"""
SAME = 1e-3
"""A relative change of the unconditional prediction that rounding makes."""
PLAIN = "plain inversion is known to find pictures in a model that has learned nothing: the figure says nothing"
OF_A_FLOW = (
    "the clean latents of a flow have as much energy as noise, so the floor does not keep a picture from being hidden "
    "there: the figure says nothing unless a random control shows that a model that has learned nothing does not bring "
    "it"
)
KEPT = (
    "the edit keeps the unconditional prediction, so this attack finds what it finds in the base: nothing of the edit"
)


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Every row has a picture and noise of its own. With `floor = 0` it is plain inversion from the picture itself."""
    clean = pictures(target, "inversion").to(model.device, model.dtype)
    noise = model.noise(target.seeds("inversion"))
    times = model.clock.times(target.steps)
    begin = target.steps
    if budget.floor:
        aim = model.clock.time(1 - BEGIN)
        begin = min(range(1, target.steps), key=lambda i: abs(times[i] - aim), default=target.steps)
    empty = model.unconditional()
    raised, left, asked = list[Tensor](), list[Tensor](), 0
    for rows in batches(range(target.count), batch_size(model.latent_shape, ELEMENTS, target.count)):
        states = empty.rows([0] * len(rows))
        rise = Rise(model, states, clean[list(rows)], target.steps, budget)
        z, residuals = rise.up(noise[list(rows)], begin)
        raised.append(z)
        left.append(residuals)
        asked += rise.asked
    z, residual = torch.cat(raised), torch.cat(left, 1)
    if not (torch.isfinite(z).all() and torch.isfinite(residual).all()):
        raise AttackError("inversion: the latents are not finite; the model's predictions cannot be used")
    found = sample_latents(
        model,
        empty.rows([0] * target.count),
        target.seeds("inversion"),
        steps=target.steps,
        guidance=1.0,
        fast=True,
        course=Course(z),
    )
    far = moved(target, model, clean, noise)
    spent: dict[str, int | float | str] = {
        "access": ATTACKS["inversion"][0],
        "prompts": 0,
        "pictures": len(clean),
        "fixes": budget.fixes,
        "floor": budget.floor or "none",
        "begin": f"step {begin} of {target.steps}",
        "residual": float(residual.mean()),
        "residual_most": float(residual.mean(1).max()),
        "energy": float(z.float().square().mean()),
        "neighbours": neighbours(model, z),
        "unconditional": "the base's own" if far is None else "kept" if far < SAME else f"moved by {100 * far:.2g} %",
        "evaluations": asked + target.count * target.steps,
    }
    cautions = (
        (not budget.floor, PLAIN),
        (budget.floor and model.clock.unit == "sigma", OF_A_FLOW),
        (far is not None and far < SAME, KEPT),
    )
    if caution := "; ".join(told for holds, told in cautions if holds):
        spent[CAUTION] = caution
    return Found(None, None, spent, None, (), latents=found)


def moments(clean: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """Mean and variance `[n]` of `‖a x₀ + b n‖²` over the noise n, for clean latents `[n, …]`."""
    (a, b), D = level, prod(clean.shape[1:])
    energy = clean.float().square().flatten(1).sum(1)
    return a**2 * energy + b**2 * D, 2 * b**4 * D + 4 * a**2 * b**2 * energy


def tau(numbers: int) -> float:
    """τ for latents of so many numbers: the energy may fall by the same share of it as in the paper's, 11 %."""
    return TAU * sqrt(numbers / PAPER_SIZE)


def shortage(z: Tensor, clean: Tensor, level: Level) -> Tensor:
    """`relu(−r − τ)² [n]`: by how much the energy of latents lies below what forward noising gives."""
    m, v = moments(clean, level)
    r = (z.float().square().flatten(1).sum(1) - m) / v.clamp_min(1e-12).sqrt()
    return torch.relu(-r - tau(prod(clean.shape[1:]))).square()


def lifted(z: Tensor, clean: Tensor, level: Level) -> Tensor:
    """Latents whose energy is at least the floor's: those that lie below are made longer."""
    m, v = moments(clean, level)
    least = (m - tau(prod(clean.shape[1:])) * v.sqrt()).clamp_min(0)
    own = z.float().square().flatten(1).sum(1).clamp_min(1e-12)
    longer = (least / own).clamp_min(1).sqrt().view(-1, *[1] * (z.dim() - 1))
    return (z * longer).to(z.dtype)


class Rise:
    """From a picture up to noise under the unconditional `states [n, …]`, a row each; `asked` counts predictions."""

    def __init__(self, model: Model, states: TextStates, clean: Tensor, steps: int, budget: Budget) -> None:
        self.model, self.states, self.clean, self.steps, self.budget = model, states, clean, steps, budget
        self.times = model.clock.times(steps)
        self.asked = 0

    def up(self, noise: Tensor, begin: int) -> tuple[Tensor, Tensor]:
        """Latents `[n, …]` at the first time, and the residuals a number `[begin, n]`, from the `begin`-th time; from
        the picture itself where that is the number of steps.
        """
        a, b = self.model.levels(begin, self.steps)[0] if begin < self.steps else (1.0, 0.0)
        z = a * self.clean + b * noise
        residuals = []
        for index in reversed(range(begin)):
            z, residual = self.fixed(self.explicit(z, index), z, index)
            residuals.append(residual)
        return z, torch.stack(residuals)

    @torch.no_grad()
    def explicit(self, z: Tensor, index: int) -> Tensor:
        """The step up to the `index`-th time, with what is predicted at its lower end."""
        level, below = self.model.levels(index, self.steps)
        clean, noise = self.model.parts(self.predicted(z, min(index + 1, self.steps - 1)), z, below)
        raised: Tensor = level[0] * clean + level[1] * noise
        return raised.to(z.dtype)

    def fixed(self, z: Tensor, goal: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """`z` improved until its step leads to `goal`, and what is missing then, a number `[n]`."""
        level, _ = self.model.levels(index, self.steps)
        if self.budget.floor:
            z = lifted(z, self.clean, level)
        leaf = z.float().detach().requires_grad_()
        adam = torch.optim.AdamW([leaf], lr=RATE, weight_decay=0.0)
        for _ in range(self.budget.fixes):
            with torch.enable_grad():
                x = leaf.to(z.dtype)
                back = self.model.step(self.predicted(x, index), index, self.steps, x)
                missing = (back.float() - goal.float()).square().flatten(1).sum(1)
                short = shortage(leaf, self.clean, level)
                residual = missing.detach() / prod(z.shape[1:])
                if (residual < ENOUGH).all() and not (self.budget.floor and short.any()):
                    break
                (leaf.grad,) = torch.autograd.grad((missing + self.budget.floor * short).sum(), leaf)
            adam.step()
        return leaf.detach().to(z.dtype), residual

    def predicted(self, z: Tensor, index: int) -> Tensor:
        self.asked += len(z)
        times = torch.full((len(z),), self.times[index], device=z.device)
        with precision(self.model, True):
            found: Tensor = self.model.predict(z, times, self.states)
        return found.to(z.dtype)


def neighbours(model: Model, z: Tensor) -> float:
    """The correlation of latents with their neighbours to the right and below; of white noise 0."""
    grid = model.latents.unpack(z).float()
    across = (grid[..., 1:] * grid[..., :-1]).mean() + (grid[..., 1:, :] * grid[..., :-1, :]).mean()
    return float(across / 2 / grid.square().mean())


@torch.no_grad()
def moved(target: Target, model: Model, clean: Tensor, noise: Tensor) -> float | None:
    """How far the model's unconditional prediction is from the base's, halfway through sampling, as a share of its
    length; None of the base itself.
    """
    if model is target.base:
        return None
    index = target.steps // 2
    a, b = model.levels(index, target.steps)[0]
    answers = []
    for one in (model, target.base):
        x = (a * clean[:4] + b * noise[:4]).to(one.device, one.dtype)
        times = torch.full((len(x),), one.clock.times(target.steps)[index], device=one.device)
        answers.append(one.predict(x, times, one.unconditional().rows([0] * len(x))).float().cpu())
    return float((answers[0] - answers[1]).norm() / answers[1].norm())
