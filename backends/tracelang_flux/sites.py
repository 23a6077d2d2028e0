"""The editable matrices of a FLUX transformer, from `transformer/config.json` alone. Torch-free.

T5's states enter once, through `context_embedder`, and CLIP's pooled state once, through `text_embedder.linear_1`:
these two read the prompt and nothing else. Behind them the double blocks keep a text stream of their own, already
mixed with image and time by the first attention; the single blocks project text and image with one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Role

STREAMS: tuple[tuple[str, Role], ...] = (("q", "query"), ("k", "key"), ("v", "value"))
SIZES = {
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "in_channels": 64,
}
"""What decides the shapes, and diffusers' defaults (FLUX.1's own)."""


def sites(config: dict[str, Any], source: Path) -> tuple[Site, ...]:
    """The sites in the order of the modules. Raises ModelError naming `source`."""
    return tuple(_sites(sizes(config, source)))


def sizes(config: dict[str, Any], source: Path) -> dict[str, int]:
    """`SIZES` as the config has them. Raises ModelError naming `source`."""
    found = {name: config.get(name, usual) for name, usual in SIZES.items()}
    for name, value in found.items():
        least = 0 if name.endswith("layers") else 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1 << 16:
            raise ModelError(f"{source}: {name} is {value!r}, not a whole number; describes no FLUX transformer")
    return found


def _sites(size: dict[str, int]) -> Iterator[Site]:
    width = size["attention_head_dim"] * size["num_attention_heads"]
    pooled, tokens = (width, size["pooled_projection_dim"]), (width, size["joint_attention_dim"])
    yield Site("transformer", "time_text_embed.text_embedder.linear_1.weight", pooled, "pooled", None, "pooled", False)
    yield Site("transformer", "context_embedder.weight", tokens, "text_in", None, "tokens", False)
    for i in range(size["num_layers"]):
        for letter, role in STREAMS:
            name = f"transformer_blocks.{i}.attn.add_{letter}_proj.weight"
            yield Site("transformer", name, (width, width), role, "double", None, True)
    for i in range(size["num_single_layers"]):
        for letter, role in STREAMS:
            name = f"single_transformer_blocks.{i}.attn.to_{letter}.weight"
            yield Site("transformer", name, (width, width), role, "single", None, False)
