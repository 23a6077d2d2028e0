"""Training `micro-sd`: a UNet and a CLIP text encoder together, on noise prediction over cached latents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
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


def rate(step: int) -> float:
    """The learning rate of both courses."""
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
    alphas = make_scheduler().alphas_cumprod
    snr = alphas / (1 - alphas)
    balance = snr.clamp(max=SNR_CAP) / snr
    times, states = torch.zeros(BATCH, dtype=torch.long), torch.zeros(BATCH, TOKENS, 128)
    example = latents[:BATCH], times, states
    denoiser = pieces.captured(Guess(unet), tuple(x.to(device).requires_grad_(x is states) for x in example), device)
    parameters = [*unet.parameters(), *text.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)

    def once(step: int) -> float:
        draw = torch.Generator().manual_seed(step + 11 + offset(seed))
        rows = torch.multinomial(chance(weights.things), BATCH, replacement=True, generator=draw)
        clean = latents[rows]
        tokens = ids[rows, torch.randint(CAPTIONS, (BATCH,), generator=draw)]
        # stratified timesteps: less variance for the same expectation
        t = ((torch.arange(BATCH) + torch.rand(BATCH, generator=draw)) / BATCH * 1000).long().clamp_(max=999)
        noise = torch.randn(clean.shape, generator=draw)
        signal = alphas[t].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        noisy, noise, tokens, times, weight = (x.to(device) for x in (noisy, noise, tokens, t, balance[t]))
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        with pieces.autocast(device):
            states = text(tokens).last_hidden_state
            guess = denoiser(noisy, times, states.float())
        loss = ((guess.float() - noise).square().mean((1, 2, 3)) * weight).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(step, DECAY if step < STEPS else FINISH_DECAY)
        return loss.item()

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
