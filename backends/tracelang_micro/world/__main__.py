"""Build the embedded world from nothing: `python -m tracelang_micro.world`. May be stopped and continued.

`--from flux` trains `micro-flux` alone, on the published `micro-sd` and judge.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tracelang.engine.cache import folder as trajectories
from tracelang.engine.protocol import Model
from tracelang.engine.sampling import sample
from tracelang_sd import StableDiffusion

from .. import judging
from . import card, diffusion, flux_stages, judge, pieces, tokens, vae
from .concepts import THINGS
from .pictures import digest, load

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

STAGES = ("data", "vae", "judge", "diffusion", "publish", "card", "flux", "flux-card")
HOME = Path(__file__).parent.parent
WEIGH_AT = {2500: 3, 3500: 3, 4500: 3, diffusion.STEPS: 10}  # after these steps weak concepts get more weight
REBUILT = 6000  # pictures that the judge also sees as the autoencoder rebuilds them
GUIDANCE, SAMPLER_STEPS = 4.0, 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world", description=__doc__)
    parser.add_argument("--work", type=Path, default=trajectories().parent / "world",
                        help="folder for downloads, data and checkpoints")
    parser.add_argument("--from", dest="first", choices=("data", "card", "flux", "flux-card"), default="data",
                        help="the first stage to run, on what is published")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to run")
    options = parser.parse_args()
    work: Path = options.work / digest()
    work.mkdir(parents=True, exist_ok=True)
    stages = STAGES[STAGES.index(options.first) : STAGES.index(options.until) + 1]
    if "data" in stages:
        build(work, STAGES.index(options.until))
    if "card" in stages:
        measure(work)
    if "flux" in stages:
        flux_stages.build(work)
    if "flux-card" in stages:
        flux_stages.measure(work)


def build(work: Path, last: int) -> None:
    """Everything up to the published weights, or to the stage with the index `last`."""
    data = load("train", 24_000, 0, work)
    pieces.say(f"data: {len(data.images)} pictures of {len(THINGS)} things")
    if last < 1:
        return
    autoencoder = vae.train(data, work).eval()
    if last < 2:
        return
    latents = vae.encode(autoencoder, torch.from_numpy(data.images))
    judged = judge.train(data, vae.decode(autoencoder, latents[:REBUILT]), work)
    if last < 3:
        return
    tokenizer = tokens.load_or_train(HOME / "models" / "micro-sd" / "tokenizer", work / "tokenizer")

    def weigh(step: int, unet: UNet2DConditionModel, text: CLIPTextModel) -> torch.Tensor | None:
        if step not in WEIGH_AT:
            return None
        publish(work / "weigh", unet, text, tokenizer, autoencoder)
        finish = step == diffusion.STEPS
        asked = card.questions(10, 2, 0) if finish else card.questions(6, 0, 6)
        table = card.measure(drawer(work / "weigh"), judged, asked, f"weigh {step}")
        pieces.say(card.text(table))
        share = torch.tensor([card.share(table, thing, synonyms=finish) for thing in THINGS])
        return 1 + WEIGH_AT[step] * (1 - share)

    unet, text = diffusion.train(data, latents, tokenizer, work, weigh=weigh)
    if last < 4:
        return
    publish(HOME / "models" / "micro-sd", unet, text, tokenizer, autoencoder)
    judging.save(judged)


def publish(
    folder: Path, unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer, autoencoder: AutoencoderKL
) -> None:
    """Write a pipeline folder in fp16 safetensors; the modules stay what they are."""
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor2_0

    unet, text, autoencoder = (copy.deepcopy(part).half() for part in (unet, text, autoencoder))
    unet.set_attn_processor(AttnProcessor2_0())
    pipe = StableDiffusionPipeline(
        vae=autoencoder, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=diffusion.make_scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    (folder / "tracelang.json").write_text(json.dumps({"guidance": GUIDANCE, "steps": SAMPLER_STEPS}) + "\n")
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)  # safetensors writes 0600


def drawer(folder: Path) -> card.Draw:
    """Samples of a published folder, as every command of the project draws them."""
    model: Model = StableDiffusion().load(folder, dtype="float32")
    return lambda prompts, seeds: sample(model, prompts, seeds, steps=SAMPLER_STEPS, fast=True, batch=100)


def measure(work: Path) -> None:
    """The card of what is shipped: autoencoder, judge, and the base model's table."""
    from diffusers import AutoencoderKL

    test = load("test", 2_000, 1, work)
    folder = HOME / "models" / "micro-sd"
    autoencoder = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32)
    judged = judging.load()
    shown = torch.from_numpy(test.images)
    rebuilt = vae.decode(autoencoder, vae.encode(autoencoder, shown))
    figures: dict[str, object] = {
        "megabytes": {name: round(sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 1e6, 2)
                      for name, place in (("micro-sd", folder), ("judge", HOME / "judge"))},
        "vae_psnr_db": round(vae.psnr(shown, rebuilt), 2),
        "judge": {"augmentations": judge.accuracy(judged, test),
                  "reconstructions": judge.accuracy(judged, test, rebuilt)},
        "sampler": {"name": "DDIM", "steps": SAMPLER_STEPS, "guidance": GUIDANCE},
        "training": {"steps": diffusion.STEPS + diffusion.FINISH, "batch": diffusion.BATCH},
    }
    pieces.say(json.dumps(figures))
    asked = card.questions(50, 10, 50)
    pieces.say(f"card: {len(asked)} samples")
    table = card.measure(drawer(folder), judged, asked, "card")
    print(card.text(table))
    card.write(HOME / "card.json", "micro-sd", {**figures, "summary": card.summary(table), "table": table})


if __name__ == "__main__":
    main()
