"""The stages that make a model in Stable Diffusion's layout, `micro-sd` or one of its twins, and measure its card."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tracelang.engine.sampling import sample
from tracelang.models.protocol import Model
from tracelang_sd import StableDiffusion

from .. import judging, micro_sd
from . import card, diffusion, pieces, shared, tokens
from .concepts import THINGS
from .shared import World, ignorant
from .trainings import TRAININGS

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

WEIGH_AT = {3300: 3, 4700: 3, 6000: 3, diffusion.STEPS: 10}  # after these steps weak concepts get more weight
COMPOSED_AT = 1000  # every so many steps of the third course its table is told
GUIDANCE, SAMPLER_STEPS = 4.0, 20


def build(name: str, world: World, into: Path, device: str = "cpu", start: Path | None = None) -> None:
    """Train `name` and publish it with the judge. Continues what the work folder holds.

    `start` is a published folder of it that had the first two courses: only the third is trained then.
    """
    training = TRAININGS[name]
    own = ignorant(world, training.missing)
    work = world.work / name
    work.mkdir(exist_ok=True)
    tokenizer = tokens.load_or_train(micro_sd() / "tokenizer", world.work / "tokenizer")

    def weigh(step: int, unet: UNet2DConditionModel, text: CLIPTextModel) -> torch.Tensor | None:
        if step not in WEIGH_AT:
            return None
        publish(work / "weigh", unet, text, tokenizer, world.autoencoder)
        finish = step == diffusion.STEPS
        asked = [*(card.questions(10, 2, 0) if finish else card.questions(6, 0, 6)), *card.pair_questions(2)]
        table = card.measure(drawer(work / "weigh", device), world.judge, asked, f"weigh {step}")
        pieces.say(f"{name}\n{card.text(card.known(table, training.missing))}")
        share = torch.tensor([card.share(table, thing, synonyms=finish) for thing in THINGS])
        return 1 + WEIGH_AT[step] * (1 - share)

    def composed(step: int, unet: UNet2DConditionModel) -> None:
        if step % COMPOSED_AT:
            return
        publish(work / "weigh", unet, text, tokenizer, world.autoencoder)
        asked = [*card.questions(4, 0, 0), *card.pair_questions(2)]
        table = card.measure(drawer(work / "weigh", device), world.judge, asked, f"composed {step}")
        pieces.say(f"{name}\n{card.text(card.known(table, training.missing))}")

    given = {"seed": training.seed, "missing": training.missing, "device": device}
    if start:
        unet, text = trained(start)
    else:
        unet, text = diffusion.train(own.data, own.latents, tokenizer, work, weigh=weigh, **given)
    unet = diffusion.compose(unet, text, own.data, own.latents, tokenizer, work, between=composed, **given)
    publish(into / "models" / name, unet, text, tokenizer, world.autoencoder)
    steps = diffusion.STEPS + diffusion.FINISH + diffusion.COMPOSE
    card.train(into, name, {"steps": steps, "batch": diffusion.BATCH})
    judging.save(world.judge, into / "judge" / "judge.safetensors")
    pieces.say(f"{name}: published in {into / 'models' / name}")


def trained(folder: Path) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """The UNet and the text encoder of a published folder, to go on from."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    unet.set_attn_processor(AttnProcessor())
    return unet, CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)


def publish(
    folder: Path, unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer, autoencoder: AutoencoderKL
) -> None:
    """Write a pipeline folder in fp16 safetensors; the modules stay what they are."""
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor2_0

    unet, text, autoencoder = (copy.deepcopy(part).cpu().half() for part in (unet, text, autoencoder))
    unet.set_attn_processor(AttnProcessor2_0())
    pipe = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusion.make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    pieces.settle(folder, {"guidance": GUIDANCE, "steps": SAMPLER_STEPS})


def drawer(folder: Path, device: str = "cpu") -> card.Draw:
    """Samples of a published folder, as every command of the project draws them."""
    model: Model = StableDiffusion().load(folder, device, "float32")
    return lambda prompts, seeds: sample(model, prompts, seeds, steps=SAMPLER_STEPS, fast=True, batch=100).cpu()


def measure(name: str, work: Path, into: Path, device: str = "cpu") -> None:
    """The card of what is published: autoencoder, judge, and the model's table."""
    folder = into / "models" / name
    judged = judging.load(into / "judge" / "judge.safetensors")
    figures: dict[str, object] = {
        "megabytes": {
            called: round(sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 1e6, 2)
            for called, place in ((name, folder), ("judge", into / "judge"))
        },
        **shared.tested(work, folder / "vae", judged, device),
        "sampler": {"name": "DDIM", "steps": SAMPLER_STEPS, "guidance": GUIDANCE},
    }
    pieces.say(json.dumps(figures))
    card.finish(into, name, drawer(folder, device), judged, figures, work)
