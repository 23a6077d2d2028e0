"""A model's tensors and settings, in diffusers' names, before they are written in any layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from tests.layouts.configs import KINDS, Config, Kind, Size
from tests.layouts.tensors import Tensor, Tensors, drawn, given, hole
from tests.random_flux import unigram
from tests.random_sd import END, START, WORDS, _words

TEXT = {
    "CLIPTextModel": (CLIPTextConfig, CLIPTextModel),
    "CLIPTextModelWithProjection": (CLIPTextConfig, CLIPTextModelWithProjection),
    "T5EncoderModel": (T5Config, T5EncoderModel),
}
DIFFUSERS = {
    "UNet2DConditionModel": UNet2DConditionModel,
    "AutoencoderKL": AutoencoderKL,
    "FluxTransformer2DModel": FluxTransformer2DModel,
}
LENGTH = 14
"""Of T5's states in a tiny model."""
Keep = Callable[[str, str], bool]
"""Of a component and a tensor's name: does it hold real bytes?"""


@dataclass(frozen=True)
class Checkpoint:
    """`settings` are JSON files by path, `parts` each component's tensors by diffusers' names."""

    name: str
    size: Size
    kind: Kind
    settings: Mapping[str, Config]
    parts: Mapping[str, Tensors]

    @property
    def denoiser(self) -> str:
        return "transformer" if "transformer" in self.parts else "unet"

    def config(self, component: str) -> Config:
        return self.settings[f"{component}/config.json"]


def checkpoint(
    name: str, size: Size = "tiny", dtype: str | None = None, seed: int = 0, keep: Keep | None = None
) -> Checkpoint:
    """The model called `name` in `KINDS`; its own dtype where none is said. What `keep` does not keep is a hole."""
    kind = KINDS[name]
    settings: dict[str, Config] = {"scheduler/scheduler_config.json": kind.scheduler}
    parts: dict[str, dict[str, Tensor]] = {}
    index: Config = {"_class_name": kind.pipeline, "_diffusers_version": "0.21.0"} | kind.switches
    index["scheduler"] = ["diffusers", kind.scheduler["_class_name"]]
    for folder, pad in kind.tokenizers.items():
        index[folder] = ["transformers", "T5TokenizerFast" if pad == "t5" else "CLIPTokenizer"]
    stored = dtype or ("BF16" if name.startswith("flux") else "F16")
    for component, (library, label, true, tiny) in kind.parts.items():
        config = dict(true if size == "true" else tiny)
        if config.get("vocab_size") == 0:
            config |= _vocabulary(component, kind)
        index[component] = [library, label]
        settings[f"{component}/config.json"] = config
        parts[component] = {
            key: drawn(f"{component}/{key}", shape, stored, seed)
            for key, shape in shapes(label, json.dumps(config)).items()
        }
        if label == "CLIPTextModel" and name != "sd2":  # as the published files have them
            positions = given("I64", [list(range(config["max_position_embeddings"]))])
            parts[component] |= {"text_model.embeddings.position_ids": positions}
        if keep is not None:
            parts[component] = {
                key: tensor if keep(component, key) else hole(tensor) for key, tensor in parts[component].items()
            }
    settings["model_index.json"] = dict(sorted(index.items()))
    return Checkpoint(name, size, kind, settings, parts)


def _vocabulary(component: str, kind: Kind) -> Config:
    if kind.parts[component][1] == "T5EncoderModel":
        return {"vocab_size": len(unigram()) + 3}
    words, _ = _words(WORDS)
    return {"vocab_size": len(words), "bos_token_id": words[START], "eos_token_id": words[END]}


@lru_cache(64)
def shapes(label: str, config: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a component in the published files' names: `text_model.` before all of CLIP's but one."""
    table: dict[str, Any] = {key: value for key, value in json.loads(config).items() if not key.startswith("_")}
    with torch.device("meta"):
        if label in TEXT:
            of, made = TEXT[label]
            module = made(of(**table))
        else:
            module = DIFFUSERS[label](**table)
    found = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    if label == "CLIPTextModel" and "embeddings.token_embedding.weight" in found:
        found = {f"text_model.{key}": shape for key, shape in found.items()}
    found.pop("encoder.embed_tokens.weight", None)  # T5's is `shared.weight`
    return dict(sorted(found.items()))


def write_settings(folder: Path, model: Checkpoint) -> None:
    """Configs, schedule and tokenizers: everything of a folder but its weights."""
    for path, table in model.settings.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    for name, pad in model.kind.tokenizers.items():
        write_tokenizer(folder / name, pad, model)


def write_tokenizer(folder: Path, pad: str, model: Checkpoint) -> None:
    """A byte-level BPE or SentencePiece vocabulary that knows a few words, of the true size where the model is."""
    true = model.size == "true"
    if pad == "t5":
        pieces = unigram()
        pieces.model_max_length = model.kind.length if true else LENGTH
        pieces.save_pretrained(folder)
        return
    words, merges = _words(WORDS, 49408 if true else None)
    length = 77 if true else 16
    CLIPTokenizer(vocab=words, merges=merges, model_max_length=length, pad_token=pad).save_pretrained(folder)
