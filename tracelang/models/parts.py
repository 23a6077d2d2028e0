"""Loading a pipeline's components by diffusers and transformers, strictly and without their noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tracelang.models import expected, weights
from tracelang.models.libraries import blamed, quiet
from tracelang.models.single import reference, tensors
from tracelang.plan.family import ModelError

DTYPES = ("float32", "float16", "bfloat16")


def component(kind: Any, folder: Path, *, spare: str = "", **options: Any) -> Any:
    """One component, strictly: a tensor that is missing is an error here, not a random initialisation. Of a module
    `spare` tensors may be missing: it is None then. `options` are the library's own, such as the dtype; the variant is
    that of the files that are there.

    Raises ModelError naming the folder.
    """
    held = reference.held(folder)
    if held is None and "variant" not in options:
        options["variant"] = weights.find(folder).variant
    with blamed(folder, "loaded"):
        if hasattr(kind, "load_config") or hasattr(kind, "config_class"):  # an Auto class has no tensors of its own
            expected.fits(folder, expected.of(kind, folder / "config.json"), spare)
        if held is not None:
            part, info = tensors.loaded(kind, folder, held, **options)
        else:
            part, info = kind.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    lacking = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if lacking and spare and all(name.startswith(f"{spare}.") for name in lacking):
        setattr(part, spare, None)
    elif lacking:
        raise ModelError(f"{folder}: {len(lacking)} tensors are missing or misshapen, {lacking[0]!r} first")
    return part


def encoder(kind: Any, folder: Path, place: torch.device, dtype: torch.dtype) -> Any:
    """A text encoder, frozen."""
    with quiet():
        return component(kind, folder, dtype=dtype).to(place).eval().requires_grad_(False)


def tokenizer(kind: Any, folder: Path, tokens: int) -> Any:
    """A tokenizer for an encoder that knows so many tokens. Raises ModelError for one of more."""
    with quiet(), blamed(folder, "loaded"):
        found = kind.from_pretrained(folder, local_files_only=True)
    if len(found) > tokens:
        raise ModelError(f"{folder}: the tokenizer has {len(found)} tokens, its text encoder fewer; not one model")
    return found


def placed(device: str, dtype: str | None, stored: str) -> tuple[torch.device, torch.dtype]:
    """Where and in what dtype to compute. None: bfloat16 where the weights are `stored` so (`"BF16"`) and the place is
    not the CPU, else float32, also for float16: gradients fall out of its range, and one rule serves all commands.

    Raises ModelError for a device that cannot be used here and for a dtype that nothing runs in.
    """
    if dtype not in (None, *DTYPES):
        raise ModelError(f"{dtype!r} is no dtype to run in; choose one of {', '.join(DTYPES)}")
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError):
        raise ModelError(f"the device {device!r} cannot be used here; try cpu") from None
    kind: torch.dtype = getattr(torch, dtype or ("bfloat16" if stored == "BF16" and place.type != "cpu" else "float32"))
    return place, kind
