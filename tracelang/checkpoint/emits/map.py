"""`map.safetensors`: the closed form itself, `W' = W + (W @ left) @ rightᵀ`, one pair of factors a text input.

It holds no weights and fits every matrix that reads that input, but its factors are `[d, n]` of n erased states: small
only where few are erased.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tracelang.checkpoint import adapters, loaded, lora, modelspec
from tracelang.checkpoint.forms import Asked, Emitted, Work, whole
from tracelang.checkpoint.merge import stored
from tracelang.checkpoint.output import OutputError
from tracelang.checkpoint.room import Needed
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.engine.text_map import TextMap
from tracelang.models import header
from tracelang.plan.family import Site
from tracelang.plan.types import Plan

KEY = "map"
RELATION = "adapter"
EMPTY = False
FILE = "map.safetensors"
ROUNDING = 1e-4
"""Of a matrix's change, what storing the factors in float32 may cost."""


def refuse(base: Path, plan: Plan) -> None:
    """Raises OutputError for a plan that trains, or changes whole matrices."""
    trained = [step.label for step in plan.method.passes if not step.closed_form]
    if trained and plan.active:
        raise OutputError(
            f"`{trained[0]}` trains every matrix by itself, which is no map of text states; emit folder, lora or delta"
        )
    if label := whole(plan):
        raise OutputError(f"`{label}` changes whole matrices, which is no map of text states; emit folder or delta")


def foreseen(asked: Asked) -> Needed:
    """Two factors `[d, n]` in float32 for each text input, of no more states than the input has numbers."""
    widths = {site.reads: site.part.stop - site.part.start for site in asked.sites}
    return Needed(own=sum(2 * 4 * width**2 for width in widths.values()))


def write(work: Work, draft: Path) -> Emitted:
    """Raises OutputError where the file, read back, does not give the edit."""
    groups: dict[int, list[Site]] = {}
    for site in work.deltas:
        if site not in work.maps:
            raise OutputError(f"{FILE}: not written: the change of {site.tensor} is no map of text states; emit folder")
        groups.setdefault(id(work.maps[site]), []).append(site)
    tensors, reads = dict[str, torch.Tensor](), dict[str, list[str]]()
    for number, sites in enumerate(groups.values()):
        name, text_map = f"{sites[0].reads}.{number}", work.maps[sites[0]]
        tensors |= {f"{name}.left": text_map.left.float(), f"{name}.right": text_map.right.float()}
        reads[name] = [f"{site.component}.{site.tensor}" for site in sites]
    told = modelspec.metadata(work, "tracelang", "map")
    lora.write(draft / FILE, "F32", tensors, told | {"tracelang.map": json.dumps(reads)})
    held = read(draft / FILE)

    def change(site: Site) -> LowRank | None:
        found = held.get(f"{site.component}.{site.tensor}")
        if found is None:
            return None
        W = exact(stored(work.base, site))
        return LowRank(W[:, site.part] @ found.left, found.right.T).widened(site.part, site.shape[1])

    errors = loaded.compare(draft / FILE, "a reader", change, adapters.changes(work), lambda site: ROUNDING)
    size, states = (draft / FILE).stat().st_size, max(tensor.shape[1] for tensor in tensors.values())
    summary = (
        f"{FILE}: {lora.megabytes(size)}, {states} states moved; it turns every matrix that reads them into the edit"
    )
    facts = {"bytes": size, "error": loaded.bound(errors), "summary": summary}
    return Emitted(facts, files=(FILE,), remarks=lora.larger(draft / FILE, "F32", work.deltas))


def read(path: Path) -> dict[str, TextMap]:
    """The map of each matrix, by component and tensor."""
    from safetensors.torch import load_file

    held, reads = load_file(path), json.loads(header.read(path).metadata["tracelang.map"])
    return {
        matrix: TextMap(exact(held[f"{name}.left"]), exact(held[f"{name}.right"]))
        for name, matrices in reads.items()
        for matrix in matrices
    }


def card(facts: Mapping[str, Any], out: Path) -> str:
    return f"""\
`{FILE}` is the edit as a map of text states, for a loaded pipeline of the base:

```python
import json
from safetensors import safe_open

with safe_open("{FILE}", "pt") as file:
    for name, matrices in json.loads(file.metadata()["tracelang.map"]).items():
        left, right = (file.get_tensor(f"{{name}}.{{part}}").double() for part in ("left", "right"))
        for matrix in matrices:
            component, _, tensor = matrix.partition(".")
            W = getattr(pipe, component).get_parameter(tensor).data
            read = W[:, : len(left)]
            read += ((read.double() @ left) @ right.T).to(W.dtype)
```
"""
