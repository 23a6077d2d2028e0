"""Training the judge: on augmented pictures of one thing and of two, on what edits may leave of two, on the VAE's
reconstructions of them, and on pictures of nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ..judging import SECOND, Judge, chances
from . import pieces, vae
from .pictures import ALONE, TESTED, Pictures, load

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

STEPS, BATCH, RATE = 8000, 128, 2e-3
SHIFT = 2  # px: how far a batch is moved to any side


def nothing(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Pictures of nothing, made of pictures `[n, 3, 64, 64]`: blends, shuffled patches, smears, noise, grounds."""
    n = len(x)
    where = {"generator": draw, "device": x.device}
    kind = torch.randint(5, (n,), **where)
    other = x[torch.randperm(n, **where)]
    blend = (x + other.flip(3)) / 2
    patches = x.view(n, 3, 8, 8, 8, 8).transpose(3, 4).reshape(n, 3, 64, 8, 8)
    shuffled = patches[:, :, torch.randperm(64, **where)].view(n, 3, 8, 8, 8, 8).transpose(3, 4).reshape(x.shape)
    smear = F.interpolate(F.avg_pool2d(x, 16), size=64, mode="bilinear")
    coarse = torch.randn((n, 3, 16, 16), **where)
    noise = (F.interpolate(coarse, size=64, mode="bilinear") + 0.3 * torch.randn(x.shape, **where)).clamp(-1, 1)
    plain = x[:, :, :1, :1].expand_as(x) + 0.03 * torch.randn(x.shape, **where)
    made = torch.stack([blend, shuffled, smear, noise, plain])
    return made[kind, torch.arange(n, device=x.device)]


def moved(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """The pictures, each mirrored or not, all shifted alike by up to SHIFT pixels, with noise of random strength."""
    where = {"generator": draw, "device": x.device}
    mirrored = torch.rand((len(x), 1, 1, 1), **where) < 0.5
    x = torch.where(mirrored, x.flip(3), x)
    across, down = torch.randint(2 * SHIFT + 1, (2,), generator=draw, device=x.device).tolist()
    side = x.shape[-1]
    x = F.pad(x, (SHIFT,) * 4, mode="replicate")[:, :, down : down + side, across : across + side]
    return x + 0.06 * torch.rand((len(x), 1, 1, 1), **where) * torch.randn(x.shape, **where)


def train(data: Pictures, rebuilt: torch.Tensor, rows: torch.Tensor, folder: Path, device: str = "cpu") -> Judge:
    """Train on `data` and on `rebuilt` (the VAE's reconstructions, uint8, of the rows `rows`), half and half."""
    torch.manual_seed(5)
    judge = Judge().to(device)
    images, rebuilt, rows = (part.to(device) for part in (torch.from_numpy(data.images), rebuilt, rows))
    labels = {head: label.to(device) for head, label in wanted(data).items()}
    optimiser = torch.optim.AdamW(judge.parameters(), lr=RATE, weight_decay=2e-2)

    def once(step: int) -> float:
        draw = torch.Generator(device).manual_seed(step + 23)
        half = BATCH // 2
        first = torch.randint(len(images), (half,), generator=draw, device=device)
        second = torch.randint(len(rebuilt), (half,), generator=draw, device=device)
        asked = torch.cat([first, rows[second]])
        x = vae.pixels(torch.cat([images[first], rebuilt[second]]))
        blank = nothing(x[: BATCH // 8], draw)
        for group in optimiser.param_groups:
            group["lr"] = pieces.rate(step, STEPS, RATE, warm=100, flat=0.1, floor=0.0)
        judge.train()
        told = judge.split(torch.cat([moved(x, draw), blank]))
        things, count, style, ground = (labels[head][asked] for head in SECOND)
        things, count = (F.pad(label, (0, 0) * (label.ndim - 1) + (0, len(blank))) for label in (things, count))
        loss = F.binary_cross_entropy_with_logits(told["things"], things, reduction="none").sum(1).mean()
        loss = loss + 0.5 * (
            F.cross_entropy(told["count"], count)
            + F.cross_entropy(told["style"][:BATCH], style)
            + F.cross_entropy(told["background"][:BATCH], ground)
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    pieces.run("judge", STEPS, once, {"judge": judge, "optimiser": optimiser}, folder / "judge.pt")
    return judge.cpu().eval()


def wanted(data: Pictures) -> dict[str, torch.Tensor]:
    """The right answer of each head: `things` `[n, things]` of 0 and 1, the others `[n]` classes."""
    here, beside = torch.from_numpy(data.things), torch.from_numpy(data.beside)
    two = beside != ALONE
    things = F.one_hot(here, SECOND["things"]) | F.one_hot(torch.where(two, beside, here), SECOND["things"])
    return {
        "things": things.float(),
        "count": 1 + two.long(),
        "style": torch.from_numpy(data.styles),
        "background": torch.from_numpy(data.grounds),
    }


@torch.no_grad()
def accuracy(judge: Judge, data: Pictures, images: torch.Tensor | None = None) -> dict[str, float]:
    """Share of right answers of each head on pictures (or on `images`, their reconstructions).

    `things` is right where every thing is named and no other; `concept`, the single answer, where it is one of them.
    """
    shown = torch.from_numpy(data.images) if images is None else images
    labels = wanted(data)
    right: dict[str, float] = dict.fromkeys(("concept", *judge.of), 0.0)
    for rows in torch.arange(len(shown)).split(200):
        x = vae.pixels(shown[rows])
        single = chances(judge, (x + 1) / 2)["concept"].argmax(1)
        for head, told in judge.split(x).items():
            if head == "things":
                right[head] += int(((told > 0) == labels[head][rows].bool()).all(1).sum())
            elif head != "concept":
                right[head] += int((told.argmax(1) == labels[head][rows]).sum())
        hits = F.pad(labels["things"][rows], (0, 1)).gather(1, single[:, None])
        right["concept"] += float(hits.sum())
    return {head: hits / len(shown) for head, hits in right.items()}


def tested(judge: Judge, work: Path, autoencoder: AutoencoderKL) -> dict[str, dict[str, float]]:
    """The judge's accuracy on held-out pictures of one thing, of two, and of what edits may leave; as drawn, and as the
    autoencoder rebuilds them.
    """
    sets = {
        "": load("test", TESTED, 0, 1, work),
        "pairs": load("test", 0, TESTED, 1, work),
        "leftovers": load("test", 0, 0, 1, work, odd=TESTED),
    }
    figures = {}
    for name, data in sets.items():
        images = torch.from_numpy(data.images)
        rebuilt = vae.decode(autoencoder, vae.encode(autoencoder, images))
        for kind, shown in (("augmentations", images), ("reconstructions", rebuilt)):
            figures[f"{name} {kind}".strip()] = accuracy(judge, data, shown)
    return figures
