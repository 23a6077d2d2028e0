"""What people pass after `--model` and has to be refused with the true reason; each function writes one and returns it.

Small, but for the parts that a reader tells it by: names, dtypes, and the shapes of what stands for a family.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.layouts import folder, ldm, single
from tests.layouts.checkpoint import Checkpoint, checkpoint
from tests.layouts.converters import in_torch
from tests.layouts.tensors import Tensor, given, write


def inpainting(at: Path) -> Path:
    """Nine channels in: noise, mask, masked picture."""
    return single.build(at / "inpainting.safetensors", _nine(checkpoint("sd1")))


def inpainting_folder(at: Path) -> Path:
    return folder.build(at / "inpainting", _nine(checkpoint("sd1")))


def _nine(model: Checkpoint) -> Checkpoint:
    parts = {name: dict(tensors) for name, tensors in model.parts.items()}
    wide = parts["unet"]["conv_in.weight"]
    shape = (wide.shape[0], 9, *wide.shape[2:])
    parts["unet"]["conv_in.weight"] = replace(wide, shape=shape, bits=lambda: np.zeros(shape, np.uint16))
    settings = dict(model.settings) | {"unet/config.json": model.config("unet") | {"in_channels": 9}}
    return replace(model, parts=parts, settings=settings)


def refiner(at: Path) -> Path:
    """At its true size: shapes are what it is told by. Holes."""
    model = checkpoint("refiner", "true", keep=lambda component, name: False)
    return single.build(at / "sd_xl_refiner_1.0.safetensors", model)


def refiner_folder(at: Path) -> Path:
    return folder.build(at / "refiner", checkpoint("refiner"))


def fp8(at: Path, kind: str = "flux-dev") -> Path:
    """The transformer's matrices cast to fp8, as most FLUX files that fit a small card are."""
    model = checkpoint(kind)
    return single.build(at / f"{kind}-fp8.safetensors", _cast(model, _eight), prefix="", vae=False, encoders=False)


def fp8_folder(at: Path, kind: str = "flux-dev") -> Path:
    return folder.build(at / f"{kind}-fp8", _cast(checkpoint(kind), _eight))


def fp8_scaled(at: Path, kind: str = "flux-dev") -> Path:
    """fp8 with a scale to each matrix, as ComfyUI writes them."""
    tensors = dict(single.tensors(checkpoint(kind), vae=False, encoders=False))
    for name, tensor in list(tensors.items()):
        if len(tensor.shape) == 2:
            tensors[name] = _eight(tensor)
            tensors[name.removesuffix(".weight") + ".scale_weight"] = given("F32", 0.01)
    tensors[f"{single.INSIDE}scaled_fp8"] = replace(_eight(given("F32", [[0.0, 0.0]])), shape=(2,))
    return write(at / f"{kind}-fp8-scaled.safetensors", tensors, {"format": "pt"})


def _cast(model: Checkpoint, change: Callable[[Tensor], Tensor]) -> Checkpoint:
    parts = dict(model.parts)
    parts[model.denoiser] = {
        name: change(tensor) if len(tensor.shape) == 2 else tensor for name, tensor in parts[model.denoiser].items()
    }
    return replace(model, parts=parts)


def _eight(tensor: Tensor) -> Tensor:
    def bits() -> np.ndarray:
        values = in_torch({"x": tensor})["x"].float().to(torch.float8_e4m3fn)
        return values.view(torch.uint8).numpy().reshape(tensor.shape)

    return Tensor("F8_E4M3", tensor.shape, bits)


