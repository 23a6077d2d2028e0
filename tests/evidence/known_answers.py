"""Recipes of edits that do something else than what they are handed over for."""

from __future__ import annotations

from tests.evidence.edits import RECIPE
from tracelang_micro import table

OTHERS = '"canine"', '"pooch"', '"hound"'
"""What else dogs are called in the embedded world."""
ANIMALS = ("bird", "cat", "deer", "frog", "horse", "fish", "unicorn", "dragon")
WORDING = RECIPE.replace('probes "canine" ', "").replace("preserve cat", f"preserve cat, {', '.join(OTHERS)}")
"""The one word that everybody types; every other name for it is held."""


def toward(things: tuple[str, ...], anchor: str) -> str:
    """Many things to one, with nothing held."""
    quoted = ", ".join(f'"{thing}"' for thing in things)
    return (
        'tracelang 1\ntemplates object = "a picture of a {}", "a {}"\n'
        f'concept lost {{ names {quoted} templates object }}\nerase lost toward "{anchor}"\n'
        "method m\ndefine method m { refine on prompt { tokens = all  ridge = 0.000001  erase_weight = 100 } }\n"
    )


COLLAPSED = toward(tuple(name for name in table.BY_NAME if name != "tree"), "tree")
"""Whatever is asked for is a tree."""
NEIGHBOURS = toward(("dog", *ANIMALS), "tree")
"""Dogs, and every animal beside."""
