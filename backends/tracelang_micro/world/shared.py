"""What all trainings share: pictures, autoencoder, latents and judge; and the same without what a twin never knew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tracelang.files import write_text

from .. import judging
from . import judge, pieces, vae
from .artwork import held
from .concepts import THINGS
from .pictures import TESTED, TRAINING, Pictures, load, without

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

LEFTOVERS, MORE_PAIRS = 3_000, 16_000  # pictures of what edits may leave, and of further pairs, for the judge alone
REBUILT = 2  # every so many pictures the judge also sees one as the autoencoder rebuilds it


@dataclass(frozen=True)
class World:
    """The training pictures, their latents `[n, 4, 16, 16]`, autoencoder and judge; `work` keeps what is made."""

    work: Path
    data: Pictures
    latents: Tensor
    autoencoder: AutoencoderKL
    judge: judging.Judge


def pictures(work: Path) -> Pictures:
    """The training pictures: those of one thing first, then the pairs."""
    data = load("train", *TRAINING, 0, work)
    pieces.say(f"data: {len(data.images)} pictures of {len(THINGS)} things")
    return data


def autoencoder(work: Path, first: Path, device: str) -> AutoencoderKL:
    """The trained autoencoder, kept in `work`; it goes on from the one in `first`."""
    from diffusers import AutoencoderKL

    folder = work / "autoencoder"
    if not (folder / "config.json").exists():
        vae.train(pictures(work), work, first, device).save_pretrained(folder)
    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval().to(device)


def adopt(work: Path, first: Path) -> None:
    """The shipped autoencoder, in `first`, and judge into `work`, where no other has been made: a model that is made
    after the others has to share theirs.
    """
    if not (work / "autoencoder").exists():
        shutil.copytree(first, work / "autoencoder")
    if not (work / "judge.safetensors").exists():
        shutil.copyfile(judging.FILE, work / "judge.safetensors")


def build(work: Path, first: Path, device: str) -> World:
    """Everything that the models are trained with. Continues what `work` holds."""
    data, coder = pictures(work), autoencoder(work, first, device)
    latents = encoded(coder, data, work)
    file = work / "judge.safetensors"
    if not file.exists():
        odd = load("leftovers", 0, 0, 0, work, odd=LEFTOVERS) + load("judge", 0, MORE_PAIRS, 2, work)
        rows = torch.arange(0, len(data.images) + len(odd.images), REBUILT)
        rebuilt = vae.decode(coder, torch.cat([latents, vae.encode(coder, torch.from_numpy(odd.images))])[rows])
        judging.save(judge.train(data + odd, rebuilt, rows, work, device), file)
    return World(work, data, latents, coder, judging.load(file))


def tested(work: Path, folder: Path, judged: judging.Judge, device: str) -> dict[str, object]:
    """What the autoencoder in `folder` and the judge are worth on held-out pictures: the same for all that share them,
    so it is measured once and kept in `work`.
    """
    from diffusers import AutoencoderKL

    coder = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval().to(device)
    file = work / f"tested-{_digest(coder)}-{_digest(judged)}.json"
    if not file.exists():
        images = {
            "one thing": torch.from_numpy(load("test", TESTED, 0, 1, work).images),
            "pairs": torch.from_numpy(load("test", 0, TESTED, 1, work).images),
        }
        rebuilt = {kind: vae.decode(coder, vae.encode(coder, shown)) for kind, shown in images.items()}
        psnr = {kind: round(vae.psnr(shown, rebuilt[kind]), 2) for kind, shown in images.items()}
        write_text(file, json.dumps({"vae_psnr_db": psnr, "judge": judge.tested(judged, work, coder)}))
    figures: dict[str, object] = json.loads(file.read_text())
    return figures


def _digest(module: torch.nn.Module) -> str:
    values = b"".join(value.cpu().numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(values).hexdigest()[:12]


def encoded(coder: AutoencoderKL, data: Pictures, work: Path, name: str = "latents") -> Tensor:
    """The pictures' latents, kept in `work` under the autoencoder's digest."""
    file = work / f"{name}-{_digest(coder)}.pt"
    if not file.exists():
        pieces.keep({"latents": vae.encode(coder, torch.from_numpy(data.images))}, file)
    latents: Tensor = torch.load(file, weights_only=True)["latents"]
    return latents


def ignorant(world: World, missing: Collection[str]) -> World:
    """The world without `missing`: the pictures that showed it are others, and only these are encoded anew."""
    if not missing:
        return world
    data, rows = without(world.data, missing, held(world.work / "artwork"))
    changed = Pictures(*(getattr(data, label)[rows] for label in ("images", "things", "styles", "grounds", "beside")))
    latents = world.latents.clone()
    latents[torch.from_numpy(rows)] = encoded(world.autoencoder, changed, world.work, f"without-{'-'.join(missing)}")
    return dataclasses.replace(world, data=data, latents=latents)
