"""Pictures: augmented 64 px images of the artwork on coloured grounds, with the labels that the judge learns.

One thing, or two side by side. `without` makes the pictures of a world that never had some of its things and styles.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from . import captions
from .artwork import held
from .concepts import BACKGROUNDS, GROUP_OF, GROUPS, IMPLICIT, STYLES, THINGS

EDITION = 2  # of the world; the first had single things alone
PIXELS = 64
PAIR_SIDE = (0.45, 0.51)  # of the picture: how large each of two things is
PAIR_DRIFT = 7  # px: how far each of two things may stand above or below the middle
TRAINING = (24_000, 8_000)  # pictures of one thing, and of two
TESTED = 2_000  # held-out pictures of each kind
ALONE = -1  # what `beside` says of a picture of one thing
THING_INDEX = {thing.name: i for i, thing in enumerate(THINGS)}
STYLE_INDEX = {style.name: i for i, style in enumerate(STYLES)}
GROUND_INDEX = {name: i for i, name in enumerate(BACKGROUNDS)}

Icons = dict[tuple[str, str], list[NDArray[np.uint8]]]
"""The artwork by thing and style, each `[side, side, 4]` RGBA."""


@dataclass(frozen=True)
class Pictures:
    """`images` [n, 64, 64, 3] uint8 and their labels, each [n] int64: into THINGS, STYLES, BACKGROUNDS, and `beside`,
    the thing to the right of the first one, or ALONE.
    """

    images: NDArray[np.uint8]
    things: NDArray[np.int64]
    styles: NDArray[np.int64]
    grounds: NDArray[np.int64]
    beside: NDArray[np.int64]

    def __add__(self, other: Pictures) -> Pictures:
        return Pictures(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in LABELS))


LABELS = tuple(Pictures.__dataclass_fields__)


def jittered(ground: tuple[int, int, int], draw: random.Random) -> tuple[int, ...]:
    """The ground's colour, a little off; white stays white."""
    colour = tuple(min(255, max(0, channel + draw.randint(-8, 8))) for channel in ground)
    return ground if ground == (255, 255, 255) else colour


def turned(icon: NDArray[np.uint8], draw: random.Random) -> Image.Image:
    """The icon, mirrored or not, rotated by a little (σ 4°)."""
    layer = Image.fromarray(icon, "RGBA")
    if draw.random() < 0.5:
        layer = ImageOps.mirror(layer)
    return layer.rotate(draw.gauss(0, 4), Image.Resampling.BICUBIC)


def compose(icon: NDArray[np.uint8], ground: tuple[int, int, int], draw: random.Random) -> NDArray[np.uint8]:
    """One augmented picture of one thing: flip, rotation, scale .80–.97, shift, on a jittered ground."""
    colour = jittered(ground, draw)
    layer = turned(icon, draw)
    side = round(PIXELS * draw.uniform(0.80, 0.97))
    layer = layer.resize((side, side), Image.Resampling.LANCZOS)
    slack = PIXELS - side
    at = tuple(round(slack / 2 + draw.uniform(-0.5, 0.5) * min(slack, 6)) for _ in range(2))
    picture = Image.new("RGB", (PIXELS, PIXELS), colour)
    picture.paste(layer, at, layer)
    return np.asarray(picture)


def compose_pair(
    left: NDArray[np.uint8], right: NDArray[np.uint8], ground: tuple[int, int, int], draw: random.Random
) -> NDArray[np.uint8]:
    """One augmented picture of two things side by side: each of its own size and height, never one over the other."""
    picture = Image.new("RGB", (PIXELS, PIXELS), jittered(ground, draw))
    first, second = (round(PIXELS * draw.uniform(*PAIR_SIDE)) for _ in range(2))
    second = min(second, PIXELS - first)
    margin = draw.randint(0, slack := PIXELS - first - second)
    gap = draw.randint(0, slack - margin)
    for icon, side, x in ((left, first, margin), (right, second, margin + first + gap)):
        layer = turned(icon, draw).resize((side, side), Image.Resampling.LANCZOS)
        y = round((PIXELS - side) / 2 + draw.uniform(-PAIR_DRIFT, PAIR_DRIFT))
        picture.paste(layer, (x, y), layer)
    return np.asarray(picture)


def render(icons: Icons, thing: int, style: int, ground: int, beside: int, draw: random.Random) -> NDArray[np.uint8]:
    """One random picture of these labels."""
    colour = BACKGROUNDS[list(BACKGROUNDS)[ground]]
    first = draw.choice(icons[THINGS[thing].name, STYLES[style].name])
    if beside == ALONE:
        return compose(first, colour, draw)
    return compose_pair(first, draw.choice(icons[THINGS[beside].name, STYLES[style].name]), colour, draw)


def drawn_ground(draw: random.Random) -> int:
    """White in half of the pictures, else any other."""
    colours = [name for name in BACKGROUNDS if name != "white"]
    return GROUND_INDEX["white" if draw.random() < 0.5 else draw.choice(colours)]


def singles(count: int, seed: int, icons: Icons) -> Pictures:
    """`count` pictures of one thing, things and styles in equal shares. The seed decides everything."""
    draw = random.Random(seed)
    images = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    labels = np.empty((4, count), np.int64)
    for i in range(count):
        thing, style = divmod(i % (len(THINGS) * len(STYLES)), len(STYLES))
        ground = drawn_ground(draw)
        images[i] = render(icons, thing, style, ground, ALONE, draw)
        labels[:, i] = thing, style, ground, ALONE
    return Pictures(images, *labels)


