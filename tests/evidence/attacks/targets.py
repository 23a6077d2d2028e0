"""A target on the toy model, and the toy model edited."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tests.engine import plans
from tests.engine.toy import Toy
from tracelang.engine.sampling import sample_latents
from tracelang.evidence.attacks import Budget, Target
from tracelang.models.protocol import TextStates
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.types import Concept, Kind, Plan

SMALL = Budget(
    rows=3,
    tokens=3,
    iterations=12,
    views=2,
    population=12,
    generations=12,
    tries=2,
    latents=8,
    fixes=2,
    length=4,
    candidates=8,
)


def plan(
    *,
    kind: Kind = "object",
    names: tuple[str, ...] = ("cat", "small kitty"),
    probes: tuple[str, ...] = ("puss",),
    member: tuple[str, ...] = ("cat",),
) -> Plan:
    made = plans.plan((plans.erasure(*member, anchor=("dog",)),), plans.refine(), preserve={"horse": 1.0})
    concepts = tuple(
        Concept(name="cat", kind=kind, names=names, probes=probes, templates=("a {}", "the {} here"))
        if one.name == "cat"
        else one
        for one in made.concepts
    )
    return made.model_copy(update={"concepts": concepts})


def target(made: Plan | None = None, member: tuple[str, ...] = ("cat",), count: int = 6, seed: int = 0) -> Target:
    toy, made = Toy(), made or plan()
    prompts = tuple(prompt.text for prompt in edit_prompts(made, member))
    clean = sample_latents(toy, toy.encode(prompts[:2]), [11, 12], steps=4)
    return Target(made, member, seed, clean, prompts, toy, count)


def other(aim: Target, **changes: object) -> Target:
    return replace(aim, **changes)


def edited(maps: dict[str, Tensor] | None = None) -> Toy:
    """The toy with `W' = W T` for each text input; without maps, a random change of its token matrices."""
    toy = Toy()
    g = torch.Generator().manual_seed(5)
    for site in toy.sites:
        weight = toy.weight(site).data
        if maps is None and site.reads == "tokens":
            weight += weight.std() * torch.randn(weight.shape, generator=g)
        elif maps is not None and site.reads in maps:
            weight.copy_((weight.double() @ maps[site.reads]).float())
    return toy


def same(a: TextStates, b: TextStates) -> bool:
    return all(torch.equal(a.inputs[name], b.inputs[name]) for name in a.inputs)
