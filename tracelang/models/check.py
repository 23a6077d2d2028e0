"""Checks that families share: configs, tokenizers, encoders, the autoencoder, `tracelang.json`. Torch-free.

All raise ModelError, one line that names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracelang.models import configs, layout, weights
from tracelang.models.single import reference
from tracelang.plan.family import ModelError


def config(folder: Path, name: str, title: str, *accepted: str, key: str = "_class_name") -> dict[str, Any]:
    """A component's config, whose `key` must be one of `accepted`; `title` is the family's in the message."""
    path = folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
    table = configs.read(path)
    if table.get(key) not in accepted:
        raise ModelError(f"{path}: {key} is {table.get(key)!r}, not {accepted[0]!r}; not {title}")
    return table


def clip(folder: Path, title: str, name: str = "text_encoder") -> dict[str, Any]:
    """The config of CLIP's text encoder."""
    return config(folder, name, title, "clip_text_model", "clip", key="model_type")


def t5(folder: Path, title: str, name: str = "text_encoder") -> dict[str, Any]:
    """The config of T5's encoder."""
    return config(folder, name, title, "t5", key="model_type")


def holds_clip(folder: Path, table: dict[str, Any], name: str = "text_encoder") -> None:
    """Do the weights hold the table of token embeddings that the config asks for?"""
    stored = weights.find(folder / name)
    prefix = "" if "embeddings.token_embedding.weight" in stored.tensors else "text_model."  # before transformers 5
    shape = (table["vocab_size"], table["hidden_size"])
    layout.holds(folder / name, stored, f"{prefix}embeddings.token_embedding.weight", shape)


def holds_t5(folder: Path, table: dict[str, Any], name: str = "text_encoder") -> None:
    shape = (table["vocab_size"], table["d_model"])
    layout.holds(folder / name, weights.find(folder / name), "shared.weight", shape)


def holds_vae(folder: Path, table: dict[str, Any], name: str = "vae") -> None:
    """Do the weights of an AutoencoderKL decode latents of so many channels? Whoever draws asks for them."""
    if reference.bare(folder / name):
        return
    shape = (table["block_out_channels"][-1], table.get("latent_channels", 4), 3, 3)
    layout.holds(folder / name, weights.find(folder / name), "decoder.conv_in.weight", shape)


def tokenizer(folder: Path, *slow: str) -> None:
    """A `tokenizer.json`, or the files from which one can be made."""
    held = folder / "tokenizer.json"
    for path in [held] if held.is_file() else [folder / name for name in slow]:
        if path.suffix == ".json":
            configs.read(path)
        elif not path.is_file():
            raise ModelError(f"{path}: is missing; download the model again")


def settings(folder: Path) -> dict[str, Any]:
    """`tracelang.json`, which says how a model is to be run; nothing where the folder has none."""
    path = folder / "tracelang.json"
    return configs.read(path) if path.exists() else {}


def guidance(folder: Path, usual: float, least: float, remedy: str) -> float:
    """The guidance scale: from `tracelang.json` where that says one, else the `usual`; from `least` up to 1000."""
    value = settings(folder).get("guidance", usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1000:
        raise ModelError(
            f"{folder / 'tracelang.json'}: guidance is {value!r}, not a number from {least:g} on; {remedy}"
        )
    return float(value)


def whole(folder: Path, key: str, usual: Any) -> int:
    """A positive whole number of `tracelang.json`, else the `usual`."""
    value = settings(folder).get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1 << 16:
        raise ModelError(f"{folder / 'tracelang.json'}: {key} is {value!r}, not a positive whole number; correct it")
    return value
