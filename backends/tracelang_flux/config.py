"""The JSON files of a FLUX folder, read with suspicion, and what they say about running the model. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracelang.models.layout import Classes, read
from tracelang.plan.family import ModelError

CLASSES: Classes = {
    "transformer": ("diffusers", frozenset({"FluxTransformer2DModel"})),
    "vae": ("diffusers", frozenset({"AutoencoderKL"})),
    "scheduler": ("diffusers", frozenset({"FlowMatchEulerDiscreteScheduler"})),
    "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
    "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
    "text_encoder_2": ("transformers", frozenset({"T5EncoderModel"})),
    "tokenizer_2": ("transformers", frozenset({"T5Tokenizer", "T5TokenizerFast"})),
}
"""Of each component that is loaded: the library and the classes that `model_index.json` may name."""
GUIDANCE = 3.5
"""What FluxPipeline tells a guidance-distilled model unless a user says otherwise."""
LATENTS = 128
"""Side of the latents that FluxPipeline draws where nothing says otherwise."""
TOKENS = {True: 512, False: 256}
"""Length of T5's states, by whether the model is told guidance: dev, schnell."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is run, fixed for everything that is computed or measured on it.

    `guidance` is the number that a guidance-distilled model is told, None for one that is told none; `size` the side
    of a picture in pixels, `side` that of its packed latents in tokens; `tokens` the length of T5's states.
    """

    guidance: float | None
    size: int
    side: int
    tokens: int


def part(folder: Path, name: str, key: str, *accepted: str) -> dict[str, Any]:
    """A component's config, whose `key` must be one of `accepted`. Raises ModelError."""
    path = folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
    table = read(path)
    if table.get(key) not in accepted:
        raise ModelError(f"{path}: {key} is {table.get(key)!r}, not {accepted[0]!r}; not FLUX.1")
    return table


def transformer(folder: Path) -> dict[str, Any]:
    return part(folder, "transformer", "_class_name", "FluxTransformer2DModel")


def vae(folder: Path) -> dict[str, Any]:
    return part(folder, "vae", "_class_name", "AutoencoderKL")


def settings(folder: Path) -> Settings:
    """From `tracelang.json` where the folder has one, else as FluxPipeline does by itself. Raises ModelError.

    The picture's size is that of the autoencoder's config; 1024 pixels for FLUX.1 either way.
    """
    path = folder / "tracelang.json"
    said = read(path) if path.exists() else {}
    distilled = transformer(folder).get("guidance_embeds", False) is True
    scale = pixels(vae(folder), folder / "vae" / "config.json")
    size = _whole(said, "size", vae(folder).get("sample_size") or LATENTS * scale, path)
    longest = read(folder / "tokenizer_2" / "tokenizer_config.json").get("model_max_length")
    tokens = min(longest, TOKENS[distilled]) if isinstance(longest, int) and longest > 0 else TOKENS[distilled]
    guidance = said.get("guidance", GUIDANCE)
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or not 0 <= guidance < 1000:
        raise ModelError(f"{path}: guidance is {guidance!r}, not a number from 0 on; correct it")
    if size < 2 * scale:
        raise ModelError(f"{folder}: pictures of {size} pixels hold no token of {2 * scale}; correct the size")
    tokens = _whole(said, "tokens", tokens, path)
    return Settings(float(guidance) if distilled else None, size, size // (2 * scale), tokens)


def pixels(vae: dict[str, Any], source: Path) -> int:
    """Pixels to a latent, along a side."""
    widths = vae.get("block_out_channels")
    if not isinstance(widths, list) or not widths:
        raise ModelError(f"{source}: block_out_channels is {widths!r}, not a list of widths; download it again")
    return 1 << (len(widths) - 1)


def _whole(table: dict[str, Any], key: str, otherwise: Any, path: Path) -> int:
    value = table.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1 << 16:
        raise ModelError(f"{path}: {key} is {value!r}, not a positive whole number; correct it")
    return value
