"""Stable Diffusion 1.x and 2.x in diffusers layout. Nothing here imports torch before a text side is asked for."""

from tracelang_sd.family import StableDiffusion

__all__ = ["StableDiffusion"]
