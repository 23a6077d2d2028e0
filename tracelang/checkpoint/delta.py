"""A delta: of every changed tensor the bits that differ, old XOR new, which turn the base into the edit and back.

It fits one base and is exact in every dtype, unlike a difference of numbers. The file is a safetensors file; its
tensors are called `PATH:TENSOR`, by path inside the checkpoint (of a single file: by its name), and hold bytes. Its
metadata holds the sha256 of every file that it changes, before and after: they are compared before anything is written
and once more afterwards.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from tracelang.checkpoint import folder, patch
from tracelang.checkpoint.output import OutputError, absent, staged, staged_file
from tracelang.models import header, loading, weights
from tracelang.models.header import Entry
from tracelang.plan.family import ModelError

KEY = "tracelang.delta"
SHA256 = re.compile("[0-9a-f]{64}")
Change = Callable[[Path, str], patch.Change]
State = Literal["base", "edited", "neither"]


@dataclass(frozen=True, slots=True)
class Delta:
    """What the file at `path` says: `{file of the checkpoint: (sha256 before, after)}`, and where its bits lie."""

    path: Path
    files: Mapping[str, tuple[str, str]]
    tensors: Mapping[str, Entry]

    @property
    def single(self) -> str | None:
        """What the one file was called that it is of; None where it is of a folder's files."""
        name = next(iter(self.files), "")
        return name if len(self.files) == 1 and "/" not in name else None

    @property
    def edited(self) -> dict[str, set[str]]:
        """The changed tensors by component."""
        found: dict[str, set[str]] = {}
        for name in self.tensors:
            file, tensor = _parts(self.files, name)
            found.setdefault(file.partition("/")[0], set()).add(tensor)
        return found

    def change(self, file: Path, tensor: str) -> patch.Change:
        """The other side's bytes: an XOR is its own inverse. Raises ModelError where it has none of that size."""

        def apply(entry: Entry, raw: bytes) -> bytes:
            held = self.tensors.get(f"{file.as_posix()}:{tensor}")
            if held is None or held.end - held.begin != len(raw):
                raise ModelError(f"{self.path}: does not fit {file}: {tensor!r}; it is of another base")
            with self.path.open("rb") as opened:
                opened.seek(held.begin)
                return xor(raw, opened.read(len(raw)))

        return apply


def xor(one: bytes, other: bytes) -> bytes:
    """Bit by bit, of the same length."""
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(len(one), "little")


def write(
    path: Path, base: Path, touched: Mapping[Path, Iterable[str]], change: Change, metadata: Mapping[str, str]
) -> None:
    """Write the delta of `change` on the `touched` files of the base, each with its changed tensors.

    New bytes are computed twice, since digests stand before the data: of a change that is the same each time.
    """
    table = {
        f"{file.as_posix()}:{name}": ("U8", (entry.end - entry.begin,)) for file, name, entry in _entries(base, touched)
    }
    digest = hashlib.sha256()
    for bits in _bits(base, touched, change):
        digest.update(bits)
    files = {
        file.as_posix(): {"before": weights.sha256(base / file), "after": _after(base, file, set(names), change)}
        for file, names in touched.items()
    }
    told = {KEY: json.dumps(files, sort_keys=True), "modelspec.hash_sha256": f"0x{digest.hexdigest()}"}
    header.write(path, table, _bits(base, touched, change), {**metadata, **told})


def read(path: Path) -> Delta:
    """Raises ModelError for a file that is no delta, or that names a path outside of a checkpoint."""
    held = header.read(path)
    try:
        told = json.loads(held.metadata[KEY])
        files = {str(name): (str(one["before"]), str(one["after"])) for name, one in told.items()}
        odd = [name for name in files if not _inside(name)] + [
            name for name, entry in held.tensors.items() if entry.dtype != "U8" or _parts(files, name)[0] not in files
        ]
        odd += [name for name in files if "/" not in name and len(files) > 1]
        if odd or not all(SHA256.fullmatch(digest) for both in files.values() for digest in both):
            raise ValueError(odd)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{path}: is no delta of tracelang; pass the delta.safetensors of an output") from None
    return Delta(path, files, held.tensors)


def state(delta: Delta, model: Path) -> tuple[State, str]:
    """Which side of the delta a checkpoint is, by the digests of all files; and a file that is on neither. A single
    file may be called anything.
    """
    places = {name: model if name == delta.single else model / name for name in delta.files}
    found = {name: weights.sha256(path) if path.is_file() else "" for name, path in places.items()}
    for place, side in ((0, "base"), (1, "edited")):
        if all(found[name] == both[place] for name, both in delta.files.items()):
            return ("base" if side == "base" else "edited"), ""
    return "neither", next(name for name, both in delta.files.items() if found[name] != both[0])


