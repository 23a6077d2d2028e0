"""Which of several variants of a component's weights a model is run from: the plain files, or those of a name (`fp16`).

A choice belongs to a folder and to this process: everything here is told of a model by its folder alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tracelang.plan.family import ModelError

STEMS = ("diffusion_pytorch_model", "model")
VARIANTS = (None, "fp16", "bf16")
"""The order in which they are looked for where nobody says; None are the plain files."""
SHARD = r"(?:-\d{5}-of-\d{5})?"
NAME = r"(?:\.([A-Za-z0-9_]+))?"
FILE = re.compile(
    rf"(?:{'|'.join(STEMS)})(?:{NAME}{SHARD}\.safetensors|{SHARD}{NAME}\.safetensors"
    rf"|\.safetensors\.index{NAME}\.json|\.safetensors{NAME}\.index\.json)"
)
"""Weights or their index, in any naming that the libraries read."""

_CHOSEN: dict[str, str] = {}


def choose(folder: Path, variant: str | None) -> None:
    """Let the model in `folder` be run from a variant, None: from what is found first. A component without it is run
    from what is found first, as by diffusers. Raises ModelError where no component has it.
    """
    _CHOSEN.pop(os.path.realpath(folder), None)
    if variant is None:
        return
    refuse(folder, (f"{path.parent.name}/{path.name}" for path in sorted(folder.glob("[!.]*/[!.]*"))), variant)
    _CHOSEN[os.path.realpath(folder)] = variant


def refuse(model: object, files: Iterable[str], variant: str) -> None:
    """Raise ModelError where no component has a variant; `files` are a model's, by path inside it."""
    found = there(name for folder, _, name in (file.rpartition("/") for file in files) if folder)
    if variant not in found:
        raise ModelError(f"{model}: --variant {variant}: no component has it; there are {_listed(found)}")


def chosen(folder: Path) -> str | None:
    """The variant that a folder was asked for, None where nobody said."""
    return _CHOSEN.get(os.path.realpath(folder))


def order(folder: Path) -> tuple[str | None, ...]:
    """The variants to look for in a folder's components, the first one first."""
    first = chosen(folder)
    return VARIANTS if first is None else (first, *(one for one in VARIANTS if one != first))


def there(files: Iterable[str]) -> set[str | None]:
    """The variants among the bare names of files."""
    found = filter(None, map(FILE.fullmatch, files))
    return {next(filter(None, match.groups()), None) for match in found}


def _listed(found: set[str | None]) -> str:
    names = sorted(name for name in found if name is not None)
    named = [*(["the plain files"] if None in found else []), *names] or ["no safetensors weights"]
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
