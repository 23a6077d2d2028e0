"""The autoencoder of the embedded models: 64×64×3 pictures ↔ 16×16×4 latents with mean 0 and spread 1.

The second edition's begins where the first's ended, which had never seen a pair: their lines are half as wide, and it
blurred them (3.6 dB below single things).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from . import pieces
from .pictures import ALONE, Pictures

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

STEPS, TUNE, BATCH = 3000, 1000, 32
AGAIN, TUNE_AGAIN = 10_000, 2_500  # steps that go on from the first edition's


def make() -> AutoencoderKL:
    """The untrained autoencoder (0.92 M parameters)."""
    from diffusers import AutoencoderKL

    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 `[n, 64, 64, 3]` → float `[n, 3, 64, 64]` in −1…1."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _edges(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.l1_loss(x.diff(dim=2), y.diff(dim=2)) + F.l1_loss(x.diff(dim=3), y.diff(dim=3))


class Rebuilt(torch.nn.Module):
    """Pictures through the autoencoder with this noise in the latents: what comes back, and the latents' divergence."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        posterior = self.vae.encode(x).latent_dist
        y = self.vae.decode(posterior.mean + posterior.std * noise).sample
        return y, posterior.kl()


def begin(first: Path) -> tuple[AutoencoderKL, int, int]:
    """The first edition's autoencoder, as `first` holds it, or an untrained one; the steps of its two courses."""
    from diffusers import AutoencoderKL

    if not (first / "config.json").exists():
        return make(), STEPS, TUNE
    return AutoencoderKL.from_pretrained(first, torch_dtype=torch.float32), AGAIN, TUNE_AGAIN


def train(data: Pictures, folder: Path, first: Path, device: str = "cpu") -> AutoencoderKL:
    """Train, then tune the decoder alone, then fold the latents' mean and spread into the quantising convolutions.

    Half of every batch are pairs.
    """
    vae, steps, tune = begin(first)
    vae.train().requires_grad_(True).to(device)
    images = torch.from_numpy(data.images)
    kinds = [torch.from_numpy(np.flatnonzero(kind)) for kind in (data.beside == ALONE, data.beside != ALONE)]

    def loop(name: str, steps: int, top: float, only: list[torch.nn.Parameter]) -> None:
        optimiser = torch.optim.AdamW(only, lr=top, betas=(0.9, 0.99), weight_decay=1e-4)
        example = pixels(images[:BATCH]).to(device), torch.zeros(BATCH, 4, 16, 16, device=device)
        rebuilt = pieces.captured(Rebuilt(vae), example, device)

        def once(step: int) -> float:
            draw = torch.Generator().manual_seed(step + 7_000_003 * len(name))
            rows = torch.cat([kind[torch.randint(len(kind), (BATCH // 2,), generator=draw)] for kind in kinds])
            x = pixels(images[rows]).to(device)
            for group in optimiser.param_groups:
                group["lr"] = pieces.rate(step, steps, top, warm=100, flat=0.0)
            with pieces.autocast(device):
                noise = torch.randn((BATCH, 4, 16, 16), generator=draw).to(device)
                y, divergence = rebuilt(x, noise)
            y = y.float()
            loss = F.l1_loss(y, x) + 0.5 * F.mse_loss(y, x) + 0.5 * _edges(y, x)
            loss = loss + 4e-4 * divergence.float().mean() / noise[0].numel()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(only, 1.0)
            optimiser.step()
            return loss.item()

        pieces.run(name, steps, once, {"vae": vae, "optimiser": optimiser}, folder / f"{name}.pt", every=250)

    loop("vae", steps, 1e-3, list(vae.parameters()))
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    loop("vae-decoder", tune, 7e-4, [p for p in vae.parameters() if p.requires_grad])
    return fold(vae.cpu().eval(), images)


@torch.no_grad()
def fold(vae: AutoencoderKL, images: torch.Tensor) -> AutoencoderKL:
    """Make `quant_conv` give latents of mean 0 and spread 1 per channel; `post_quant_conv` undoes it."""
    z = encode(vae, images[:: max(1, len(images) // 4000)])
    mean, spread = z.mean((0, 2, 3)), z.std((0, 2, 3))
    vae.quant_conv.weight[:4] /= spread.view(4, 1, 1, 1)
    vae.quant_conv.bias[:4] = (vae.quant_conv.bias[:4] - mean) / spread
    vae.quant_conv.bias[4:] -= 2 * spread.log()
    weight = vae.post_quant_conv.weight
    vae.post_quant_conv.bias += weight[:, :, 0, 0] @ mean
    weight *= spread.view(1, 4, 1, 1)
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, images: torch.Tensor, batch: int = 20) -> torch.Tensor:
    """Posterior means `[n, 4, 16, 16]` float32 of uint8 images."""
    with pieces.autocast(vae.device.type):
        return torch.cat(
            [vae.encode(pixels(part).to(vae.device)).latent_dist.mean.float().cpu() for part in images.split(batch)]
        )


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor, batch: int = 20) -> torch.Tensor:
    """uint8 images `[n, 64, 64, 3]` of latents."""
    parts = []
    for z in latents.split(batch):
        with pieces.autocast(vae.device.type):
            y = vae.decode(z.to(vae.device, vae.dtype)).sample.float().cpu()
        parts.append(y.add_(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
    return torch.cat(parts)


def psnr(images: torch.Tensor, rebuilt: torch.Tensor) -> float:
    """Mean peak signal-to-noise ratio (dB) of reconstructions of uint8 images."""
    mse = ((rebuilt.float() - images.float()) / 255).square().mean((1, 2, 3))
    return float((-10 * mse.log10()).mean())
