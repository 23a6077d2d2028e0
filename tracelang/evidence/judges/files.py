"""What a judge is made of: its weights' digest, and the library parts that read a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WEIGHTS = ("*.safetensors", "*.onnx")


def digest(files: Iterable[Path]) -> str:
    """sha256 of one file; of several, of their names and digests in order. Raises ValueError where there is none."""
    found = sorted(files)
    if not found:
        raise ValueError("no weights file (.safetensors, .onnx) is there")
    each = []
    for file in found:
        with file.open("rb") as stream:
            each.append(hashlib.file_digest(stream, "sha256").hexdigest())
    if len(each) == 1:
        return each[0]
    lines = [f"{file.name} {one}\n" for file, one in zip(found, each, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def weights(folder: Path) -> list[Path]:
    """The weights files that lie directly in a folder."""
    return [file for pattern in WEIGHTS for file in folder.glob(pattern)]


def local(kind: Any, folder: Path) -> Any:
    """A model, strictly: `kind.from_pretrained` of a local folder, where a missing tensor is an error.

    Only a pooler may be missing, as it is in many image models: the model is then without one.
    Raises ValueError naming the folder: unreadable, incomplete, or pickled weights only.
    """
    from tracelang.models.parts import component, quiet
    from tracelang.plan.family import ModelError

    try:
        with quiet():
            return component(kind, folder, spare="pooler", variant=None, dtype="float32").eval().requires_grad_(False)
    except ModelError as error:
        raise ValueError(str(error)) from None


def processor(kind: Any, folder: Path) -> Any:
    """A tokenizer or an image processor of a local folder. Raises ValueError naming the folder."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None
