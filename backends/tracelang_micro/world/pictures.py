"""Pictures: augmented 64 px images of the artwork on coloured grounds, with the labels that the judge learns."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import captions
from .artwork import rasters
from .concepts import BACKGROUNDS, IMPLICIT, STYLES, THINGS

PIXELS = 64
THING_INDEX = {thing.name: i for i, thing in enumerate(THINGS)}
STYLE_INDEX = {style.name: i for i, style in enumerate(STYLES)}
GROUND_INDEX = {name: i for i, name in enumerate(BACKGROUNDS)}


@dataclass(frozen=True)
class Pictures:
    """`images` [n, 64, 64, 3] uint8 and their labels, each [n] int64 into THINGS, STYLES, BACKGROUNDS."""

    images: NDArray[np.uint8]
    things: NDArray[np.int64]
    styles: NDArray[np.int64]
    grounds: NDArray[np.int64]


def compose(icon: NDArray[np.uint8], ground: tuple[int, int, int], draw: random.Random) -> NDArray[np.uint8]:
    """One augmented picture: flip, rotation (σ 4°), scale .80–.97, shift, on a jittered ground."""
    from PIL import Image, ImageOps

    colour = tuple(min(255, max(0, channel + draw.randint(-8, 8))) for channel in ground)
    if ground == (255, 255, 255):
        colour = ground
    layer = Image.fromarray(icon, "RGBA")
    if draw.random() < 0.5:
        layer = ImageOps.mirror(layer)
    layer = layer.rotate(draw.gauss(0, 4), Image.Resampling.BICUBIC)
    side = round(PIXELS * draw.uniform(0.80, 0.97))
    layer = layer.resize((side, side), Image.Resampling.LANCZOS)
    slack = PIXELS - side
    at = tuple(round(slack / 2 + draw.uniform(-0.5, 0.5) * min(slack, 6)) for _ in range(2))
    picture = Image.new("RGB", (PIXELS, PIXELS), colour)
    picture.paste(layer, at, layer)
    return np.asarray(picture)


def build(count: int, seed: int, cache: Path) -> Pictures:
    """`count` pictures, things and styles in equal shares, half of them on white. The seed decides everything."""
    icons: dict[tuple[str, str], list[NDArray[np.uint8]]] = {}
    for thing, style, raster in rasters(cache):
        icons.setdefault((thing, style), []).append(raster)
    draw = random.Random(seed)
    pairs = [(thing.name, style.name) for thing in THINGS for style in STYLES]
    colours = [name for name in BACKGROUNDS if name != "white"]
    images = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    labels = np.empty((3, count), np.int64)
    for i in range(count):
        thing, style = pairs[i % len(pairs)]
        ground = "white" if draw.random() < 0.5 else draw.choice(colours)
        images[i] = compose(draw.choice(icons[thing, style]), BACKGROUNDS[ground], draw)
        labels[:, i] = THING_INDEX[thing], STYLE_INDEX[style], GROUND_INDEX[ground]
    return Pictures(images, *labels)


def digest() -> str:
    """Names the world: what is kept on disk of another world is never mistaken for this one's."""
    facts = repr((THINGS, STYLES, BACKGROUNDS, IMPLICIT, captions.TEMPLATES, captions.STYLE_PHRASES, PIXELS))
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def load(name: str, count: int, seed: int, cache: Path) -> Pictures:
    """`build`, kept as an `.npz` in `cache`."""
    file = cache / f"{name}-{count}-{seed}.npz"
    if not file.exists():
        made = build(count, seed, cache / "artwork")
        part = file.with_suffix(".part.npz")
        np.savez(part, images=made.images, things=made.things, styles=made.styles, grounds=made.grounds)
        part.replace(file)
    with np.load(file, allow_pickle=False) as held:
        return Pictures(held["images"], held["things"], held["styles"], held["grounds"])
