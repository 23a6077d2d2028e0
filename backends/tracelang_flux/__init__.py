"""FLUX.1 (dev and schnell) in diffusers layout. Nothing here imports torch before a text side is asked for."""

from tracelang_flux.family import Flux

__all__ = ["Flux"]
