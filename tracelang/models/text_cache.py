"""Text states on disk, one file a prompt, so that an encoder whose answers are all known need not be loaded."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tracelang.files import cache_folder
from tracelang.models import store
from tracelang.models.protocol import TextStates

FORMAT = 1


def folder() -> Path:
    """`states` in the user's cache folder."""
    return cache_folder("states")


def path(where: Path, encoder: str, prompt: str) -> Path:
    """Where a prompt's states lie. `encoder` names all else that decides them: weights, tokenizer, length, dtype."""
    facts = json.dumps([FORMAT, encoder, prompt], ensure_ascii=False)
    return where / f"{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()}.safetensors"


def cached(
    encoder: str,
    prompts: Sequence[str],
    make: Callable[[Sequence[str]], TextStates],
    where: Path,
    device: torch.device,
    limit: int | None = None,
) -> TextStates:
    """The states of some prompts in their order, on `device`: those that `where` holds, and `make` of the others.

    `make` is called once at most, and must give a prompt the same states whatever stands beside it. A damaged file is
    made again; a folder that cannot be written to is no reason to stop.
    """
    files = {prompt: path(where, encoder, prompt) for prompt in prompts}
    found = {prompt: held[0] for prompt, file in files.items() if (held := store.read(file)) is not None}
    missing = [prompt for prompt in files if prompt not in found]
    if missing:
        made = make(missing)
        found |= {prompt: {name: value[i] for name, value in made.inputs.items()} for i, prompt in enumerate(missing)}
        with contextlib.suppress(OSError):
            for prompt in missing:
                store.keep(files[prompt], found[prompt], limit=limit)
    names = found[prompts[0]]
    return TextStates({name: torch.stack([found[one][name].to(device) for one in prompts]) for name in names})
