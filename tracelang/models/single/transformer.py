"""The transformer of FLUX.1 in the names of its makers (BFL): `double_blocks`, `single_blocks`, fused projections."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracelang.models.header import Entry
from tracelang.models.single.pieces import Piece, split

INNER = 4
"""Width inside a feed-forward, in widths of the stream."""
OUTSIDE = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "txt_in": "context_embedder",
    "img_in": "x_embedder",
    "final_layer.linear": "proj_out",
}
DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
SINGLE = {
    "modulation.lin": "norm.linear",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
    "linear2": "proj_out",
}
FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}
BLOCK = re.compile(r"(double|single)_blocks\.(\d{1,3})\.(.+)\.(weight|bias|scale)", re.ASCII)
MODULATION = "final_layer.adaLN_modulation.1"


def names(stored: str, entry: Entry, width: int) -> Iterator[Piece]:
    """By the width of the stream. The last modulation gives shift before scale, diffusers' scale before shift."""
    module, _, leaf = stored.rpartition(".")
    if module in OUTSIDE:
        yield Piece(f"{OUTSIDE[module]}.{leaf}", entry)
    elif module == MODULATION:
        yield Piece(f"norm_out.linear.{leaf}", entry, "swapped")
    elif found := BLOCK.fullmatch(stored):
        side, number, part = found[1], found[2], found[3]
        leaf = "weight" if found[4] == "scale" else found[4]  # ComfyUI saves a norm's scale as its weight
        where = f"transformer_blocks.{number}" if side == "double" else f"single_transformer_blocks.{number}"
        table = DOUBLE if side == "double" else SINGLE
        if part in table:
            yield Piece(f"{where}.{table[part]}.{leaf}", entry)
        elif part in FUSED and (part == "linear1") == (side == "single"):
            whole = [width] * 3 + [INNER * width]
            sizes = whole if part == "linear1" else whole[:3]
            yield from split(entry, [f"{where}.{name}.{leaf}" for name in FUSED[part]], sizes)
