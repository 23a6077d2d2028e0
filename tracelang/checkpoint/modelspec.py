"""What the metadata of a written file tells its readers, in the keys that they look for.

ModelSpec (github.com/Stability-AI/ModelSpec) is what user interfaces show; `ss_…` are kohya's, by which A1111 and
Forge sort LoRAs to base models; `tracelang.…` say which edit of which base it is. There is a date only where
`SOURCE_DATE_EPOCH` gives one (reproducible-builds.org), so that the same edit is the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tracelang.models import configs
from tracelang.text import joined, line
from tracelang.version import __version__

if TYPE_CHECKING:
    from tracelang.checkpoint.forms import Work

VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0", "flux": "flux1"}
"""kohya's names of base models."""
ORIGINALS = {
    "sd1": "https://github.com/Stability-AI/generative-models",
    "sd2": "https://github.com/Stability-AI/generative-models",
    "sdxl": "https://github.com/Stability-AI/generative-models",
    "flux": "https://github.com/black-forest-labs/flux",
}
"""Whose layout a file in original names has, as ModelSpec calls it."""
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


def metadata(work: Work, implementation: str, kind: str = "") -> dict[str, str]:
    """Of a file in the names of an implementation: `"diffusers"`, or one of `ORIGINALS`. `kind` is ModelSpec's, as
    `"lora"`; nothing for a checkpoint.
    """
    family, plan = work.family.name(work.base), work.plan
    prediction = _prediction(work.base)
    erased = ", ".join(joined(erasure.targets) for erasure in plan.active)
    told = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "/".join(filter(None, (_architecture(family, work.base, prediction), kind))),
        "modelspec.implementation": implementation,
        "modelspec.title": line(plan.recipe.name or f"{work.name} edited by tracelang"),
        "modelspec.description": line(f"An edit of {work.name}, meant to no longer draw {erased or 'nothing'}"),
        "tracelang.version": __version__,
        "tracelang.recipe": line(plan.recipe.name),
        "tracelang.plan": plan.digest,
        "tracelang.base": line(work.name),
        "tracelang.base_fingerprint": work.fingerprint,
    }
    if prediction:
        told["modelspec.prediction_type"] = prediction
    if size := resolution(work.base):
        told["modelspec.resolution"] = size
    if family in VERSIONS:
        told["ss_base_model_version"] = VERSIONS[family] + ("_v" if family == "sd2" and prediction == "v" else "")
    if (epoch := os.environ.get("SOURCE_DATE_EPOCH", "")).isdecimal():
        told["modelspec.date"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return told


def network(family: str, ranks: Iterable[int]) -> Mapping[str, str]:
    """kohya's keys of a LoRA whose alphas are its ranks. It says `Dynamic` where layers differ."""
    known = set(ranks)
    rank = str(*known) if len(known) == 1 else "Dynamic"
    module = "networks.lora_flux" if family == "flux" else "networks.lora"
    return {"ss_network_dim": rank, "ss_network_alpha": rank, "ss_network_module": module}


def _architecture(family: str, base: Path, prediction: str) -> str:
    if family == "sd2":
        return "stable-diffusion-v2-768-v" if prediction == "v" else "stable-diffusion-v2-512"
    if family == "flux":
        dev = configs.read(base / "transformer" / "config.json").get("guidance_embeds")
        return "flux-1-dev" if dev else "flux-1-schnell"
    return {"sd1": "stable-diffusion-v1", "sdxl": "stable-diffusion-xl-v1-base"}.get(family, family)


LARGEST = 1 << 16
"""What says that it draws more pixels a side than this says nothing."""


def resolution(base: Path) -> str:
    """Width and height in pixels of what the model was made to draw, by its UNet's config, or where it has none by its
    VAE's; "" where neither says it.
    """
    unet, vae = base / "unet" / "config.json", base / "vae" / "config.json"
    if not vae.is_file():
        return ""
    side, scale, widths = configs.read(vae).get("sample_size"), 1, configs.read(vae).get("block_out_channels", (64,))
    if unet.is_file():
        levels = len(widths) if isinstance(widths, list | tuple) else 0
        side, scale = configs.read(unet).get("sample_size"), 1 << max(levels - 1, 0)
    sides = side if isinstance(side, list) else [side, side]
    pixels = [one * scale for one in sides if isinstance(one, int) and 0 < one * scale <= LARGEST]
    return "{1}x{0}".format(*pixels) if len(pixels) == len(sides) == 2 else ""


def _prediction(base: Path) -> str:
    path = base / "scheduler" / "scheduler_config.json"
    table = configs.read(path) if path.is_file() else {}
    return PREDICTIONS.get(str(table.get("prediction_type", "epsilon")), "") if "beta_start" in table else ""
