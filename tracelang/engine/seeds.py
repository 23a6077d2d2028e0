"""All noise from one function, so that what training saw, verification never repeats."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed(purpose: str, prompt: str, index: int, base: int) -> int:
    """A 63-bit seed from `hash(purpose, prompt, index, base)`: the same everywhere, unrelated across purposes."""
    text = json.dumps([purpose, prompt, index, base], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, prompt: str, index: int, base: int) -> torch.Generator:
    """A CPU generator started from `seed`."""
    import torch

    return torch.Generator().manual_seed(seed(purpose, prompt, index, base))
