"""Training the judge: on augmented pictures, on their reconstructions by the VAE, and on pictures of nothing."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from ..judging import CLASSES, Judge, heads
from . import pieces, vae
from .pictures import Pictures

STEPS, BATCH, RATE = 1600, 96, 2e-3


def nothing(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Pictures of nothing, made of pictures `[n, 3, 64, 64]`: blends, shuffled patches, smears, noise, grounds."""
    n = len(x)
    kind = torch.randint(5, (n,), generator=draw)
    other = x[torch.randperm(n, generator=draw)]
    blend = (x + other.flip(3)) / 2
    patches = x.view(n, 3, 8, 8, 8, 8).transpose(3, 4).reshape(n, 3, 64, 8, 8)
    shuffled = patches[:, :, torch.randperm(64, generator=draw)].view(n, 3, 8, 8, 8, 8).transpose(3, 4).reshape(x.shape)
    smear = F.interpolate(F.avg_pool2d(x, 16), size=64, mode="bilinear")
    coarse = torch.randn((n, 3, 16, 16), generator=draw)
    noise = (F.interpolate(coarse, size=64, mode="bilinear") + 0.3 * torch.randn(x.shape, generator=draw)).clamp(-1, 1)
    plain = x[:, :, :1, :1].expand_as(x) + 0.03 * torch.randn(x.shape, generator=draw)
    made = torch.stack([blend, shuffled, smear, noise, plain])
    return made[kind, torch.arange(n)]


def train(data: Pictures, rebuilt: torch.Tensor, folder: Path) -> Judge:
    """Train on `data` and `rebuilt` (the VAE's reconstructions of its first pictures, uint8), half and half."""
    torch.manual_seed(5)
    judge = Judge()
    images, again = torch.from_numpy(data.images), len(rebuilt)
    labels = [torch.from_numpy(part) for part in (data.things, data.styles, data.grounds)]
    optimiser = torch.optim.AdamW(judge.parameters(), lr=RATE, weight_decay=2e-2)

    def once(step: int) -> float:
        draw = torch.Generator().manual_seed(step + 23)
        half = BATCH // 2
        first = torch.randint(len(images), (half,), generator=draw)
        second = torch.randint(again, (half,), generator=draw)
        rows = torch.cat([first, second])
        x = vae.pixels(torch.cat([images[first], rebuilt[second]]))
        things, styles, grounds = (label[rows] for label in labels)
        blank = nothing(x[: BATCH // 8], draw)
        jitter = x + 0.06 * torch.rand((BATCH, 1, 1, 1), generator=draw) * torch.randn(x.shape, generator=draw)
        for group in optimiser.param_groups:
            group["lr"] = pieces.rate(step, STEPS, RATE, warm=100, flat=0.1, floor=0.0)
        judge.train()
        thing, style, ground = heads(judge(torch.cat([jitter, blank])))
        wanted = torch.cat([things, torch.full((len(blank),), CLASSES.index("nothing"))])
        loss = F.cross_entropy(thing, wanted, label_smoothing=0.02) + 0.5 * (
            F.cross_entropy(style[:BATCH], styles) + F.cross_entropy(ground[:BATCH], grounds)
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    pieces.run("judge", STEPS, once, {"judge": judge, "optimiser": optimiser}, folder / "judge.pt")
    return judge.eval()


@torch.no_grad()
def accuracy(judge: Judge, data: Pictures, images: torch.Tensor | None = None) -> dict[str, float]:
    """Share of right answers of each head on pictures (or on `images`, their reconstructions)."""
    shown = torch.from_numpy(data.images) if images is None else images
    right = torch.zeros(3)
    for rows in torch.arange(len(shown)).split(200):
        for i, (head, label) in enumerate(
            zip(heads(judge(vae.pixels(shown[rows]))), (data.things, data.styles, data.grounds), strict=True)
        ):
            right[i] += (head.argmax(1) == torch.from_numpy(label)[rows]).sum()
    return dict(zip(("concept", "style", "background"), (right / len(shown)).tolist(), strict=True))
