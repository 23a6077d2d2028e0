"""What a rule looks at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from tracelang.diagnostics import Span
from tracelang.records import dataclass
from tracelang.semantics.phrases import forms
from tracelang.semantics.program import Program
from tracelang.semantics.resolve import Resolution
from tracelang.semantics.rules.allowances import Allowance, allowances
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """A recipe that resolves without an error. `today` is None where the outcome may not depend on the day.

    `notes`: the codes of the rules that give no warning here.
    """

    resolution: Resolution
    today: date | None = None
    root: str | Path | None = None
    notes: frozenset[str] = frozenset()

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

    @cached_property
    def brought(self) -> tuple[Allowance, ...]:
        """Those of the files that it includes and imports, which speak for their own lines."""
        return tuple(one for file in self.resolution.files[1:] if file.comments for one in allowances(file))

    @cached_property
    def forms(self) -> Mapping[str, str]:
        """The table of irregular forms where one may stand on one side of the recipe and its word on the other."""
        gone = {key: None for one in self.program.erase for key in one.targets}
        stays = {key: None for one in self.program.preserve for key in one.concepts}
        concepts = self.program.concepts
        frames = {template for key in stays for template in concepts[key].templates}
        return forms(
            (text for key in gone for text in (*concepts[key].names, *concepts[key].probes)),
            (*frames, *(text for key in stays for text in concepts[key].names)),
        )

    def place(self, address: str) -> Span:
        """Where the recipe itself writes a part of its method or a setting; else where it chooses the method."""
        spans = self.program.method.spans
        while address:
            span = spans.get(address)
            if span is not None and span.source is self.file.source:
                return span
            address = address.rpartition(".")[0]
        chosen = [node for node in self.file.statements if isinstance(node, tree.Method)]
        return chosen[-1].name.span if chosen else self.head

    @property
    def head(self) -> Span:
        """Where a finding about the whole recipe stands: its first `erase`, else its first statement."""
        for node in self.file.statements:
            if isinstance(node, tree.Erase):
                return node.set.span
        return self.file.statements[0].span
