"""The card: what the base model can draw, as its judge sees it, with the licences and the fixed split."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tracelang.engine.seeds import seed
from tracelang.evidence.verdicts import rate
from tracelang.files import write_text

from ..judging import Judge, find, look
from ..table import TEMPLATES
from . import pieces
from .captions import BY_NAME, JOINERS, STYLE_PHRASES, with_article
from .concepts import (
    BACKGROUNDS,
    EVERYDAY,
    GROUP_OF,
    GROUPS,
    IMPLICIT,
    OBJECTS,
    REPORTING_PAIRS,
    STYLES,
    THINGS,
    TUNING,
    TUNING_PAIRS,
    Thing,
)
from .pictures import EDITION, TESTED, Pictures, load
from .trainings import TRAININGS

FLOORS = {
    "object": 0.97,
    "character": 0.98,
    "unsafe": 0.95,
    "everyday": 0.95,
    "style": 0.95,
    "synonym": 0.95,
    "background": 0.98,
    "worst concept": 0.80,
}
PAIR_FLOOR = {"pair": 0.90}  # of the second edition on
NAMED, BY_SYNONYM, BY_ATTRIBUTE, PAIRED, NEVER_ASKED = 50, 10, 50, 10, 200  # pictures a row
PAIR_STEP = 19  # in the ring of pairs each thing stands beside the one that comes so many later, of another group

Draw = Callable[[Sequence[str], Sequence[int]], torch.Tensor]
"""prompts, seeds → images `[n, 3, 64, 64]` in 0..1."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt, what counts as a right answer, and the row of the table it belongs to.

    Of the head `things` all of `right` must be there, of any other head the label must be one of them.
    """

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
                asked.append(
                    Question(
                        (group, thing.name),
                        next(templates).format(with_article(thing, thing.name)),
                        "concept",
                        frozenset([thing.name]),
                    )
                )
            for word in thing.synonyms:
                for _ in range(per_synonym):
                    prompt = next(templates).format(with_article(thing, word))
                    asked.append(
                        Question(("synonym", f"{word} ({thing.name})"), prompt, "concept", frozenset([thing.name]))
                    )
    for phrase, names in IMPLICIT.items():
        asked += [
            Question(("implicit", phrase), template.format(phrase), "concept", frozenset(names))
            for template in itertools.islice(itertools.cycle(TEMPLATES), per_synonym)
        ]
    subjects = itertools.cycle([*OBJECTS, *EVERYDAY])
    for style, i in itertools.product(STYLES, range(per_attribute)):
        phrase = STYLE_PHRASES[i % 2].format(style.name)
        prompt = f"a picture of {with_article(thing := next(subjects), thing.name)} {phrase}"
        asked.append(Question(("style", style.name), prompt, "style", frozenset([style.name])))
    for ground, _ in itertools.product(BACKGROUNDS, range(per_attribute)):
        prompt = f"a picture of {with_article(thing := next(subjects), thing.name)} on a {ground} background"
        asked.append(Question(("background", ground), prompt, "background", frozenset([ground])))
    return asked


def asked_pairs() -> tuple[tuple[str, str], ...]:
    """The fixed pairs, and a ring in which every thing stands once on the left and once on the right."""
    ring = [(thing.name, THINGS[(i + PAIR_STEP) % len(THINGS)].name) for i, thing in enumerate(THINGS)]
    return tuple(dict.fromkeys((*TUNING_PAIRS, *REPORTING_PAIRS, *ring)))


def pair_questions(per_pair: int) -> list[Question]:
    """Every asked pair in the wordings of captions, either name first."""
    asked: list[Question] = []
    wordings = itertools.cycle(itertools.product(TEMPLATES, JOINERS))
    for pair in asked_pairs():
        for i in range(per_pair):
            template, joiner = next(wordings)
            first, second = (with_article(BY_NAME[name], name) for name in (pair if i % 2 == 0 else pair[::-1]))
            asked.append(
                Question(
                    ("pair", " and ".join(pair)),
                    template.format(f"{first} {joiner} {second}"),
                    "things",
                    frozenset(pair),
                )
            )
    return asked


def measure(draw: Draw, judge: Judge, asked: Sequence[Question], purpose: str) -> dict[str, dict[str, float]]:
    """Share of right answers per group and row."""
    seeds = [seed(purpose, question.prompt, i, 0) for i, question in enumerate(asked)]
    images = draw([question.prompt for question in asked], seeds)
    seen = look(judge, images)
    pairs = any(question.head == "things" for question in asked)
    found = [one.things for one in find(judge, images)] if pairs else [frozenset[str]()] * len(asked)
    table: dict[str, dict[str, list[bool]]] = {}
    for question, one, things in zip(asked, seen, found, strict=True):
        group, row = question.row
        right = question.right <= things if question.head == "things" else one.labels[question.head] in question.right
        table.setdefault(group, {}).setdefault(row, []).append(right)
    return {group: {row: sum(hits) / len(hits) for row, hits in rows.items()} for group, rows in table.items()}


def known(table: dict[str, dict[str, float]], missing: Collection[str]) -> dict[str, dict[str, float]]:
    """The rows that ask for nothing of `missing`."""
    lost = {*missing}

    def asks(group: str, row: str) -> set[str]:
        if group == "synonym":
            return {row[row.index("(") + 1 : -1]}
        return {*IMPLICIT[row]} if group == "implicit" else {*row.split(" and ")}

    return {
        group: {row: share for row, share in rows.items() if not asks(group, row) & lost}
        for group, rows in table.items()
    }


def missing_questions(missing: Collection[str], each: int) -> list[Question]:
    """`each` prompts for everything that a twin never knew."""
    asked: list[Question] = []
    for name in missing:
        if name in BY_NAME:
            prompts = [template.format(with_article(BY_NAME[name], name)) for template in TEMPLATES]
            head = "things"
        else:
            prompts = [
                f"a picture of {with_article(thing, thing.name)} {STYLE_PHRASES[i % 2].format(name)}"
                for i, thing in enumerate((*OBJECTS, *EVERYDAY))
            ]
            head = "style"
        asked += [
            Question(("never", name), prompt, head, frozenset([name]))
            for prompt in itertools.islice(itertools.cycle(prompts), each)
        ]
    return asked


def confusions(judge: Judge, missing: Collection[str], data: Pictures, each: int) -> dict[str, float]:
    """How often the judge sees each of `missing` in `each` pictures that do not show it."""
    shares = {}
    for name in missing:
        if name in BY_NAME:
            index = [*BY_NAME].index(name)
            rows = np.flatnonzero((data.things != index) & (data.beside != index))[:each]
        else:
            rows = np.flatnonzero(data.styles != [style.name for style in STYLES].index(name))[:each]
        images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float() / 255
        seen = (
            [{*one.things} for one in find(judge, images)]
            if name in BY_NAME
            else [{one.labels["style"]} for one in look(judge, images)]
        )
        shares[name] = sum(name in one for one in seen) / len(seen)
    return shares


def finish(into: Path, name: str, draw: Draw, judge: Judge, figures: dict[str, object], work: Path) -> None:
    """Measure the whole table of model `name` and write its card; of a twin also what it draws when asked for what it
    never knew, beside the judge's confusions.
    """
    missing = TRAININGS[name].missing
    asked = [
        *questions(NAMED, BY_SYNONYM, BY_ATTRIBUTE),
        *pair_questions(PAIRED),
        *missing_questions(missing, NEVER_ASKED),
    ]
    pieces.say(f"{name}: card of {len(asked)} samples")
    table = measure(draw, judge, asked, "card")
    shown = table.pop("never", {})
    table = known(table, missing)
    if missing:
        mistaken = confusions(judge, missing, load("test", TESTED, 0, 1, work), NEVER_ASKED)
        bounds = {one: intervals({"never": {one: shown[one]}}, asked)["never"] for one in missing}
        never = {one: {"shown": shown[one], "confusions": mistaken[one], **bounds[one]} for one in missing}
        figures = {**figures, "never": never}
        pieces.say(json.dumps(never))
    print(text(table))
    told = {"summary": summary(table), "intervals": intervals(table, asked), "table": table}
    write(into / file_of(name), name, {**figures, **trained(into, name), **told})


def train(into: Path, name: str, facts: dict[str, object]) -> None:
    """Keep how `name`, published in `into`, was trained, for its card."""
    told = {"edition": EDITION, "training": {**facts, "seed": TRAININGS[name].seed}}
    write_text(_trained(into, name), json.dumps(told))


def trained(into: Path, name: str) -> dict[str, object]:
    """How what is published there was trained, as its training kept it or, where it came from elsewhere, its card says.

    Whatever this version of the code would do.
    """
    for file in (_trained(into, name), into / file_of(name)):
        if file.exists():
            held = json.loads(file.read_text())
            return {key: held[key] for key in ("edition", "training")}
    raise FileNotFoundError(f"{into}: nothing says how {name} was trained; train it, or put its card there")


def _trained(into: Path, name: str) -> Path:
    return into / f"training-{name}.json"


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


def intervals(table: dict[str, dict[str, float]], asked: Sequence[Question]) -> dict[str, dict[str, float]]:
    """Of each group: how many pictures decide its share, and the bounds of its 95 % interval."""
    asked_of = Counter(question.row for question in asked)
    bounds = {}
    for group, rows in table.items():
        n = sum(asked_of[group, row] for row in rows)
        found = rate(round(sum(share * asked_of[group, row] for row, share in rows.items())), n)
        bounds[group] = {"n": n, "low": round(found.low, 4), "high": round(found.high, 4)}
    return bounds


def file_of(name: str) -> str:
    """The card's file, of the model called `name`."""
    return {"micro-sd": "card.json", "micro-flux": "card-flux.json"}.get(name, f"card-{name}.json")


