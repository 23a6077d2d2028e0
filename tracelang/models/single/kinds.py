"""Which model a single file holds, by the names and shapes in its header; and the true reason where it is none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracelang.models import layout
from tracelang.models.header import Header
from tracelang.models.single import unet
from tracelang.plan.family import ModelError

STABLE, XL, FLUX = "StableDiffusionPipeline", "StableDiffusionXLPipeline", "FluxPipeline"
PLACES: Mapping[str, Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    STABLE: {
        "vae": (("vae", "first_stage_model.", "decoder.conv_in.weight"),),
        "text_encoder": (
            ("clip", "cond_stage_model.transformer.", "text_model.embeddings.token_embedding.weight"),
            ("clip", "cond_stage_model.transformer.", "embeddings.token_embedding.weight"),
            ("open_clip", "cond_stage_model.model.", "token_embedding.weight"),
        ),
    },
    XL: {
        "vae": (("vae", "first_stage_model.", "decoder.conv_in.weight"),),
        "text_encoder": (
            ("clip", "conditioner.embedders.0.transformer.", "text_model.embeddings.token_embedding.weight"),
        ),
        "text_encoder_2": (("open_clip", "conditioner.embedders.1.model.", "token_embedding.weight"),),
    },
    FLUX: {
        "vae": (("vae", "vae.", "decoder.conv_in.weight"),),
        "text_encoder": (
            ("clip", "text_encoders.clip_l.transformer.", "text_model.embeddings.token_embedding.weight"),
        ),
        "text_encoder_2": (("t5", "text_encoders.t5xxl.transformer.", "shared.weight"),),
    },
}
"""Where a file keeps what else than the denoiser it may hold: the layout, the prefix, a tensor that is always there."""
WRONG = (
    (r"(^|[._])(lora_(up|down|A|B|mid|unet|te\d?|transformer)|lokr_w\d|hada_w\d|oft_blocks|dora_scale)([._]|$)",
     "is a LoRA, or an adapter of another kind, and no checkpoint; merge it into its model, or pass that model"),
    (r"(^|\.)(zero_convs|input_hint_block|controlnet_cond_embedding|controlnet_blocks)\.",
     "is a ControlNet, which reads pictures beside prompts; pass the checkpoint that it steers"),
    (r"^(image_proj|ip_adapter)\.", "is an IP-Adapter; pass the checkpoint that it is made for"),
    (r"^(emb_params|string_to_param.*|clip_[lg])$", "is a textual inversion; pass the checkpoint that it is made for"),
    (r"(^|\.)joint_blocks\.", "is a Stable Diffusion 3 checkpoint, a family that is not supported"),
    (r"(^|\.)distilled_guidance_layer\.", "is a Chroma checkpoint, a family that is not supported"),
    (r"(^|\.)double_stream_modulation_img\.", "is a FLUX.2 checkpoint, a family that is not supported"),
    (r"^edm_(mean|std|vpred)", "says in its tensor {name!r} that it is sampled after EDM, which is not supported"),
)  # fmt: skip
"""Names that give away another kind, wherever they stand; asked in this order."""
ALONE = (
    (r"^(unet\.)?down_blocks\.\d+\.resnets\.",
     "is a UNet in diffusers' names, a part of a folder; pass that folder, with the file in its unet/"),
    (r"^(transformer\.)?(single_)?transformer_blocks\.\d+\.",
     "is a transformer in diffusers' names, a part of a folder; pass that folder, with the file in its transformer/"),
    (r"^(first_stage_model\.)?(encoder\.down|decoder\.up|decoder\.up_blocks|encoder\.down_blocks)\.\d",
     "is an autoencoder (VAE), which no edit changes; pass the checkpoint that it belongs to"),
    (r"^(text_model\.)?encoder\.layers\.|^encoder\.block\.|^(transformer\.)?resblocks\.|^shared\.weight$",
     "is a text encoder alone; pass the checkpoint that it belongs to"),
)  # fmt: skip
"""Names by which a file without any denoiser that is known is told."""
OURS = {
    "tracelang.delta": "is a delta, which `tracec patch` turns its base into an edit with; pass that base, or the edit",
    "tracelang.map": "is a map of text states and no checkpoint; pass the model that it is for",
}
"""Metadata of what `tracec apply` writes beside checkpoints."""
EDITED = re.compile(r"(^|\.)(attn2\.to_[kv]|label_emb\.0\.0|txt_in|vector_in\.in_layer)\.")
"""The matrices that read the prompt alone: what a closed form edits."""
PICTURES = {9: "is an inpainting model", 5: "reads a depth map", 8: "edits pictures", 7: "enlarges pictures"}
"""What a UNet of Stable Diffusion does that takes so many channels."""
FILLS = {384: "fills in pictures (FLUX.1 Fill)", 128: "follows depth or edges (FLUX.1 Depth, Canny)"}
REFINER = 2560
"""Width of what `label_emb` reads there."""
WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
STOCK: Mapping[tuple[str, bool | None], str] = {
    ("sd1", None): "sd15",
    ("sd1", False): "sd15",
    ("sd2", False): "sd21-base",
    ("sd2", True): "sd21",
    ("sdxl", None): "sdxl",
    ("sdxl", False): "sdxl",
    ("sdxl", True): "sdxl-v",
}
"""The configs that the package ships, by the width of the states that are read and by whether v is predicted, None:
the file does not say. Both kinds of Stable Diffusion 2.x are common, and nothing in the weights tells them apart.
"""
ARCHITECTURES = {"stable-diffusion-v2-768-v": True, "stable-diffusion-v2-512": False}
"""`modelspec.architecture` where it says what is predicted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is: its pipeline's class, where it holds which component (layout and prefix), and which it lacks."""

    pipeline: str
    parts: Mapping[str, tuple[str, str]]
    lacking: tuple[str, ...]
    width: str
    """`"sd1"`, `"sd2"`, `"sdxl"` by the width of the states that the denoiser reads; empty for another width."""
    predicts_v: bool | None
    """As the file says it; None: it does not."""

    @property
    def stock(self) -> str | None:
        """The shipped configs that are its own, None where there are none, or more than one."""
        return STOCK.get((self.width, self.predicts_v))


