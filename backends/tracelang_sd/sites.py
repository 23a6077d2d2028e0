"""Every editable matrix of an SD UNet, from `unet/config.json` alone. Torch-free.

A transformer block holds self-attention `attn1`, cross-attention `attn2` (its key and value read the prompt's token
states and nothing else) and a gated feed-forward `ff`: inner width 4·w, and twice that before the gate. Around
the transformers stand residual blocks of convolutions, into each of which a matrix brings the time; projections into
and out of a transformer are convolutions too, of 1 × 1, unless the config says that they are linear.

Stable Diffusion XL has one more way in: `add_embedding.linear_1` reads the pooled state and, in columns of their own
behind it, the sinusoids of six sizes. kohya's name for it is `label_emb.0.0`, as in the original checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Place, Role
from tracelang_sd.titles import TITLES

DOWN = {"CrossAttnDownBlock2D": True, "DownBlock2D": False}
UP = {"CrossAttnUpBlock2D": True, "UpBlock2D": False}
MID = {"UNetMidBlock2DCrossAttn": True, "UNetMidBlock2D": False, None: False}
"""By block type: does it hold transformers?"""
POOLED = "add_embedding.linear_1.weight"
FOREIGN = {
    "time_cond_proj_dim": "is told guidance beside the time, as latent consistency models are; edit the model that it "
    "was distilled from",
    "dual_cross_attention": "",
    "only_cross_attention": "",
    "encoder_hid_dim_type": "",
    "encoder_hid_dim": "",
    "class_embed_type": "",
    "num_class_embeds": "",
}
"""Settings under which the UNet has more inputs than noise, time and text states; and the reason where it helps."""
SIZES = ("original_height", "original_width", "crop_top", "crop_left", "target_height", "target_width")
"""What Stable Diffusion XL is told beside the prompt, in pixels and in this order."""


def sites(config: dict[str, Any], source: Path, name: str) -> tuple[Site, ...]:
    """The sites of the family `name` in the order of the modules. Raises ModelError naming `source` for a UNet of
    another kind.
    """
    title = TITLES[name]
    added = {"addition_embed_type": "text_time" if name == "sdxl" else None}
    for key, told in (added | dict.fromkeys(FOREIGN)).items():
        if (config.get(key) or None) != told:
            why = FOREIGN.get(key) or f"is no {title} UNet"
            raise ModelError(f"{source}: has {key} = {config.get(key)!r}, so it {why}")
    if config.get("attention_type", "default") != "default":
        raise ModelError(f"{source}: has attention_type = {config['attention_type']!r}; only the default is supported")
    try:
        pooled = (_pooled(config),) if name == "sdxl" else ()
        return *pooled, *_sites(config), *_outside(config, name == "sdxl")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"unknown block {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{source}: describes no {title} UNet ({reason})") from None


def _pooled(config: dict[str, Any]) -> Site:
    """The matrix behind the pooled state and the sizes, of which the state's columns alone are a text input."""
    widths = (
        config.get("projection_class_embeddings_input_dim"),
        config.get("addition_time_embed_dim"),
        config.get("time_embedding_dim") or 4 * config.get("block_out_channels", (320,))[0],
    )
    whole, each, width = (_each(value, 1, 1 << 16)[0] for value in widths)
    state = whole - len(SIZES) * each
    if state <= 0:
        raise ValueError(f"of {whole} columns the sizes leave none for the pooled state")
    return Site("unet", POOLED, (width, whole), "pooled", None, "pooled", False, (0, state))


