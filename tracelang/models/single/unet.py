"""The UNet of Stable Diffusion 1.x, 2.x and XL in LDM's names: `input_blocks`, `middle_block`, `output_blocks`.

LDM numbers what diffusers nests: of `layers` residual blocks a resolution, `input_blocks.n` is `conv_in` for n = 0 and
else part (n − 1) mod (layers + 1) of block (n − 1) div (layers + 1), whose last part is the downsampler;
`output_blocks.n` is part n mod (layers + 1) of block n div (layers + 1), and its last part also upsamples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracelang.models.header import Entry
from tracelang.models.single.pieces import Piece

PREFIXES = ("model.diffusion_model.", "")
OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d{1,3})\.(\d)\.(.+)", re.ASCII)
MID = re.compile(r"middle_block\.([012])\.(.+)", re.ASCII)


def names(stored: str, entry: Entry, layers: int) -> Iterator[Piece]:
    """By `layers_per_block`."""
    name = _name(stored, layers)
    if name is not None:
        yield Piece(name, entry)


def _name(stored: str, layers: int) -> str | None:
    module, _, leaf = stored.rpartition(".")
    if module in OUTSIDE:
        return f"{OUTSIDE[module]}.{leaf}"
    if found := MID.fullmatch(stored):
        return _inside(f"mid_block.{MIDDLE[found[1]]}", found[2])
    if not (found := BLOCK.fullmatch(stored)):
        return None
    side, number, part, rest = found[1], int(found[2]), found[3], found[4]
    down = side == "input_blocks"
    block, place = divmod(number - down, layers + 1)
    where = f"{'down' if down else 'up'}_blocks.{block}"
    if rest.startswith(("op.", "conv.")):
        kind, _, leaf = rest.partition(".")
        return f"{where}.{'downsamplers' if kind == 'op' else 'upsamplers'}.0.conv.{leaf}"
    return _inside(f"{where}.{'attentions' if part == '1' else 'resnets'}.{place}", rest) if part in "01" else None


def _inside(where: str, rest: str) -> str | None:
    """Inside a transformer both call everything the same."""
    if ".attentions." in where:
        return f"{where}.{rest}"
    module, _, leaf = rest.rpartition(".")
    return f"{where}.{RESNET[module]}.{leaf}" if module in RESNET else None
