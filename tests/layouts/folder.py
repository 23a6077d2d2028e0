"""Diffusers folders, with every naming that diffusers reads, and what people keep folders in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tests.layouts.checkpoint import Checkpoint, write_settings
from tests.layouts.tensors import Tensor, Tensors, read, write

Naming = Literal["plain", "variant", "legacy", "arbitrary"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "owner/model"
MOST = {"transformer": 10 * 10**9, "text_encoder_2": 5 * 10**9}
"""Bytes of a shard at most, of the components that are published in shards, at true size."""
Variants = Mapping[str | None, str | None]
"""Variant → dtype of its files, None where that is the model's own."""


def build(
    folder: Path,
    model: Checkpoint,
    variants: Variants | None = None,
    shards: Naming | None = None,
    variant_of: tuple[str, ...] | None = None,
    only: tuple[str, ...] | None = None,
) -> Path:
    """Write the folder and return it.

    `variants` lie side by side (`{None: "F32", "fp16": "F16"}`); only the components in `variant_of` have them, where
    that is said, the others plain files alone. `shards` cuts the denoiser into three files of that naming. Where `only`
    is said, other components are configs alone.
    """
    write_settings(folder, model)
    for component, tensors in model.parts.items():
        if only is not None and component not in only:
            continue
        stem = "diffusion_pytorch_model" if component in (model.denoiser, "vae") else "model"
        has = variant_of is None or component in variant_of
        for variant, dtype in (variants or {None: None}).items() if has else [(None, None)]:
            cast = {
                name: tensor.cast(dtype) if dtype and tensor.dtype in ("F32", "F16", "BF16") else tensor
                for name, tensor in tensors.items()
            }
            most = MOST.get(component) if model.size == "true" else None
            if shards and component == model.denoiser:
                sharded(folder / component, stem, cast, shards, variant, cut(cast, 3))
            elif most and sum(tensor.size for tensor in cast.values()) > most:
                sharded(folder / component, stem, cast, "plain", variant, cut(cast, None, most))
            else:
                name = f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"
                write(folder / component / name, cast, {"format": "pt"})
    return folder


def cut(tensors: Tensors, count: int | None, most: int = 0) -> list[dict[str, Tensor]]:
    """The tensors in groups: `count` of them, or as many as hold `most` bytes each."""
    limit = most if count is None else -(-sum(tensor.size for tensor in tensors.values()) // count)
    groups: list[dict[str, Tensor]] = [{}]
    for name, tensor in tensors.items():
        held = sum(one.size for one in groups[-1].values())
        if held and held + tensor.size > limit and (count is None or len(groups) < count):
            groups.append({})
        groups[-1][name] = tensor
    return groups


def sharded(
    component: Path, stem: str, tensors: Tensors, naming: Naming, variant: str | None, groups: list[dict[str, Tensor]]
) -> None:
    """Shards and their index. diffusers wrote `legacy` for a while; an index may name anything."""
    dot = f".{variant}" if variant else ""
    of = f"of-{len(groups):05}.safetensors"
    forms = {
        "plain": f"{stem}{dot}-{{:05}}-{of}",
        "variant": f"{stem}{dot}-{{:05}}-{of}",
        "legacy": f"{stem}-{{:05}}-{of}".replace(".safetensors", f"{dot}.safetensors"),
        "arbitrary": f"unet{dot}.part-{{}}.safetensors",
    }
    table = {}
    for i, group in enumerate(groups, 1):
        name = forms[naming].format(i)
        write(component / name, group, {"format": "pt"})
        table |= dict.fromkeys(group, name)
    index = {"metadata": {"total_size": sum(t.size for t in tensors.values())}, "weight_map": table}
    name = f"{stem}.safetensors.index{dot}.json"
    (component / name).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def hub(cache: Path, folder: Path) -> Path:
    """The folder as the hub's cache lays out `REPOSITORY` at `COMMIT`: links to blobs. Returns the snapshot."""
    home = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    (home / "blobs").mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for i, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        shutil.copy(path, home / "blobs" / f"{i:040x}")
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(home / "blobs" / f"{i:040x}", link.parent))
    return snapshot


def links_out(folder: Path, elsewhere: Path) -> Path:
    """Every weights file moved to `elsewhere` and linked to, as git-annex, DVC and old downloads leave a folder."""
    elsewhere.mkdir(parents=True)
    for i, path in enumerate(sorted(folder.rglob("*.safetensors"))):
        path.rename(elsewhere / f"{i}.safetensors")
        path.symlink_to((elsewhere / f"{i}.safetensors").absolute())
    return folder


def load(folder: Path, component: str) -> dict[str, Tensor]:
    """The tensors of a component that is one plain file."""
    (path,) = [path for path in (folder / component).glob("*.safetensors") if path.name.count(".") == 1]
    return read(path)
