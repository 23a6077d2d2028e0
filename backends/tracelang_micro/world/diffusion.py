"""Training `micro-sd`: a UNet and a CLIP text encoder together, on noise prediction over cached latents; then the UNet
alone, on pairs above all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from . import pieces
from .captions import TOKENS
from .concepts import THINGS
from .pictures import ALONE, Pictures, described
from .trainings import offset

if TYPE_CHECKING:
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

# A quarter of all pictures are pairs; single things are seen as often as in the 6,500 steps of the first edition.
STEPS, BATCH, RATE = 6700, 64, 1e-3
FINISH, FINISH_RATE, FINISH_DECAY = 2000, 4e-4, 0.997  # a second, shorter course that leans on the weak concepts
COMPOSE, COMPOSE_RATE, PAIRED = 5000, 4e-4, 4.0  # a third course: a pair is drawn so many times as often as one thing
CAPTIONS = 8  # per picture, drawn once
DECAY = 0.9995
SNR_CAP = 5.0  # min-SNR-γ weighting (arXiv 2303.09556), γ = 5


def make_unet(seed: int = 1) -> UNet2DConditionModel:
    """The untrained UNet (3.98 M parameters): cross-attention at 8×8, as SD 1.x has it at its coarser grids."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    torch.manual_seed(2 + offset(seed))
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=(2, 4),
        norm_num_groups=16,
    )
    unet.set_attn_processor(AttnProcessor())  # on CPUs the fused attention has a slow backward
    return unet


def make_text(vocabulary: int, start: int, end: int, seed: int = 1) -> CLIPTextModel:
    """The untrained text encoder (0.74 M parameters), CLIP's architecture."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(3 + offset(seed))
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
            projection_dim=128,
        )
    )


def make_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, sampled with DDIM."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def captions(data: Pictures, tokenizer: CLIPTokenizer, seed: int, missing: Collection[str] = ()) -> torch.Tensor:
    """Token ids `[n, CAPTIONS, TOKENS]` int64 of random captions of every picture."""
    texts = described(data, CAPTIONS, seed, missing)
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids
    return ids.view(len(data.things), CAPTIONS, TOKENS)


def chances(data: Pictures) -> Callable[[torch.Tensor], torch.Tensor]:
    """From weights `[len(THINGS)]` to each picture's: its thing's, of a pair the mean of both."""
    here, beside = torch.from_numpy(data.things), torch.from_numpy(data.beside)
    right = torch.where(beside == ALONE, here, beside)
    return lambda weights: (weights[here] + weights[right]) / 2


def leaning(data: Pictures) -> torch.Tensor:
    """The third course's chance of each picture, not normalised."""
    return torch.where(torch.from_numpy(data.beside) == ALONE, 1.0, PAIRED)


class Guess(torch.nn.Module):
    """The UNet's answer as a tensor, of tensors alone."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.unet(noisy, times, states, return_dict=False)[0]
        return answer


@dataclass
class Average:
    """Exponential moving averages of several modules' parameters."""

    modules: dict[str, torch.nn.Module]

    def __post_init__(self) -> None:
        self.shadow = {name: copy.deepcopy(module).eval() for name, module in self.modules.items()}

    @torch.no_grad()
    def update(self, step: int, most: float) -> None:
        """Move towards the modules, by `most` as decay and by less in the first steps."""
        decay = min(most, (1 + step) / (10 + step))
        for name, module in self.modules.items():
            old = list(self.shadow[name].parameters())
            torch._foreach_lerp_(old, list(module.parameters()), 1 - decay)


@dataclass(frozen=True)
class Batch:
    """One step's rows: noisy latents, times `[n]`, token ids, the noise to be told, and each row's weight."""

    noisy: torch.Tensor
    times: torch.Tensor
    tokens: torch.Tensor
    noise: torch.Tensor
    weight: torch.Tensor

    def to(self, device: str) -> Batch:
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))

    def loss(self, guess: torch.Tensor) -> torch.Tensor:
        return ((guess.float() - self.noise).square().mean((1, 2, 3)) * self.weight).mean()


def drawn(latents: torch.Tensor, ids: torch.Tensor, chance: torch.Tensor, draw: torch.Generator) -> Batch:
    """A batch of pictures, each as likely as `chance` `[n]` says, with a caption and a time of its own."""
    alphas = make_scheduler().alphas_cumprod
    snr = alphas / (1 - alphas)
    rows = torch.multinomial(chance, BATCH, replacement=True, generator=draw)
    clean = latents[rows]
    tokens = ids[rows, torch.randint(CAPTIONS, (BATCH,), generator=draw)]
    # stratified timesteps: less variance for the same expectation
    t = ((torch.arange(BATCH) + torch.rand(BATCH, generator=draw)) / BATCH * 1000).long().clamp_(max=999)
    noise = torch.randn(clean.shape, generator=draw)
    signal = alphas[t].view(-1, 1, 1, 1)
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    return Batch(noisy, t, tokens, noise, (snr.clamp(max=SNR_CAP) / snr)[t])


