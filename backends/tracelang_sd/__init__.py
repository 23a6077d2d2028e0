"""Stable Diffusion 1.x in diffusers layout. Nothing here imports torch before `StableDiffusion.load`."""

from tracelang_sd.family import StableDiffusion

__all__ = ["StableDiffusion"]
