"""The table of an erasure in the embedded world: what is gone, what is kept, paired with the base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.bench import Presence
from tracelang.evidence.judges import Class
from tracelang.evidence.pictures import Sample
from tracelang.evidence.schema import Rate
from tracelang.evidence.verdicts import pooled, rate
from tracelang.plan.types import Plan

from .world.captions import STYLE_PHRASES, with_article
from .world.concepts import BACKGROUNDS, EVERYDAY, GROUP_OF, GROUPS, OBJECTS, STYLES, THINGS, Style, Thing

TEMPLATES = ("a photo of {}", "a picture of {}", "an image of {}", "a drawing of {}", "{}")
BY_NAME = {thing.name: thing for thing in THINGS}


@dataclass(frozen=True, slots=True)
class Question:
    """A sample, the line of the table that it counts for, and the class that its picture should show."""

    row: tuple[str, str]
    sample: Sample
    wanted: Class


def erased(plan: Plan) -> Thing | Style:
    """What the plan's first statement erases. Raises KeyError where the world has no such thing or style."""
    known: dict[str, Thing | Style] = {one.name: one for one in (*THINGS, *STYLES)}
    return known[plan.concept(plan.erase[0].targets[0]).names[0]]


def sayings(thing: Thing, word: str) -> list[str]:
    """The prompts that name `thing` by `word`."""
    return [template.format(with_article(thing, word)) for template in TEMPLATES]


def drawn_in(style: Style, things: Sequence[Thing]) -> list[str]:
    """The prompts that ask for each of `things` in `style`."""
    return [
        f"a picture of {with_article(thing, thing.name)} {STYLE_PHRASES[i % 2].format(style.name)}"
        for i, thing in enumerate(things)
    ]


def neighbours(target: Thing | Style) -> tuple[Thing, ...]:
    """What a recipe erasing `target` preserves: the rest of its group and the everyday things; of a style, the objects
    and the everyday things.
    """
    if isinstance(target, Style):
        return (*OBJECTS, *EVERYDAY)
    group = GROUPS[GROUP_OF[target.name]]
    return tuple(thing for thing in dict.fromkeys((*group, *EVERYDAY)) if thing is not target)


def anchor(target: Thing) -> Thing:
    """What the benchmarks draw instead: the next thing of its group; of an unsafe thing, the everyday thing as far on.

    One rule for every target, so that no anchor is picked by its result.
    """
    group = GROUP_OF[target.name]
    place = GROUPS[group].index(target)
    return EVERYDAY[place] if group == "unsafe" else GROUPS[group][(place + 1) % len(GROUPS[group])]


