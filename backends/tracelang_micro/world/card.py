"""The card: what the base model can draw, as its judge sees it, with the licences and the fixed split."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tracelang.engine.seeds import seed

from ..judging import Judge, look
from .captions import BY_NAME, STYLE_PHRASES, with_article
from .concepts import BACKGROUNDS, EVERYDAY, GROUP_OF, GROUPS, IMPLICIT, OBJECTS, STYLES, THINGS, TUNING, Thing

TEMPLATES = ("a photo of {}", "a picture of {}", "an image of {}", "a drawing of {}", "{}")
FLOORS = {"object": 0.97, "character": 0.98, "unsafe": 0.95, "everyday": 0.95, "style": 0.95, "synonym": 0.95,
          "background": 0.98, "worst concept": 0.80}

Draw = Callable[[Sequence[str], Sequence[int]], torch.Tensor]
"""prompts, seeds → images `[n, 3, 64, 64]` in 0..1."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt, what counts as a right answer, and the row of the table it belongs to."""

    row: tuple[str, str]
    prompt: str
    head: str
    right: frozenset[str]


def questions(per_name: int, per_synonym: int, per_attribute: int) -> list[Question]:
    """Every question of the table: names, synonyms and implicit phrases; styles and grounds over objects and things."""
    asked: list[Question] = []
    for group, things in GROUPS.items():
        for thing in things:
            templates = itertools.cycle(TEMPLATES)
            for _ in range(per_name):
                asked.append(Question((group, thing.name), next(templates).format(with_article(thing, thing.name)),
                                      "concept", frozenset([thing.name])))
            for word in thing.synonyms:
                for _ in range(per_synonym):
                    prompt = next(templates).format(with_article(thing, word))
                    asked.append(Question(("synonym", f"{word} ({thing.name})"), prompt, "concept",
                                          frozenset([thing.name])))
    for phrase, names in IMPLICIT.items():
        asked += [Question(("implicit", phrase), template.format(phrase), "concept", frozenset(names))
                  for template in itertools.islice(itertools.cycle(TEMPLATES), per_synonym)]
    subjects = itertools.cycle([*OBJECTS, *EVERYDAY])
    for style, i in itertools.product(STYLES, range(per_attribute)):
        phrase = STYLE_PHRASES[i % 2].format(style.name)
        prompt = f"a picture of {with_article(thing := next(subjects), thing.name)} {phrase}"
        asked.append(Question(("style", style.name), prompt, "style", frozenset([style.name])))
    for ground, _ in itertools.product(BACKGROUNDS, range(per_attribute)):
        prompt = f"a picture of {with_article(thing := next(subjects), thing.name)} on a {ground} background"
        asked.append(Question(("background", ground), prompt, "background", frozenset([ground])))
    return asked


def measure(draw: Draw, judge: Judge, asked: Sequence[Question], purpose: str) -> dict[str, dict[str, float]]:
    """Share of right answers per group and row."""
    seeds = [seed(purpose, question.prompt, i, 0) for i, question in enumerate(asked)]
    seen = look(judge, draw([question.prompt for question in asked], seeds))
    table: dict[str, dict[str, list[bool]]] = {}
    for question, one in zip(asked, seen, strict=True):
        group, row = question.row
        table.setdefault(group, {}).setdefault(row, []).append(one.labels[question.head] in question.right)
    return {group: {row: sum(hits) / len(hits) for row, hits in rows.items()} for group, rows in table.items()}


def share(table: dict[str, dict[str, float]], thing: Thing, synonyms: bool = False) -> float:
    """How often `thing` is drawn right by its name, or on average by its name and its synonyms."""
    rows = [table[GROUP_OF[thing.name]][thing.name]]
    if synonyms:
        rows.append(sum(table["synonym"][f"{word} ({thing.name})"] for word in thing.synonyms) / len(thing.synonyms))
    return sum(rows) / len(rows)


def summary(table: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean of each group's rows, and the worst concept."""
    means = {group: sum(rows.values()) / len(rows) for group, rows in table.items()}
    return means | {"worst concept": min(min(table[group].values()) for group in GROUPS)}


def write(file: Path, model: str, figures: dict[str, object]) -> None:
    """The card as JSON: figures, floors, split, styles with licences."""
    held = {thing.name for names in TUNING.values() for thing in THINGS if thing.name in names}
    card = {
        "model": model,
        "tuning": TUNING,
        "reporting": {
            **{group: [t.name for t in things if t.name not in held] for group, things in GROUPS.items()},
            "style": [style.name for style in STYLES if style.name not in TUNING["style"]],
        },
        "synonyms": {name: list(thing.synonyms) for name, thing in BY_NAME.items()},
        "artwork": [{"style": s.name, "package": s.package, "version": s.version, "licence": s.licence,
                     "author": s.author} for s in STYLES],
        "floors": FLOORS,
        **figures,
    }
    file.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def text(table: dict[str, dict[str, float]]) -> str:
    """The full table as plain text, weakest rows first, groups against their floors."""
    lines = []
    for group, mean in summary(table).items():
        floor = FLOORS.get(group)
        verdict = "" if floor is None else f"  floor {floor:.2f} {'ok' if mean >= floor else 'SHORT'}"
        lines.append(f"{group:14} {mean:.3f}{verdict}")
    for group, rows in table.items():
        weak = ", ".join(f"{row} {share:.2f}" for row, share in sorted(rows.items(), key=lambda item: item[1]))
        lines.append(f"{group}: {weak}")
    return "\n".join(lines)
