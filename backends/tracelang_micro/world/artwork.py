"""The artwork: download the vendors' icon packages by name and version, and rasterise icons."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .concepts import STYLES, THINGS, Style

SIDE = 96  # pixels; larger than the 64 px pictures, so that augmentation only ever shrinks


def fetch(style: Style, cache: Path) -> Path:
    """The package's `icons.json`, downloaded once with `npm pack` (npm checks its integrity) and kept in `cache`."""
    icons = cache / f"{style.name}-{style.version}.json"
    if not icons.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            try:
                subprocess.run(
                    ["npm", "pack", "--silent", f"{style.package}@{style.version}"],
                    cwd=folder,
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            except FileNotFoundError:
                raise SystemExit("the artwork comes as npm packages; install npm (Node.js) first") from None
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                tar.extract("package/icons.json", folder, filter="data")
            (Path(folder) / "package" / "icons.json").replace(icons)
    return icons


def svg(icons: dict[str, dict[str, dict[str, object]]], name: str, ink: str) -> str:
    """One icon of an iconify set as a complete SVG; `ink` is the colour of single-colour icons."""
    while name in icons.get("aliases", {}):
        name = str(icons["aliases"][name]["parent"])
    icon = icons["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{SIDE}" height="{SIDE}" color="{ink}">{icon["body"]}</svg>'
    )


def rasters(cache: Path) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Every icon of the world as `(thing, style, [SIDE, SIDE, 4] RGBA)`."""
    import io

    import resvg_py
    from PIL import Image

    for style in STYLES:
        icons = json.loads(fetch(style, cache).read_text())
        renamed = dict(style.renamed)
        for thing in THINGS:
            for icon in thing.icons:
                png = bytes(resvg_py.svg_to_bytes(svg_string=svg(icons, renamed.get(icon, icon), style.ink)))
                picture = Image.open(io.BytesIO(png)).convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BOX)
                yield thing.name, style.name, np.asarray(picture)


def held(cache: Path) -> dict[tuple[str, str], list[NDArray[np.uint8]]]:
    """The rasters by thing and style, kept in one file of `cache`: all that a machine without npm needs."""
    file = cache / f"icons-{SIDE}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found = {f"{i:04d}|{thing}|{style}": icon for i, (thing, style, icon) in enumerate(rasters(cache))}
        part = file.with_suffix(".part.npz")
        np.savez_compressed(part, **found)
        part.replace(file)
    icons: dict[tuple[str, str], list[NDArray[np.uint8]]] = {}
    with np.load(file, allow_pickle=False) as kept:
        for name in sorted(kept.files):
            _, thing, style = name.split("|")
            icons.setdefault((thing, style), []).append(kept[name])
    return icons
