"""`model/`: the edited checkpoint in the base's own layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracelang.checkpoint import folder
from tracelang.checkpoint.forms import Asked, Emitted, Work
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.room import Needed
from tracelang.models import loading, variants
from tracelang.models.single import reference
from tracelang.plan.family import ModelError
from tracelang.plan.types import Plan

KEY = "model"
RELATION = "finetune"
EMPTY = True


def refuse(base: Path, plan: Plan) -> None:
    """Raises OutputError for a base that is a single file, and ModelError for a folder that nothing could load."""
    file = reference.origin(base)
    if file is not None:
        raise OutputError(f"--emit folder: {file} is a single file, which is edited as a file; emit single-file")
    loading.variant(base, loading.without(base))


def foreseen(asked: Asked) -> Needed:
    """Raises ModelError."""
    return folder.foreseen(asked.base, asked.sites, asked.untouched)


def write(work: Work, draft: Path) -> Emitted:
    """Raises OutputError where plain diffusers could not load what was written."""
    components = frozenset(site.component for site in work.sites)
    copied = folder.copy(work.base, draft / "model", work.deltas, components, work.untouched)
    facts = dataclasses.asdict(copied) | {"variant": variants.chosen(work.base)}
    try:
        loading.call(draft / "model", first=facts["variant"])
    except ModelError as error:
        reason = str(error).replace(f"{draft / 'model'}/", "")
        raise OutputError(f"{work.out}: not written, plain diffusers could not load it: {reason}") from None
    return Emitted(facts, remarks=_remarks(facts))


def card(facts: Mapping[str, Any], out: Path) -> str:
    try:
        load = loading.call(out / "model", first=facts.get("variant"))
    except ModelError:  # changed since: the manifest's digests say so
        load = ""
    where, lines = ("; from this folder:", f"\n\n```python\n{load}\n```\n\n") if load else (".", " ")
    return (
        f"`model/` is the edited checkpoint{where}{lines}`manifest.json` holds the digest of every file, and of every "
        "tensor in an edited file, before and after."
    )


def _remarks(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader would not expect of the copy, one line each, from the manifest's account of it."""
    told = [
        f"the copy is without its {name}, which model_index.json now calls [null, null]: {reason}"
        for name, reason in facts.get("without", {}).items()
    ]
    lost = [path for path in facts.get("left_out", []) if path.partition("/")[0] not in facts.get("without", {})]
    if lost:
        shown = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        told.append(f"not copied, since unedited weights could come back through it: {shown}")
    return tuple(told)
