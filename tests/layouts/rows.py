"""Every layout that people hold, and what the commands have to do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.layouts import folder, odd, single
from tests.layouts.checkpoint import Checkpoint, Keep, checkpoint
from tests.layouts.configs import Size


@dataclass(frozen=True)
class Given:
    """A base on disk: what a user says after `--model`, where it lies, and what else has to be said."""

    model: str
    at: Path
    held: Checkpoint | None = None
    """What the base was written from, None for an odd one."""
    config: Path | None = None
    cache: Path | None = None
    """The hub's, where the base is named by its id."""
    variant: str | None = None


@dataclass(frozen=True)
class Row:
    """A layout; `family` is what `supports` must say of it, None where it has to be refused with all `reasons`."""

    name: str
    make: Callable[[Path, Size], Given]
    family: str | None = None
    reasons: tuple[str, ...] = field(default=())


def sites(component: str, name: str) -> bool:
    """The matrices that a closed form may edit, by their names in diffusers."""
    return any(part in name for part in SITES)


SITES = (
    ".attn2.to_k.weight",
    ".attn2.to_v.weight",
    "add_embedding.linear_1.weight",
    "context_embedder.weight",
    "time_text_embed.text_embedder.linear_1.weight",
)


def _model(kind: str, size: Size, dtype: str | None = None) -> Checkpoint:
    """At true size the sites and CLIP's encoders are real bytes, and everything of Stable Diffusion 1.x and 2.x."""
    small = size == "tiny" or kind in ("sd1", "sd2")
    keep: Keep | None = None if small else _read
    return checkpoint(kind, size, dtype, keep=keep)


def _read(component: str, name: str) -> bool:
    """Does an edit read the tensor? T5 is left out: its states are invented at true size."""
    return sites(component, name) or (component.startswith("text_encoder") and not name.startswith(("shared", "enc")))


def _folder(at: Path, size: Size, kind: str, dtype: str | None = None, **how: Any) -> Given:
    model = _model(kind, size, dtype)
    base = folder.build(at / "base", model, **how)
    variants = how.get("variants") or {None: None}
    return Given(str(base), base, model, variant=None if None in variants else next(iter(variants)))


def _non_ema(at: Path, size: Size) -> Given:
    given = _folder(at, size, "sd1", variants={"non_ema": None}, variant_of=("unet",))
    return Given(given.model, given.at)


def _hub(at: Path, size: Size, revision: str) -> Given:
    given = _folder(at, size, "sd1")
    snapshot = folder.hub(at / "hub", given.at)
    model = str(snapshot) if revision == "path" else folder.REPOSITORY + revision
    return Given(model, snapshot, given.held, cache=at / "hub")


def _links_out(at: Path, size: Size) -> Given:
    base = folder.links_out(_folder(at, size, "sd1").at, at / "annex")
    return Given(str(base), base)


def _single(at: Path, size: Size, kind: str, dtype: str | None = None, **which: Any) -> Given:
    model = _model(kind, size, dtype)
    file = single.build(at / f"{kind}.safetensors", model, **which)
    return Given(str(file), file, model, config=_config(at, model, which))


def _config(at: Path, model: Checkpoint, which: dict[str, Any]) -> Path | None:
    """A folder of configs and tokenizers, with the weights of what the file lacks.

    Of a whole file of the true size the package has them; what SD 2.x's UNet predicts no file says.
    """
    if model.size == "true" and model.denoiser == "unet" and not _lacking(model, which):
        return Path("sd21") if model.name == "sd2" else None
    return folder.build(at / "config", model, only=tuple(_lacking(model, which)))


def _lacking(model: Checkpoint, which: dict[str, Any]) -> list[str]:
    lacks = [] if which.get("vae", True) else ["vae"]
    return lacks + ([] if which.get("encoders", True) else [name for name in model.parts if name.startswith("text_")])


def _odd(at: Path, size: Size, name: str) -> Given:
    base = odd.ODD[name](at)
    kind = "flux-dev" if any(word in name for word in ("fp8", "nf4", "gguf")) else "sd1"
    config = folder.build(at / "config", checkpoint(kind)) if base.suffix == ".safetensors" else None
    return Given(str(base), base, config=config)


