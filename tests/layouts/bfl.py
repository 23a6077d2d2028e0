"""diffusers' names → the names in which FLUX.1 was published (`flux.model.Flux`): fused projections, other words.

For nothing but tests; diffusers' converter, which goes the other way, judges it.
"""

from __future__ import annotations

import re

import numpy as np

from tests.layouts.tensors import Tensor, Tensors, joined

ENDS = {
    "context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
} | {
    f"time_text_embed.{ours}_embedder.linear_{i}": f"{theirs}.{layer}_layer"
    for ours, theirs in {"timestep": "time_in", "text": "vector_in", "guidance": "guidance_in"}.items()
    for i, layer in ((1, "in"), (2, "out"))
}  # fmt: skip
DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
    "attn.to_q": "img_attn.qkv", "attn.add_q_proj": "txt_attn.qkv",
    "attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm", "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2", "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}  # fmt: skip
SINGLE = {"norm.linear": "modulation.lin", "attn.to_q": "linear1", "attn.norm_q": "norm.query_norm",
          "attn.norm_k": "norm.key_norm", "proj_out": "linear2"}  # fmt: skip
FUSED = {
    "attn.to_q": ("attn.to_k", "attn.to_v"),
    "attn.add_q_proj": ("attn.add_k_proj", "attn.add_v_proj"),
}
"""What stands below a matrix in the fused one. In a single block the feed-forward's first layer stands below all."""


def transformer(tensors: Tensors) -> dict[str, Tensor]:
    """The transformer's tensors by their original names, without a prefix."""
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        module, leaf = name.rsplit(".", 1)
        found = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", module)
        if not found:
            if module == "norm_out.linear":  # shift before scale, diffusers has scale before shift
                tensor = tensor.map(tensor.shape, lambda bits: np.concatenate(np.split(bits, 2)[::-1]))
            made[f"{ENDS[module]}.{leaf}"] = tensor
            continue
        single, part = bool(found[1]), found[3]
        theirs = (SINGLE if single else DOUBLE).get(part)
        if theirs is None:
            continue  # below another one
        if part in FUSED:
            below = (*FUSED[part], *(("proj_mlp",) if single else ()))
            base = module.removesuffix(part)
            tensor = joined([tensor, *(tensors[f"{base}{other}.{leaf}"] for other in below)])
        block = f"{'single' if single else 'double'}_blocks.{found[2]}"
        made[f"{block}.{theirs}.{'scale' if 'norm.' in theirs else leaf}"] = tensor
    return made
