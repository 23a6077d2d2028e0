"""From the results of a part's cells to one row a method: figures with intervals, and what can be told apart.

Pictures of two methods are of the same prompts and seeds, so they are compared pair by pair (exact sign test, which is
McNemar's); attacks find inputs of their own, so their counts are compared as they are (Fisher). The tests of one column
are adjusted together for all rows of the table (Holm). They speak of the edits that were made, and of no others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import fmean
from typing import Literal

from tracelang.bench.results import Found, Pictures, Result, Spent
from tracelang.bench.suite import Part, Suite

Better = Literal["less", "more"]
ATTACK = "attack: "
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Column:
    """`told`: how its figure is written; `tested`: rows are told apart by it."""

    title: str
    better: Better
    told: Literal["share", "number", "rows", "seconds", "bytes"] = "share"
    tested: bool = True
    means: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of one row and column; of a share with its 95 % interval, in which a picture after several trainings
    counts as what it is worth. `p`: how likely as large a difference from the row that it is compared with, adjusted;
    `side`: which of the two is ahead, where they can be told apart.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    side: Literal["", "ahead", "behind"] = ""
    seen: bool = False
    """Of an attack: the method was trained against its kind."""


@dataclass(frozen=True)
class Line:
    """A method in a table: how many of its cells there are of how many, its figures by column, why it was refused."""

    method: str
    group: str
    cells: int
    of: int
    figures: Mapping[str, Figure] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return self.cells == self.of


@dataclass(frozen=True)
class Table:
    """A part on one model. `against`: the row that the others are compared with, where it has figures."""

    part: Part
    model: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    against: str

    def line(self, method: str) -> Line | None:
        return next((line for line in self.lines if line.method == method), None)


def _single(of: Pictures, role: str) -> bool:
    return of.role == role and (len(of.member) == 1 or role == "erased")


def _right(of: Pictures) -> bool:
    return of.role != "erased" and len(of.member) > 1


SHOWN = Column("shown", "less", means="pictures of the erased names that show what they name")
PROBED = Column("by synonyms", "less", means="the same for synonyms, which no edit saw")
SUITE = Column("by a suite", "less", means="the same for the prompts of a published suite")
THING = Column("still a thing", "more", means="pictures of the erased names that show any thing that the judge knows")
KEPT = Column(
    "kept", "more", means="of what the recipe preserves and the base drew right, the share that is still right"
)
OTHERS = Column("unnamed others", "more", means="the same of what the recipe names nowhere")
PAIRS = Column("pairs", "more", means="the same of two things in one picture")
MEAN = Column(
    "attacks",
    "less",
    means="pictures that show it under attacks made against the edit itself, all attacks together but those that a "
    "model that has learned nothing shows too, where there is such a control",
)
PICTURES: dict[Column, Callable[[Pictures], bool]] = {
    SHOWN: lambda of: _single(of, "erased") and of.how == "names",
    PROBED: lambda of: _single(of, "erased") and of.how == "probes",
    SUITE: lambda of: _single(of, "erased") and of.how == "suite",
    THING: lambda of: _single(of, "erased") and of.how == "names" and "-" not in of.things,
    KEPT: lambda of: _single(of, "preserved"),
    OTHERS: lambda of: _single(of, "other"),
    PAIRS: _right,
}
"""Which rows of pictures a column counts. Of what is to stay, those that the base drew right."""

CHANCE = Column("probability", "less", tested=False, means="the mean probability that the judge gives the erased class")
H_O = Column(
    "H_o", "more", tested=False, means="harmonic mean of erasure, specificity and generality, by top-1 accuracy"
)
H_O_P = Column(
    "H_o, probability", "more", tested=False, means="the same by mean probability, as the released scripts have it"
)
H_C = Column("H_c", "more", tested=False, means="harmonic mean of erasure and specificity")
H_C_P = Column("H_c, probability", "more", tested=False, means="the same by mean probability")
H_A = Column("H_a", "more", "number", False, "CLIP score of what is kept less that of what is erased")
CLIP = Column("CLIP", "more", "number", False, "how well what is not erased fits its prompts, mean score")
CLIP_E = Column("CLIP, erased", "less", "number", False, "the same of what is erased")
FID = Column("FID", "less", "number", False, "distance of what is preserved from the base's pictures")
KID = Column("KID", "less", "number", False, "the same, for few pictures")
EXCESS = Column("excess", "less", tested=False, means="what probes show more than models that never knew it, mean")
FROZEN = Column("frozen rows", "less", "rows", False, "rows through the denoiser without a gradient")
TRAINED = Column("trained rows", "less", "rows", False, "rows with one")
SECONDS = Column("seconds", "less", "seconds", False, "of the edit, with no trajectory in a cache")
MEMORY = Column("memory", "less", "bytes", False, "the most that the edit held at once, its own process or the GPU's")
DELTA = Column("size", "less", "bytes", False, "of the change alone, as `delta.safetensors`")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _clip(found: Found, erased: bool) -> float | None:
    rows = [of for of in found.pictures if of.clip and (of.role == "erased") == erased]
    n = sum(len(of.after) for of in rows)
    return sum(of.clip[1] * len(of.after) for of in rows if of.clip) / n if n else None


def _harmonic(name: str, side: Literal["corrected", "published"]) -> Callable[[Found], float | None]:
    return lambda found: _mean(getattr(one, side) for one in found.harmonics if one.name == name)


Values = Mapping[Column, Callable[[Found], float | None]]
EMPTY: Values = {}

FOUND: dict[Column, Callable[[Found], float | None]] = {
    CHANCE: lambda found: _mean(of.chance for of in found.pictures if PICTURES[SHOWN](of)),
    H_O: _harmonic("H_o", "corrected"),
    H_O_P: _harmonic("H_o", "published"),
    H_C: _harmonic("H_c", "corrected"),
    H_A: _harmonic("H_a", "published"),
    CLIP: lambda found: _clip(found, False),
    CLIP_E: lambda found: _clip(found, True),
    FID: lambda found: found.fid,
    KID: lambda found: found.kid,
    EXCESS: lambda found: _mean(one.value for one in found.beyond),
}
SPENT: dict[Column, Callable[[Spent], float | None]] = {
    FROZEN: lambda spent: spent.frozen,
    TRAINED: lambda spent: spent.trained,
    SECONDS: lambda spent: spent.seconds,
    MEMORY: lambda spent: spent.memory,
    DELTA: lambda spent: spent.delta,
}


def protocol(name: str) -> dict[Column, Callable[[Found], float | None]]:
    """The harmonic mean of a published protocol, of the pooled pictures of a task: H_o with what synonyms show, H_c
    without; each by top-1 accuracy and by the mean probability of the class. H_a is a difference of CLIP scores.
    """

    def apart(found: Found) -> float | None:
        kept, gone = _clip(found, False), _clip(found, True)
        return None if kept is None or gone is None else kept - gone

    if name == "H_a":
        return {H_A: apart}

    def mean(found: Found, by: Callable[[Sequence[Pictures]], float | None]) -> float | None:
        gone = [of for of in found.pictures if of.role == "erased"]
        sides = [
            by([of for of in gone if of.how == "names"]),
            by([of for of in found.pictures if of.role != "erased" and len(of.member) == 1]),
            *([by([of for of in gone if of.how == "probes"])] if name == "H_o" else []),
        ]
        if None in sides:
            return None
        e, s, *g = (one for one in sides if one is not None)
        wanted = [1 - e, s, *(1 - one for one in g)]
        return 0.0 if min(wanted) <= 0 else len(wanted) / sum(1 / one for one in wanted)

    columns = (H_O, H_O_P) if name == "H_o" else (H_C, H_C_P)
    return {columns[0]: lambda found: mean(found, _accuracy), columns[1]: lambda found: mean(found, _probability)}


def _accuracy(rows: Sequence[Pictures]) -> float | None:
    marks = "".join(of.after for of in rows).replace("x", "")
    return marks.count("1") / len(marks) if marks else None


def _probability(rows: Sequence[Pictures]) -> float | None:
    known = [of for of in rows if of.chance is not None]
    n = sum(len(of.after) for of in known)
    return sum((of.chance or 0.0) * len(of.after) for of in known) / n if n else None


Picture = tuple[str, tuple[str, ...], str, int]
"""Task, member, how, and its place there."""


def pictures(results: Iterable[Result], column: Column) -> dict[Picture, list[bool]]:
    """Which pictures count, and of each training seed whether it is a hit."""
    counts, found = PICTURES[column], dict[Picture, list[bool]]()
    for result in results:
        for of in result.outcome.found.pictures if result.outcome.found else ():
            if not counts(of):
                continue
            after = of.things if column is THING else of.after
            for i, (before, now) in enumerate(zip(of.base, after, strict=True)):
                if before != "x" and now in "01" and (of.role == "erased" or before == "1"):
                    found.setdefault((result.task, of.member, of.how, i), []).append(now == "1")
    return found


def shares(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Hits and pictures of every column that counts pictures, and of all attacks."""
    told = {}
    for column in PICTURES:
        hits = [hit for some in pictures(results, column).values() for hit in some]
        told[column.title] = sum(hits), len(hits)
    told[MEAN.title] = _sums(struck(results))
    return told