def nf4(at: Path) -> Path:
    """Four bits to a number and a table, as bitsandbytes writes them."""
    tensors = dict(single.tensors(checkpoint("flux-dev"), prefix="", vae=False, encoders=False))
    for name, tensor in list(tensors.items()):
        if len(tensor.shape) == 2:
            count = tensor.shape[0] * tensor.shape[1] // 2
            tensors[name] = given("U8", np.zeros((count, 1)))
            tensors[f"{name}.absmax"] = given("F32", np.ones(-(-count // 32)))
            tensors[f"{name}.quant_map"] = given("F32", np.linspace(-1, 1, 16))
            state = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": tensor.shape})
            tensors[f"{name}.quant_state.bitsandbytes__nf4"] = given("U8", list(state.encode()))
    return write(at / "flux1-dev-bnb-nf4.safetensors", tensors, {"format": "pt"})


def nf4_folder(at: Path) -> Path:
    """A folder whose transformer's config says that it is quantised."""
    model = checkpoint("flux-dev")
    told = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
    settings = dict(model.settings) | {"transformer/config.json": model.config("transformer") | told}
    return folder.build(at / "nf4", replace(model, settings=settings))


def gguf(at: Path) -> Path:
    """A GGUF file: `GGUF`, version 3, one pair that names the architecture, one tensor's row and its bytes."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = text("general.architecture") + struct.pack("<I", 8) + text("flux")
    row = text("txt_in.weight") + struct.pack("<I2QIQ", 2, 24, 16, 1, 0)  # two sides, F16, at 0
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + pairs + row
    head += bytes(-len(head) % 32)
    path = at / "flux1-dev-Q4_0.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + bytes(2 * 24 * 16))
    return path


def ckpt(at: Path) -> Path:
    """The first generation's files: a pickle."""
    held = in_torch(single.tensors(checkpoint("sd1")))
    path = at / "v1-5-pruned.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": held, "global_step": 1}, path)
    return path


def lora(at: Path) -> Path:
    """An adapter in kohya's names."""
    made = {}
    for name, tensor in checkpoint("sd1").parts["unet"].items():
        if ".attn2.to_" in name and len(tensor.shape) == 2:
            key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            made[f"{key}.alpha"] = given("F16", 4.0)
            made[f"{key}.lora_down.weight"] = given("F16", np.ones((4, tensor.shape[1])))
            made[f"{key}.lora_up.weight"] = given("F16", np.ones((tensor.shape[0], 4)))
    return write(at / "style.safetensors", made, {"ss_network_module": "networks.lora"})


def vae(at: Path) -> Path:
    """An autoencoder alone, in the original names."""
    model = checkpoint("sd1")
    held = ldm.vae(model.parts["vae"], model.config("vae"))
    return write(at / "vae-ft-mse-840000-ema-pruned.safetensors", held)


def component(at: Path) -> Path:
    """The UNet out of a diffusers folder."""
    return write(at / "diffusion_pytorch_model.safetensors", checkpoint("sd1").parts["unet"], {"format": "pt"})


def sd3(at: Path) -> Path:
    """Stable Diffusion 3 medium's transformer by its telling names, in true shapes. Holes."""
    width, shapes = 1536, dict[str, tuple[int, ...]]()
    for i in range(24):
        for stream in ("x_block", "context_block"):
            block = f"joint_blocks.{i}.{stream}"
            shapes |= {f"{block}.attn.qkv.weight": (3 * width, width), f"{block}.attn.qkv.bias": (3 * width,)}
            shapes[f"{block}.adaLN_modulation.1.bias"] = (6 * width,)
    shapes |= {
        "context_embedder.weight": (width, 4096),
        "context_embedder.bias": (width,),
        "y_embedder.mlp.0.weight": (width, 2048),
        "y_embedder.mlp.0.bias": (width,),
        "pos_embed": (1, 36864, width),
        "x_embedder.proj.weight": (width, 16, 2, 2),
        "final_layer.linear.weight": (64, width),
    }
    held = {single.INSIDE + name: _hole(shape) for name, shape in sorted(shapes.items())}
    return write(at / "sd3_medium.safetensors", held, {"format": "pt"})


def _hole(shape: tuple[int, ...]) -> Tensor:
    return Tensor("F16", shape, lambda: np.zeros(shape, np.uint16), True)


def truncated(at: Path) -> Path:
    """A download that stopped."""
    path = single.build(at / "v1-5-pruned-emaonly.safetensors", checkpoint("sd1"))
    path.write_bytes(path.read_bytes()[:-100])
    return path


ODD: Mapping[str, Callable[[Path], Path]] = {
    one.__name__.replace("_", " "): one
    for one in (
        inpainting,
        inpainting_folder,
        refiner,
        refiner_folder,
        fp8,
        fp8_folder,
        fp8_scaled,
        nf4,
        nf4_folder,
        gguf,
        ckpt,
        lora,
        vae,
        component,
        sd3,
        truncated,
    )
}
