"""Stable Diffusion 1.x, 2.x and XL in diffusers layout. Nothing here imports torch before a text side is asked for."""

from tracelang_sd.family import StableDiffusion
from tracelang_sd.xl import StableDiffusionXL

__all__ = ["StableDiffusion", "StableDiffusionXL"]
