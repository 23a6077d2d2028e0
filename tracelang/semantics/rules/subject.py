"""What a rule looks at."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from pathlib import Path

from tracelang.diagnostics import Span
from tracelang.records import dataclass
from tracelang.semantics.program import Program
from tracelang.semantics.resolve import Resolution
from tracelang.semantics.rules.allowances import Allowance, allowances
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree


@dataclass(frozen=True)
class Subject:
    """A recipe that resolves without an error. `today` is None where the outcome may not depend on the day."""

    resolution: Resolution
    today: date | None = None
    root: Path | None = None

    @property
    def file(self) -> tree.File:
        return self.resolution.file

    @property
    def scope(self) -> Scope:
        return self.resolution.scope

    @property
    def program(self) -> Program:
        return self.resolution.program

    @cached_property
    def allowances(self) -> tuple[Allowance, ...]:
        """The comments of the file that allow a warning."""
        return allowances(self.file)

    @property
    def head(self) -> Span:
        """Where a finding about the whole recipe stands: its first `erase`, else its first statement."""
        for node in self.file.statements:
            if isinstance(node, tree.Erase):
                return node.set.span
        return self.file.statements[0].span