ALONE = {"vae": False, "encoders": False}
WORKS = [
    Row("sd1 folder, fp16", partial(_folder, kind="sd1"), "sd1"),
    Row("sd1 folder, fp32", partial(_folder, kind="sd1", dtype="F32"), "sd1"),
    Row("sd1 folder, bf16", partial(_folder, kind="sd1", dtype="BF16"), "sd1"),
    Row(
        "sd1 folder, plain fp32 beside fp16 and non_ema",
        partial(_folder, kind="sd1", dtype="F32", variants={None: None, "fp16": "F16", "non_ema": None}),
        "sd1",
    ),
    Row("sd1 folder, only fp16 files", partial(_folder, kind="sd1", variants={"fp16": None}), "sd1"),
    Row("sd1 folder, only bf16 files", partial(_folder, kind="sd1", dtype="BF16", variants={"bf16": None}), "sd1"),
    Row("sd1 folder, shards", partial(_folder, kind="sd1", shards="plain"), "sd1"),
    Row(
        "sd1 folder, shards of a variant",
        partial(_folder, kind="sd1", shards="variant", variants={"fp16": None}),
        "sd1",
    ),
    Row(
        "sd1 folder, shards of a variant in the older naming",
        partial(_folder, kind="sd1", shards="legacy", variants={"fp16": None}),
        "sd1",
    ),
    Row("sd1 folder, shards of any name", partial(_folder, kind="sd1", shards="arbitrary"), "sd1"),
    Row("sd1, hub id", partial(_hub, revision=""), "sd1"),
    Row("sd1, hub id @main", partial(_hub, revision="@main"), "sd1"),
    Row("sd1, hub id @commit", partial(_hub, revision=f"@{folder.COMMIT}"), "sd1"),
    Row("sd1, snapshot in the hub's cache", partial(_hub, revision="path"), "sd1"),
    Row("sd2 folder, v-prediction", partial(_folder, kind="sd2"), "sd2"),
    Row("sdxl folder, fp16", partial(_folder, kind="sdxl"), "sdxl"),
    Row("sdxl folder, only fp16 files", partial(_folder, kind="sdxl", variants={"fp16": None}), "sdxl"),
    Row("sdxl folder, shards", partial(_folder, kind="sdxl", shards="plain"), "sdxl"),
    Row("sdxl folder, v-prediction", partial(_folder, kind="sdxl-v"), "sdxl"),
    Row("flux-dev folder, bf16", partial(_folder, kind="flux-dev"), "flux"),
    Row("flux-dev folder, shards", partial(_folder, kind="flux-dev", shards="plain"), "flux"),
    Row("flux-schnell folder, bf16", partial(_folder, kind="flux-schnell"), "flux"),
    Row("sd1 file", partial(_single, kind="sd1"), "sd1"),
    Row("sd1 file, fp32 with EMA copies", partial(_single, kind="sd1", dtype="F32", ema=True), "sd1"),
    Row("sd1 file without autoencoder", partial(_single, kind="sd1", vae=False), "sd1"),
    Row("sd1 file, UNet alone", partial(_single, kind="sd1", prefix="", **ALONE), "sd1"),
    Row("sd2 file", partial(_single, kind="sd2"), "sd2"),
    Row("sdxl file", partial(_single, kind="sdxl"), "sdxl"),
    Row("sdxl file, v_pred and ztsnr", partial(_single, kind="sdxl-v", markers=("v_pred", "ztsnr")), "sdxl"),
    Row("sdxl file, UNet alone", partial(_single, kind="sdxl", **ALONE), "sdxl"),
    Row("flux-dev file, transformer alone", partial(_single, kind="flux-dev", prefix="", **ALONE), "flux"),
    Row("flux-dev file, transformer alone with prefix", partial(_single, kind="flux-dev", **ALONE), "flux"),
    Row("flux-dev file, all of ComfyUI's", partial(_single, kind="flux-dev"), "flux"),
    Row("flux-schnell file, transformer alone", partial(_single, kind="flux-schnell", prefix="", **ALONE), "flux"),
]


def _refused(name: str, *reasons: str) -> Row:
    return Row(name, partial(_odd, name=name), None, reasons)


REFUSED = [
    Row("sd1 folder, only non_ema files", _non_ema, None, ("unet", "no safetensors weights file")),
    Row("sd1 folder, weights linked out of it", _links_out, None, ("link|regular file|outside|out of",)),
    _refused("inpainting", "inpaint"),
    _refused("inpainting folder", "inpaint"),
    _refused("refiner", "refiner"),
    _refused("refiner folder", "refiner"),
    _refused("fp8", "fp8|F8_E4M3", "bf16 or fp16"),
    _refused("fp8 folder", "fp8|F8_E4M3", "bf16 or fp16"),
    _refused("fp8 scaled", "fp8|F8_E4M3|scale|quantised", "bf16 or fp16"),
    _refused("nf4", "nf4|bitsandbytes|quantised", "bf16 or fp16"),
    _refused("nf4 folder", "quantization_config", "bf16 or fp16"),
    _refused("gguf", "GGUF|gguf", "quantised|safetensors"),
    _refused("ckpt", "pickle", "never loaded"),
    _refused("lora", "LoRA"),
    _refused("vae", "VAE|autoencoder"),
    _refused("component", "UNet|diffusers"),
    _refused("sd3", "Stable Diffusion 3"),
    _refused("truncated", "truncated|holds|cannot hold", "download"),
]
