"""How a denoiser's latents lie beside the autoencoder's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """The autoencoder's own: `drawn` is their shape `(channels, height, width)`, in which noise is drawn."""

    drawn: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one of the denoiser's latents."""
        return self.drawn

    def pack(self, latents: Tensor) -> Tensor:
        """From the autoencoder's `[n, *drawn]` to the denoiser's `[n, *shape]`."""
        return latents

    def unpack(self, latents: Tensor) -> Tensor:
        """The way back."""
        return latents


@dataclass(frozen=True, slots=True)
class Packed(Grid):
    """2×2 of the autoencoder's latents to a token, row by row: `(height/2 · width/2, 4 channels)`."""

    @property
    def shape(self) -> tuple[int, ...]:
        channels, height, width = self.drawn
        return (height // 2) * (width // 2), 4 * channels

    def pack(self, latents: Tensor) -> Tensor:
        return pack(latents)

    def unpack(self, latents: Tensor) -> Tensor:
        n, (c, height, width) = len(latents), self.drawn
        cut = latents.view(n, height // 2, width // 2, c, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return cut.reshape(n, c, height, width)


def pack(latents: Tensor) -> Tensor:
    """`[n, c, 2 h, 2 w]` → `[n, h w, 4 c]`."""
    n, c, height, width = latents.shape
    cut = latents.view(n, c, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(n, (height // 2) * (width // 2), 4 * c)
