"""diffusers' names → the names in which Stable Diffusion was published: UNet, autoencoder, OpenAI's and OpenCLIP's
text encoders.

Written from the original modules (`ldm.modules.diffusionmodules.openaimodel.UNetModel`, `…model.{Encoder,Decoder}`,
`open_clip.transformer`), for nothing but tests: diffusers' converters, which go the other way, judge it.
"""

from __future__ import annotations

import re

from tests.layouts.configs import Config
from tests.layouts.tensors import Tensor, Tensors, joined

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
ENDS = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}  # fmt: skip
MIDDLE = {"resnets.0": 0, "attentions.0": 1, "resnets.1": 2}


def unet(tensors: Tensors, config: Config) -> dict[str, Tensor]:
    """The UNet's tensors by their original names, without a prefix."""
    return {unet_name(name, config): tensor for name, tensor in tensors.items()}


def unet_name(name: str, config: Config) -> str:
    step = config["layers_per_block"] + 1
    module, leaf = name.rsplit(".", 1)
    if module in ENDS:
        return f"{ENDS[module]}.{leaf}"
    found = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", name)
    if found:
        way, block, part, layer = found[1], int(found[2]), found[3], int(found[4])
        side = "input_blocks" if way == "down" else "output_blocks"
        first = block * step + (way == "down")
        if part == "downsamplers":
            return f"{side}.{first + step - 1}.0.op.{leaf}"
        if part == "upsamplers":  # behind the resnet, and behind the transformer where the block has them
            place = 2 if config["up_block_types"][block].startswith("CrossAttn") else 1
            return f"{side}.{first + step - 1}.{place}.conv.{leaf}"
        return f"{side}.{first + layer}.{_layer(part, found[5])}"
    found = re.fullmatch(r"mid_block\.((resnets|attentions)\.\d)\.(.+)", name)
    assert found, name
    return f"middle_block.{MIDDLE[found[1]]}.{_layer(found[2], found[3]).split('.', 1)[1]}"


def _layer(part: str, rest: str) -> str:
    if part == "attentions":
        return f"1.{rest}"
    head, leaf = rest.rsplit(".", 1)
    return f"0.{RESNET[head]}.{leaf}"


def ema(tensors: Tensors) -> dict[str, Tensor]:
    """The moving averages that a full training checkpoint holds beside `model.diffusion_model.…`: no dots in names."""
    return {f"model_ema.{''.join(name.split('.')[1:])}": tensor for name, tensor in tensors.items()}


ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def vae(tensors: Tensors, config: Config) -> dict[str, Tensor]:
    """The autoencoder's; its one attention has 1 × 1 convolutions where diffusers has linear layers."""
    made = {}
    for name, tensor in tensors.items():
        attention = ".attentions." in name
        if attention and len(tensor.shape) == 2:
            shape = (*tensor.shape, 1, 1)
            tensor = tensor.map(shape, lambda bits: bits.reshape(*bits.shape, 1, 1))
        made[vae_name(name, len(config["block_out_channels"]))] = tensor
    return made


def vae_name(name: str, blocks: int) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    found = re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)", name)
    if found:
        return f"{found[1]}.mid.attn_1.{ATTENTION[found[2]]}.{found[3]}"
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{blocks - 1 - int(m[1])}", name)
    name = re.sub(r"down_blocks\.(\d+)", r"down.\1", name)
    name = re.sub(r"\.(down|up)samplers\.0\.", r".\1sample.", name)
    return name.replace(".resnets.", ".block.")


OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def open_clip(tensors: Tensors) -> dict[str, Tensor]:
    """A text encoder of OpenCLIP: queries, keys and values in one matrix, and a projection that is transposed."""
    made: dict[str, Tensor] = {}
    for full, tensor in tensors.items():
        name = full.removeprefix("text_model.")
        if full == "text_projection.weight":
            made["text_projection"] = tensor.map(tensor.shape[::-1], lambda bits: bits.T)
            continue
        if name in OPEN_CLIP:
            made[OPEN_CLIP[name]] = tensor
            continue
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        assert found, full
        block = f"transformer.resblocks.{found[1]}"
        if found[2] in LAYER:
            made[f"{block}.{LAYER[found[2]]}.{found[3]}"] = tensor
        elif found[2] == "self_attn.q_proj":
            all_three = [tensors[full.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            made[f"{block}.attn.in_proj_{found[3]}"] = joined(all_three)
    return made
