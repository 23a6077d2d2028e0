"""What the manifest says of an edit, compared with the base model; and the adapter with the edited model. From files
alone, one matrix at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracelang.checkpoint import lora, patch
from tracelang.checkpoint.merge import DTYPES, stored
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.evidence.artifact import Artifact, EvidenceError
from tracelang.models import header, loading, weights
from tracelang.models.locate import family_of
from tracelang.models.single import reference


def with_base(artifact: Artifact, base: Path) -> None:
    """Every digest that the manifest has of `before` is the base's own, and those of tensors are of both models.

    A file that the base does not hold here and that was not edited is passed over: the fingerprint covers all that
    draws. Raises EvidenceError.
    """
    if artifact.model is None:
        return
    manifest, facts, root = artifact.out / "manifest.json", artifact.account, artifact.root
    file_of_base = reference.origin(base)  # by whatever name it lies here
    try:
        for path, file in facts["files"].items():
            edited = path in facts["tensors"]
            here = edited or (base / path).is_file()
            if here and weights.sha256(file_of_base or base / path) != file["before"]:
                raise EvidenceError(f"{manifest}: {path} of the base is not what it says; apply the recipe again")
            if not edited and file["before"] != file["after"] and not _without(root, base, path, facts):
                raise EvidenceError(
                    f"{manifest}: {path} differs from the base's and no tensor in it is said to be "
                    "edited; apply the recipe again"
                )
        for path, tensors in facts["tensors"].items():
            found = patch.digests(file_of_base or base / path, root / path)
            if found != {name: (one["before"], one["after"]) for name, one in tensors.items()}:
                raise EvidenceError(f"{manifest}: the tensors of {path} are not what it says; apply the recipe again")
    except (AttributeError, KeyError, TypeError, FileNotFoundError) as error:
        raise EvidenceError(f"{manifest}: is not what `tracec apply` writes; apply the recipe again") from error


def _without(model: Path, base: Path, path: str, facts: Mapping[str, Any]) -> bool:
    """Is it the index of a model that leaves out what the base has no weights of, and else the base's own?"""
    lost = facts.get("without", {})
    if path != "model_index.json" or not lost or set(lost) != set(loading.without(base)):
        return False
    return (model / path).read_text(encoding="utf-8") == loading.rewritten(base / path, lost)


def adapter(artifact: Artifact, base: Path) -> None:
    """`lora.safetensors` is the edit of `model/`, matrix by matrix, up to the rounding of what is stored and what the
    manifest says was left out.

    Raises EvidenceError naming the matrix where it is not, and ModelError.
    """
    folder = artifact.folder(base)
    if folder is None or not artifact.adapter.is_file():
        return
    family = family_of(base)
    sites = family.sites(base)
    factors = lora.read(artifact.adapter, sites)
    dtypes = {DTYPES[entry.dtype] for entry in header.read(artifact.adapter).tensors.values() if len(entry.shape) == 2}
    edited = {
        tensor
        for tensors in artifact.account["tensors"].values()
        for tensor, one in tensors.items()
        if one["before"] != one["after"]
    }
    for site in sites:
        if site not in factors and reference.called(base / site.component, site.tensor) not in edited:
            continue
        old, new = stored(base, site), stored(folder, site)
        if not same(old, new, factors.get(site), dtypes, artifact.left_out):
            raise EvidenceError(
                f"{artifact.adapter}: is not the edit of {artifact.told} ({site.tensor} differs); "
                "apply the recipe again"
            )


def same(old: Tensor, new: Tensor, delta: LowRank | None, dtypes: set[torch.dtype], left_out: float = 0.0) -> bool:
    """Is `new` `old + up @ down`, but for the rounding of `new` and of the factors, which are stored in `dtypes`, and
    the share `left_out` of the change?
    """
    change = exact(new) - exact(old)
    told = torch.zeros_like(change) if delta is None else exact(delta.up) @ exact(delta.down)
    coarsest = max((torch.finfo(dtype) for dtype in dtypes), key=lambda info: info.eps, default=torch.finfo(new.dtype))
    own = torch.finfo(new.dtype)
    room = own.eps / 2 * float(exact(new).norm()) + own.tiny * new.numel() ** 0.5
    if delta is not None:
        sizes = float(exact(delta.up).norm()), float(exact(delta.down).norm())
        room += 2 * coarsest.eps * sizes[0] * sizes[1]
        room += coarsest.tiny * (sizes[0] * delta.down.numel() ** 0.5 + sizes[1] * delta.up.numel() ** 0.5)
    if delta is None or not delta.norm():
        left_out = 0.0  # a share of a change may be left out, never all of it
    return bool(float((change - told).norm()) <= room + (1e-6 + left_out) * float(change.norm()))
