"""A suite file: which tasks, methods, models and seeds are compared. Read strictly, every mistake at its place.

Nothing here is measured or compiled. Paths start at the suite's folder and stay in the recipe root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from tracelang.diagnostics import Findings, Source, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.records import dataclass, field
from tracelang.semantics.config import root_in
from tracelang.syntax import toml
from tracelang.syntax.read import read

MAX_BYTES = 1 << 20
MAX_LISTED = 1_000
MAX_STEPS = 1_000_000
MAX_TRIALS = 8
MAX_CELLS = 100_000
NAME = re.compile(r"[a-z][a-z0-9_]*")
KEYS = (
    "title",
    "models",
    "seeds",
    "define",
    "against",
    "own",
    "erased",
    "methods",
    "parts",
    "tuning",
    "results",
    "page",
    "summary",
)
PART_KEYS = ("tasks", "methods", "models", "seeds", "judges", "steps", "budget", "harmonic", "curve")
HARMONICS = ("H_o", "H_c", "H_a")
TUNING_KEYS = ("tasks", "models", "judges", "steps", "into", "trials")


@dataclass(frozen=True, slots=True)
class Part:
    """One table: its tasks × methods (each variant by name) × models × seeds. Of a row and a variant of one name, a
    part that names it means the variant. `steps` are the sampler's; `curve` are the training steps at which every
    method that trains is run instead of at its own. `harmonic`: the published mean that its protocol has, where that
    is not the one of the erased concepts' kinds.
    """

    name: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    judges: tuple[str, ...] = ()
    steps: int = 20
    budget: str = ""
    harmonic: str = ""
    curve: tuple[int, ...] = ()

    @property
    def cells(self) -> int:
        """At most so many."""
        return prod(map(len, (self.tasks, self.methods, self.models, self.seeds, self.curve or (0,))))


@dataclass(frozen=True, slots=True)
class Tuning:
    """`trials` of each derivation that is to be chosen: the method that it is of, and the settings tried, at most
    `MAX_TRIALS`. The chosen ones are written to the file `into`.
    """

    part: Part
    into: str
    trials: Mapping[str, tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Suite:
    """`groups` are the rows that a claim is about: a method, or several variants of which the better one is claimed.
    Paths of tasks and definitions are relative to `root`; `results`, `page` and `summary` are whole.
    """

    file: Path
    root: Path
    title: str
    groups: Mapping[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    define: tuple[str, ...] = ()
    against: str = ""
    own: tuple[str, ...] = ()
    erased: float = 0.02
    tuning: Tuning | None = None
    results: Path = Path()
    page: Path = Path()
    summary: Path | None = None
    source: Source | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def tuned(self) -> tuple[str, ...]:
        """The methods that tuning defines, or is yet to define."""
        return tuple(self.tuning.trials) if self.tuning else ()


def mark(name: str) -> str:
    """The line above a suite's table in a page that is not its own."""
    return f"<!-- table: {name} -->"


def read_suite(file: Path) -> Suite:
    """The suite in a file. Raises CompileError with every mistake that was found."""
    report = Findings()
    found = read(file, str(file), MAX_BYTES, report)
    report.raise_errors()
    assert found is not None
    table = toml.parsed(found.source, report)
    report.raise_errors()
    assert table is not None
    folder = Path(os.path.abspath(file)).parent
    suite = _Reading(found.source, folder, Path(root_in(folder)), report).suite(file, table)
    report.raise_errors()
    return suite