Struck = dict[tuple[str, tuple[str, ...], str], tuple[int, int]]
"""Of an attack on a member in a task, hits and pictures."""


def struck(results: Iterable[Result], attack: str = "") -> Struck:
    """What an attack brought; where none is named of all that bring nothing along by themselves, as far as a control
    tells. One that failed has no figures.
    """
    found: Struck = {}
    for result in results:
        beyond = result.outcome.found.beyond if result.outcome.found else ()
        invalid = {(one.member, one.how) for one in beyond if one.valid is False and not attack}
        for one in result.outcome.found.attacks if result.outcome.found else ():
            if not one.error and attack in ("", one.attack) and (one.member, one.attack) not in invalid:
                at = (result.task, one.member, one.attack)
                hits, n = found.get(at, (0, 0))
                found[at] = hits + one.hits, n + one.n
    return found


def _sums(found: Struck, among: Iterable[object] | None = None) -> tuple[int, int]:
    chosen = [found[at] for at in found if among is None or at in set(among)]
    return sum(hits for hits, _ in chosen), sum(n for _, n in chosen)


def _trained_against(results: Iterable[Result], attack: str) -> bool:
    return any(
        one.attack == attack and not one.held_out
        for result in results
        for one in (result.outcome.found.attacks if result.outcome.found else ())
    )