def kind(file: Path, header: Header) -> Kind:
    """Raises ModelError, one line: no kind of file that is edited, or one that holds a model twice."""
    names = sorted(header.tensors)
    for key, reason in OURS.items():
        if key in header.metadata:
            raise ModelError(f"{file}: {reason}")
    for pattern, reason in WRONG:
        if (mark := _first(pattern, names)) is not None:
            raise ModelError(f"{file}: {reason.format(name=mark)}")
    if (codes := layout.coded(names, EDITED)) is not None:
        raise ModelError(f"{file}: {codes}")
    found = [(name.removesuffix(first), make) for name in names for first, make in FIRST if name.endswith(first)]
    if len(found) > 1:
        raise ModelError(
            f"{file}: holds {len(found)} denoisers, under the prefixes {', '.join(repr(p) for p, _ in found[:3])}, and "
            "all but one would stay unedited; save it with one"
        )
    if found and found[0][0] not in unet.PREFIXES:
        raise ModelError(f"{file}: holds its denoiser under the prefix {found[0][0]!r}, which no loader knows")
    if found:
        return found[0][1](file, header, found[0][0])
    for first, _ in FIRST:
        if (other := _first(rf"(^|\.){first.partition('.')[0]}\.", names)) is not None:
            raise ModelError(
                f"{file}: holds {other!r} and no {first!r}, where such a denoiser begins; download it again"
            )
    for pattern, reason in ALONE:
        if _first(pattern, names) is not None:
            raise ModelError(f"{file}: {reason}")
    raise ModelError(
        f"{file}: is no checkpoint of Stable Diffusion 1.x, 2.x, XL or FLUX.1 by the names of its tensors; other "
        "families are not supported"
    )


def _unet(file: Path, header: Header, prefix: str) -> Kind:
    first = header.tensors[f"{prefix}input_blocks.0.0.weight"].shape
    channels = first[1] if len(first) == 4 else 0
    if channels != 4:
        what = PICTURES.get(channels, f"takes {channels} channels where Stable Diffusion takes 4")
        raise ModelError(f"{file}: {what}, which is not supported; pass the text-to-image model")
    read = header.tensors.get(f"{prefix}middle_block.1.transformer_blocks.0.attn2.to_k.weight")
    if read is None:
        raise ModelError(f"{file}: its UNet reads no prompt; pass a text-to-image model")
    sizes = header.tensors.get(f"{prefix}label_emb.0.0.weight")
    if sizes is not None and sizes.shape[1:] == (REFINER,):
        raise ModelError(f"{file}: is SDXL's refiner, which draws over pictures, and is not supported; pass the base")
    pipeline = STABLE if sizes is None else XL
    width = WIDTHS.get(read.shape[-1] if read.shape else 0, "")
    return _kind(header, pipeline, {"unet": ("unet", prefix)}, width if (width == "sdxl") == (pipeline == XL) else "")


def _flow(file: Path, header: Header, prefix: str) -> Kind:
    reads = header.tensors.get(f"{prefix}txt_in.weight")
    if reads is None or f"{prefix}vector_in.in_layer.weight" not in header.tensors:
        raise ModelError(f"{file}: is like FLUX.1 and lacks 'txt_in' or 'vector_in'; other families are not supported")
    first = header.tensors.get(f"{prefix}img_in.weight")
    if first is not None and first.shape[1:] and first.shape[1] in FILLS:
        raise ModelError(f"{file}: {FILLS[first.shape[1]]}, which is not supported; pass the text-to-image model")
    return _kind(header, FLUX, {"transformer": ("transformer", prefix)}, "")


def _kind(header: Header, pipeline: str, parts: dict[str, tuple[str, str]], width: str) -> Kind:
    lacking = []
    for name, places in PLACES[pipeline].items():
        held = next((place[:2] for place in places if place[1] + place[2] in header.tensors), None)
        if held is None:
            lacking.append(name)
        else:
            parts[name] = held
    return Kind(pipeline, parts, tuple(lacking), width, _predicts_v(header))


def _predicts_v(header: Header) -> bool | None:
    """`v_pred` is an empty tensor by which makers of v-prediction models mark them, `ztsnr` that of their schedule."""
    if "v_pred" in header.tensors or "ztsnr" in header.tensors:
        return True
    told = header.metadata.get("modelspec.prediction_type", "").lower()
    if told:
        return {"v": True, "v_prediction": True, "epsilon": False, "eps": False}.get(told)
    return ARCHITECTURES.get(header.metadata.get("modelspec.architecture", "").lower())


FIRST = (("input_blocks.0.0.weight", _unet), ("double_blocks.0.img_attn.qkv.weight", _flow))
"""The first tensor of a denoiser, by which it is found."""


def _first(pattern: str, names: Sequence[str]) -> str | None:
    found = re.compile(pattern)
    return next((name for name in names if found.search(name)), None)
