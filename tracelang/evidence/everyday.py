"""The everyday panel: pictures that no recipe chooses, drawn of every edit, so that one which destroys all but what its
recipe looks at is seen.

Of a model whose judge knows its whole world, things of that world, those first that the recipe does not name; of any
other, the prompts of `everyday.txt`. Left out is what speaks of anything that the recipe erases or protects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.judges import Class, Judge, Worldly
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.plan.protected import guard
from tracelang.plan.types import Concept, Plan
from tracelang.semantics.irregular import stems
from tracelang.semantics.morphology import LITTLE, tokens
from tracelang.semantics.phrases import Phrases

COUNT = 24
"""Pictures of each model. Of 24 that were right, 6 lost are a share of at least 12 % (95 % Wilson), and by chance as
likely one way as the other with p = 0.03; 5 are at least 9 %, p = 0.06.
"""
LEAST = 8
"""Prompts below which the panel speaks of too little."""

Everyday = dict[Sample, Sought | None]
"""What is drawn, and the class that the picture should show, where a judge's world says so."""


def everyday(plan: Plan, judges: Sequence[Judge]) -> Everyday:
    """The panel of a recipe; empty where it leaves fewer than `LEAST` prompts."""
    banned = _banned(plan)
    world = next((judge for judge in judges if isinstance(judge, Worldly)), None)
    prompts: Mapping[str, Sought | None]
    if world is None:
        prompts = {prompt: None for prompt in texts() if not banned(prompt)}
    else:
        prompts = _of_world(plan, world, banned)
    if len(prompts) < LEAST:
        return {}
    asked = list(prompts)
    rounds, rest = divmod(COUNT, len(asked))
    wanted = [(prompt, i) for i in range(rounds) for prompt in asked] + [(prompt, rounds) for prompt in asked[:rest]]
    return {Sample(prompt, seed_of("everyday", prompt, i, 0)): prompts[prompt] for prompt, i in wanted}


def digest(panel: Everyday) -> str:
    """sha256 of what is asked for: part of what a run's results depend on."""
    rows = [
        (sample.prompt, sample.seed, None if one is None else (one.judge, one.found.head, one.found.label))
        for sample, one in panel.items()
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@cache
def texts() -> tuple[str, ...]:
    """The prompts of `everyday.txt`."""
    return tuple(files("tracelang.evidence").joinpath("everyday.txt").read_text(encoding="utf-8").split("\n")[:-1])


def _of_world(plan: Plan, judge: Worldly, banned: Callable[[str], bool]) -> dict[str, Sought]:
    """At most `COUNT` of the world's things that may stay, at even distances: what the recipe does not name first."""
    gone = {found for concept in _gone(plan) for found in _known(judge, concept)}
    named = {found for concept in plan.concepts for found in _known(judge, concept)}
    every = {prompt: found for prompt, found in judge.world() if found not in gone and not banned(prompt)}
    free = [prompt for prompt, found in every.items() if found not in named]
    rest = [prompt for prompt, found in every.items() if found in named]
    chosen = _evenly(free, COUNT)
    chosen += _evenly(rest, COUNT - len(chosen))
    return {prompt: Sought(judge.card.name, every[prompt]) for prompt in chosen}


def _evenly(items: Sequence[str], most: int) -> list[str]:
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def _known(judge: Judge, concept: Concept) -> Iterator[Class]:
    """The classes that a concept's words mean, each word for itself: together they may mean none."""
    for word in (*concept.names, *concept.probes):
        if (found := judge.find([word], concept.kind)) is not None:
            yield found


def _gone(plan: Plan) -> list[Concept]:
    """What an edit is to take away, alone or beside another, and what is protected."""
    erased = {name for erasure in plan.erase for name in erasure.targets}
    return [concept for concept in plan.concepts if concept.name in erased or concept.kind == "protected"]


def _banned(plan: Plan) -> Callable[[str], bool]:
    """Tells a prompt that holds words of what is gone, side by side and inflected or not (a name of little words alone
    bans none), or that speaks of anything protected, as the guard of all drawing understands it.
    """
    texts = (text for concept in _gone(plan) for text in (*concept.names, *concept.probes))
    words = Phrases(((text, None) for text in texts if not LITTLE.issuperset(tokens(text))), stems)
    wall = guard(plan)
    return lambda prompt: bool(words.inside(prompt)) or (wall is not None and wall.of(prompt) is not None)
