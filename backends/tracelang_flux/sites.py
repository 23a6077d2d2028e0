"""The editable matrices of a FLUX transformer, from `transformer/config.json` alone. Torch-free.

T5's states enter once, through `context_embedder`, and CLIP's pooled state once, through `text_embedder.linear_1`:
these two read the prompt and nothing else. Behind them the double blocks keep a text stream of their own, already
mixed with image and time by the first attention, with a projection and a feed-forward of its own beside the image's;
the single blocks project text and image with one matrix. There one `proj_out` `[w, w + 4·w]` takes what attention saw
and the feed-forward's inner states side by side: it is one site, with one adapter over both, and its role is `out`.

Time, guidance and pooled text modulate every block through a matrix of its own, `norm*.linear`. The last such, in front
of `proj_out`, is left alone: FLUX.1's own files hold its halves the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Place, Role

STREAMS: tuple[tuple[str, Role], ...] = (("q", "query"), ("k", "key"), ("v", "value"))
INNER = 4
"""Width inside a feed-forward, in widths of a stream: no config says otherwise."""
SIZES = {
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "in_channels": 64,
}
TIME = 256
"""Sinusoids that a time or a guidance scale is told by: no config says otherwise."""
"""What decides the shapes, and diffusers' defaults (FLUX.1's own)."""


def sites(config: dict[str, Any], source: Path) -> tuple[Site, ...]:
    """The sites in the order of the modules. Raises ModelError naming `source`."""
    size = sizes(config, source)
    return *_sites(size), *_outside(size, bool(config.get("guidance_embeds", False)))


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
        block = f"transformer_blocks.{i}"
        for letter, role in STREAMS:
            yield _mixed(f"{block}.attn.to_{letter}", width, width, role, "double")
        for letter, role in STREAMS:
            yield _mixed(f"{block}.attn.add_{letter}_proj", width, width, role, "double", text=True)
        for out in ("to_out.0", "to_add_out"):
            yield _mixed(f"{block}.attn.{out}", width, width, "out", "double", cross=out == "to_add_out")
        for stream in ("ff", "ff_context"):
            yield _mixed(f"{block}.{stream}.net.0.proj", INNER * width, width, "feedforward", "double")
            yield _mixed(f"{block}.{stream}.net.2", width, INNER * width, "feedforward", "double")
    for i in range(size["num_single_layers"]):
        block = f"single_transformer_blocks.{i}"
        for letter, role in STREAMS:
            yield _mixed(f"{block}.attn.to_{letter}", width, width, role, "single")
        yield _mixed(f"{block}.proj_mlp", INNER * width, width, "feedforward", "single")
        yield _mixed(f"{block}.proj_out", width, (1 + INNER) * width, "out", "single")


def _outside(size: dict[str, int], guided: bool) -> Iterator[Site]:
    """What is neither attention nor feed-forward and reads no prompt."""
    width, patch = size["attention_head_dim"] * size["num_attention_heads"], size["in_channels"]
    yield _mixed("x_embedder", width, patch, "projection", None)
    for told in ("timestep_embedder", *(["guidance_embedder"] if guided else [])):
        yield _mixed(f"time_text_embed.{told}.linear_1", width, TIME, "embedding", None)
        yield _mixed(f"time_text_embed.{told}.linear_2", width, width, "embedding", None)
    yield _mixed("time_text_embed.text_embedder.linear_2", width, width, "embedding", None)
    for i in range(size["num_layers"]):
        for norm in ("norm1", "norm1_context"):
            yield _mixed(f"transformer_blocks.{i}.{norm}.linear", 6 * width, width, "modulation", "double")
    for i in range(size["num_single_layers"]):
        yield _mixed(f"single_transformer_blocks.{i}.norm.linear", 3 * width, width, "modulation", "single")
    yield _mixed("proj_out", patch, width, "projection", None)


def _mixed(
    module: str, out: int, inputs: int, role: Role, place: Place | None, text: bool = False, cross: bool = False
) -> Site:
    """What it multiplies holds image and time as well."""
    return Site("transformer", f"{module}.weight", (out, inputs), role, place, None, text, cross=text or cross)
