"""Training `micro-flux`: a rectified flow learned from captions, then its guidance distilled into the embedding.

First course: transformer and T5 together on the velocity `v = n − x₀` (arXiv 2209.03003) at guidance 1, with captions
left out now and then. Second: a student learns `v(∅) + g (v(c) − v(∅))` of that frozen teacher for many `g`, told by
the guidance embedding (arXiv 2210.03142, stage one), so that one forward a step is enough. Both are compiled, which
needs a C++ compiler and costs a minute or two at the start.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tracelang.models.latents import pack

from . import flux, pieces
from .captions import TOKENS
from .concepts import THINGS
from .diffusion import Average, chances
from .muon import Muon
from .pictures import Pictures, described
from .trainings import offset
from .unigram import capitalise

if TYPE_CHECKING:
    from diffusers import FluxTransformer2DModel
    from transformers import T5EncoderModel

# A quarter of all pictures are pairs; single things are seen as often as in the 5,000 steps of the first edition.
STEPS, BATCH, RATE, DECAY = 6_700, 64, 1e-3, 0.999
GUIDED_STEPS, GUIDED_RATE, GUIDED_DECAY = 800, 5e-4, 0.995
INNER = 2.0  # the rate of the matrices inside blocks, which Muon trains, over the rate of everything else
HIGHEST = 6.0  # guidance is distilled from 1 up to this
CAPTIONS = 8  # per picture, drawn once
UNPOOLED = 0.2  # how often the pooled path is told nothing, so that T5's states learn to carry the concept alone
UNIFORM = 0.125  # share of σ drawn uniformly, for the ends that the logit-normal leaves out

Weigh = Callable[[int, "FluxTransformer2DModel", "T5EncoderModel"], Tensor | None]
"""step, transformer, T5 → new sampling weights `[len(THINGS)]`, or None to keep them."""


@dataclass(frozen=True)
class Captions:
    """Every distinct caption once: T5's ids `[m, TOKENS]`, CLIP's pooled states `[m, d]`; row 0 is the empty one.

    `of` `[n, CAPTIONS]` are the rows of each picture.
    """

    ids: Tensor
    pooled: Tensor
    of: Tensor


@torch.no_grad()
def captions(
    data: Pictures, frozen: flux.Frozen, seed: int, missing: Collection[str] = (), device: str = "cpu"
) -> Captions:
    """Random captions of every picture, as both text encoders read them; `missing` is what none may hint at."""
    draw = random.Random(f"capitals {seed}")
    texts = [capitalise(draw, text) for text in described(data, CAPTIONS, seed, missing)]
    known = {text: i for i, text in enumerate(dict.fromkeys(["", *texts]))}
    said = {"padding": "max_length", "truncation": True, "max_length": TOKENS, "return_tensors": "pt"}
    ids = frozen.t5_tokenizer(list(known), **said).input_ids
    clip = frozen.clip.to(device)
    told = frozen.clip_tokenizer(list(known), **said).input_ids.split(500)
    pooled = [clip(part.to(device)).pooler_output.cpu() for part in told]
    clip.cpu()
    of = torch.tensor([known[text] for text in texts]).view(len(data.things), CAPTIONS)
    return Captions(ids, torch.cat(pooled), of)


def shift() -> float:
    """μ of FLUX's resolution shift at the embedded model's 64 image tokens."""
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = flux.make_scheduler().config
    mu: float = calculate_shift(
        flux.SIDE**2, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    return mu


def sigmas(n: int, mu: float, draw: torch.Generator) -> Tensor:
    """`n` noise levels: logit-normal (arXiv 2403.03206, §3.1), stratified and shifted by `mu` as in sampling."""
    u = ((torch.arange(n) + torch.rand(n, generator=draw)) / n).clamp(1e-4, 1 - 1e-4)
    sigma = torch.sigmoid(mu + torch.special.ndtri(u))
    return torch.where(torch.rand(n, generator=draw) < UNIFORM, torch.rand(n, generator=draw), sigma)


@dataclass
class Batches:
    """Noisy latents of random pictures with their captions."""

    latents: Tensor
    texts: Captions
    data: Pictures
    weights: torch.nn.Module

    def __post_init__(self) -> None:
        self.mu = shift()
        self.chance = chances(self.data)

    def draw(self, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`x_σ` `[BATCH, 64, 16]`, its velocity, σ `[BATCH]`, and rows of the captions."""
        rows = torch.multinomial(self.chance(self.weights.things), BATCH, replacement=True, generator=draw)
        clean = self.latents[rows]
        said = self.texts.of[rows, torch.randint(CAPTIONS, (BATCH,), generator=draw)]
        sigma = sigmas(BATCH, self.mu, draw)
        noise = torch.randn(clean.shape, generator=draw)
        s = sigma.view(-1, 1, 1)
        return (1 - s) * clean + s * noise, noise - clean, sigma, said


def thing_weights() -> torch.nn.Module:
    """How often each thing is shown, as a module so that it is kept with the training's state."""
    weights = torch.nn.Module()
    weights.register_buffer("things", torch.ones(len(THINGS)))
    return weights


def velocity(
    transformer: FluxTransformer2DModel, x: Tensor, sigma: Tensor, states: Tensor, pooled: Tensor, guidance: Tensor
) -> Tensor:
    """The transformer's answer `[n, 64, 16]`; `guidance` is `[n]`."""
    places, no_places = (part.to(x.device) for part in flux.positions())
    answer: Tensor = transformer(
        hidden_states=x,
        timestep=sigma,
        guidance=guidance,
        encoder_hidden_states=states,
        pooled_projections=pooled,
        img_ids=places,
        txt_ids=no_places,
        return_dict=False,
    )[0]
    return answer


