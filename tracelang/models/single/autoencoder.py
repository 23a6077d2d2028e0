"""The KL autoencoder in LDM's names, which FLUX.1's has too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tracelang.models.header import Entry
from tracelang.models.single.pieces import Piece

ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
INSIDE = re.compile(
    r"(encoder|decoder)\.(?:mid\.(?:block_(?P<resnet>[12])|(?P<attention>attn_1))"
    r"|(?:down|up)\.(?P<level>\d{1,2})\.(?:block\.(?P<block>\d{1,2})|(?P<sampler>downsample|upsample)))\.(?P<rest>.+)",
    re.ASCII,
)


def names(stored: str, entry: Entry, levels: int) -> Iterator[Piece]:
    """By how many `block_out_channels` there are: LDM counts a decoder's levels from the finest, diffusers from the
    coarsest. Attention of one head is stored as convolutions of one pixel.
    """
    found = INSIDE.fullmatch(stored)
    if not found:
        yield Piece(stored.replace("norm_out", "conv_norm_out"), entry)
        return
    side, rest = found[1], found["rest"].replace("nin_shortcut", "conv_shortcut")
    if found["resnet"]:
        yield Piece(f"{side}.mid_block.resnets.{int(found['resnet']) - 1}.{rest}", entry)
    elif found["attention"]:
        module, _, leaf = rest.partition(".")
        if module in ATTENTION:
            flat = entry.shape[:2] if entry.shape[2:] == (1, 1) else entry.shape
            yield Piece(f"{side}.mid_block.attentions.0.{ATTENTION[module]}.{leaf}", replace(entry, shape=flat))
    else:
        down = side == "encoder"
        level = int(found["level"]) if down else levels - 1 - int(found["level"])
        where = f"{side}.{'down' if down else 'up'}_blocks.{level}"
        if found["block"]:
            yield Piece(f"{where}.resnets.{found['block']}.{rest}", entry)
        else:
            yield Piece(f"{where}.{found['sampler']}rs.0.{rest}", entry)
