"""The Stable Diffusion 1.x family, as the compiler sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.checkpoint import layout
from tracelang.plan.family import ModelError, Site
from tracelang_sd import check, config
from tracelang_sd.clock import DiffusionClock, clock
from tracelang_sd.sites import sites

if TYPE_CHECKING:
    from tracelang_sd.encoder import StableDiffusionText
    from tracelang_sd.model import StableDiffusionModel


class StableDiffusion:
    """`Family` of SD 1.x: a UNet with cross-attention to CLIP's token states, a KL autoencoder, a discrete schedule."""

    names = ("sd1",)

    def name(self, folder: Path) -> str:
        return self.names[0]

    def claims(self, folder: Path) -> bool:
        return check.claims(folder)

    def check(self, folder: Path) -> None:
        with layout.suspicious(folder):
            check.check(folder, self.sites(folder))
            self.clock(folder)
        config.guidance(folder)

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(config.unet(folder), folder / "unet" / "config.json")

    def clock(self, folder: Path) -> DiffusionClock:
        return clock(config.scheduler(folder), folder / "scheduler" / "scheduler_config.json")

    def text(
        self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None
    ) -> StableDiffusionText:
        """The prompt side, its encoder not loaded yet. `dtype` as for `parts.placed`.

        Raises ModelError: everything that `check` finds, a tokenizer, an unknown device or dtype; when a prompt is
        encoded, weights that lack a tensor.
        """
        self.check(folder)
        try:
            from tracelang_sd.encoder import load
        except ImportError as error:
            raise ModelError(f"running a model needs {error.name}; pip install 'tracelang[run]'") from None
        return load(folder, self.sites(folder), config.guidance(folder), device, dtype, cache)

    def load(
        self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None
    ) -> StableDiffusionModel:
        """The model with weights, frozen. Raises ModelError as `text` does, and for weights that lack a tensor."""
        text = self.text(folder, device, dtype, cache)
        from tracelang_sd.model import load

        return load(text, self.clock(folder))
