"""The prompts of the everyday panel, as far as a recipe decides them: what it erases or protects is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files

from tracelang.plan.protected import guard
from tracelang.plan.types import Concept, Plan
from tracelang.semantics.irregular import stems
from tracelang.semantics.morphology import LITTLE, tokens
from tracelang.semantics.phrases import Phrases

LEAST = 8
"""Prompts below which the panel speaks of too little."""
NEUTRAL = ("", "a picture", "a picture of something")
"""Prompts that name nothing at all."""


@cache
def texts() -> tuple[str, ...]:
    """The prompts of `everyday.txt`."""
    return tuple(files("tracelang.evidence").joinpath("everyday.txt").read_text(encoding="utf-8").split("\n")[:-1])


def plain(plan: Plan) -> tuple[str, ...]:
    """Those of `everyday.txt` that a recipe leaves."""
    out = banned(plan)
    return tuple(prompt for prompt in texts() if not out(prompt))


def gone(plan: Plan) -> list[Concept]:
    """What an edit is to take away, alone or beside another, and what is protected."""
    erased = {name for erasure in plan.erase for name in erasure.targets}
    return [concept for concept in plan.concepts if concept.name in erased or concept.kind == "protected"]


def banned(plan: Plan) -> Callable[[str], bool]:
    """Tells a prompt that holds words of what is gone, side by side and inflected or not (a name of little words alone
    bans none), or that speaks of anything protected, as the guard of all drawing understands it.
    """
    words = _speaks(gone(plan))
    wall = guard(plan)
    return lambda prompt: words(prompt) or (wall is not None and wall.of(prompt) is not None)


def named(plan: Plan) -> Callable[[str], bool]:
    """Tells a prompt that holds words of anything at all that a recipe names, as `banned` does of what is gone."""
    return _speaks(plan.concepts)


def _speaks(concepts: Iterable[Concept]) -> Callable[[str], bool]:
    texts = (text for concept in concepts for text in (*concept.names, *concept.probes))
    words = Phrases(((text, None) for text in texts if not LITTLE.issuperset(tokens(text))), stems)
    return lambda prompt: bool(words.inside(prompt))
