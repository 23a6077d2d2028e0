"""Prompts with free embeddings among their own: what textual inversion learns, and what training looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tracelang.models.protocol import PromptEncoder, TextStates, TokenLayout


@dataclass(frozen=True, slots=True)
class Slot:
    """A prompt's ids `[L]` with room for `length` free embeddings from `at` on; `words` are the phrase's own ids."""

    ids: Tensor
    at: int
    words: Tensor
    length: int = 1


def instead(ids: Tensor, layout: TokenLayout) -> Slot | None:
    """One embedding in place of the prompt's phrase; None where the phrase was cut off."""
    phrase = list(layout.phrase)
    if not phrase:
        return None
    kept = [i for i in range(len(ids)) if i not in phrase[1:]]
    padding = ids[-1:].expand(len(phrase) - 1)
    return Slot(torch.cat([ids[kept], padding]), phrase[0], ids[phrase])


def beside(ids: Tensor, layout: TokenLayout, length: int, before: bool) -> Slot | None:
    """Embeddings before or after the phrase; None where they would push words out.

    Whoever reads the ids alone finds the phrase's own words there once more.
    """
    phrase = list(layout.phrase)
    if not phrase or layout.end + length >= len(ids):
        return None
    at = phrase[0] if before else phrase[-1] + 1
    again = ids[[phrase[i % len(phrase)] for i in range(length)]]
    return Slot(torch.cat([ids[:at], again, ids[at : len(ids) - length]]), at, ids[phrase], length)


def encode(words: PromptEncoder, slots: Sequence[Slot], free: Tensor) -> TextStates:
    """States of the prompts with `free [n, length, d]` in their slots. Gradients flow."""
    ids = torch.stack([slot.ids for slot in slots])
    rows = words.table[ids.to(words.table.device)]
    parts = zip(slots, rows, free.to(rows.dtype), strict=True)
    put = [torch.cat([row[: one.at], own, row[one.at + one.length :]]) for one, row, own in parts]
    return words.encode(ids, torch.stack(put))
