"""Pictures of an edit: before and after, same prompts and seeds, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tracelang.files import put
from tracelang.text import safe

GAP, TITLE = 4, 26  # pixels


@dataclass(frozen=True)
class Strip:
    """One prompt: images `[n, 3, H, W]` in 0..1 under each label (`{"before": …, "after": …}`), same seeds in order."""

    title: str
    rows: dict[str, Tensor]


def scaled(images: Tensor, side: int) -> list[Image.Image]:
    """The images as `side`×`side` pictures."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS) for picture in pixels]


def sheet(columns: Sequence[tuple[str, Sequence[Strip]]], side: int = 96) -> Image.Image:
    """Columns of strips, each column under its heading: one picture that shows the edit."""
    heading, small = ImageFont.load_default(22), ImageFont.load_default(15)
    strips = [strip for _, column in columns for strip in column]
    many = max(len(images) for strip in strips for images in strip.rows.values())
    deep = max(len(strip.rows) for strip in strips)
    labels = {safe(label) for strip in strips for label in strip.rows}
    margin = max(ceil(small.getlength(label)) for label in labels) + 3 * GAP
    wide = margin + many * (side + GAP) + 4 * GAP
    high = TITLE + deep * (side + GAP) + 2 * GAP
    top = 44
    tall = max(len(column) for _, column in columns)
    page = Image.new("RGB", (wide * len(columns) + 2 * GAP, top + high * tall), "white")
    draw = ImageDraw.Draw(page)
    for c, (name, column) in enumerate(columns):
        left = 2 * GAP + c * wide
        draw.text((left, 10), safe(name), fill="#111111", font=heading)
        for r, strip in enumerate(column):
            y = top + r * high
            draw.text((left, y + 4), safe(strip.title), fill="#333333", font=small)
            for k, (label, images) in enumerate(strip.rows.items()):
                line = y + TITLE + k * (side + GAP)
                draw.text((left, line + side // 2 - 9), safe(label), fill="#777777", font=small)
                for i, picture in enumerate(scaled(images, side)):
                    page.paste(picture, (left + margin + i * (side + GAP), line))
    return page


def write(page: Image.Image, file: Path) -> None:
    """Write a PNG so that a stop leaves the old file or the new one. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data = BytesIO()
    page.save(data, format="PNG", optimize=True)
    put(file, data.getvalue())
