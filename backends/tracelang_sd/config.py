"""The JSON files of a diffusers folder, read with suspicion. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracelang.models.layout import Classes, read
from tracelang.plan.family import ModelError

CLASSES: Classes = {
    "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
    "vae": ("diffusers", frozenset({"AutoencoderKL"})),
    "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
    "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
}
"""Of each component that is loaded: the library and the classes that `model_index.json` may name."""


def unet(folder: Path) -> dict[str, Any]:
    """`unet/config.json` of the class that this backend knows. Raises ModelError."""
    path = folder / "unet" / "config.json"
    table = read(path)
    if table.get("_class_name") != "UNet2DConditionModel":
        raise ModelError(f"{path}: describes {table.get('_class_name')!r}, not UNet2DConditionModel; not SD 1.x")
    return table


def scheduler(folder: Path) -> dict[str, Any]:
    """`scheduler/scheduler_config.json`. Raises ModelError."""
    return read(folder / "scheduler" / "scheduler_config.json")


def guidance(folder: Path) -> float:
    """The model's own guidance scale: from `tracelang.json` where the folder has one, else SD's customary 7.5."""
    path = folder / "tracelang.json"
    value = read(path).get("guidance", 7.5) if path.exists() else 7.5
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1000:
        raise ModelError(
            f"{path}: guidance is {value!r}, not a number from 1 on; 1 is the prompt's picture without guidance, "
            "as for models that were trained to need none, and 0 would be the empty prompt's"
        )
    return float(value)
