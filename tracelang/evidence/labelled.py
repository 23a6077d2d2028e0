"""A labelled set: pictures of which somebody says what they show. Whoever gives one is not trusted.

A folder with a folder for each class and one called `none`, or with `labels.csv`, whose columns are `file` and `label`
and where a file stands once for each thing that it shows. Every picture's labels are all that it shows of that sort.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

NONE = "none"
"""The label of pictures that show nothing that is looked for."""
TABLE = "labels.csv"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
BYTES, PIXELS, MOST = 64 * 2**20, 64_000_000, 200_000
"""Of a file, of a picture, and of files."""
LAYOUT = f"a set holds CLASS/*.png and {NONE}/*.png, or {TABLE} with the columns file and label"


class SetError(ValueError):
    """What is wrong with a set, `lines`, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__(lines[0] if lines else "")
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Labelled:
    """Its pictures by path with all their labels, `none` being no label; `digest` of all of it, wherever it lies."""

    pictures: tuple[tuple[Path, frozenset[str]], ...]
    digest: str

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({label for _, some in self.pictures for label in some}))


def read(folder: Path) -> Labelled:
    """The set in a folder, every picture of it opened once. Raises SetError."""
    if not folder.is_dir():
        raise SetError(f"{folder}: is no folder; {LAYOUT}")
    found = _table(folder) if (folder / TABLE).is_file() else _folders(folder)
    if not found:
        raise SetError(f"{folder}: holds no labelled picture; {LAYOUT}")
    lines, digests = list[str](), list[str]()
    for file, labels in found.items():
        why = _refused(file, folder)
        if not why:
            try:
                picture(file)
                digests.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()} {' '.join(sorted(labels))}\n")
            except SetError as error:
                why = str(error)
        if why:
            lines.append(why)
    if lines:
        raise SetError(*lines)
    whole = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
    return Labelled(tuple(found.items()), whole)


def picture(file: Path) -> Tensor:
    """A picture `[3, H, W]` in 0..1. Raises SetError where it cannot be read, or is too large to be."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as opened:
            if opened.width * opened.height > PIXELS:
                raise SetError(f"{file}: {opened.width} × {opened.height} pixels are too many; leave it out")
            pixels = np.asarray(opened.convert("RGB"), dtype=np.float32) / 255
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, SetError):
            raise
        raise SetError(f"{file}: is no picture that can be read; leave it out") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def batches(files: Sequence[Path], most: int = 50) -> Iterator[tuple[list[int], Tensor]]:
    """The pictures in batches of one size `[n, 3, H, W]`, each with their places among the files."""
    held: list[tuple[int, Tensor]] = []
    for i, file in enumerate(files):
        one = picture(file)
        if held and (len(held) == most or held[0][1].shape != one.shape):
            yield [place for place, _ in held], torch.stack([image for _, image in held])
            held = []
        held.append((i, one))
    if held:
        yield [place for place, _ in held], torch.stack([image for _, image in held])


def _folders(folder: Path) -> dict[Path, frozenset[str]]:
    found: dict[Path, frozenset[str]] = {}
    for place in sorted(folder.iterdir()):
        if place.name.startswith(".") or not place.is_dir():
            continue
        if place.is_symlink():
            raise SetError(f"{place}: is a link; {LAYOUT}")
        labels = frozenset() if place.name == NONE else frozenset({place.name})
        found |= {file: labels for file in sorted(place.iterdir()) if file.suffix.lower() in SUFFIXES}
        _few(found, folder)
    return found


def _table(folder: Path) -> dict[Path, frozenset[str]]:
    file = folder / TABLE
    if file.is_symlink() or file.stat().st_size > BYTES:
        raise SetError(f"{file}: is a link or too large; {LAYOUT}")
    labels: dict[Path, set[str]] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"file", "label"} <= {*(rows.fieldnames or ())}:
                raise SetError(f"{file}: lacks the column file or label; {LAYOUT}")
            for i, row in enumerate(rows, 2):
                name, label = (row["file"] or "").strip(), (row["label"] or "").strip()
                if not name or not label:
                    raise SetError(f"{file}:{i}: has no file or no label; write {NONE} where it shows nothing")
                path = folder / name
                labels.setdefault(path, set()).update(() if label == NONE else (label,))
                _few(labels, folder)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SetError(f"{file}: is no CSV in UTF-8 ({error})") from None
    return {path: frozenset(some) for path, some in labels.items()}


def _few(found: object, folder: Path) -> None:
    if len(found) > MOST:  # type: ignore[arg-type]
        raise SetError(f"{folder}: holds more than {MOST:,} pictures; give fewer")


def _refused(file: Path, folder: Path) -> str:
    """Why a file is not read at all."""
    try:
        if not file.resolve().is_relative_to(folder.resolve()) or file.is_symlink():
            return f"{file}: leads out of {folder} or is a link; put the picture itself there"
        if not file.is_file():
            return f"{file}: is not there; leave its row out"
        if file.stat().st_size > BYTES:
            return f"{file}: is larger than {BYTES // 2**20} MiB; leave it out"
    except (OSError, ValueError):
        return f"{file}: is not there; leave its row out"
    return ""