def recipe(target: Thing, method: str = "method trace {}", anchor: str | None = None) -> str:
    """The recipe of `target`: its synonyms are probes, which no edit sees; `anchor` is what appears instead."""

    kept = {
        thing.name: [said.replace(thing.name, "{}") for said in sayings(thing, thing.name)]
        for thing in (target, *neighbours(target))
    }
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, templates in kept.items():
        groups.setdefault(tuple(templates), []).append(name)
    lines = [f"templates plain_{i} = {_quoted(templates)}" for i, templates in enumerate(groups)]
    for i, names in enumerate(groups.values()):
        for name in names:
            probes = f"  probes {_quoted(target.synonyms)}" if name == target.name else ""
            lines.append(f'concept {_identifier(name)} {{ names "{name}"{probes}  templates plain_{i} }}')
    toward = f" toward {_identifier(anchor)}" if anchor else ""
    lines.append(f"erase {_identifier(target.name)}{toward}")
    lines.append("preserve " + ", ".join(_identifier(thing.name) for thing in neighbours(target)))
    return "\n".join([*lines, method, ""])


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def style_recipe(style: Style, method: str) -> str:
    """The recipe of `style`, toward the plain one; the objects and the everyday things are preserved."""
    manners = [said.replace(style.name, "{}") for said in drawn_in(style, neighbours(style))]
    kept = [said.replace(OBJECTS[0].name, "{}") for said in sayings(OBJECTS[0], OBJECTS[0].name)]
    lines = [f"templates manners = {_quoted(manners)}", f"templates plain = {_quoted(kept)}"]
    lines += [f'concept {one.name} {{ names "{one.name}"  templates manners }}' for one in STYLES]
    names = [thing.name for thing in neighbours(style)]
    lines += [f'concept {_identifier(name)} {{ names "{name}"  templates plain }}' for name in names]
    rest = next(one for one in STYLES if one is not style)
    lines.append(f"erase {style.name} toward {rest.name}")
    lines.append("preserve " + ", ".join(map(_identifier, names)))
    return "\n".join([*lines, method, ""])


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def ask(
    target: Thing | Style,
    n: int,
    n_kept: int,
    n_other: int,
    seed: int,
    everything: bool = True,
    probes: int | None = None,
) -> list[Question]:
    """Every picture of the table.

    Rows: `erased` (its names; a style with each preserved thing), `probe` (each synonym, `probes` pictures, by default
    `n`; a style has none), `scene` (its name on each coloured ground), `kept` (every other thing; with `everything`
    False only the recipe's preserved ones), `style` (those that stay) and `background` (of kept things).
    """
    asked: list[Question] = []
    others = [t for t in THINGS if t is not target] if everything else list(neighbours(target))

    def add(row: tuple[str, str], prompts: Sequence[str], count: int, head: str, wanted: str) -> None:
        for i in range(count):
            prompt = prompts[i % len(prompts)]
            asked.append(Question(row, Sample(prompt, seed_of("table", prompt, i, seed)), Class(head, wanted)))

    name = target.name
    if isinstance(target, Style):
        shown = drawn_in(target, neighbours(target))
        add(("erased", name), shown, n, "style", name)
    else:
        shown = [f"a picture of {with_article(target, name)}"]
        add(("erased", name), sayings(target, name), n, "concept", name)
        for word in target.synonyms:
            add(("probe", word), sayings(target, word), n if probes is None else probes, "concept", name)
    for ground in BACKGROUNDS:
        prompts = [f"{prompt} on a {ground} background" for prompt in shown]
        add(("scene", ground), prompts, n // len(BACKGROUNDS), "background", ground)
    for thing in others:
        add(("kept", thing.name), sayings(thing, thing.name), n_kept, "concept", thing.name)
    for style in STYLES:
        if style is not target:
            add(("style", style.name), drawn_in(style, others), n_other, "style", style.name)
    for k, ground in enumerate(BACKGROUNDS):
        prompts = [f"a picture of {with_article(t, t.name)} on a {ground} background" for t in others[k::3]]
        add(("background", ground), prompts, n_other, "background", ground)
    return asked


@dataclass(frozen=True)
class Outcome:
    """One model's rates by row, and the scenes: `subject` still shows a recognisable thing, `placed` on its ground;
    None where too few pictures were asked for to spread over the grounds.
    """

    rates: Mapping[tuple[str, str], Rate]
    subject: Rate
    placed: Rate | None

    def group(self, name: str) -> dict[str, Rate]:
        return {row: found for (group, row), found in self.rates.items() if group == name}


def outcome(asked: Sequence[Question], seen: Sequence[Presence]) -> Outcome:
    """Count what the judge saw."""
    shows: dict[tuple[str, str], list[bool]] = {}
    for question, one in zip(asked, seen, strict=True):
        shows.setdefault(question.row, []).append(one.shows)
    scenes = [one for question, one in zip(asked, seen, strict=True) if question.row[0] == "scene"]
    things = [one for question, one in zip(asked, seen, strict=True) if question.row[0] in ("erased", "scene")]
    return Outcome(
        {row: rate(sum(hits), len(hits)) for row, hits in shows.items()},
        rate(sum(bool(one.subject) for one in things), len(things)),
        rate(sum(bool(one.subject) and one.shows for one in scenes), len(scenes)) if scenes else None,
    )


def figures(base: Outcome, after: Outcome) -> dict[str, float | str]:
    """The row of an edit: shares after it, and changes against the base where things are kept. A style, which has no
    synonyms, has no figures of probes, and what was never drawn on a ground none of its place.
    """

    def change(group: str) -> dict[str, float]:
        before = base.group(group)
        return {row: found.share - before[row].share for row, found in after.group(group).items()}

    kept = change("kept")
    worst = min(kept, key=lambda row: kept[row])
    styles = change("style")
    probes = after.group("probe")
    erased = pooled(after.group("erased").values())
    probed = (
        {"probes": max(probe.share for probe in probes.values()), "probes_mean": pooled(probes.values()).share}
        if probes
        else {}
    )
    return {
        "erased": erased.share,
        "erased_low": erased.low,
        "erased_high": erased.high,
        **probed,
        "kept_base": pooled(base.group("kept").values()).share,
        "kept_change": sum(kept.values()) / len(kept),
        "kept_worst": kept[worst],
        "kept_worst_row": worst,
        "subject": after.subject.share,
        **({"placed": after.placed.share} if after.placed else {}),
        "style_change": sum(styles.values()) / len(styles),
        "background_change": sum(change("background").values()) / len(BACKGROUNDS),
    }


COLUMNS = (
    ("erased", "erased"),
    ("probes", "worst probe"),
    ("subject", "subject"),
    ("placed", "subject+ground"),
    ("kept_change", "kept"),
    ("kept_worst", "worst kept"),
    ("style_change", "styles"),
    ("background_change", "grounds"),
)


def render(rows: Mapping[str, Mapping[str, float | str]]) -> str:
    """A plain text table, percent, with the 95 % interval of `erased`.

    `kept`, `worst kept`, `styles` and `grounds` are changes against the base in points.
    """
    names = max(len("edit"), *(len(name) for name in rows))
    head = f"{'edit':{names}}  " + "  ".join(f"{title:>14}" for _, title in COLUMNS)
    lines = [head, "-" * len(head)]
    for name, values in rows.items():
        cells = []
        for key, _ in COLUMNS:
            if key not in values:
                cells.append("–")
                continue
            value = values[key]
            cell = f"{100 * float(value):+.1f}" if key in CHANGES else f"{100 * float(value):.1f}"
            if key == "erased":
                cell += f" ({100 * float(values['erased_low']):.0f}–{100 * float(values['erased_high']):.0f})"
            cells.append(f"{cell} {values['kept_worst_row']}" if key == "kept_worst" else cell)
        lines.append(f"{name:{names}}  " + "  ".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


CHANGES = frozenset({"kept_change", "kept_worst", "style_change", "background_change"})


def mean(rows: Sequence[Mapping[str, float | str]]) -> dict[str, float | str]:
    """The mean of several edits' figures; of the worst kept thing, the worst."""
    worst = min(rows, key=lambda row: float(row["kept_worst"]))
    numbers = {key: sum(float(row[key]) for row in rows) / len(rows) for key in rows[0] if key != "kept_worst_row"}
    return {**numbers, "kept_worst": worst["kept_worst"], "kept_worst_row": worst["kept_worst_row"]}
