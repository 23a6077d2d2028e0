"""How often the judge is right on pictures whose content is known: `python -m tracelang_micro.world.known`.

The world's own renders of one thing, of two, of what edits may leave, and of nothing, none of them training's, each
through the model's autoencoder, as every drawn picture comes out of it. Per class, with n, into `judge/known.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from tracelang.engine.cache import folder as trajectories
from tracelang.files import write_text

from .. import micro_sd
from ..judging import GROUND_NAMES, KNOWN, STYLE_NAMES, THING_NAMES, Judge, everything, find, load, look
from . import vae
from .judge import nothing
from .pictures import ALONE, Pictures, digest
from .pictures import load as pictures

ALONES, PAIRS, ODD, BLANK = 2_000, 2_000, 500, 500
SEED = 2
"""0 trained, 1 tested."""
HEADS = {"concept": THING_NAMES, "style": STYLE_NAMES, "background": GROUND_NAMES}


def shows(data: Pictures, row: int) -> dict[str, frozenset[str]]:
    """What one of the pictures shows, by head."""
    things = {THING_NAMES[data.things[row]]}
    if data.beside[row] != ALONE:
        things.add(THING_NAMES[data.beside[row]])
    style, ground = STYLE_NAMES[data.styles[row]], GROUND_NAMES[data.grounds[row]]
    return {"concept": frozenset(things), "style": frozenset({style}), "background": frozenset({ground})}


def told(judge: Judge, images: torch.Tensor) -> list[dict[str, frozenset[str]]]:
    """What the judge says of images `[n, 3, 64, 64]` in 0..1, by head."""
    answers = [everything(*both) for both in zip(look(judge, images), find(judge, images), strict=True)]
    return [
        {head: frozenset((found,) if isinstance(found, str) else found) for head, found in one.labels.items()}
        for one in answers
    ]


def counted(
    truth: Sequence[dict[str, frozenset[str]]], answers: Sequence[dict[str, frozenset[str]]]
) -> Iterator[dict[str, object]]:
    """Of every class: found in how many of those that show it, passed over in how many that do not."""
    for head, labels in HEADS.items():
        rows = [(right[head], said[head]) for right, said in zip(truth, answers, strict=True) if head in right]
        for label in labels:
            there = [label in said for right, said in rows if label in right]
            absent = [label not in said for right, said in rows if label not in right]
            yield {
                "label": label if head == "concept" else f"{head}: {label}",
                "sensitivity": [sum(there), len(there)],
                "specificity": [sum(absent), len(absent)],
            }


def measure(work: Path) -> list[dict[str, object]]:
    """Of every class of the shipped judge. A picture of nothing shows no thing, and may be of any style and ground."""
    from diffusers import AutoencoderKL

    autoencoder = AutoencoderKL.from_pretrained(micro_sd() / "vae").eval()
    data = pictures("known", ALONES, PAIRS, SEED, work, odd=ODD)
    images = torch.from_numpy(data.images)
    truth = [shows(data, row) for row in range(len(images))]
    blank = nothing(vae.pixels(images[:BLANK]), torch.Generator().manual_seed(SEED))
    truth += [{"concept": frozenset[str]()}] * BLANK
    every = torch.cat([images, ((blank + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)])
    judge, answers = load(), list[dict[str, frozenset[str]]]()
    for part in every.split(200):
        rebuilt = vae.decode(autoencoder, vae.encode(autoencoder, part))
        answers += told(judge, (vae.pixels(rebuilt) + 1) / 2)
    return list(counted(truth, answers))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world.known", description=__doc__)
    parser.add_argument("--work", type=Path, default=trajectories().parent / "world" / digest(), help="made pictures")
    found = measure(parser.parse_args().work)
    write_text(KNOWN, json.dumps(found, indent=None).replace("}, {", "},\n {") + "\n")
    for one in found:
        print(f"{one['label']}: {one['sensitivity']} found, {one['specificity']} passed over")


if __name__ == "__main__":
    main()
