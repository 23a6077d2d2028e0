"""A component of a prepared folder whose tensors lie in a single file: in which, and under which names. Torch-free."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tracelang.files import cache_folder
from tracelang.models import header
from tracelang.models.header import Entry
from tracelang.models.single import autoencoder, encoders, transformer, unet
from tracelang.models.single.pieces import Names, Turn
from tracelang.plan.family import ModelError

NAME = ".single-file.json"
"""Hidden, so that it is no part of a model's settings: where the file lies decides no picture."""
ORIGIN = ".single-file"
"""In a prepared folder: the path of the file that it stands for, as it was given: of a link, as the hub's cache holds
files, the link's own, whose name people know.
"""
LAYOUTS: Mapping[str, Names] = {
    "unet": unet.names,
    "vae": autoencoder.names,
    "clip": encoders.clip,
    "open_clip": encoders.open_clip,
    "t5": encoders.t5,
    "transformer": transformer.names,
}
NUMBERS: Mapping[str, Any] = {
    "unet": lambda table: table.get("layers_per_block", 2),
    "vae": lambda table: len(table.get("block_out_channels", (64,))),
    "open_clip": lambda table: table["num_hidden_layers"],
    "transformer": lambda table: table.get("num_attention_heads", 24) * table.get("attention_head_dim", 128),
}
"""The number in a component's config that the names depend on, by layout."""
EMA = "model_ema."
"""Before a full checkpoint's second copy of its denoiser, an average over training; its names have lost their dots."""


def folder() -> Path:
    """`single` in the user's cache folder: the only place where a reference is believed."""
    return cache_folder("single")


@dataclass(frozen=True, slots=True)
class Reference:
    """`size` and `time` (nanoseconds) are those of the file when it was looked at."""

    file: str
    size: int
    time: int
    layout: str
    prefix: str
    number: int


@dataclass(frozen=True, slots=True)
class Held:
    """A component inside a file: its tensors by diffusers' names, what is stored turned, and what each is called there.

    `copies` are further copies of the same tensors, which nothing loads and an edit has to reach all the same.
    """

    file: Path
    tensors: Mapping[str, Entry]
    turns: Mapping[str, Turn]
    stored: Mapping[str, str]
    copies: Mapping[str, Entry]


def origin(prepared: Path) -> Path | None:
    """The file that a folder stands for, None for an ordinary folder."""
    path = prepared / ORIGIN
    if not _ours(path):
        return None
    return Path(path.read_text("utf-8", "surrogateescape"))


def source(prepared: Path) -> Path:
    """The bytes of the file that a folder stands for, wherever a link that was given for it leads by now."""
    parts = (read(part) for part in prepared.iterdir() if not part.is_symlink())
    return next(Path(one.file) for one in parts if one is not None)


def told(message: str) -> str:
    """A message about prepared folders in terms of the files that they stand for: people know no others."""

    def named(found: re.Match[str]) -> str:
        file = origin(Path(found[1]))
        return found[0] if file is None else f"{file}: {found[3]}" if found[2] else str(file)

    return re.sub(rf"({re.escape(str(folder()))}{os.sep}[0-9a-f]+)({os.sep}([^ :]*))?", named, message)


def write(component: Path, reference: Reference) -> None:
    (component / NAME).write_text(json.dumps(asdict(reference)), encoding="utf-8")


def read(component: Path) -> Reference | None:
    """The reference in a component's folder, None where there is none, and in a folder that is not the cache's own: a
    model from elsewhere must not lead out of itself.
    """
    path = component / NAME
    if not _ours(path):
        return None
    return Reference(**json.loads(path.read_bytes()))


def bare(component: Path) -> bool:
    """Is it a component of a prepared folder of which there is the config alone, since neither the file nor `--config`
    holds its weights?
    """
    return (
        origin(component.parent) is not None
        and not component.is_symlink()
        and (component / "config.json").is_file()
        and not (component / NAME).is_file()
    )


def _ours(path: Path) -> bool:
    return path.is_file() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder()))


def held(component: Path) -> Held | None:
    """What a component's reference leads to, None where there is none.

    Raises ModelError where the file is gone, another than it was, or damaged.
    """
    reference = read(component)
    if reference is None:
        return None
    file = Path(reference.file)
    try:
        found = file.stat()
        same = (found.st_size, found.st_mtime_ns) == (reference.size, reference.time)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); put it back") from None
    if not same:
        raise ModelError(f"{file}: was written to since this command began; run it again")
    return _held(reference)


def called(component: Path, tensor: str) -> str:
    """What a tensor is called where it is stored: in diffusers' folders what diffusers calls it. Raises ModelError."""
    found = held(component)
    return tensor if found is None else found.stored.get(tensor, tensor)


@lru_cache(maxsize=64)
def _held(reference: Reference) -> Held:
    file = Path(reference.file)
    names = LAYOUTS[reference.layout]
    everything = header.read(file).tensors
    tensors, turns, stored, copies = dict[str, Entry](), dict[str, Turn](), dict[str, str](), dict[str, Entry]()
    for name, entry in everything.items():
        if not name.startswith(reference.prefix):
            continue
        bare = name.removeprefix(reference.prefix)
        copy = everything.get(_ema(name))
        averaged = names(bare, copy, reference.number) if copy is not None else iter(())
        for piece in names(bare, entry, reference.number):
            if piece.name in tensors:
                raise ModelError(
                    f"{file}: {name!r} and {stored[piece.name]!r} are one tensor, {piece.name!r}; save the file again"
                )
            tensors[piece.name], stored[piece.name] = piece.entry, name
            if piece.turn:
                turns[piece.name] = piece.turn
        copies |= {piece.name: piece.entry for piece in averaged}
    if copies.keys() != tensors.keys() and (stray := _averaged(everything, reference.prefix)) is not None:
        raise ModelError(
            f"{file}: holds an average over training, {stray!r} for one, under names that are not LDM's, so it would "
            "stay unedited; save the file without it"
        )
    return Held(file, tensors, turns, stored, copies)


def _averaged(names: Iterable[str], prefix: str) -> str | None:
    """The first of a component's averages, None where there are none."""
    return next((name for name in names if prefix in unet.PREFIXES and name.startswith(_ema(prefix))), None)


def _ema(name: str) -> str:
    """LDM's name for the average of a parameter: of `model.X.Y` it is `model_ema.XY`."""
    return EMA + name.removeprefix("model.").replace(".", "")


def digest(component: Path) -> str | None:
    """sha256 over what a component holds in its file, by names: an edit of another component leaves it as it is. None
    where the component has no reference. Raises ModelError.
    """
    reference = read(component)
    if reference is None or held(component) is None:
        return None
    return _digest(reference)


@lru_cache(maxsize=64)
def _digest(reference: Reference) -> str:
    found = _held(reference)
    digest = hashlib.sha256()
    with found.file.open("rb") as file:
        for name, entry in sorted(found.tensors.items()):
            digest.update(json.dumps([name, entry.dtype, entry.shape, found.turns.get(name, "")]).encode())
            file.seek(entry.begin)
            for block in _blocks(file, entry.end - entry.begin):
                digest.update(block)
    return digest.hexdigest()


def _blocks(file: Any, size: int) -> Iterator[bytes]:
    while size > 0:
        block = file.read(min(size, 8 << 20))
        if not block:
            return
        size -= len(block)
        yield block
