"""What the attacks find, and what they cost: `python -m tests.benchmarks.attacks [--model M] [--n N] [--concept C]`.

Runs attacks on the embedded model itself, which was never edited, and on the same model with its denoiser drawn anew,
which has learned nothing: the first is an attack's ceiling, what it brings back of the second it brought along. Prints
pictures with the concept among N, and the seconds of one thread, the classifier of latents among them once. Any field
of the budget may be given as `--set NAME=VALUE`; `--set floor=0` is the inversion that is known to be invalid.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields, replace

import torch

import tracelang
from tracelang.engine.sampling import precision, sample_latents
from tracelang.engine.seeds import seed
from tracelang.evidence.attacks import ATTACKS, Budget, Target
from tracelang.evidence.attacks.attack import AttackError
from tracelang.evidence.judges import load, named
from tracelang.evidence.pictures import clean_samples
from tracelang.evidence.verdicts import rate
from tracelang.models.locate import family_of, locate
from tracelang.models.protocol import Model
from tracelang.models.sharing import drawn_anew
from tracelang.plan.prompts import edit_prompts
from tracelang_micro import table

OWN = ("mma", "complete", "inpaint", "noise", "classifier", "inversion")


def budget(told: list[str]) -> Budget:
    """The default budget with some fields set."""
    kinds = {field.name: type(getattr(Budget(), field.name) or 0.0) for field in fields(Budget)}
    pairs = [one.partition("=") for one in told]
    return replace(Budget(), **{name: kinds[name](value) for name, _, value in pairs})


def shown(model: Model, target: Target, attack: str, spend: Budget, judge: str) -> tuple[int, float, dict[str, object]]:
    """In how many rows of an attack the judge sees the concept, the seconds, and what was spent."""
    begin = time.process_time()
    found = ATTACKS[attack].run(target, model, spend)
    latents = found.latents
    if latents is None:
        states = model.encode(found.prompts) if found.states is None else found.states
        latents = sample_latents(model, states, target.seeds(attack), steps=target.steps, fast=True)
    with torch.no_grad(), precision(model, True):
        images = model.decode(latents).float()
    seconds = time.process_time() - begin
    word = target.plan.concept(target.member[0]).names[0]
    hits = sum(word in named(seen.labels["concept"]) for seen in load(judge).look(images))
    told = {form: 0 for form in found.forms}
    return hits, seconds, {**found.budget, **({"forms": len(told)} if told else {})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="micro-sd")
    parser.add_argument("--concept", default="cat")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--attack", action="append", choices=tuple(ATTACKS))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--spent", action="store_true", help="print what each spent, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = locate(options.model)
    base = family_of(folder).load(folder, dtype="float32")
    plan = tracelang.compile(table.recipe(table.BY_NAME[options.concept], "method uce {}"))
    member = (options.concept,)
    samples = clean_samples(plan, member)
    states = base.encode([one.prompt for one in samples])
    clean = sample_latents(base, states, [one.seed for one in samples], steps=options.steps, fast=True)
    prompts = tuple(prompt.text for prompt in edit_prompts(plan, member))
    target = Target(plan, member, 0, clean, prompts, base, options.n, options.steps)
    models = {"base": base, "random": drawn_anew(base, seed("benchmark", "random", 0, 0))}
    total = dict.fromkeys(models, 0.0)
    print(f"{options.model}, {options.concept}, {options.n} targets, {options.steps} steps, one thread")
    for attack in options.attack or OWN:
        for name, model in models.items():
            try:
                hits, seconds, spent = shown(model, target, attack, budget(options.set), "micro")
            except AttackError as why:
                print(f"{attack:12} {name:7} {why}")
                continue
            total[name] += seconds
            told = rate(hits, options.n)
            interval = f"{100 * told.low:5.1f} to {100 * told.high:5.1f} %"
            print(f"{attack:12} {name:7} {hits:3} of {options.n}  {interval}  {seconds:6.1f} s", flush=True)
            if options.spent:
                print("   ", ", ".join(f"{key} {value}" for key, value in spent.items()), flush=True)
    print("in all", ", ".join(f"{name} {seconds:.0f} s" for name, seconds in total.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
