"""The embedded models: small text-to-image models in the layouts of Stable Diffusion and FLUX, world and judge."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).parent / "models"


def micro_sd() -> Path:
    """The folder of `micro-sd`."""
    return MODELS / "micro-sd"


def micro_flux() -> Path:
    """The folder of `micro-flux`."""
    return MODELS / "micro-flux"
