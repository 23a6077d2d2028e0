"""The JSON files of a diffusers folder, read with suspicion. Torch-free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError

LONGEST = 64 << 20  # a tokenizer.json may take some megabytes; more is no configuration

CLASSES: dict[str, tuple[str, frozenset[str]]] = {
    "unet": ("diffusers", frozenset({"UNet2DConditionModel"})),
    "vae": ("diffusers", frozenset({"AutoencoderKL"})),
    "text_encoder": ("transformers", frozenset({"CLIPTextModel"})),
    "tokenizer": ("transformers", frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})),
}
"""Of each component that is loaded: the library and the classes that `model_index.json` may name."""


def read(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError naming the file."""
    try:
        if path.stat().st_size > LONGEST:
            raise ModelError(f"{path}: too large for a configuration file; download the model again")
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: is missing; download the model again or save it with save_pretrained") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path}: is not valid JSON; download the model again") from None
    if not isinstance(table, dict):
        raise ModelError(f"{path}: holds no JSON object; download the model again")
    return table


def unet(folder: Path) -> dict[str, Any]:
    """`unet/config.json` of the class that this backend knows. Raises ModelError."""
    path = folder / "unet" / "config.json"
    table = read(path)
    if table.get("_class_name") not in CLASSES["unet"][1]:
        raise ModelError(f"{path}: describes {table.get('_class_name')!r}, not UNet2DConditionModel; not SD 1.x")
    return table


def scheduler(folder: Path) -> dict[str, Any]:
    """`scheduler/scheduler_config.json`. Raises ModelError."""
    return read(folder / "scheduler" / "scheduler_config.json")


def guidance(folder: Path) -> float:
    """The model's own guidance scale: from `tracelang.json` where the folder has one, else SD's customary 7.5."""
    path = folder / "tracelang.json"
    value = read(path).get("guidance", 7.5) if path.exists() else 7.5
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1000:
        raise ModelError(f"{path}: guidance is {value!r}, not a number from 0 on; correct it")
    return float(value)