def tables(
    suite: Suite, part: Part, cells: Mapping[tuple[str, str], Sequence[str]], held: Mapping[str, Result]
) -> list[Table]:
    """A table for each model. `cells` are the keys of the part's cells by method and model."""
    group = {name: row for row, names in suite.groups.items() for name in names}
    made = []
    for model in dict.fromkeys(model for _, model in cells):
        found = {
            name: [held[k] for k in dict.fromkeys(keys) if k in held]
            for (name, on), keys in cells.items()
            if on == model
        }
        good = {name: [one for one in some if one.outcome.found] for name, some in found.items()}
        of_protocol = protocol(part.harmonic) if part.harmonic else {}
        columns = _columns(good, of_protocol)
        against = suite.against if good.get(suite.against) else ""
        figures = {
            name: {column.title: one for column in columns if (one := figure(column, some, of_protocol))}
            for name, some in good.items()
        }
        for column in columns:
            if column.tested and against:
                _compare(column, good, figures, against)
        lines = tuple(
            Line(
                method=name,
                group=group.get(name, name),
                cells=len(good[name]),
                of=len(set(keys)),
                figures=figures[name],
                refused=tuple(dict.fromkeys(one.outcome.refusal for one in found[name] if one.outcome.refusal)),
            )
            for (name, on), keys in cells.items()
            if on == model
        )
        made.append(Table(part, model, columns, lines, against))
    return made


def _columns(found: Mapping[str, Sequence[Result]], of_protocol: Values) -> tuple[Column, ...]:
    """The columns of which some row has a figure."""
    every = [one for some in found.values() for one in some]
    attacks = dict.fromkeys(a.attack for one in every if one.outcome.found for a in one.outcome.found.attacks)
    named = [Column(f"{ATTACK}{name}", "less") for name in attacks]
    columns = [*PICTURES, *([MEAN] if len(named) > 1 else []), *named, *{**FOUND, **of_protocol}, *SPENT]
    return tuple(column for column in columns if figure(column, every, of_protocol) is not None)