def _sites(config: dict[str, Any]) -> Iterator[Site]:
    widths = config.get("block_out_channels", (320, 640, 1280, 1280))
    count = len(widths)
    down = config.get("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    up = config.get("up_block_types", ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
    texts = _each(config.get("cross_attention_dim", 1280), count)
    layers = _each(config.get("layers_per_block", 2), count, 100)
    depths = _each(config.get("transformer_layers_per_block", 1), count, 100)
    if not len(down) == len(up) == count:
        raise ValueError("its lists of blocks differ in length")
    for i in range(count):
        for j in range(layers[i] if DOWN[down[i]] else 0):
            yield from _transformer(f"down_blocks.{i}.attentions.{j}", "down", widths[i], texts[i], depths[i])
    if MID[config.get("mid_block_type", "UNetMidBlock2DCrossAttn")]:
        yield from _transformer("mid_block.attentions.0", "mid", widths[-1], texts[-1], depths[-1])
    for i in range(count):
        k = count - 1 - i
        for j in range(layers[k] + 1 if UP[up[i]] else 0):
            yield from _transformer(f"up_blocks.{i}.attentions.{j}", "up", widths[k], texts[k], depths[k])


def _transformer(path: str, place: Place, width: int, text: int, depth: int) -> Iterator[Site]:
    for i in range(depth):
        block = f"{path}.transformer_blocks.{i}"
        for attention, source in (("attn1", width), ("attn2", text)):
            prompt = attention == "attn2"
            rows: tuple[tuple[str, Role, int, bool], ...] = (
                ("to_q", "query", width, False),
                ("to_k", "key", source, prompt),
                ("to_v", "value", source, prompt),
                ("to_out.0", "out", width, False),
            )
            for name, role, inputs, reads in rows:
                yield _site(f"{block}.{attention}.{name}", width, inputs, role, place, reads, prompt)
        yield _site(f"{block}.ff.net.0.proj", 8 * width, width, "feedforward", place, False)
        yield _site(f"{block}.ff.net.2", width, 4 * width, "feedforward", place, False)


def _outside(config: dict[str, Any], xl: bool) -> Iterator[Site]:
    """What is neither attention nor feed-forward and reads no prompt."""
    widths = config.get("block_out_channels", (320, 640, 1280, 1280))
    count, first = len(widths), widths[0]
    time = _each(config.get("time_embedding_dim") or 4 * first, 1, 1 << 16)[0]
    down = config.get("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    up = config.get("up_block_types", ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
    layers = _each(config.get("layers_per_block", 2), count, 100)
    middle = config.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    flat = bool(config.get("use_linear_projection", False))
    shifts = 2 if config.get("resnet_time_scale_shift") == "scale_shift" else 1

    def block(path: str, place: Place, width: int, inputs: list[int], attends: bool, sampler: str) -> Iterator[Site]:
        for j, own in enumerate(inputs):
            resnet = f"{path}.resnets.{j}"
            yield _convolution(f"{resnet}.conv1", width, own, 3, place)
            yield _flat(f"{resnet}.time_emb_proj", shifts * width, time, "modulation", place)
            yield _convolution(f"{resnet}.conv2", width, width, 3, place)
            if own != width:
                yield _convolution(f"{resnet}.conv_shortcut", width, own, 1, place)
        attentions = max(1, len(inputs) - 1) if place == "mid" else len(inputs)
        for j in range(attentions if attends else 0):
            for name in ("proj_in", "proj_out"):
                site = _flat(f"{path}.attentions.{j}.{name}", width, width, "projection", place)
                yield site if flat else replace(site, kernel=(1, 1))
        if sampler:
            yield _convolution(f"{path}.{sampler}.0.conv", width, width, 3, place)

    yield _convolution("conv_in", first, config.get("in_channels", 4), config.get("conv_in_kernel", 3), None)
    yield _flat("time_embedding.linear_1", time, first, "embedding", None)
    yield _flat("time_embedding.linear_2", time, time, "embedding", None)
    if xl:
        yield _flat("add_embedding.linear_2", time, time, "embedding", None)
    before = first
    for i, width in enumerate(widths):
        inputs = [before] + [width] * (layers[i] - 1)
        yield from block(
            f"down_blocks.{i}", "down", width, inputs, DOWN[down[i]], "downsamplers" if i < count - 1 else ""
        )
        before = width
    if middle is not None:
        yield from block("mid_block", "mid", before, [before] * (2 if MID[middle] else 1), MID[middle], "")
    for i, width in enumerate(reversed(widths)):
        k = count - 1 - i
        skips = [width] * layers[k] + [widths[max(0, k - 1)]]
        inputs = [own + skip for own, skip in zip([before] + [width] * layers[k], skips, strict=True)]
        yield from block(f"up_blocks.{i}", "up", width, inputs, UP[up[i]], "upsamplers" if k else "")
        before = width
    yield _convolution("conv_out", config.get("out_channels", 4), first, config.get("conv_out_kernel", 3), None)


def _site(module: str, out: int, inputs: int, role: Role, place: Place, prompt: bool, cross: bool = False) -> Site:
    reads = "tokens" if prompt else None
    return Site("unet", f"{module}.weight", (out, inputs), role, place, reads, prompt, cross=cross)


def _flat(module: str, out: int, inputs: int, role: Role, place: Place | None) -> Site:
    return Site("unet", f"{module}.weight", (out, inputs), role, place, None, False)


def _convolution(module: str, out: int, inputs: int, kernel: int, place: Place | None) -> Site:
    site = _flat(module, out, inputs * kernel**2, "convolution", place)
    return replace(site, kernel=(kernel, kernel))


def _each(value: Any, count: int, most: int = 1 << 20) -> tuple[int, ...]:
    """A setting that stands for all blocks or lists one for each: from 1 to `most`."""
    values = (value,) * count if isinstance(value, int) else tuple(value)
    if len(values) != count or not all(isinstance(item, int) and 0 < item <= most for item in values):
        raise ValueError(f"{value!r} is neither a whole number from 1 to {most} nor {count} of them")
    return values
