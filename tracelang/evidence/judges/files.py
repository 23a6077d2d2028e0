"""What a judge is made of: its weights' digest, and the library parts that read a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    try:
        with _quiet():
            model, info = kind.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype="float32"
            )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None
    lacking = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if lacking and all(name.startswith("pooler.") for name in lacking):
        model.pooler = None
    elif lacking:
        raise ValueError(f"{folder}: {len(lacking)} tensors are missing or misshapen, {lacking[0]!r} first")
    return model.eval().requires_grad_(False)


def processor(kind: Any, folder: Path) -> Any:
    """A tokenizer or an image processor of a local folder. Raises ValueError naming the folder."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars and warnings: what matters about loading is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