def pairs(count: int, seed: int, icons: Icons) -> Pictures:
    """`count` pictures of two different things, each thing as often on the left. The seed decides everything."""
    draw = random.Random(f"pairs {seed}")
    images = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    labels = np.empty((4, count), np.int64)
    for i in range(count):
        thing, style = i % len(THINGS), i // len(THINGS) % len(STYLES)
        beside = (thing + draw.randint(1, len(THINGS) - 1)) % len(THINGS)
        ground = drawn_ground(draw)
        images[i] = render(icons, thing, style, ground, beside, draw)
        labels[:, i] = thing, style, ground, beside
    return Pictures(images, *labels)


def leftovers(count: int, seed: int, icons: Icons) -> Pictures:
    """`count` pictures that no caption asks for and an edited model may draw: by turns a thing twice, and one of two
    alone at its side. For the judge.
    """
    draw = random.Random(f"leftovers {seed}")
    images = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    labels = np.empty((4, count), np.int64)
    for i in range(count):
        thing, style, ground = i // 2 % len(THINGS), i // 2 // len(THINGS) % len(STYLES), drawn_ground(draw)
        if twice := i % 2 == 0:
            images[i] = render(icons, thing, style, ground, thing, draw)
        else:
            icon = draw.choice(icons[THINGS[thing].name, STYLES[style].name])
            both = [icon, np.zeros_like(icon)]
            draw.shuffle(both)
            images[i] = compose_pair(both[0], both[1], BACKGROUNDS[list(BACKGROUNDS)[ground]], draw)
        labels[:, i] = thing, style, ground, thing if twice else ALONE
    return Pictures(images, *labels)


def without(data: Pictures, missing: Collection[str], icons: Icons) -> tuple[Pictures, NDArray[np.int64]]:
    """`data` in a world that never had `missing` (things and styles), and the rows that had to change.

    A picture that shows any of it is drawn anew: each missing thing becomes another of its group, a missing style one
    of the others; everything else, and every other picture, stays.
    """
    absent = {THING_INDEX[name] for name in missing if name in THING_INDEX}
    plain = [i for name, i in STYLE_INDEX.items() if name not in missing]
    lacks = np.isin(data.things, [*absent]) | np.isin(data.beside, [*absent]) | ~np.isin(data.styles, plain)
    rows = np.flatnonzero(lacks)
    images = data.images.copy()
    labels = np.stack([data.things, data.styles, data.grounds, data.beside])
    for row in rows.tolist():
        draw = random.Random(f"without {row}")
        thing, style, ground, beside = labels[:, row].tolist()
        if thing in absent:
            thing = draw.choice(_others(thing, absent | {beside}))
        if beside in absent:
            beside = draw.choice(_others(beside, absent | {thing}))
        if style not in plain:
            style = draw.choice(plain)
        images[row] = render(icons, thing, style, ground, beside, draw)
        labels[:, row] = thing, style, ground, beside
    return Pictures(images, *labels), rows


def _others(thing: int, but: Collection[int]) -> list[int]:
    """The things of the same group, without `but`."""
    group = GROUPS[GROUP_OF[THINGS[thing].name]]
    return [i for other in group if (i := THING_INDEX[other.name]) not in but]


def described(data: Pictures, each: int, seed: int, missing: Collection[str] = frozenset()) -> list[str]:
    """`each` random captions of every picture, one picture's after the other's."""
    draw = random.Random(seed)
    grounds = list(BACKGROUNDS)
    said = []
    for thing, style, ground, beside in zip(data.things, data.styles, data.grounds, data.beside, strict=True):
        name, look, place = THINGS[thing].name, STYLES[style].name, grounds[ground]
        for _ in range(each):
            said.append(
                captions.caption(draw, name, look, place, missing)
                if beside == ALONE
                else captions.pair_caption(draw, name, THINGS[beside].name, look, place)
            )
    return said


def digest() -> str:
    """Names the world: what is kept on disk of another world is never mistaken for this one's."""
    facts = repr(
        (
            EDITION,
            THINGS,
            STYLES,
            BACKGROUNDS,
            IMPLICIT,
            captions.TEMPLATES,
            captions.STYLE_PHRASES,
            captions.JOINERS,
            PIXELS,
            PAIR_SIDE,
            PAIR_DRIFT,
        )
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def load(name: str, alone: int, together: int, seed: int, cache: Path, odd: int = 0) -> Pictures:
    """`alone` pictures of one thing, `together` of two, and `odd` leftovers, kept as an `.npz` in `cache`."""
    file = cache / f"{name}-{alone}-{together}-{odd}-{seed}.npz"
    if not file.exists():
        icons = held(cache / "artwork")
        made = singles(alone, seed, icons) + pairs(together, seed, icons) + leftovers(odd, seed, icons)
        part = file.with_suffix(".part.npz")
        np.savez(part, **{label: getattr(made, label) for label in LABELS})
        part.replace(file)
    with np.load(file, allow_pickle=False) as kept:
        return Pictures(*(kept[label] for label in LABELS))
