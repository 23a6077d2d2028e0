"""Build the embedded world from nothing: `python -m tracelang_micro.world [--until STAGE]`. May be continued."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import torch

from . import card, diffusion, judge, pieces, sample, tokens, vae
from .concepts import GROUPS, THINGS
from .pictures import load

STAGES = ("data", "vae", "judge", "diffusion", "publish", "card")
HOME = Path(__file__).parent.parent
WEIGH_AT = (2500, 3500, 4500)  # steps after which weak concepts get more weight
REBUILT = 6000  # pictures that the judge also sees as the autoencoder rebuilds them


def main() -> None:
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tracelang" / "world"
    parser = argparse.ArgumentParser(prog="python -m tracelang_micro.world", description=__doc__)
    parser.add_argument("--work", type=Path, default=default, help="folder for downloads, data and checkpoints")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to run")
    parser.add_argument("--steps", type=int, default=diffusion.STEPS, help="training steps of the diffusion model")
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    last = STAGES.index(options.until)
    torch.use_deterministic_algorithms(True, warn_only=True)

    data, test = load("train", 24_000, 0, work), load("test", 2_000, 1, work)
    pieces.say(f"data: {len(data.images)} pictures of {len(THINGS)} things")
    if last < 1:
        return
    autoencoder = vae.train(data, work).eval()
    shown = torch.from_numpy(test.images)
    rebuilt_test = vae.decode(autoencoder, vae.encode(autoencoder, shown))
    figures: dict[str, object] = {"vae_psnr_db": round(vae.psnr(shown, rebuilt_test), 2)}
    pieces.say(f"vae: {figures}")
    if last < 2:
        return
    latents = vae.encode(autoencoder, torch.from_numpy(data.images))
    judged = judge.train(data, vae.decode(autoencoder, latents[:REBUILT]), work)
    figures["judge"] = {
        "augmentations": judge.accuracy(judged, test),
        "reconstructions": judge.accuracy(judged, test, rebuilt_test),
    }
    pieces.say(f"judge: {json.dumps(figures['judge'])}")
    if last < 3:
        return
    tokenizer = tokens.train(work / "tokenizer")

    def weigh(step: int, unet: diffusion.UNet2DConditionModel, text: diffusion.CLIPTextModel) -> torch.Tensor | None:
        if step not in WEIGH_AT:
            return None
        asked = card.questions(6, 0, 6)
        table = card.measure(
            lambda prompts, seeds: sample.sample(prompts, seeds, unet, text, tokenizer, autoencoder),
            judged, asked, f"weigh {step}",
        )
        pieces.say(card.text(table))
        share = torch.tensor([table[group][thing.name] for group, things in GROUPS.items() for thing in things])
        return 1 + 3 * (1 - share)

    unet, text = diffusion.train(data, latents, tokenizer, work, options.steps, weigh)
    if last < 4:
        return
    publish(unet, text, tokenizer, autoencoder, judged)
    if last < 5:
        return
    asked = card.questions(50, 20, 50)
    pieces.say(f"card: {len(asked)} samples")
    table = card.measure(drawer(), judged, asked, "card")
    print(card.text(table))
    card.write(HOME / "card.json", {
        **figures, "sampler": {"name": "DDIM", "steps": sample.SAMPLER_STEPS, "guidance": sample.GUIDANCE},
        "training": {"steps": options.steps, "batch": diffusion.BATCH}, "summary": card.summary(table), "table": table,
    })


def publish(unet, text, tokenizer, autoencoder, judged) -> None:  # type: ignore[no-untyped-def]
    """Write `models/micro-sd` (fp16 safetensors) and the judge."""
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor2_0
    from safetensors.torch import save_file

    folder = HOME / "models" / "micro-sd"
    unet.set_attn_processor(AttnProcessor2_0())
    pipe = StableDiffusionPipeline(
        vae=autoencoder.half(), text_encoder=text.half(), tokenizer=tokenizer, unet=unet.half(),
        scheduler=diffusion.make_scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    facts = {"guidance": sample.GUIDANCE, "steps": sample.SAMPLER_STEPS}
    (folder / "tracelang.json").write_text(json.dumps(facts) + "\n")
    weights = {name: value.half() if value.is_floating_point() else value
               for name, value in judged.state_dict().items()}
    (HOME / "judge").mkdir(exist_ok=True)
    save_file(weights, HOME / "judge" / "judge.safetensors")
    for file in (*folder.rglob("*"), *(HOME / "judge").iterdir()):
        if file.is_file():
            file.chmod(0o644)  # safetensors writes 0600


def drawer() -> card.Draw:
    """Samples from the published folder, as plain diffusers loads it."""
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor

    pipe = StableDiffusionPipeline.from_pretrained(HOME / "models" / "micro-sd", torch_dtype=torch.float32)
    pipe.unet.set_attn_processor(AttnProcessor())
    parts = (pipe.unet, pipe.text_encoder, pipe.tokenizer, pipe.vae)
    return lambda prompts, seeds: sample.sample(prompts, seeds, *parts)


if __name__ == "__main__":
    main()
