"""Is a folder what it says? Configs, classes and weight headers, shards too, before any work and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracelang.models import layout, weights
from tracelang.plan.family import ModelError, Site
from tracelang_flux import config
from tracelang_flux.sites import sizes

PIPELINE = "FluxPipeline"


def claims(folder: Path) -> bool:
    """Is it a FLUX.1 pipeline by its `model_index.json`?"""
    return layout.claims(folder, PIPELINE, config.CLASSES)


def check(folder: Path, sites: tuple[Site, ...]) -> None:
    """Raise ModelError, one line, unless every component is there and its weights' headers fit the configs."""
    layout.complete(folder, PIPELINE, config.CLASSES, "FLUX.1")
    _tokenizer(folder / "tokenizer", "merges.txt", "vocab.json")
    _tokenizer(folder / "tokenizer_2", "spiece.model")
    transformer, vae = config.transformer(folder), config.vae(folder)
    clip = config.part(folder, "text_encoder", "model_type", "clip_text_model", "clip")
    t5 = config.part(folder, "text_encoder_2", "model_type", "t5")
    _together(folder, transformer, clip, t5, vae)
    layout.plain(folder, ("transformer", "vae", "text_encoder", "text_encoder_2"))
    _transformer(folder / "transformer", transformer, sites)
    latents, widths = vae["latent_channels"], vae["block_out_channels"]
    layout.holds(folder / "vae", weights.find(folder / "vae"), "decoder.conv_in.weight", (widths[-1], latents, 3, 3))
    stored = weights.find(folder / "text_encoder")
    prefix = "" if "embeddings.token_embedding.weight" in stored.tensors else "text_model."  # before transformers 5
    shape = (clip["vocab_size"], clip["hidden_size"])
    layout.holds(folder / "text_encoder", stored, f"{prefix}embeddings.token_embedding.weight", shape)
    layout.holds(
        folder / "text_encoder_2",
        weights.find(folder / "text_encoder_2"),
        "shared.weight",
        (t5["vocab_size"], t5["d_model"]),
    )


def _together(folder: Path, transformer: Any, clip: Any, t5: Any, vae: Any) -> None:
    """Do the components' widths meet?"""
    size = sizes(transformer, folder / "transformer" / "config.json")
    config.settings(folder)
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


def _transformer(component: Path, table: dict[str, Any], sites: tuple[Site, ...]) -> None:
    stored, size = weights.find(component), sizes(table, component / "config.json")
    for site in sites:
        layout.holds(component, stored, site.tensor, site.shape)
        layout.holds(component, stored, f"{site.module}.bias", site.shape[:1])
    width = sites[0].shape[0]
    layout.holds(component, stored, "x_embedder.weight", (width, size["in_channels"]))
    layout.holds(component, stored, "proj_out.weight", (size["in_channels"], width))
    guided = "time_text_embed.guidance_embedder.linear_1.weight"
    if table.get("guidance_embeds", False):
        layout.holds(component, stored, guided, (width, 256))
    elif guided in stored.tensors:
        raise ModelError(f"{component}: the weights hold {guided!r}, the config says that guidance is not embedded")


def _tokenizer(folder: Path, *slow: str) -> None:
    """A `tokenizer.json`, or the files from which one can be made."""
    if (folder / "tokenizer.json").is_file():
        layout.read(folder / "tokenizer.json")
        return
    for name in slow:
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: is missing; download the model again")
