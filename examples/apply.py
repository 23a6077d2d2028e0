"""Remove a concept from a model, from Python: `python examples/apply.py MODEL OUT`.

MODEL is a folder in diffusers layout, a hub id, or an embedded name (`micro-sd`).
"""

import sys

import torch

import tracelang

RECIPE = """
erase "dog" toward "cat"
preserve "cat", "horse"
method uce                      # the closed form alone: no training, a second on a CPU
"""


def main(model: str, out: str) -> None:
    plan = tracelang.compile(RECIPE)
    bound = tracelang.bind(plan, model)  # reads configs and headers; refuses what cannot work, before any work
    print(f"{plan.digest[:12]} on {bound.name}, a {bound.family.name(bound.folder)} model")

    applied = tracelang.apply(bound, device="cpu")
    base = applied.model
    torch.set_grad_enabled(False)
    dog = base.encode(["a photo of a dog"])
    noise, time = base.noise([0]), torch.tensor(base.clock.times(1))
    before = base.predict(noise, time, dog)
    with applied.applied() as edited:  # the edit is in the model for the length of the block
        moved = (edited.predict(noise, time, dog) - before).norm() / before.norm()
    print(f"the prediction for a dog moved by {float(moved):.0%}")

    applied.save(out)
    print(f"{out}/model loads in plain diffusers; {out}/lora.safetensors is the same edit")


if __name__ == "__main__":
    main(*sys.argv[1:])
