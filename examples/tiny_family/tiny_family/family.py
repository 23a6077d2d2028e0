"""The family as the compiler sees it: claims, sites, clock. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models import check, layout, weights
from tracelang.models.flow import FlowClock, clock
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import Site

if TYPE_CHECKING:
    import torch

    from tiny_family.model import TinyModel
    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide


class Tiny(Pipeline):
    """Cross-attention from a grid of latents to the states of words, a KL autoencoder, a rectified flow."""

    names = ("tiny",)
    title = "Tiny"
    pipeline = "TinyPipeline"
    classes = {
        "transformer": ("tiny_family", frozenset({"TinyTransformer"})),
        "text_encoder": ("tiny_family", frozenset({"TinyTextModel"})),
        "tokenizer": ("transformers", frozenset({"PreTrainedTokenizerFast"})),
        "scheduler": ("diffusers", frozenset({"FlowMatchEulerDiscreteScheduler"})),
        "vae": ("diffusers", frozenset({"AutoencoderKL"})),
    }

    def sites(self, folder: Path) -> tuple[Site, ...]:
        """Keys and values read the words and nothing else; the others read the picture."""
        size = self._transformer(folder)
        width, text = size["width"], size["text_width"]
        return tuple(
            Site("transformer", f"blocks.{i}.to_{name}.weight", (width, inputs), role, "mid", reads, reads is not None)
            for i in range(size["layers"])
            for name, role, inputs, reads in (
                ("q", "query", width, None),
                ("k", "key", text, "tokens"),
                ("v", "value", text, "tokens"),
                ("out", "out", width, None),
            )
        )

    def clock(self, folder: Path) -> FlowClock:
        table = check.config(folder, "scheduler", self.title, *self.classes["scheduler"][1])
        tokens = self._transformer(folder)["side"] ** 2
        return clock(table, folder / "scheduler" / "scheduler_config.json", tokens, self.title)

    def conditions(self, folder: Path) -> Mapping[str, float]:
        return {"guidance": check.guidance(folder, 2.0, 1, "1 is no guidance")}

    def fits(self, folder: Path) -> None:
        check.tokenizer(folder / "tokenizer")
        layout.plain(folder, ("transformer", "text_encoder", "vae"))
        stored = weights.find(folder / "transformer")
        for site in self.sites(folder):
            layout.holds(folder / "transformer", stored, site.tensor, site.shape)
        check.holds_vae(folder, check.config(folder, "vae", self.title, "AutoencoderKL"))

    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        from tiny_family.model import path

        return (path(folder, device, dtype),)

    def model(self, text: PromptSide) -> TinyModel:
        from tiny_family.model import load

        return load(text, self.clock(text.folder))

    def _transformer(self, folder: Path) -> dict[str, Any]:
        return check.config(folder, "transformer", self.title, "TinyTransformer")
