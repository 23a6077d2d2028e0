"""From a suite to its cells: each a recipe that takes the statements of a task and another method, compiled here, and
the key of all that decides what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracelang.bench.results import key_of
from tracelang.bench.suite import Part, Suite
from tracelang.diagnostics import CompileError, Findings
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.plan.compile import compile_with_findings
from tracelang.plan.types import Plan
from tracelang.semantics.standard import method_names
from tracelang.syntax import toml
from tracelang.syntax.parser import recover
from tracelang.syntax.read import MAX_RECIPE_BYTES, read
from tracelang.syntax.text import quote
from tracelang.syntax.tree import Define
from tracelang.version import __version__

EDITION = 1
"""Raised where a cell would be measured otherwise though nothing else in its key says so."""
RECIPE = "tracec-bench.erase"
"""What a cell's recipe is called, beside the files that it reads."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model as it was asked for, what it is called, and the fingerprint of all that decides what it draws."""

    model: str
    title: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Row:
    """A method in a suite: where it is defined, empty for a shipped one, and the addresses of its passes' seeds and
    training steps.
    """

    name: str
    file: str
    seeds: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """An edit and its verification. `seed` is None for a method without chance, `steps` where it trains as it says."""

    task: str
    method: str
    base: Base
    seed: int | None
    steps: int | None
    part: Part
    recipe: str
    plan: Plan
    dtype: str
    judges: tuple[str, ...]

    @property
    def facts(self) -> dict[str, object]:
        """All that decides its figures. Not the device, whose rounding differs and whose figures do not: it is told."""
        return {
            "edition": EDITION,
            "tracelang": __version__,
            "plan": self.plan.digest,
            "model": self.base.fingerprint,
            "judges": list(self.judges),
            "steps": self.part.steps,
            "budget": self.part.budget,
            "dtype": self.dtype,
        }

    @property
    def key(self) -> str:
        return key_of(self.facts)

    @property
    def edit(self) -> str:
        """The same for cells that verify one edit in several ways."""
        told = {"plan": self.plan.edit_digest, "model": self.base.fingerprint, "dtype": self.dtype}
        return key_of({"tracelang": __version__, **told})

    @property
    def title(self) -> str:
        told = [Path(self.task).stem, self.method, self.base.title]
        told += [] if self.seed is None else [f"seed {self.seed}"]
        return ", ".join(told + ([] if self.steps is None else [f"{self.steps} steps"]))


def rows(suite: Suite, names: Iterable[str]) -> dict[str, Row]:
    """The methods by name, each compiled once, without those that tuning is yet to define. Raises CompileError for one
    that is not there or does not compile.
    """
    defined: dict[str, str] = {}
    report = Findings()
    for path in suite.define:
        found = read(suite.root / path, path, MAX_RECIPE_BYTES, report)
        file = recover(found.source, report) if found else None
        for statement in file.statements if file else ():
            if isinstance(statement, Define):
                defined.setdefault(statement.name.text, path)
    report.raise_errors()
    shipped = method_names()
    made = {}
    for name in names:
        if name in suite.tuned and name not in defined:
            continue
        if name not in defined and name not in shipped:
            assert suite.source is not None
            place = toml.value(suite.source, name, toml.key(suite.source, "methods"))
            help = did_you_mean(name, [*defined, *shipped]) or "`define` names the files of methods; `--tune` makes one"
            report.error("TL142", f"no method is called `{name}`", place, help=help)
            continue
        text = recipe(Row(name, defined.get(name, ""), (), ()), None, None, None)
        plan = _compiled(suite, f'{text}\nerase "a" toward "b"\n')
        passes = plan.method.passes
        seeds = tuple(f"{one.label}.seed" for one in passes if hasattr(one, "seed"))
        made[name] = Row(name, defined.get(name, ""), seeds, tuple(f"{one.label}.steps" for one in passes if one.terms))
    report.raise_errors()
    return made


def recipe(row: Row, task: str | None, seed: int | None, steps: int | None, settings: str = "") -> str:
    """The text of a cell's recipe: a task's statements, and the method in place of the task's own."""
    lines = ["tracelang 1", ""]
    lines += [f"include {quote(task)}"] if task else []
    lines += [f"from {quote(row.file)} import {row.name}"] if row.file else []
    said = [f"  {address} = {seed}" for address in row.seeds if seed is not None]
    said += [f"  {address} = {steps}" for address in row.steps if steps is not None]
    said += [f"  {settings}"] if settings else []
    return "\n".join([*lines, "", f"method {row.name} {{", *said, "}"]) + "\n"


def cells(
    suite: Suite,
    parts: Sequence[Part],
    bases: Mapping[str, Base],
    dtype: str = "",
    judged: Mapping[str, str] | None = None,
) -> Iterator[tuple[Part, Cell]]:
    """Every cell, part by part; one that stands in two parts has one key. `judged` says for a judge what its folder or
    file holds. Raises CompileError where one does not compile.
    """
    known = rows(suite, dict.fromkeys(name for part in parts for name in part.methods))
    for part in parts:
        judges = tuple((judged or {}).get(one, one) for one in part.judges)
        for task in part.tasks:
            for name in part.methods:
                row = known.get(name)
                if row is None or (part.curve and not row.steps):
                    continue
                for seed in part.seeds if row.seeds else (None,):
                    for steps in part.curve or (None,):
                        text = recipe(row, task, seed, steps)
                        plan = _compiled(suite, text)
                        for model in part.models:
                            yield part, Cell(task, name, bases[model], seed, steps, part, text, plan, dtype, judges)


def trial(
    suite: Suite,
    part: Part,
    row: Row,
    base: Base,
    task: str,
    settings: str,
    dtype: str = "",
    judged: Mapping[str, str] | None = None,
) -> Cell:
    """A cell of tuning: a method with these settings. Raises CompileError."""
    text = recipe(row, task, None, None, settings)
    judges = tuple((judged or {}).get(one, one) for one in part.judges)
    return Cell(task, row.name, base, None, None, part, text, _compiled(suite, text), dtype, judges)


def stage(suite: Suite, cell: Cell, folder: Path) -> Path:
    """The cell's recipe in a folder of its own, beside a copy of every file that it reads."""
    for source in cell.plan.sources:
        if source.path == RECIPE or source.path.startswith("std/"):
            continue
        target = folder / source.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((suite.root / source.path).read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).write_text(cell.recipe, "utf-8")
    return folder / RECIPE


def narrowed(part: Part, methods: Sequence[str], models: Sequence[str], judges: Sequence[str]) -> Part:
    """The part with what a command line says in place of what the suite does."""
    kept = tuple(name for name in part.methods if name in methods) if methods else part.methods
    return replace(part, methods=kept, models=tuple(models) or part.models, judges=tuple(judges) or part.judges)


def _compiled(suite: Suite, text: str) -> Plan:
    plan, findings = compile_with_findings(text, root=suite.root, shown=RECIPE, folder=suite.root)
    if plan is None:
        raise CompileError([one for one in findings if one.severity == "error"])
    return plan
