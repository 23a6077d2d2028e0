"""The stages that make `micro-flux` of a published `micro-sd`, the judge and the pictures; and a look in between.

`python -m tracelang_micro.world.flux_stages` draws a small table of a training that is under way.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tracelang.engine.cache import folder as trajectories
from tracelang.engine.seeds import seed

from .. import judging, micro_flux, micro_sd
from . import card, flow, flux, pieces, vae
from .concepts import THINGS
from .pictures import Pictures, digest, load

if TYPE_CHECKING:
    from diffusers import FluxTransformer2DModel
    from transformers import T5EncoderModel

WEIGH_AT = {3000: 3, 4500: 4, flow.STEPS: 6}  # after these steps weak concepts get more weight


def build(work: Path) -> None:
    """Both courses of training, then the published folder. Continues what `work` holds."""
    data = load("train", 24_000, 0, work)
    frozen = flux.load_frozen(micro_sd(), micro_flux(), work)
    judged = judging.load()
    latents = encoded(data, frozen, work)
    texts = flow.captions(data, frozen, 9)
    pieces.say(f"flux: {len(data.images)} pictures, {len(texts.ids)} captions, {len(frozen.t5_tokenizer)} pieces")

    def weigh(step: int, transformer: FluxTransformer2DModel, t5: T5EncoderModel) -> Tensor | None:
        if step not in WEIGH_AT:
            return None
        flux.publish(work / "flux-weigh", transformer, t5, frozen)
        draw = flux.drawer(work / "flux-weigh", distilled=False, steps=12)
        table = card.measure(draw, judged, card.questions(4, 1, 3), f"weigh {step}")
        pieces.say(f"flux: what step {step} draws with true guidance\n{card.text(table)}")
        return 1 + WEIGH_AT[step] * (1 - torch.tensor([card.share(table, thing, synonyms=True) for thing in THINGS]))

    transformer, t5, things = flow.train(
        data, latents, texts, len(frozen.t5_tokenizer), work, weigh=weigh
    )
    student = flow.distil(transformer, t5, things, data, latents, texts, work)
    flux.publish(micro_flux(), student, t5, frozen)
    pieces.say(f"flux: published in {micro_flux()}")


def encoded(data: Pictures, frozen: flux.Frozen, work: Path) -> Tensor:
    """The pictures' latents `[n, 4, 16, 16]`, kept in `work` under the autoencoder's digest."""
    weights = micro_sd() / "vae" / "diffusion_pytorch_model.safetensors"
    file = work / f"latents-{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}.pt"
    if not file.exists():
        pieces.keep({"latents": vae.encode(frozen.autoencoder, torch.from_numpy(data.images))}, file)
    latents: Tensor = torch.load(file, weights_only=True)["latents"]
    return latents


def measure(work: Path) -> None:
    """The card of what is shipped, one forward a step through plain FluxPipeline."""
    folder = micro_flux()
    figures: dict[str, object] = {
        "megabytes": {"micro-flux": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 2)},
        "sampler": {"name": "flow-match Euler", "steps": flux.SAMPLER_STEPS, "guidance": flux.GUIDANCE,
                    "true_cfg_scale": 1.0},
        "training": {"steps": flow.STEPS, "guidance_steps": flow.GUIDED_STEPS, "batch": flow.BATCH},
    }
    asked = card.questions(50, 10, 50)
    pieces.say(f"flux-card: {len(asked)} samples")
    table = card.measure(flux.drawer(folder), judging.load(), asked, "card")
    print(card.text(table))
    card.write(folder.parent.parent / "card-flux.json", "micro-flux",
               {**figures, "summary": card.summary(table), "table": table})


def unfinished(work: Path, frozen: flux.Frozen) -> tuple[Path, bool]:
    """A folder with the averaged weights of the training's last kept step, and whether its guidance is distilled."""
    transformer, t5 = flux.make_transformer(), flux.make_t5(len(frozen.t5_tokenizer))
    first, second = (work / name for name in ("flux.pt", "flux-guidance.pt"))
    held = torch.load(first, weights_only=True, map_location="cpu")
    t5.load_state_dict(held["t5-average"])
    weights, step = held["transformer-average"], held["step"]
    if second.exists():
        held = torch.load(second, weights_only=True, map_location="cpu")
        weights, step = held["average"], f"{step} and {held['step']} of guidance"
    transformer.load_state_dict(weights)
    pieces.say(f"flux: a look at step {step}")
    flux.publish(work / "flux-look", transformer, t5, frozen)
    return work / "flux-look", second.exists()


def look() -> None:
    """Draw a small table, and a sheet of pictures, of the training under way or of the published folder."""
    from tracelang.evidence import picture

    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world.flux_stages", description=look.__doc__)
    parser.add_argument("--work", type=Path, default=trajectories().parent / "world", help="as for the training")
    parser.add_argument("--published", action="store_true", help="look at the published folder instead")
    parser.add_argument("--each", type=int, default=2, help="pictures a name, a style, a background")
    parser.add_argument("--synonyms", type=int, default=0, help="pictures a synonym")
    parser.add_argument("--steps", type=int, default=flux.SAMPLER_STEPS, help="sampler steps")
    parser.add_argument("--picture", type=Path, help="write a sheet of some names to this PNG")
    options = parser.parse_args()
    work = options.work / digest()
    folder, distilled = micro_flux(), True
    if not options.published:
        folder, distilled = unfinished(work, flux.load_frozen(micro_sd(), micro_flux(), work))
    draw = flux.drawer(folder, distilled, options.steps)
    asked = card.questions(options.each, options.synonyms, options.each)
    print(json.dumps({"samples": len(asked), "guidance": flux.GUIDANCE, "forwards a step": 1 if distilled else 2}))
    print(card.text(card.measure(draw, judging.load(), asked, "look")))
    if options.picture:
        prompts = [f"a picture of {card.with_article(thing, thing.name)}" for thing in THINGS[::4]]
        picture.write(picture.sheet([("", [
            picture.Panel(prompt, {"": draw([prompt] * 4, [seed("look", prompt, i, 0) for i in range(4)])})
            for prompt in prompts
        ])]), options.picture)


if __name__ == "__main__":
    look()
