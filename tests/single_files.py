"""Single-file checkpoints of folders in diffusers layout, in the names that people's files have: LDM's and BFL's.

Written from the other side than the package's own tables: from what diffusers calls a tensor to what the file does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
FLUX = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
PLAIN = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "norm.linear": "modulation.lin",
    "proj_out": "linear2",
}
NORMS = {
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
}
FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
LINEAR1 = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def tensors(component: Path) -> dict[str, Tensor]:
    """What a folder's component holds, by diffusers' names."""
    found: dict[str, Tensor] = {}
    for file in sorted(component.glob("*.safetensors")):
        found |= load_file(file)
    return found


def unet(held: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    found = {}
    for name, value in held.items():
        module, _, leaf = name.rpartition(".")
        if block := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", module):
            side, i, kind, j, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
            down = side == "down"
            if kind == "downsamplers":
                where = f"input_blocks.{1 + i * (layers + 1) + layers}.0.op"
            elif kind == "upsamplers":
                last = i * (layers + 1) + layers
                attends = any(key.startswith(f"up_blocks.{i}.attentions.") for key in held)
                where = f"output_blocks.{last}.{2 if attends else 1}.conv"
            else:
                number = down + i * (layers + 1) + j
                inner = RESNET[rest] if kind == "resnets" else rest
                where = f"{'input' if down else 'output'}_blocks.{number}.{int(kind == 'attentions')}.{inner}"
        elif module in UNET:
            where = UNET[module]
        else:
            part = next(part for part in UNET if module.startswith(f"{part}."))
            rest = module.removeprefix(f"{part}.")
            where = f"{UNET[part]}.{RESNET[rest] if 'resnets' in part else rest}"
        found[f"{where}.{leaf}"] = value
    return found


def vae(held: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    found = {}
    for name, value in held.items():
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        name = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda m: f"up.{levels - 1 - int(m[1])}.block.", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
        if found_in := re.fullmatch(r"(.+)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)", name):
            name = f"{found_in[1]}.mid.attn_1.{VAE[found_in[2]]}.{found_in[3]}"
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[name] = value
    return found


def clip(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' own names, as they were before it took the `text_model.` away, with the positions of then."""
    found = {name if name.startswith("text_") else f"text_model.{name}": value for name, value in held.items()}
    count = found["text_model.embeddings.position_embedding.weight"].shape[0]
    return found | {"text_model.embeddings.position_ids": torch.arange(count)[None]}


def open_clip(held: Mapping[str, Tensor], spare: bool) -> dict[str, Tensor]:
    """OpenCLIP's; with a `spare` last layer that nobody reads, as in Stable Diffusion 2.x."""
    held = {name.removeprefix("text_model."): value for name, value in held.items()}
    found = {
        "token_embedding.weight": held["embeddings.token_embedding.weight"],
        "positional_embedding": held["embeddings.position_embedding.weight"],
        "ln_final.weight": held["final_layer_norm.weight"],
        "ln_final.bias": held["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    width = found["ln_final.bias"].shape[0]
    found["text_projection"] = (
        held["text_projection.weight"].T if "text_projection.weight" in held else torch.eye(width)
    )
    layers = 1 + max(int(name.split(".")[2]) for name in held if name.startswith("encoder.layers."))
    for i in range(layers + spare):
        block, where = f"encoder.layers.{min(i, layers - 1)}", f"transformer.resblocks.{i}"
        for theirs, ours in OPEN_CLIP.items():
            for leaf in ("weight", "bias"):
                found[f"{where}.{ours}.{leaf}"] = held[f"{block}.{theirs}.{leaf}"] * (2 if i == layers else 1)
        for leaf in ("weight", "bias"):
            rows = [held[f"{block}.self_attn.{letter}_proj.{leaf}"] for letter in "qkv"]
            found[f"{where}.attn.in_proj_{leaf}"] = torch.cat(rows)
    return found


def flux(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in held.items():
        module, _, leaf = name.rpartition(".")
        if module in FLUX:
            found[f"{FLUX[module]}.{leaf}"] = value
        elif module == "norm_out.linear":
            scale, shift = value.chunk(2)
            found[f"final_layer.adaLN_modulation.1.{leaf}"] = torch.cat([shift, scale])
        else:
            block = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", module)
            assert block, name
            where = f"{'single' if block[1] else 'double'}_blocks.{block[2]}"
            part = block[3]
            if part in NORMS:
                norm = NORMS[part].removeprefix("img_attn.") if block[1] else NORMS[part]
                found[f"{where}.{norm}.scale"] = value
            elif part in PLAIN:
                found[f"{where}.{PLAIN[part]}.{leaf}"] = value
            elif part.endswith(("to_q", "add_q_proj")):
                fused = {"linear1": LINEAR1} if block[1] else FUSED
                for theirs, ours in fused.items():
                    if part == ours[0]:
                        rows = [held[f"{module.removesuffix(part)}{one}.{leaf}"] for one in ours]
                        found[f"{where}.{theirs}.{leaf}"] = torch.cat(rows)
    return found


def write(
    folder: Path,
    file: Path,
    *,
    prefix: str = "model.diffusion_model.",
    encoders: bool = True,
    decoder: bool = True,
    ema: bool = False,
    metadata: Mapping[str, str] | None = None,
    extra: Mapping[str, Tensor] | None = None,
) -> Path:
    """The checkpoint in `folder` as one file."""
    index = json.loads((folder / "model_index.json").read_text())
    table = {name: json.loads(path.read_text()) for name in index if (path := folder / name / "config.json").is_file()}
    found = dict(extra or {})
    if "transformer" in index:
        found |= {prefix + name: value for name, value in flux(tensors(folder / "transformer")).items()}
        coder, first = "vae.", "text_encoders.clip_l.transformer."
        second, other = "text_encoders.t5xxl.transformer.", tensors(folder / "text_encoder_2")
    else:
        held = unet(tensors(folder / "unet"), table["unet"]["layers_per_block"])
        found |= {prefix + name: value for name, value in held.items()}
        if ema:
            flat = {f"model_ema.diffusion_model{name.replace('.', '')}": value * 0.999 for name, value in held.items()}
            found |= flat | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
        found["alphas_cumprod"] = torch.linspace(0.99, 0.01, 1000)
        coder = "first_stage_model."
        wide = "StableDiffusionXL" in index["_class_name"]
        first = "conditioner.embedders.0.transformer." if wide else "cond_stage_model.transformer."
        second = "conditioner.embedders.1.model."
        other = open_clip(tensors(folder / "text_encoder_2"), False) if wide else {}
    if decoder:
        levels = len(table["vae"]["block_out_channels"])
        found |= {coder + name: value for name, value in vae(tensors(folder / "vae"), levels).items()}
    if encoders:
        if table["text_encoder"].get("hidden_act") == "gelu" and "text_encoder_2" not in table:
            words = open_clip(tensors(folder / "text_encoder"), True)
            found |= {f"cond_stage_model.model.{name}": value for name, value in words.items()}
        else:
            found |= {first + name: value for name, value in clip(tensors(folder / "text_encoder")).items()}
        found |= {second + name: value for name, value in other.items()}
    save_file({name: value.contiguous().clone() for name, value in found.items()}, file, dict(metadata or {}))
    return file
