"""The prompt side of a pipeline: tokenizers at once, encoders when a prompt has to be encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from tracelang.models import reading, steady, text_cache, weights
from tracelang.models.digests import recalled
from tracelang.models.paths import PathEncoder, TextPath
from tracelang.models.protocol import Lost, TextStates, TokenLayout
from tracelang.plan.family import Site
from tracelang.plan.prompts import Prompt

BATCH = 64
"""Prompts at a time; a streamed encoder is read once for each batch."""


@dataclass(frozen=True)
class PromptSide:
    """`TextSide` over text paths, of which the first is what `layout` speaks of. `cache` is the folder that keeps
    states, None for none. `before` is what the checkpoint's files were before the first of them was read: what comes of
    others is kept under no name of theirs.
    """

    folder: Path
    sites: tuple[Site, ...]
    paths: tuple[TextPath, ...]
    conditions: Mapping[str, float]
    device: torch.device
    dtype: torch.dtype
    cache: Path | None
    before: steady.Seen

    @property
    def prompt_encoder(self) -> PathEncoder:
        return PathEncoder(self.paths)

    def vocabulary(self) -> tuple[str, ...]:
        return tuple(sorted({word for path in self.paths for word in path.words()}))

    def encode(self, prompts: Sequence[str], keep: bool = True) -> TextStates:
        """Each path's states under the input that it is read by, `[n, L, d]`."""
        if self.cache is None or not prompts or not keep:
            return self._encode(prompts)
        return text_cache.cached(self.encoders, prompts, self._encode, self.cache, self.device)

    def unconditional(self) -> TextStates:
        return self.encode([""])

    def layout(self, prompt: Prompt) -> TokenLayout:
        return self.paths[0].layout(prompt)

    def lost(self, prompts: Sequence[Prompt]) -> tuple[Lost, ...]:
        return tuple(one for path in self.paths for one in reading.lost(path, prompts))

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> TextStates:
        if not prompts:
            return TextStates({name: value[:0] for name, value in self._encode([""]).inputs.items()})
        batches = [prompts[i : i + BATCH] for i in range(0, len(prompts), BATCH)]
        found = ({name: value for path in self.paths for name, value in path.encode(some).items()} for some in batches)
        states = TextStates.cat([TextStates(inputs) for inputs in found])
        steady.refuse(self.before)
        return states

    @cached_property
    def encoders(self) -> str:
        encoders, tokenizers = (sum(names, ()) for names in zip(*(path.components for path in self.paths), strict=True))
        facts = (str(self.dtype), self.device.type, self.paths[0].length)
        return weights.prompt_side(self.folder, encoders, tokenizers, *facts, digest=recalled)