@dataclass(slots=True)
class _Reading:
    """One file, and what is found in it."""

    source: Source
    folder: Path
    root: Path
    report: Findings

    def suite(self, file: Path, table: dict[str, Any]) -> Suite:
        self.keys(table, KEYS, 0)
        title = self.text(table, "title", file.stem)
        models, seeds = self.texts(table, "models", 0), self.seeds(table, 0, (0,))
        groups = self.groups(table)
        parts = [
            self.part(name, one, groups, models, seeds, PART_KEYS, self.start(f"parts.{name}"))
            for name, one in self.tables(table, "parts").items()
        ]
        variants = [one for some in groups.values() for one in some]
        against = self.text(table, "against", next(iter(variants), ""))
        own = self.texts(table, "own", 0) or ((against,) if against else ())
        for key, names in (("against", (against,)), ("own", own)):
            for name in names:
                if variants and name not in variants:
                    self.wrong(key, f"no row is called `{name}`", did_you_mean(name, variants), name)
        for name in sorted({one for one in variants if variants.count(one) > 1}):
            self.wrong("methods", f"`{name}` stands in two rows", "let one row have it", name)
        erased = table.get("erased", 0.02)
        if isinstance(erased, bool) or not isinstance(erased, int | float) or not 0 <= erased <= 1:
            self.wrong("erased", "`erased` is a share from 0 to 1", "write `erased = 0.02`")
            erased = 0.02
        if not parts and not self.report.failed:
            self.wrong("parts", "a suite has a part", 'write `[parts.NAME]` and `tasks = ["cat.erase"]` below it')
        if sum(one.cells for one in parts) > MAX_CELLS:
            told = f"the parts have {sum(one.cells for one in parts):,} cells, and no suite has more than {MAX_CELLS:,}"
            self.wrong("parts", told, "make several suites of it")
        page = self.path(table, "page", 0) or self.inside("", f"{file.stem}.md")
        if page and not page.endswith(".md"):
            self.wrong("page", f"`{page}` is no page", "name a file that ends with `.md`", page)
        return Suite(
            file=file,
            root=self.root,
            title=title,
            groups=groups,
            parts=tuple(parts),
            define=self.paths(table, "define", 0, self.chosen(table)),
            against=against,
            own=tuple(own),
            erased=float(erased),
            tuning=self.tuning(table, models),
            results=self.root / (self.path(table, "results", 0) or self.inside("", f"results/{file.stem}") or ""),
            page=self.root / (page or ""),
            summary=self.summary(table, file.stem),
            source=self.source,
        )

    def summary(self, table: dict[str, Any], name: str) -> Path | None:
        """The file of which a table below a line of its own is the suite's."""
        path = self.path(table, "summary", 0)
        if path is None:
            return None
        found = read(self.root / path, path, MAX_BYTES, self.report)
        if found is not None and f"{mark(name)}\n" not in found.source.text:
            told = f"`{path}` has no line `{mark(name)}`"
            self.wrong("summary", told, "write that line where the table is to stand", path)
        return self.root / path

    def groups(self, table: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        start = self.start("methods")
        for name, some in self.tables(table, "methods", of=list).items():
            found[name] = self.names({name: some}, name, start)
        if not found:
            self.wrong("methods", "a suite compares methods", 'write `[methods]` and `trace = ["trace"]` below it')
        return found

    def part(
        self,
        name: str,
        table: dict[str, Any],
        groups: Mapping[str, tuple[str, ...]],
        models: tuple[str, ...],
        seeds: tuple[int, ...],
        known: Sequence[str],
        start: int,
    ) -> Part:
        self.keys(table, known, start)
        tasks = self.paths(table, "tasks", start)
        if not tasks:
            self.wrong(name, f"`{name}` has no task", 'write `tasks = ["cat.erase"]`')
        rows = self.names(table, "methods", start) if "methods" in table else tuple(groups)
        there, variants = {one for some in groups.values() for one in some}, list[str]()
        for row in rows:
            if row not in groups and row not in there:
                told = did_you_mean(row, [*groups, *there])
                self.wrong("methods", f"no row is called `{row}`", told, row, start)
            variants += (row,) if "methods" in table and row in there else groups.get(row, (row,))
        curve = self.numbers(table, "curve", start, 1, MAX_STEPS)
        budget, harmonic = self.text(table, "budget", "", start), self.text(table, "harmonic", "", start)
        if harmonic and harmonic not in HARMONICS:
            self.wrong("harmonic", f"there is no `{harmonic}`", f"there are {', '.join(HARMONICS)}", harmonic, start)
        return Part(
            name=name,
            tasks=tasks,
            methods=tuple(dict.fromkeys(variants)),
            models=self.texts(table, "models", start) or models,
            seeds=self.seeds(table, start, seeds),
            judges=self.texts(table, "judges", start),
            steps=self.number(table, "steps", 20, start, 2, 1_000),
            budget=budget,
            harmonic=harmonic,
            curve=curve,
        )

    def tuning(self, table: dict[str, Any], models: tuple[str, ...]) -> Tuning | None:
        if "tuning" not in table:
            return None
        start, own = self.start("tuning"), table["tuning"]
        if not isinstance(own, dict):
            self.wrong("tuning", "`tuning` is a table", "write `[tuning]`")
            return None
        trials: dict[str, tuple[str, tuple[str, ...]]] = {}
        for name, one in self.tables(own, "trials", start).items():
            at = self.start(f"tuning.trials.{name}")
            self.keys(one, ("of", "settings"), at)
            of, settings = self.text(one, "of", "", at), self.texts(one, "settings", at)
            if not of or not settings:
                self.wrong(name, f"`{name}` has nothing to try", 'write `of = "esd"` and `settings = ["…"]`', start=at)
            if len(settings) > MAX_TRIALS:
                told = f"{len(settings)} trials of `{name}`, and no method has more than {MAX_TRIALS}"
                self.wrong("settings", told, "leave out what is least likely", start=at)
            trials[name] = (of, settings)
        into = self.path(own, "into", start)
        if into is None or not into.endswith(".erase"):
            self.wrong("tuning", "`into` names the file of what is chosen", 'write `into = "tuned.erase"`')
        rest = {key: value for key, value in own.items() if key not in ("into", "trials")}
        self.keys(own, TUNING_KEYS, start)
        part = self.part("tuning", rest, {}, models, (0,), tuple(rest), start)
        return Tuning(part, into or "", trials)

    # What a key holds, each with its mistake.

    def keys(self, table: Mapping[str, Any], known: Sequence[str], start: int) -> None:
        for key in table:
            if key not in known:
                place = toml.key(self.source, key, start)
                self.report.error("TL141", f"no key is called `{key}` here", place, help=did_you_mean(key, known))

    def tables(self, table: dict[str, Any], key: str, start: int = 0, of: type = dict) -> dict[str, Any]:
        found = table.get(key, {})
        if not isinstance(found, dict) or len(found) > MAX_LISTED:
            self.wrong(key, f"`{key}` is a table", f"write `[{key}]`", start=start)
            return {}
        kept = {}
        for name, one in found.items():
            if not NAME.fullmatch(name):
                self.wrong(name, f"`{name}` is no name: a-z, 0-9 and _", "rename it", start=start)
            elif not isinstance(one, of):
                what = "a list of methods" if of is list else "a table"
                self.wrong(name, f"`{name}` is {what}", f"see what stands beside it in `{key}`", start=start)
            else:
                kept[name] = one
        return kept

    def text(self, table: Mapping[str, Any], key: str, default: str, start: int = 0) -> str:
        found = table.get(key, default)
        if not isinstance(found, str) or len(found) > MAX_LISTED:
            self.wrong(key, f"`{key}` is a text", f'write `{key} = "…"`', start=start)
            return default
        return found

    def texts(self, table: Mapping[str, Any], key: str, start: int) -> tuple[str, ...]:
        found = table.get(key, [])
        if (
            not isinstance(found, list)
            or len(found) > MAX_LISTED
            or not all(isinstance(one, str) and one and len(one) <= MAX_LISTED for one in found)
        ):
            self.wrong(
                key, f"`{key}` is a list of texts, at most {MAX_LISTED:,}", f'write `{key} = ["…"]`', start=start
            )
            return ()
        return tuple(dict.fromkeys(found))

    def names(self, table: Mapping[str, Any], key: str, start: int) -> tuple[str, ...]:
        found = self.texts(table, key, start)
        for one in found:
            if not NAME.fullmatch(one):
                self.wrong(key, f"`{one}` is no name of a method", "methods are called like `esd_wide`", one, start)
        return tuple(one for one in found if NAME.fullmatch(one))

    def number(self, table: Mapping[str, Any], key: str, default: int, start: int, low: int, high: int) -> int:
        found = table.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            self.wrong(
                key, f"`{key}` is a whole number from {low} to {high:,}", f"write `{key} = {default}`", start=start
            )
            return default
        return found

    def numbers(self, table: Mapping[str, Any], key: str, start: int, low: int, high: int) -> tuple[int, ...]:
        found = table.get(key, [])
        fits = [type(one) is int and low <= one <= high for one in found] if isinstance(found, list) else [False]
        if len(fits) > MAX_LISTED or not all(fits):
            told = f"`{key}` is a list of whole numbers from {low} to {high:,}"
            self.wrong(key, told, f"write `{key} = [{low}]`", start=start)
            return ()
        return tuple(sorted(set(found)))

    def seeds(self, table: Mapping[str, Any], start: int, default: tuple[int, ...]) -> tuple[int, ...]:
        return self.numbers(table, "seeds", start, 0, 2**63 - 1) or default

    def chosen(self, table: Mapping[str, Any]) -> str:
        """The file that tuning writes, which need not be there yet."""
        own = table.get("tuning")
        found = own.get("into") if isinstance(own, dict) else None
        return found if isinstance(found, str) else ""

    def paths(self, table: Mapping[str, Any], key: str, start: int, later: str = "") -> tuple[str, ...]:
        found = []
        for one in self.texts(table, key, start):
            path = self.inside(key, one, start)
            if path is not None and not one.endswith(".erase"):
                self.wrong(key, f"`{one}` is no recipe", "name a file that ends with `.erase`", one, start)
            elif path is not None and not (self.root / path).is_file():
                if one == later:
                    continue
                self.wrong(key, f"`{one}` is not a file", "name a recipe that is there", one, start)
            elif path is not None:
                found.append(path)
        return tuple(found)

    def path(self, table: Mapping[str, Any], key: str, start: int) -> str | None:
        found = self.text(table, key, "", start)
        return self.inside(key, found, start) if found else None

    def inside(self, key: str, path: str, start: int = 0) -> str | None:
        """The path from the root, links followed; None, with an error, where it leaves it."""
        root = os.path.realpath(self.root)
        try:
            whole = os.path.realpath(os.path.join(self.folder, path))
        except ValueError:
            whole = ""
        if not whole.startswith(root.rstrip(os.sep) + os.sep) or os.path.isabs(path) or '"' in path:
            self.wrong(key, f"`{path}` leaves the recipe root, {root}", "name what lies in it", path, start)
            return None
        return os.path.relpath(whole, root).replace(os.sep, "/")

    def start(self, table: str) -> int:
        """Where a table begins, for keys that stand in several; the start of the file where it is written otherwise."""
        found = re.search(rf"^\s*\[\s*{re.escape(table)}\s*\]", self.source.text, re.M)
        return found.start() if found else 0

    def wrong(self, key: str, message: str, help: str, value: str = "", start: int = 0) -> None:
        place: Span = toml.value(self.source, value, toml.key(self.source, key, start))
        self.report.error("TL142", message, place, help=help)
