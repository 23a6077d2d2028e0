"""kohya's names of LoRA layers: which ones ComfyUI, A1111, Forge and sd-scripts read, and what they mean by them.

All of them take `lora_unet_` and the name that a layer has in the original checkpoint, dots as underscores; of a UNet
also diffusers' name of it. For Stable Diffusion 1.x and 2.x sd-scripts writes diffusers' names, for XL the original
ones, and so do we: XL's pooled matrix is read by the original name alone. FLUX.1's originals hold several of diffusers'
matrices one under the other, so that a layer is the whole of them.

Read in ComfyUI's comfy/lora.py and comfy/utils.py, sd-scripts' networks/lora_flux.py and library/sdxl_model_util.py,
A1111's extensions-builtin/Lora/networks.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tracelang.checkpoint.lora import Layer, Stored
from tracelang.engine.exact import exact
from tracelang.engine.low_rank import LowRank
from tracelang.plan.family import Site

PREFIX = "lora_unet_"
FAMILIES = ("sd1", "sd2", "sdxl", "flux")
"""The families that these hosts have names for, as `supports` calls them."""
UNET = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.attentions\.(\d+)\.(.+)|mid_block\.attentions\.0\.(.+)")
FLUX = re.compile(r"(single_)?transformer_blocks\.(\d+)\.(.+)")
OUTSIDE = {"context_embedder": "txt_in", "time_text_embed.text_embedder.linear_1": "vector_in.in_layer"}
DOUBLE = {
    "attn.to_q": ("img_attn.qkv", 0, 3),
    "attn.to_k": ("img_attn.qkv", 1, 3),
    "attn.to_v": ("img_attn.qkv", 2, 3),
    "attn.add_q_proj": ("txt_attn.qkv", 0, 3),
    "attn.add_k_proj": ("txt_attn.qkv", 1, 3),
    "attn.add_v_proj": ("txt_attn.qkv", 2, 3),
    "attn.to_out.0": ("img_attn.proj", 0, 1),
    "attn.to_add_out": ("txt_attn.proj", 0, 1),
    "ff.net.0.proj": ("img_mlp.0", 0, 4),
    "ff.net.2": ("img_mlp.2", 0, 1),
    "ff_context.net.0.proj": ("txt_mlp.0", 0, 4),
    "ff_context.net.2": ("txt_mlp.2", 0, 1),
}
SINGLE = {
    "attn.to_q": ("linear1", 0, 7),
    "attn.to_k": ("linear1", 1, 7),
    "attn.to_v": ("linear1", 2, 7),
    "proj_mlp": ("linear1", 3, 7),
    "proj_out": ("linear2", 0, 1),
}
"""By diffusers' name inside a block: the original's, and first row and rows, in widths of the stream."""


def layers(family: str, sites: Sequence[Site], changed: Iterable[Site]) -> tuple[Layer, ...]:
    """The layers to write for the sites that change; `sites` are all that the model has."""
    held = dict[str, Layer]()
    depth = _depth(sites)
    for site in changed:
        name, row, rows = _original(family, site, depth)
        name = PREFIX + (site.module if family in ("sd1", "sd2") else name).replace(".", "_")
        before = held[name].parts if name in held else ()
        held[name] = Layer(name, rows, (*before, (site, row)))
    return tuple(held.values())


def meant(family: str, sites: Sequence[Site]) -> dict[str, tuple[tuple[Site, int], ...]]:
    """What a host that follows the rule understands by each name: the sites, and the row where each begins."""
    found, depth = dict[str, tuple[tuple[Site, int], ...]](), _depth(sites)
    for site in (site for site in sites if not site.outside):
        name, row, _ = _original(family, site, depth)
        names = {name} if family == "flux" or site.reads == "pooled" else {name, site.module}
        for one in names:
            key = PREFIX + one.replace(".", "_")
            found[key] = (*found.get(key, ()), (site, row))
    return found


def read(path: Path, family: str, sites: Sequence[Site]) -> dict[Site, LowRank]:
    """The change of every site as these hosts would make it: `up @ down · alpha / rank`, and without an alpha
    `up @ down`. They pass over a name that they do not know, with a line in a log at most; so does this.
    """
    from safetensors.torch import load_file

    tensors, known, found = load_file(path), meant(family, sites), dict[Site, LowRank]()
    for name, parts in known.items():
        down, up = (tensors.get(f"{name}.{part}.weight") for part in ("lora_down", "lora_up"))
        if down is None or up is None:
            continue
        alpha = tensors.get(f"{name}.alpha")
        scale = 1.0 if alpha is None else float(alpha) / len(down)
        for site, row in parts:
            found[site] = LowRank(exact(up[row : row + site.shape[0]]) * scale, exact(down))
    return found


def tensors(found: Mapping[str, Stored]) -> dict[str, Tensor]:
    """`NAME.{alpha,lora_down.weight,lora_up.weight}`; alpha is the rank, which every host takes for scale 1.

    The alphas, float32, come first, so that every tensor is aligned to its dtype.
    """
    told = {f"{name}.alpha": torch.tensor(float(layer.rank)) for name, layer in found.items()}
    for name, layer in found.items():
        told |= {f"{name}.lora_down.weight": layer.down, f"{name}.lora_up.weight": layer.up}
    return told


def _depth(sites: Sequence[Site]) -> int:
    """Blocks with attention in one resolution of a UNet's way down, which is how the originals are numbered."""
    found = (UNET.fullmatch(site.module) for site in sites)
    return 1 + max((int(match[3]) for match in found if match and match[1] == "down_blocks"), default=0)


def _original(family: str, site: Site, depth: int) -> tuple[str, int, int]:
    """The name of a site's layer in the original checkpoint, its first row there, and how many rows that has."""
    module, (out, inputs) = site.module, site.shape
    if family == "flux":
        if module in OUTSIDE:
            return OUTSIDE[module], 0, out
        block = FLUX.fullmatch(module)
        assert block is not None, module
        name, row, rows = (SINGLE if block[1] else DOUBLE)[block[3]]
        width = out if rows == 1 else inputs
        return f"{'single' if block[1] else 'double'}_blocks.{block[2]}.{name}", row * width, rows * width
    if site.reads == "pooled":
        return "label_emb.0.0", 0, out
    match = UNET.fullmatch(module)
    assert match is not None, module
    if match[5]:
        return f"middle_block.1.{match[5]}", 0, out
    down = match[1] == "down_blocks"
    number = int(match[2]) * (depth + 1) + int(match[3]) + down
    return f"{'input' if down else 'output'}_blocks.{number}.1.{match[4]}", 0, out
