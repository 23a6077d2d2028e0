"""From the text of a recipe to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from tracelang.diagnostics import Diagnostic, Findings, Source
from tracelang.records import dataclass, field
from tracelang.semantics.resolve import resolve
from tracelang.semantics.rules import RULES, examine
from tracelang.semantics.rules.fixes import mended
from tracelang.syntax import tree
from tracelang.syntax.parser import recover
from tracelang.syntax.read import Texts

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 10
"""How often the fixes may bring up new ones."""

NOTHING_ERASED = "TL308"
LIBRARY = (
    tree.Version
    | tree.Import
    | tree.FromImport
    | tree.Param
    | tree.Templates
    | tree.Concept
    | tree.Group
    | tree.Window
    | tree.Layers
    | tree.Define
)


@dataclass(frozen=True, slots=True)
class Lint:
    """How to look at a recipe: where it and its lists are, inside which root, with which params, on which day.

    Of files that are `unsaved`, what the editor holds counts.
    """

    folder: str | Path
    root: str | Path
    today: date
    given: Mapping[str, str] = field(default_factory=dict)
    path: str | Path | None = None
    raised: tuple[str, ...] = ()
    unsaved: Texts | None = None

    def findings(self, source: Source) -> list[Diagnostic]:
        """Everything that is found in a recipe, in order."""
        return self.report(source).in_order()

    def report(self, source: Source) -> Findings:
        """Everything that is found in a recipe, and what its comments allow. Notes of `raised` are warnings."""
        report = Findings()
        file = recover(source, report)
        if file is None:
            return report
        resolution = resolve(
            file, report, folder=self.folder, root=self.root, given=self.given, path=self.path, unsaved=self.unsaved
        )
        if resolution is not None:
            examine(resolution, report, rules=RULES, today=self.today, root=self.root, raised=self.raised)
        elif _is_library(file):
            # Definitions are there for others to import: erasing nothing is what they are for.
            report.findings[:] = [finding for finding in report.findings if finding.code != NOTHING_ERASED]
        return report

    def mended(self, source: Source) -> tuple[Source, list[Diagnostic]]:
        """The recipe with its safe fixes made, and what is still found in it. An error that was not there undoes them.

        Fixes are made in rounds, since one may call for another.
        """
        found = self.findings(source)
        for _ in range(ROUNDS):
            text = mended(source, found)
            if text == source.text:
                break
            after = Source(source.path, text)
            still = self.findings(after)
            if _errors(still) > _errors(found):
                break
            source, found = after, still
        return source, found


def _errors(findings: list[Diagnostic]) -> int:
    return sum(finding.severity == "error" for finding in findings)


def _is_library(file: tree.File) -> bool:
    return bool(file.statements) and not file.broken and all(isinstance(node, LIBRARY) for node in file.statements)
