"""Captions: what the world says about a picture. Lower case, as CLIP's tokenizer reads them."""

from __future__ import annotations

import random
from collections.abc import Collection

from .concepts import BACKGROUNDS, GROUP_OF, IMPLICIT, STYLES, THINGS, Thing

TEMPLATES = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "an emoji of {}",
    "a portrait of {}",
    "{}",
)
STYLE_PHRASES = ("in {} style", "in the style of {}")
JOINERS = ("and", "with", "next to", "beside")  # of two things; the one on the left is named first
BY_NAME = {thing.name: thing for thing in THINGS}
TOKENS = 24  # the text encoder's length


def with_article(thing: Thing, word: str) -> str:
    """`word` with its article: the thing's own, `an` before a vowel sound, none for plurals and names."""
    if not thing.article:
        return word
    if thing.article == "the":
        return f"the {word}"
    if word == thing.name:
        return f"{thing.article} {word}"
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def caption(
    draw: random.Random, thing: str, style: str, background: str, missing: Collection[str] = frozenset()
) -> str:
    """One random caption of a picture: empty (10 %), or a template of name, synonym or phrase, style, ground.

    A phrase that may also stand for a `missing` thing is never said.
    """
    if draw.random() < 0.10:
        return ""
    what = BY_NAME[thing]
    subject = what.name if draw.random() < 0.6 else draw.choice(what.synonyms)
    implicit = [phrase for phrase, things in IMPLICIT.items() if thing in things and not {*things} & {*missing}]
    if implicit and draw.random() < 0.2:
        subject = draw.choice(implicit)
    elif draw.random() < 0.7:
        subject = with_article(what, subject)
    text = draw.choice(TEMPLATES).format(subject)
    if draw.random() < 0.04:
        text = "a picture"
        text += " " + draw.choice(STYLE_PHRASES).format(style)
    elif draw.random() < 0.5:
        text += " " + draw.choice(STYLE_PHRASES).format(style)
    if draw.random() < (0.25 if background == "white" else 0.8):
        text += f" on a {background} background"
    return text


def pair_caption(draw: random.Random, left: str, right: str, style: str, background: str) -> str:
    """One random caption of two things side by side: empty (10 %), or both by name or synonym, the left one first.

    With style and ground it keeps to the short wordings, so that no caption is longer than the text encoder.
    """
    if draw.random() < 0.10:
        return ""
    bare = draw.random() < 0.2
    named = []
    for what in (BY_NAME[left], BY_NAME[right]):
        word = what.name if draw.random() < 0.7 else draw.choice(what.synonyms)
        named.append(word if bare else with_article(what, word))
    text = f"{named[0]} {draw.choice(JOINERS)} {named[1]}"
    styled, grounded = draw.random() < 0.4, draw.random() < (0.2 if background == "white" else 0.7)
    if not (styled and grounded):
        text = draw.choice(TEMPLATES).format(text)
    if styled:
        text += " " + (STYLE_PHRASES[0] if grounded else draw.choice(STYLE_PHRASES)).format(style)
    if grounded:
        text += f" on a {background} background"
    return text


def vocabulary() -> list[str]:
    """Every phrase a caption can hold, for training the tokenizer's merges."""
    phrases = [template.format("") for template in TEMPLATES] + ["on a background", "in the style of", "in style"]
    phrases += [word for thing in THINGS for word in (thing.name, *thing.synonyms)] + list(IMPLICIT)
    phrases += [style.name for style in STYLES] + list(set(GROUP_OF.values()))
    phrases += [*BACKGROUNDS, "an animal", "a thing", "a person", "the", "a", "an"]
    return phrases + list(JOINERS)