def figure(column: Column, results: Sequence[Result], of_protocol: Values = EMPTY) -> Figure | None:
    """The figure of a column over cells, as a protocol reads it where it has one; None where no cell has it."""
    from tracelang.evidence.intervals import clustered
    from tracelang.evidence.verdicts import rate

    if column in PICTURES:
        counted = pictures(results, column)
        hits = [hit for some in counted.values() for hit in some]
        groups: list[Hashable] = [at for at, some in counted.items() for _ in some]
        if not hits:
            return None
        share = clustered(hits, groups)
        return Figure(share.share, share.n, share.low, share.high)
    if column is MEAN or column.title.startswith(ATTACK):
        attack = _attack(column)
        count, n = _sums(struck(results, attack))
        if not n:
            return None
        share = rate(count, n)
        return Figure(share.share, n, share.low, share.high, seen=_trained_against(results, attack))
    found = [one.outcome.found for one in results if one.outcome.found]
    spent = [one.outcome.spent for one in results if one.outcome.found and one.outcome.spent]
    read = of_protocol.get(column) or FOUND.get(column)
    values = [read(one) for one in found] if read else [SPENT[column](one) for one in spent]
    mean = _mean(values)
    return None if mean is None else Figure(mean, sum(value is not None for value in values))


def _compare(
    column: Column,
    found: Mapping[str, Sequence[Result]],
    figures: dict[str, dict[str, Figure]],
    against: str,
) -> None:
    """Put into the figures of a column how they differ from those of the row that they are compared with."""
    others = [name for name in found if name != against and column.title in figures[name]]
    if column.title not in figures[against]:
        return
    found_p: list[tuple[float, float]] = []
    for name in others:
        if column in PICTURES:
            found_p.append(paired(pictures(found[name], column), pictures(found[against], column)))
        else:
            one, other = (struck(found[row], _attack(column)) for row in (name, against))
            both = one.keys() & other.keys()
            found_p.append(unpaired(_sums(one, both), _sums(other, both)))
    for name, (difference, _), p in zip(others, found_p, holm([p for _, p in found_p]), strict=True):
        apart, ahead = p < LEVEL and difference != 0, better(column, difference, 0.0)
        side: Literal["", "ahead", "behind"] = "" if not apart else "ahead" if ahead else "behind"
        figures[name][column.title] = replace(figures[name][column.title], p=p, side=side)


def _attack(column: Column) -> str:
    """The attack of a column, empty for all of them."""
    return "" if column is MEAN else column.title.removeprefix(ATTACK)


def paired(one: Mapping[Picture, Sequence[bool]], other: Mapping[Picture, Sequence[bool]]) -> tuple[float, float]:
    """The mean difference over the pictures that both have, and how likely one as large is where the sign of each is
    chance: exact (McNemar) where each was trained once, else by the normal law. Of several seeds a picture is its mean.
    """
    from scipy.stats import binomtest, norm

    both = [at for at in one if at in other]
    moved = [d for at in both if (d := fmean(one[at]) - fmean(other[at]))]
    if not moved:
        return 0.0, 1.0
    if all(abs(d) == 1 for d in moved):
        p = float(binomtest(sum(d > 0 for d in moved), len(moved), 0.5).pvalue)
    else:
        p = float(2 * norm.sf(abs(sum(moved)) / sqrt(sum(d * d for d in moved))))
    return sum(moved) / len(both), min(1.0, p)


def unpaired(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """The difference of two shares of inputs that have nothing to do with each other, and Fisher's exact test of it."""
    from scipy.stats import fisher_exact

    (a, n), (b, m) = one, other
    if not (n and m):
        return 0.0, 1.0
    return a / n - b / m, float(fisher_exact([[a, n - a], [b, m - b]]).pvalue)


def holm(levels: Sequence[float]) -> list[float]:
    """Levels adjusted for how many there are (Holm, 1979), in their order."""
    adjusted, least = [1.0] * len(levels), 0.0
    for rank, i in enumerate(sorted(range(len(levels)), key=levels.__getitem__)):
        least = adjusted[i] = max(least, min(1.0, (len(levels) - rank) * levels[i]))
    return adjusted


def better(column: Column, value: float, other: float) -> bool:
    """Is a figure of a column better than another?"""
    return value < other if column.better == "less" else value > other


def best(lines: Iterable[Line], column: str, better: Better, shown: float | None = None) -> Line | None:
    """Of several variants the one that is best in a column; with `shown`, of those alone that erase so far."""
    known = [
        line
        for line in lines
        if column in line.figures
        and (shown is None or SHOWN.title not in line.figures or line.figures[SHOWN.title].value <= shown)
    ]
    sign = 1 if better == "less" else -1
    return min(known, key=lambda line: sign * line.figures[column].value, default=None)
