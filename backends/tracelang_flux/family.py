"""The FLUX.1 family, as the compiler sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.checkpoint import layout
from tracelang.plan.family import ModelError, Site
from tracelang_flux import check, config
from tracelang_flux.clock import FlowClock, clock
from tracelang_flux.sites import sites

if TYPE_CHECKING:
    from tracelang_flux.encoders import FluxText
    from tracelang_flux.model import FluxModel


class Flux:
    """`Family` of FLUX.1: a transformer over text and image tokens, T5 and CLIP, a KL autoencoder, a rectified flow."""

    names = ("flux",)

    def name(self, folder: Path) -> str:
        return self.names[0]

    def claims(self, folder: Path) -> bool:
        return check.claims(folder)

    def check(self, folder: Path) -> None:
        with layout.suspicious(folder):
            check.check(folder, self.sites(folder))
            self.clock(folder)

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(config.transformer(folder), folder / "transformer" / "config.json")

    def clock(self, folder: Path) -> FlowClock:
        table = config.part(folder, "scheduler", "_class_name", *config.CLASSES["scheduler"][1])
        return clock(table, folder / "scheduler" / "scheduler_config.json", config.settings(folder).side ** 2)

    def text(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> FluxText:
        """The prompt side, its encoders not loaded yet. `dtype` as for `parts.placed`.

        Raises ModelError: everything that `check` finds, a tokenizer, an unknown device or dtype; when a prompt is
        encoded, weights that lack a tensor.
        """
        self.check(folder)
        try:
            from tracelang_flux.encoders import load
        except ImportError as error:
            raise ModelError(f"running a model needs {error.name}; pip install 'tracelang[run]'") from None
        return load(folder, self.sites(folder), config.settings(folder), device, dtype, cache)

    def load(self, folder: Path, device: str = "cpu", dtype: str | None = None, cache: Path | None = None) -> FluxModel:
        """The model with weights, frozen. Raises ModelError as `text` does, and for weights that lack a tensor."""
        text = self.text(folder, device, dtype, cache)
        from tracelang_flux.model import load

        return load(text, self.clock(folder))