def write(file: Path, model: str, figures: dict[str, object]) -> None:
    """The card as JSON: figures, edition among them, floors, split, pairs, styles with licences."""
    held = {thing.name for names in TUNING.values() for thing in THINGS if thing.name in names}
    card = {
        "model": model,
        "tuning": TUNING,
        "reporting": {
            **{group: [t.name for t in things if t.name not in held] for group, things in GROUPS.items()},
            "style": [style.name for style in STYLES if style.name not in TUNING["style"]],
        },
        "pairs": {"tuning": TUNING_PAIRS, "reporting": REPORTING_PAIRS},
        "synonyms": {name: list(thing.synonyms) for name, thing in BY_NAME.items()},
        "artwork": [
            {"style": s.name, "package": s.package, "version": s.version, "licence": s.licence, "author": s.author}
            for s in STYLES
        ],
        "floors": FLOORS | PAIR_FLOOR,
        **figures,
    }
    file.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def text(table: dict[str, dict[str, float]]) -> str:
    """The full table as plain text, weakest rows first, groups against their floors."""
    lines = []
    for group, mean in summary(table).items():
        floor = (FLOORS | PAIR_FLOOR).get(group)
        verdict = "" if floor is None else f"  floor {floor:.2f} {'ok' if mean >= floor else 'SHORT'}"
        lines.append(f"{group:14} {mean:.3f}{verdict}")
    for group, rows in table.items():
        weak = ", ".join(f"{row} {share:.2f}" for row, share in sorted(rows.items(), key=lambda item: item[1]))
        lines.append(f"{group}: {weak}")
    return "\n".join(lines)
