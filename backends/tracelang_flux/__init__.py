"""FLUX.1 (dev and schnell) in diffusers layout. Nothing here imports torch before `Flux.load`."""

from tracelang_flux.family import Flux

__all__ = ["Flux"]