def guessing(unet: UNet2DConditionModel, latents: torch.Tensor, device: str, *, states: bool) -> torch.nn.Module:
    """The UNet for batches of training; `states` says whether gradients flow back into the text's states."""
    times, text = torch.zeros(BATCH, dtype=torch.long), torch.zeros(BATCH, TOKENS, 128)
    example = tuple(x.to(device) for x in (latents[:BATCH], times, text))
    example[2].requires_grad_(states)
    return pieces.captured(Guess(unet), example, device)


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters: list[torch.nn.Parameter]) -> float:
    """One step down; the loss as a number."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    return loss.item()


def rate(step: int) -> float:
    """The learning rate of the first two courses."""
    if step < STEPS:
        return pieces.rate(step, STEPS, RATE)
    return pieces.rate(step - STEPS, FINISH, FINISH_RATE, warm=50)


def train(
    data: Pictures,
    latents: torch.Tensor,
    tokenizer: CLIPTokenizer,
    folder: Path,
    steps: int = STEPS + FINISH,
    weigh: Callable[[int, UNet2DConditionModel, CLIPTextModel], torch.Tensor | None] | None = None,
    seed: int = 1,
    missing: Collection[str] = (),
    device: str = "cpu",
    every: int = 500,
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train and return the averaged UNet and text encoder. `missing` is what no caption may hint at.

    `weigh(step, unet, text)` may return new sampling weights `[len(THINGS)]`, so that weak concepts are seen more.
    """
    unet, text = make_unet(seed), make_text(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id, seed)
    text.train()
    for part in (unet, text):
        part.to(device)
    average = Average({"unet": unet, "text": text})
    weights = torch.nn.Module()
    weights.register_buffer("things", torch.ones(len(THINGS)))
    ids, chance = captions(data, tokenizer, 4 + offset(seed), missing), chances(data)
    denoiser = guessing(unet, latents, device, states=True)
    parameters = [*unet.parameters(), *text.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)

    def once(step: int) -> float:
        draw = torch.Generator().manual_seed(step + 11 + offset(seed))
        batch = drawn(latents, ids, chance(weights.things), draw).to(device)
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        with pieces.autocast(device):
            states = text(batch.tokens).last_hidden_state
            guess = denoiser(batch.noisy, batch.times, states.float())
        loss = descend(optimiser, batch.loss(guess), parameters)
        average.update(step, DECAY if step < STEPS else FINISH_DECAY)
        return loss

    def between(step: int) -> None:
        if weigh and (found := weigh(step, average.shadow["unet"], average.shadow["text"])) is not None:
            weights.things.copy_(found)

    pieces.run(
        "diffusion",
        steps,
        once,
        {
            "unet": unet,
            "text": text,
            "optimiser": optimiser,
            "weights": weights,
            "unet-average": average.shadow["unet"],
            "text-average": average.shadow["text"],
        },
        folder / "diffusion.pt",
        every,
        between,
    )
    return average.shadow["unet"], average.shadow["text"]


def compose(
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    data: Pictures,
    latents: torch.Tensor,
    tokenizer: CLIPTokenizer,
    folder: Path,
    steps: int = COMPOSE,
    seed: int = 1,
    missing: Collection[str] = (),
    device: str = "cpu",
    every: int = 500,
    between: Callable[[int, UNet2DConditionModel], None] | None = None,
) -> UNet2DConditionModel:
    """The third course: train `unet` on pairs above all, and return its average. The text encoder stays what it is.

    `between(step, unet)` is told the average as it stands.
    """
    unet, text = unet.to(device).train(), text.to(device).eval().requires_grad_(False)
    average = Average({"unet": unet})
    ids, chance = captions(data, tokenizer, 5 + offset(seed), missing), leaning(data)
    denoiser, parameters = guessing(unet, latents, device, states=False), list(unet.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=COMPOSE_RATE, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)

    def once(step: int) -> float:
        batch = drawn(latents, ids, chance, torch.Generator().manual_seed(step + 500_011 + offset(seed))).to(device)
        for group in optimiser.param_groups:
            group["lr"] = pieces.rate(step, steps, COMPOSE_RATE)
        with torch.no_grad():
            states = text(batch.tokens).last_hidden_state
        with pieces.autocast(device):
            guess = denoiser(batch.noisy, batch.times, states.float())
        loss = descend(optimiser, batch.loss(guess), parameters)
        average.update(step, FINISH_DECAY)
        return loss

    told = (lambda step: between(step, average.shadow["unet"])) if between else None
    parts = {"unet": unet, "optimiser": optimiser, "unet-average": average.shadow["unet"]}
    pieces.run("compose", steps, once, parts, folder / "compose.pt", every, told)
    return average.shadow["unet"]
