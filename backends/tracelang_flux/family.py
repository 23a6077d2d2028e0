"""The FLUX.1 family, as the compiler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracelang.models import check, configs, layout, weights
from tracelang.models.flow import FlowClock, clock
from tracelang.models.pipeline import Pipeline
from tracelang.plan.family import ModelError, Site
from tracelang_flux.sites import sites, sizes

if TYPE_CHECKING:
    import torch

    from tracelang.models.paths import TextPath
    from tracelang.models.prompt_side import PromptSide
    from tracelang_flux.model import FluxModel

GUIDANCE = 3.5
"""What FluxPipeline tells a guidance-distilled model unless a user says otherwise."""
LATENTS = 128
"""Side of the latents that FluxPipeline draws where nothing says otherwise."""
TOKENS = {True: 512, False: 256}
"""Length of T5's states, by whether the model is told guidance: dev, schnell."""


class Flux(Pipeline):
    """`Family` of FLUX.1: a transformer over T5's token states and CLIP's pooled one, a KL autoencoder, a rectified
    flow.
    """

    names = ("flux",)
    title = "FLUX.1"
    pipeline = "FluxPipeline"
    reads_lora = True
    classes = {
        "transformer": ("diffusers", frozenset({"FluxTransformer2DModel"})),
        "vae": ("diffusers", frozenset({"AutoencoderKL"})),
        "scheduler": ("diffusers", frozenset({"FlowMatchEulerDiscreteScheduler"})),
        "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
        "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
        "text_encoder_2": ("transformers", frozenset({"T5EncoderModel"})),
        "tokenizer_2": ("transformers", frozenset({"T5Tokenizer", "T5TokenizerFast"})),
    }

    def sites(self, folder: Path) -> tuple[Site, ...]:
        return sites(self._transformer(folder), folder / "transformer" / "config.json")

    def clock(self, folder: Path) -> FlowClock:
        table = check.config(folder, "scheduler", self.title, *self.classes["scheduler"][1])
        tokens = self.side(folder) ** 2
        return clock(table, folder / "scheduler" / "scheduler_config.json", tokens, self.title)

    def side(self, folder: Path) -> int:
        """Of a picture's packed latents, in tokens."""
        return int(self.conditions(folder)["size"]) // (2 * self._pixels(folder))

    def conditions(self, folder: Path) -> Mapping[str, float]:
        """From `tracelang.json` where the folder has one, else as FluxPipeline does by itself. Raises ModelError.

        The scale of classifier-free guidance is 1: guidance is told to the model, if it is told any. The size, in
        pixels a side, is that of the autoencoder's config; 1024 for FLUX.1 either way.
        """
        distilled, pixels = self._transformer(folder).get("guidance_embeds", False) is True, self._pixels(folder)
        size = check.whole(folder, "size", self._vae(folder).get("sample_size") or LATENTS * pixels)
        longest = configs.read(folder / "tokenizer_2" / "tokenizer_config.json").get("model_max_length")
        tokens = min(longest, TOKENS[distilled]) if isinstance(longest, int) and longest > 0 else TOKENS[distilled]
        guidance = check.guidance(folder, GUIDANCE, 0, "correct it")
        if size < 2 * pixels:
            raise ModelError(f"{folder}: pictures of {size} pixels hold no token of {2 * pixels}; correct the size")
        told = {"embedded_guidance": guidance} if distilled else {}
        return {"guidance": 1.0, **told, "size": size, "tokens": check.whole(folder, "tokens", tokens)}

    def fits(self, folder: Path) -> None:
        check.tokenizer(folder / "tokenizer", "merges.txt", "vocab.json")
        check.tokenizer(folder / "tokenizer_2", "spiece.model")
        transformer, vae, found = self._transformer(folder), self._vae(folder), self.sites(folder)
        clip, t5 = check.clip(folder, self.title), check.t5(folder, self.title, "text_encoder_2")
        self._pixels(folder)
        _together(folder, transformer, clip, t5, vae)
        layout.plain(folder, ("transformer", "vae", "text_encoder", "text_encoder_2"), found)
        _transformer_holds(folder / "transformer", transformer, found)
        check.holds_vae(folder, vae)
        check.holds_clip(folder, clip)
        check.holds_t5(folder, t5, "text_encoder_2")

    def paths(self, folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[TextPath, ...]:
        from tracelang.models.paths import clip, t5

        length = int(self.conditions(folder)["tokens"])
        tokens = t5(folder, length, device, dtype, encoder="text_encoder_2", tokens="tokenizer_2")
        return tokens, clip(folder, device, dtype, reads="pooled", pooled=True)

    def model(self, text: PromptSide) -> FluxModel:
        from tracelang_flux.model import load

        return load(text, self.clock(text.folder), self.side(text.folder))

    def _transformer(self, folder: Path) -> dict[str, Any]:
        return check.config(folder, "transformer", self.title, "FluxTransformer2DModel")

    def _vae(self, folder: Path) -> dict[str, Any]:
        return check.config(folder, "vae", self.title, "AutoencoderKL")

    def _pixels(self, folder: Path) -> int:
        """Pixels to a latent, along a side."""
        widths = self._vae(folder).get("block_out_channels")
        if not isinstance(widths, list) or not widths:
            path = folder / "vae" / "config.json"
            raise ModelError(f"{path}: block_out_channels is {widths!r}, not a list of widths; download it again")
        return 1 << (len(widths) - 1)


def _together(folder: Path, transformer: Any, clip: Any, t5: Any, vae: Any) -> None:
    """Do the components' widths meet?"""
    size = sizes(transformer, folder / "transformer" / "config.json")
    try:
        reads = {
            "text_encoder_2": (size["joint_attention_dim"], t5["d_model"]),
            "text_encoder": (size["pooled_projection_dim"], clip["hidden_size"]),
        }
        packed = {size["in_channels"], transformer.get("out_channels") or size["in_channels"]}
        latents = 4 * vae["latent_channels"]
        t5["vocab_size"], clip["vocab_size"]
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder}: a config lacks {error}; download the model again") from None
    for name, (read, given) in reads.items():
        if read != given:
            raise ModelError(f"{folder}: the transformer reads states of width {read}, {name} gives {given}")
    if packed != {latents} or transformer.get("patch_size", 1) != 1:
        raise ModelError(
            f"{folder}: the transformer takes {sorted(packed, key=str)} channels, four of the VAE's latents are "
            f"{latents}; "
            "models that fill in or follow pictures are not supported"
        )


def _transformer_holds(component: Path, table: dict[str, Any], sites: tuple[Site, ...]) -> None:
    stored = weights.find(component)
    for site in sites:
        layout.holds(component, stored, site.tensor, site.shape)
        layout.holds(component, stored, f"{site.module}.bias", site.shape[:1])
    guided = "time_text_embed.guidance_embedder.linear_1.weight"
    if not table.get("guidance_embeds", False) and guided in stored.tensors:
        raise ModelError(f"{component}: the weights hold {guided!r}, the config says that guidance is not embedded")