class Optimisers:
    """Muon for the matrices inside `modules`' blocks, AdamW for everything else, both at one rate."""

    def __init__(self, *modules: torch.nn.Module):
        inner, outer = [], []
        for module in modules:
            for name, p in module.named_parameters():
                within = p.ndim == 2 and "block" in name and ".norm" not in name and "bias" not in name
                (inner if within else outer).append(p)
        self.parameters = [*inner, *outer]
        self.parts: dict[str, torch.optim.Optimizer] = {
            "muon": Muon(inner, lr=INNER * RATE, weight_decay=0.1),
            "adamw": torch.optim.AdamW(outer, lr=RATE, betas=(0.9, 0.99), weight_decay=1e-2, fused=True),
        }

    def step(self, loss: Tensor, rate: float) -> float:
        """Descend on `loss`, gradients clipped to norm 1; its value."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for name, optimiser in self.parts.items():
            for group in optimiser.param_groups:
                group["lr"] = rate * (INNER if name == "muon" else 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss.item()


def train(
    data: Pictures,
    latents: Tensor,
    texts: Captions,
    vocabulary: int,
    folder: Path,
    steps: int = STEPS,
    weigh: Weigh | None = None,
    every: int = 250,
    seed: int = 1,
    device: str = "cpu",
) -> tuple[FluxTransformer2DModel, T5EncoderModel, Tensor]:
    """The first course, on latents `[n, 4, 16, 16]`: averaged transformer and T5, and the things' weights."""
    transformer, t5 = flux.exact(flux.make_transformer(seed)).to(device), flux.make_t5(vocabulary, seed).to(device)
    average = Average({"transformer": transformer, "t5": t5})
    weights = thing_weights()
    batches = Batches(pack(latents), texts, data, weights)
    optimisers = Optimisers(transformer, t5)
    compiled = torch.compile(transformer)

    def once(step: int) -> float:
        draw = torch.Generator().manual_seed(step + 31 + offset(seed))
        x, v, sigma, said = batches.draw(draw)
        heard = torch.where(torch.rand(BATCH, generator=draw) < UNPOOLED, 0, said)
        x, v, sigma, ids, pooled = (part.to(device) for part in (x, v, sigma, texts.ids[said], texts.pooled[heard]))
        with pieces.autocast(device):
            states = t5(ids).last_hidden_state
            guess = velocity(compiled, x, sigma, states, pooled, torch.ones_like(sigma))
        loss = optimisers.step((guess - v).square().mean(), pieces.rate(step, steps, RATE))
        average.update(step, DECAY)
        return loss

    def between(step: int) -> None:
        shadow = average.shadow
        if weigh and (found := weigh(step, shadow["transformer"], shadow["t5"])) is not None:
            weights.things.copy_(found)

    pieces.run(
        "flux",
        steps,
        once,
        {
            "transformer": transformer,
            "t5": t5,
            "weights": weights,
            **optimisers.parts,
            "transformer-average": average.shadow["transformer"],
            "t5-average": average.shadow["t5"],
        },
        folder / "flux.pt",
        every,
        between,
    )
    return average.shadow["transformer"], average.shadow["t5"], weights.things


def distil(
    teacher: FluxTransformer2DModel,
    t5: T5EncoderModel,
    things: Tensor,
    data: Pictures,
    latents: Tensor,
    texts: Captions,
    folder: Path,
    steps: int = GUIDED_STEPS,
    every: int = 250,
    seed: int = 1,
    device: str = "cpu",
) -> FluxTransformer2DModel:
    """The second course: the student's averaged transformer, which hears guidance from its embedding. T5 stays."""
    student = copy.deepcopy(teacher).train().requires_grad_(True)
    teacher, t5 = teacher.eval().requires_grad_(False), t5.eval().requires_grad_(False)
    average = Average({"transformer": student})
    weights = thing_weights()
    weights.things.copy_(things)
    batches = Batches(pack(latents), texts, data, weights)
    optimisers = Optimisers(student)
    nothing = torch.zeros(BATCH, dtype=torch.long)
    asked, learner = torch.compile(teacher), torch.compile(student)

    def once(step: int) -> float:
        draw = torch.Generator().manual_seed(step + 37 + offset(seed))
        x, _, sigma, said = batches.draw(draw)
        g = 1 + (HIGHEST - 1) * torch.rand(BATCH, generator=draw)
        rows = torch.cat([nothing, said])
        x, sigma, g, ids, pooled = (part.to(device) for part in (x, sigma, g, texts.ids[rows], texts.pooled[rows]))
        with pieces.autocast(device):
            with torch.no_grad():
                states, twice = t5(ids).last_hidden_state, sigma.repeat(2)
                blank, full = velocity(asked, x.repeat(2, 1, 1), twice, states, pooled, torch.ones_like(twice)).chunk(2)
                wanted = blank + g.view(-1, 1, 1) * (full - blank)
            guess = velocity(learner, x, sigma, states[BATCH:], pooled[BATCH:], g)
        loss = optimisers.step((guess - wanted).square().mean(), pieces.rate(step, steps, GUIDED_RATE, warm=50))
        average.update(step, GUIDED_DECAY)
        return loss

    pieces.run(
        "flux-guidance",
        steps,
        once,
        {
            "transformer": student,
            **optimisers.parts,
            "average": average.shadow["transformer"],
        },
        folder / "flux-guidance.pt",
        every,
    )
    return average.shadow["transformer"]
