"""Text encoders inside single files: CLIP and T5 in transformers' own names, and CLIP in OpenCLIP's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tracelang.models.header import Entry
from tracelang.models.single.pieces import Piece, split

OUTSIDE = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
BLOCK = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+)", re.ASCII)
FUSED = re.compile(r"attn\.in_proj_(weight|bias)")


def clip(stored: str, entry: Entry, layers: int) -> Iterator[Piece]:
    """CLIP in transformers' names, with `text_model.` before them or without."""
    whole = stored.startswith(("text_model.", "text_projection."))
    yield Piece(stored if whole else f"text_model.{stored}", entry)


def t5(stored: str, entry: Entry, layers: int) -> Iterator[Piece]:
    yield Piece(stored, entry)


def open_clip(stored: str, entry: Entry, layers: int) -> Iterator[Piece]:
    """By how many layers are read: Stable Diffusion 2.x stores 24 and reads the first 23.

    Of a layer, query, key and value are the rows of one matrix, in this order.
    """
    if stored == "text_projection":
        yield Piece("text_projection.weight", replace(entry, shape=entry.shape[::-1]), "transposed")
    elif stored in OUTSIDE:
        yield Piece(OUTSIDE[stored], entry)
    elif (found := BLOCK.fullmatch(stored)) and int(found[1]) < layers:
        where, rest = f"text_model.encoder.layers.{found[1]}", found[2]
        module, _, leaf = rest.rpartition(".")
        if fused := FUSED.fullmatch(rest):
            yield from split(entry, [f"{where}.self_attn.{letter}_proj.{fused[1]}" for letter in "qkv"])
        elif module in LAYER:
            yield Piece(f"{where}.{LAYER[module]}.{leaf}", entry)