def apply(delta: Delta, model: Path, out: Path, revert: bool = False) -> folder.Manifest:
    """Write the checkpoint `out`: the edit of the base `model`, or with `revert` the base of the edited `model`.

    `out` appears whole or not at all. Raises OutputError where `model` is not that side, or the result not the other.
    """
    _fits(delta, model, revert)
    if out.resolve().is_relative_to(model.resolve()):
        raise OutputError(f"{out}: lies inside the model; choose a place outside of it")
    absent(out)
    with staged(out) as draft:
        draft.rmdir()
        edited = delta.edited
        made = folder.changed(model, draft, edited, delta.change, edited.keys())
        for name, both in delta.files.items():
            if made.files.get(name, {}).get("after") != both[0 if revert else 1]:
                raise OutputError(f"{out}: not written: {name} did not become what {delta.path} says")
        try:
            loading.call(draft)
        except ModelError as error:
            reason = str(error).replace(f"{draft}/", "")
            raise OutputError(f"{out}: not written, plain diffusers could not load it: {reason}") from None
    return made


def apply_to_file(delta: Delta, file: Path, out: Path, revert: bool = False) -> None:
    """`apply` for a delta of a single file: `out` is that file's other side. Raises as `apply` does."""
    if out.suffix != ".safetensors":
        raise OutputError(f"{out}: the model is one file, and so is its edit; give --out a name that ends .safetensors")
    _fits(delta, file, revert)
    ((name, both),) = delta.files.items()
    changes = {
        tensor: delta.change(Path(name), tensor) for _, tensor in (_parts(delta.files, key) for key in delta.tensors)
    }
    with staged_file(out) as draft:
        if patch.patch(file, draft, changes).file != both[0 if revert else 1]:
            raise OutputError(f"{out}: not written: {file} did not become what {delta.path} says")


def _fits(delta: Delta, model: Path, revert: bool) -> None:
    """Raises OutputError for a model that is not the side which is asked for."""
    side, file = state(delta, model)
    if side == "neither":
        lost = model if file == delta.single else model / file
        raise OutputError(f"{lost}: is neither the base of {delta.path} nor its edit; pass the model it is of")
    if side != ("edited" if revert else "base"):
        told = (
            "already is the edit; pass --revert for its base" if side == "edited" else "is the base; leave --revert out"
        )
        raise OutputError(f"{model}: {told}")


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _parts(files: Iterable[str], name: str) -> tuple[str, str]:
    """The file and the tensor of a name: a single file may have any name, a colon in it too."""
    file = next((one for one in files if name.startswith(f"{one}:")), name.partition(":")[0])
    return file, name[len(file) + 1 :]


def _entries(base: Path, touched: Mapping[Path, Iterable[str]]) -> Iterator[tuple[Path, str, Entry]]:
    for file, names in touched.items():
        held = header.read(base / file).tensors
        yield from ((file, name, held[name]) for name in sorted(names, key=lambda name: held[name].begin))


def _bits(base: Path, touched: Mapping[Path, Iterable[str]], change: Change) -> Iterator[bytes]:
    for file, name, entry in _entries(base, touched):
        raw = _raw(base / file, entry)
        yield xor(raw, change(file, name)(entry, raw))


def _after(base: Path, file: Path, names: set[str], change: Change) -> str:
    """sha256 of the file with the changes in it."""
    digest, position = hashlib.sha256(), 0
    with (base / file).open("rb") as opened:
        for name, entry in header.read(base / file).tensors.items():
            if position < entry.begin:
                digest.update(opened.read(entry.begin - position))
            raw = opened.read(entry.end - entry.begin)
            digest.update(change(file, name)(entry, raw) if name in names else raw)
            position = entry.end
    return digest.hexdigest()


def _raw(file: Path, entry: Entry) -> bytes:
    with file.open("rb") as opened:
        opened.seek(entry.begin)
        return opened.read(entry.end - entry.begin)


def outcome(delta: Delta, base: Path) -> dict[str, str]:
    """sha256 of each file of the base as the delta would make it; nothing is written."""
    names: dict[str, set[str]] = {file: set() for file in delta.files}
    for name in delta.tensors:
        file, tensor = _parts(delta.files, name)
        names[file].add(tensor)
    return {file: _after(base, Path(file), held, delta.change) for file, held in names.items()}
