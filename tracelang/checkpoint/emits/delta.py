"""`delta.safetensors`: the bits in which the edited checkpoint differs from its base, for `tracec patch`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from tracelang.checkpoint import delta, folder, lora, merge, modelspec, patch
from tracelang.checkpoint.emits import single_file
from tracelang.checkpoint.forms import Asked, Emitted, Work
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.room import Needed
from tracelang.models import header, loading, weights
from tracelang.models.single import reference
from tracelang.plan.types import Plan

KEY = "delta"
RELATION = "finetune"
EMPTY = False
FILE = "delta.safetensors"


def refuse(base: Path, plan: Plan) -> None:
    """Raises ModelError for a folder that nothing could load."""
    if reference.origin(base) is None:
        loading.variant(base, loading.without(base))


def foreseen(asked: Asked) -> Needed:
    """The edited matrices once more, of every variant. Raises ModelError."""
    wanted: dict[str, set[str]] = {}
    for site in asked.sites:
        wanted.setdefault(site.component, set()).add(site.tensor)
    entries = (
        held[name][1]
        for component, names in wanted.items()
        for held in weights.copies(asked.base / component)
        for name in names & held.keys()
    )
    return Needed(own=sum(entry.end - entry.begin for entry in entries))


def write(work: Work, draft: Path) -> Emitted:
    """Of the same files as `folder` or `single-file` edits. Raises OutputError where the base and the file do not give
    the edit.
    """
    base, touched, change = _of_folder(work) if reference.origin(work.base) is None else _of_file(work)
    delta.write(draft / FILE, base, touched, change, modelspec.metadata(work, "tracelang", "delta"))
    found = delta.read(draft / FILE)
    for name, wanted in delta.outcome(found, base).items():
        if wanted != found.files[name][1]:
            raise OutputError(f"{FILE}: not written: read back, it does not turn {name} of the base into the edit")
    size = (draft / FILE).stat().st_size
    told = f"{FILE}: {lora.megabytes(size)}; `tracec patch` turns the base into the edit with it, and back"
    return Emitted({"bytes": size, "files": len(touched), "summary": told}, files=(FILE,))


def _of_folder(work: Work) -> tuple[Path, Mapping[Path, Set[str]], delta.Change]:
    sites = {(site.component, site.tensor): site for site in work.deltas}
    edited: dict[str, set[str]] = {}
    for component, tensor in sites:
        edited.setdefault(component, set()).add(tensor)
    components = frozenset(site.component for site in work.sites)
    touched = {path: held for path, held in folder.parts(work.base, edited, components) if held}

    def change(path: Path, tensor: str) -> patch.Change:
        return merge.change(sites[path.parts[0], tensor], work.deltas)

    return work.base, touched, change


def _of_file(work: Work) -> tuple[Path, Mapping[Path, Set[str]], delta.Change]:
    """By the file's own tensors, some of which hold several matrices side by side."""
    file = reference.origin(work.base)
    assert file is not None
    tensors = header.read(file).tensors
    inside: dict[str, list[tuple[header.Entry, patch.Change]]] = {}
    for _, part, apply in single_file.changes(work):
        name = next(name for name, one in tensors.items() if one.begin <= part.begin and part.end <= one.end)
        inside.setdefault(name, []).append((part, apply))

    def change(path: Path, tensor: str) -> patch.Change:
        def applied(entry: header.Entry, raw: bytes) -> bytes:
            made = bytearray(raw)
            for part, apply in inside[tensor]:
                here = slice(part.begin - entry.begin, part.end - entry.begin)
                made[here] = apply(part, raw[here])
            return bytes(made)

        return applied

    return file.parent, {Path(file.name): inside.keys()}, change


def card(facts: Mapping[str, Any], out: Path) -> str:
    return (
        f"`{FILE}` is what differs from the base, bit by bit. `tracec patch {FILE} --model BASE --out EDITED` makes "
        f"the edited checkpoint. `tracec patch {FILE} --model EDITED --out BASE --revert` makes the base again."
    )
