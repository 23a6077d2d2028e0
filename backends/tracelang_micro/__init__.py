"""The embedded model `micro-sd`: a small text-to-image model in Stable Diffusion's layout, its world and its judge."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).parent / "models"


def micro_sd() -> Path:
    """The folder of `micro-sd`."""
    return MODELS / "micro-sd"
