"""Loading a pipeline's components by diffusers and transformers, strictly and without their noise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from tracelang.checkpoint import weights
from tracelang.plan.family import ModelError


def component(kind: Any, folder: Path, **dtype: torch.dtype) -> Any:
    """One component, strictly: a tensor that is missing is an error here, not a random initialisation."""
    try:
        part, info = kind.from_pretrained(
            folder, variant=weights.find(folder).variant, use_safetensors=True, local_files_only=True,
            output_loading_info=True, **dtype,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ModelError(f"{folder}: cannot be loaded ({line(error)})") from None
    lacking = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if lacking:
        raise ModelError(f"{folder}: {len(lacking)} tensors are missing or misshapen, {lacking[0]!r} first")
    return part


def line(error: BaseException) -> str:
    """An error's words in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' own progress bars and warnings: what matters about loading is checked here."""
    levels = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(levels[0])
        transformers_logging.set_verbosity(levels[1])
        if bars:
            transformers_logging.enable_progress_bar()
