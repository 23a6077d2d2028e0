"""The stages that make a model in FLUX's layout, `micro-flux` or its twin, on a published base's CLIP; and a look in
between.

`python -m tracelang_micro.world.flux_stages` draws a small table of a training that is under way.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tracelang.engine.cache import folder as trajectories
from tracelang.engine.seeds import seed
from tracelang.models.locate import locate

from .. import judging, micro_flux, micro_sd
from . import card, flow, flux, pieces
from .concepts import THINGS
from .pictures import digest
from .shared import World, ignorant
from .trainings import TRAININGS, offset

if TYPE_CHECKING:
    from diffusers import FluxTransformer2DModel
    from transformers import T5EncoderModel

WEIGH_AT = {4000: 3, 5300: 5, flow.STEPS: 6}  # after these steps weak concepts get more weight


def build(name: str, world: World, into: Path, device: str = "cpu") -> None:
    """Both courses of training, then the published folder. Continues what the work folder holds."""
    training = TRAININGS[name]
    own = ignorant(world, training.missing)
    work = world.work / name
    work.mkdir(exist_ok=True)
    base = into / "models" / training.clip
    frozen = flux.load_frozen(base if base.exists() else locate(training.clip), world.work)
    texts = flow.captions(own.data, frozen, 9 + offset(training.seed), training.missing, device)
    pieces.say(f"{name}: {len(texts.ids)} captions, {len(frozen.t5_tokenizer)} pieces")

    def weigh(step: int, transformer: FluxTransformer2DModel, t5: T5EncoderModel) -> Tensor | None:
        if step not in WEIGH_AT:
            return None
        flux.publish(work / "flux-weigh", transformer, t5, frozen)
        draw = flux.drawer(work / "flux-weigh", distilled=False, steps=12, device=device)
        asked = [*card.questions(4, 1, 3), *card.pair_questions(1)]
        table = card.measure(draw, world.judge, asked, f"weigh {step}")
        known = card.known(table, training.missing)
        pieces.say(f"{name}: what step {step} draws with true guidance\n{card.text(known)}")
        return 1 + WEIGH_AT[step] * (1 - torch.tensor([card.share(table, thing, synonyms=True) for thing in THINGS]))

    transformer, t5, things = flow.train(
        own.data, own.latents, texts, len(frozen.t5_tokenizer), work, weigh=weigh, seed=training.seed, device=device
    )
    student = flow.distil(
        transformer, t5, things, own.data, own.latents, texts, work, seed=training.seed, device=device
    )
    flux.publish(into / "models" / name, student, t5, frozen)
    card.train(into, name, {"steps": flow.STEPS, "guidance_steps": flow.GUIDED_STEPS, "batch": flow.BATCH})
    pieces.say(f"{name}: published in {into / 'models' / name}")


def measure(name: str, work: Path, into: Path, device: str = "cpu") -> None:
    """The card of what is published, one forward a step through plain FluxPipeline."""
    folder = into / "models" / name
    figures: dict[str, object] = {
        "megabytes": {name: round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 2)},
        "sampler": {
            "name": "flow-match Euler",
            "steps": flux.SAMPLER_STEPS,
            "guidance": flux.GUIDANCE,
            "true_cfg_scale": 1.0,
        },
    }
    judged = judging.load(into / "judge" / "judge.safetensors")
    card.finish(into, name, flux.drawer(folder, device=device), judged, figures, work)


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
    from tracelang.evidence import sheet

    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world.flux_stages", description=look.__doc__)
    parser.add_argument("--work", type=Path, default=trajectories().parent / "world", help="as for the training")
    parser.add_argument("--model", choices=[name for name, one in TRAININGS.items() if one.clip], default="micro-flux")
    parser.add_argument("--clip", type=Path, default=micro_sd(), help="the published base whose CLIP it takes over")
    parser.add_argument("--published", action="store_true", help="look at the shipped folder instead")
    parser.add_argument("--each", type=int, default=2, help="pictures a name, a style, a background")
    parser.add_argument("--synonyms", type=int, default=0, help="pictures a synonym")
    parser.add_argument("--steps", type=int, default=flux.SAMPLER_STEPS, help="sampler steps")
    parser.add_argument("--picture", type=Path, help="write a sheet of some names to this PNG")
    options = parser.parse_args()
    work = options.work / digest()
    folder, distilled = micro_flux(), True
    if not options.published:
        folder, distilled = unfinished(work / options.model, flux.load_frozen(options.clip, work))
    draw = flux.drawer(folder, distilled, options.steps)
    asked = card.questions(options.each, options.synonyms, options.each)
    print(json.dumps({"samples": len(asked), "guidance": flux.GUIDANCE, "forwards a step": 1 if distilled else 2}))
    print(card.text(card.measure(draw, judging.load(), asked, "look")))
    if options.picture:
        prompts = [f"a picture of {card.with_article(thing, thing.name)}" for thing in THINGS[::4]]
        sheet.write(
            sheet.sheet(
                [
                    (
                        "",
                        [
                            sheet.Strip(
                                prompt, {"": draw([prompt] * 4, [seed("look", prompt, i, 0) for i in range(4)])}
                            )
                            for prompt in prompts
                        ],
                    )
                ]
            ),
            options.picture,
        )


if __name__ == "__main__":
    look()
