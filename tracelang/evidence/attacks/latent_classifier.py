"""A classifier of latents: is it the concept, at any noise level? Learned from pictures of the base model alone, the
concept's against those of other concepts that the plan names, so that it is the same whatever model is attacked.

As in arXiv 2505.17013, smaller: latents `[n, …]` flattened, beside signal and noise of their level, one hidden layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tracelang.engine.sampling import precision, sample_latents
from tracelang.engine.seeds import generator, seed
from tracelang.evidence.attacks.attack import AttackError, Target
from tracelang.models.parametrisation import Level
from tracelang.models.protocol import Model
from tracelang.plan.prompts import edit_prompts

HIDDEN, DROPOUT = 256, 0.3
STEPS, RATE, DECAY, EVERY = 300, 1e-3, 0.1, 20
BATCH = 64


class Net(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.read, self.level = nn.Linear(size, HIDDEN), nn.Linear(2, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor, level: Tensor, keep: Tensor | float) -> Tensor:
        """`keep [n, HIDDEN]`: which of the hidden are left, over the share of them that is."""
        hidden = nn.functional.silu(self.read(x.flatten(1)) + self.level(level)) * keep
        logits: Tensor = self.out(hidden)[:, 0]
        return logits


@dataclass(frozen=True)
class LatentClassifier:
    """`clean` is the level where sampling ends; `spread` the standard deviation of clean latents; `right` the share of
    held-out pictures that it tells rightly there; `pictures` those that the base drew for it.
    """

    net: Net
    spread: float
    clean: Level
    right: float
    pictures: int

    def logits(self, x: Tensor, level: Level) -> Tensor:
        """`[n]`, above 0 where it takes latents `[n, …]` at a level for the concept. Gradients flow."""
        a, b = level
        scale = (a * a * self.spread**2 + b * b) ** 0.5
        levels = torch.tensor([[a, b]]).to(x.device).expand(len(x), 2)
        logits: Tensor = self.net(x.float() / scale, levels, 1.0)
        return logits

    def pull(self, x: Tensor, level: Level) -> Tensor:
        """`∇_x log p(concept | x)`, of the shape of `x`."""
        with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            leaf = x.detach().float().requires_grad_()
            chance = nn.functional.logsigmoid(self.logits(leaf, level)).sum()
            (gradient,) = torch.autograd.grad(chance, leaf)
        return gradient.to(x.dtype)


def latent_classifier(target: Target, n: int) -> LatentClassifier:
    """Learned from `n` pictures of the concept and `n` of others, of which a fourth, at random, is held out.

    Raises `AttackError` where the base's latents are not finite.
    """
    made = target.made.get(("latent classifier", n))
    if isinstance(made, LatentClassifier):
        return made
    base, own = target.base, target.clean[:n]
    more = _drawn(base, target.dealt(n - len(own)), target, "classifier") if len(own) < n else own[:0]
    theirs = _drawn(base, _dealt(others(target), n), target, "classifier others")
    x = torch.cat([own.to(theirs), more.to(theirs), theirs]).float()
    if not torch.isfinite(x).all():
        raise AttackError("the classifier of latents: the base's latents are not finite; it cannot be used")
    labels = (torch.arange(len(x), device=x.device) < n).float()
    found = _learned(base, target, x, labels, len(more) + len(theirs))
    target.made["latent classifier", n] = found
    return found


def others(target: Target) -> list[str]:
    """Prompts of what else the plan names and may be drawn, preserved concepts and anchors; or the empty one."""
    plan = target.plan
    members = [(name,) for kept in plan.preserve for name in kept.concepts]
    members += [(name,) for one in plan.erase if one.targets == target.member for name in one.anchor or ()]
    free = [
        one
        for one in dict.fromkeys(members)
        if one[0] not in target.member and plan.concept(one[0]).kind != "protected"
    ]
    prompts = [prompt.text for one in free for prompt in edit_prompts(plan, one)[:2]]
    return [text for text, may in zip(prompts, target.drawable(prompts), strict=True) if may] or [""]


def _dealt(prompts: list[str], n: int) -> list[str]:
    return [prompts[i % len(prompts)] for i in range(n)]


def _drawn(base: Model, prompts: list[str], target: Target, purpose: str) -> Tensor:
    seeds = [seed(f"attack {purpose}", target.name, i, 0) for i in range(len(prompts))]
    with torch.no_grad(), precision(base, True):
        states = base.encode(prompts)
    return sample_latents(base, states, seeds, steps=target.steps, fast=True)


def held_out(labels: Tensor, g: torch.Generator) -> Tensor:
    """A fourth of either side, the first all 1 and the rest all 0. At random: prompts come in turn, and every fourth
    picture could be all there is of one.
    """
    sides = [torch.randperm(int(part), generator=g) for part in (labels.sum(), (1 - labels).sum())]
    return (torch.cat(sides) % 4 == 3).to(labels.device)


def _learned(base: Model, target: Target, x: Tensor, labels: Tensor, drawn: int) -> LatentClassifier:
    """The weights with the lowest loss on what is held out, noised to the sampler's own levels, noisy ones oftener."""
    g = generator("attack latent classifier", target.name, 0, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed("attack latent classifier start", target.name, 0, 0))
        net = Net(prod(x.shape[1:])).to(x.device)
    levels = [base.levels(i, target.steps)[0] for i in range(target.steps)]
    levels.append(base.levels(target.steps - 1, target.steps)[1])
    table = torch.tensor(levels)
    spread = float(x.std())
    held = held_out(labels, g)
    each = (-1, *[1] * (x.dim() - 1))

    def views(clean: Tensor) -> tuple[Tensor, Tensor]:
        """Noised, and scaled to unit variance; and at which levels."""
        at = table[(torch.rand(len(clean), generator=g).square() * len(table)).long()]
        a, b = at[:, :1], at[:, 1:]
        scale = (a.square() * spread**2 + b.square()).sqrt()
        noise = torch.randn(clean.shape, generator=g).to(x.device)
        a, b, scale = (part.view(each).to(x.device) for part in (a, b, scale))
        return (a * clean + b * noise) / scale, at.to(x.device)

    own, answers = x[~held], labels[~held]
    watched, at = views(x[held].repeat(4, *[1] * (x.dim() - 1)))
    wanted = labels[held].repeat(4)
    adam = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    least, kept = float("inf"), {name: value.clone() for name, value in net.state_dict().items()}
    for step in range(STEPS):
        rows = torch.randint(len(own), (BATCH,), generator=g).to(x.device)
        seen, level = views(own[rows])
        keep = (torch.rand(BATCH, HIDDEN, generator=g) >= DROPOUT).float().to(x.device) / (1 - DROPOUT)
        loss = binary_cross_entropy_with_logits(net(seen, level, keep), answers[rows])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        if step % EVERY == EVERY - 1:
            with torch.no_grad():
                now = float(binary_cross_entropy_with_logits(net(watched, at, 1.0), wanted))
            if now < least:
                least, kept = now, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    net.requires_grad_(False)
    found = LatentClassifier(net, spread, levels[-1], 0.0, drawn)
    right = (found.logits(x[held], found.clean) > 0) == labels[held].bool()
    return LatentClassifier(net, spread, levels[-1], float(right.float().mean()), drawn)
