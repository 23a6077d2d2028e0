"""The forms of an output by name, and what passes between `save` and the file of a form (`emits`). Torch-free
until a form is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models.locate import family_of
from tracelang.models.single import reference
from tracelang.semantics.kinds import begun, kinds

if TYPE_CHECKING:
    from tracelang.checkpoint.folder import Untouched
    from tracelang.checkpoint.lora import Size
    from tracelang.engine.low_rank import Dense, LowRank
    from tracelang.engine.text_map import TextMap
    from tracelang.models.family import Family
    from tracelang.plan.family import Site
    from tracelang.plan.types import Plan

ROOM = "tracelang.checkpoint.emits"
USUAL = {"folder": ("folder", "lora"), "file": ("single-file", "lora")}
"""What is written where nobody says, of a base that is a folder, and of one that is a single file."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a form is written from. `deltas` are changes of the base's matrices, `ΔW = up @ down` or whole; `sites` are
    all that the base has. `out` is where OUT will be, for messages. `untouched` as in `folder.copy`. `name` and
    `fingerprint` are the base's, `size` is that of LoRAs, `maps` are
    the closed forms that the deltas come from, as far as they do.
    """

    out: Path
    base: Path
    family: Family
    sites: Sequence[Site]
    deltas: Mapping[Site, LowRank | Dense]
    plan: Plan
    untouched: Untouched
    name: str
    fingerprint: str
    size: Size
    maps: Mapping[Site, TextMap]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of an output before there is an edit: the base, the matrices that will change, and what was asked
    for, as in `Work`.
    """

    base: Path
    plan: Plan
    sites: Sequence[Site]
    untouched: Untouched
    size: Size


@dataclass(frozen=True, slots=True)
class Emitted:
    """What a form tells of what it wrote: `facts` for the manifest (JSON values), the `files` whose digests the
    manifest shall hold, by path inside OUT, and `remarks`, a line each, for whoever applies and for the card.
    """

    facts: Mapping[str, Any]
    files: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def known() -> tuple[str, ...]:
    """Every form that there is, as `--emit` calls it."""
    return tuple(kind.replace("_", "-") for kind in kinds(ROOM))


def usual(base: Path, plan: Plan) -> tuple[str, ...]:
    """What is written of a base where nobody says: no LoRA where nothing would load it, or none could hold the edit."""
    found = USUAL["folder" if reference.origin(base) is None else "file"]
    return found if family_of(base).reads_lora and not whole(plan) else found[:1]


def whole(plan: Plan) -> str:
    """The first pass of a plan whose change of a matrix has no low rank, by its label; "" where there is none."""
    passes = plan.method.passes
    return next((step.label for step in passes[begun(passes) :] if step.whole and plan.active), "")


def form(name: str) -> Any:
    """The file that writes a form of this name."""
    return import_module(f"{ROOM}.{name.replace('-', '_')}")


def relation(emitted: Iterable[str]) -> str:
    """What an output is to its base, in the hub's words."""
    found = {form(name).RELATION for name in emitted}
    return "finetune" if "finetune" in found or not found else "adapter"


def cards(manifest: Mapping[str, Any], out: Path) -> tuple[str, ...]:
    """What the card of the output in `out` says of each form that the manifest tells of."""
    return tuple(form(name).card(manifest[form(name).KEY], out) for name in manifest["emit"])
