"""Captions: what the world says about a picture. Lower case, as CLIP's tokenizer reads them."""

from __future__ import annotations

import random

from .concepts import GROUP_OF, IMPLICIT, STYLES, THINGS, Thing

TEMPLATES = (
    "a photo of {}", "a picture of {}", "an image of {}", "a drawing of {}", "an emoji of {}", "a portrait of {}", "{}",
)
STYLE_PHRASES = ("in {} style", "in the style of {}")
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


def caption(draw: random.Random, thing: str, style: str, background: str) -> str:
    """One random caption of a picture: empty (10 %), or a template of name, synonym or phrase, style, ground."""
    if draw.random() < 0.10:
        return ""
    what = BY_NAME[thing]
    subject = what.name if draw.random() < 0.6 else draw.choice(what.synonyms)
    implicit = [phrase for phrase, things in IMPLICIT.items() if thing in things]
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


def vocabulary() -> list[str]:
    """Every phrase a caption can hold, for training the tokenizer's merges."""
    phrases = [template.format("") for template in TEMPLATES] + ["on a background", "in the style of", "in style"]
    phrases += [word for thing in THINGS for word in (thing.name, *thing.synonyms)] + list(IMPLICIT)
    phrases += [style.name for style in STYLES] + list(set(GROUP_OF.values()))
    from .concepts import BACKGROUNDS

    return phrases + list(BACKGROUNDS) + ["an animal", "a thing", "a person", "the", "a", "an", "and", "with"]
