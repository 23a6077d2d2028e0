"""How much disk a row of the table takes at true size."""

from __future__ import annotations

from tests.layouts.checkpoint import checkpoint
from tests.layouts.rows import Row

REAL = ("sd1", "sd2")
"""Kinds that are generated without holes."""


def needed(row: Row) -> int:
    """Bytes: the base, as far as it is real, and the edited copy, in which a hole takes place too."""
    kind = row.name.replace(",", " ").split()[0]
    model = checkpoint(kind, "true")
    sizes = {name: sum(tensor.size for tensor in tensors.values()) for name, tensors in model.parts.items()}
    whole = sizes[model.denoiser] if "alone" in row.name else sum(sizes.values())
    copies = 3 if "beside" in row.name else 1
    width = 2 if "fp32" in row.name else 1
    return int(1.1 * copies * width * whole * (2 if kind in REAL else 1))
