"""A model that takes parts from others: its folder holds what is its own, packed, and names whose the rest is.

`shared.json` says of each part that is taken which embedded model has it, and its digest. Weights lie as `.xz`: of fp16
the upper bytes (sign, exponent, two bits of the mantissa) repeat themselves, the lower ones hardly do, so all of one
come before all of the other. A trained network takes 85 % of its size so, 89 % as it is, and comes back bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tracelang.files import cache_folder, whole
from tracelang.models.locate import locate
from tracelang.models.weights import sha256
from tracelang.plan.family import ModelError

SHARED, PACKED = "shared.json", ".xz"


def pack(data: bytes) -> bytes:
    return lzma.compress(data[::2] + data[1::2], preset=9)


def unpack(packed: bytes) -> bytes:
    halves = lzma.decompress(packed)
    data, middle = bytearray(len(halves)), (len(halves) + 1) // 2
    data[::2], data[1::2] = halves[:middle], halves[middle:]
    return bytes(data)


def digest(part: Path) -> str:
    """sha256 of all that lies in a folder, wherever that is."""
    files = {file.relative_to(part).as_posix(): sha256(file) for file in sorted(part.rglob("*")) if file.is_file()}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def split(folder: Path, into: Path, others: Mapping[str, Path]) -> None:
    """Write of a whole pipeline folder what none of the `others`, by their names, has as well."""
    shared: dict[str, dict[str, str]] = {}
    for part in sorted(place for place in folder.iterdir() if place.is_dir()):
        own = digest(part)
        places = {name: other / part.name for name, other in others.items()}
        if name := next((name for name, place in places.items() if place.is_dir() and digest(place) == own), None):
            shared[part.name] = {"model": name, "sha256": own}
    shutil.rmtree(into, ignore_errors=True)
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        place = into / file.relative_to(folder)
        if place.relative_to(into).parts[0] in shared:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".safetensors":
            place.with_name(place.name + PACKED).write_bytes(pack(file.read_bytes()))
        else:
            shutil.copyfile(file, place)
    (into / SHARED).write_text(json.dumps(shared, indent=2) + "\n")


def complete(folder: Path, where: Path | None = None) -> Path:
    """The whole pipeline folder, as any program loads it: made once, in `where`, by default the user's cache.

    Raises ModelError where a part that it takes is another than it was trained with, and where nothing can be written.
    """
    where = where or cache_folder("models")
    made = where / f"{folder.name}-{digest(folder)[:16]}"
    if made.is_dir():
        return made
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=where) as home:
            draft = Path(home) / made.name
            _assembled(folder, draft)
            draft.rename(made)
    except OSError as error:
        if not made.is_dir():  # no other process was faster
            raise ModelError(
                f"{folder.name}: cannot be unpacked in {where} ({error.strerror}); "
                "set TRACELANG_CACHE to a folder that can be written to"
            ) from None
    return made


def _assembled(folder: Path, draft: Path) -> None:
    for name, (model, own) in _shared(folder).items():
        part = locate(model) / name
        if not part.is_dir() or digest(part) != own:
            raise ModelError(
                f"{folder.name}: the {name} of {model} is not the one that it was trained with; "
                "install tracelang-micro and tracelang-micro-twins of one version"
            )
        for file in (file for file in part.rglob("*") if file.is_file()):
            _written(draft / name / file.relative_to(part), file.read_bytes())
    for file in (file for file in folder.rglob("*") if file.is_file() and file.name != SHARED):
        place = draft / file.relative_to(folder)
        if file.suffix == PACKED:
            try:
                _written(place.with_suffix(""), unpack(file.read_bytes()))
            except lzma.LZMAError:
                raise ModelError(f"{folder.name}: {file.name} is damaged; install its distribution again") from None
        else:
            _written(place, file.read_bytes())


def _shared(folder: Path) -> dict[str, tuple[str, str]]:
    """Of each part that is taken, by its plain name, which embedded model has it, and its digest."""
    try:
        stated = json.loads((folder / SHARED).read_bytes())
        found = {name: (of["model"], of["sha256"]) for name, of in stated.items()}
        plain = all(re.fullmatch(r"\w+", name) and re.fullmatch(r"[\w-]+", of[0]) for name, of in found.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        plain = False
    if not plain:
        raise ModelError(f"{folder.name}: {SHARED} cannot be read; install its distribution again")
    return found


def _written(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as draft:
        draft.write_bytes(data)
