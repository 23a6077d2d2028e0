"""Where a finding's files and texts came from: the statements that bring a file, the line of a list."""

from __future__ import annotations

from collections.abc import Mapping

from tracelang.diagnostics import Diagnostic, Label, Source
from tracelang.records import dataclass, replace
from tracelang.semantics.lists import Lists

Ways = Mapping[Source, tuple[Label, ...]]
"""For each file that was brought: the statements that lead to it, the recipe's own first."""


@dataclass(frozen=True, slots=True)
class Came:
    """The source of a recipe, the lists that were read for it, and the ways to its other files."""

    recipe: Source
    lists: Lists
    ways: Ways

    def shown(self, finding: Diagnostic) -> Diagnostic:
        """A finding with the lines of lists that it is about, and what brings the files that contradict each other."""
        if self.lists.used:
            from tracelang.semantics.listed import listed  # most recipes have no lists

            finding = listed(finding, self.lists)
        return self._led(finding) if self.ways else finding

    def _led(self, finding: Diagnostic) -> Diagnostic:
        labels = (finding.primary, *finding.secondary)
        sources = dict.fromkeys(one.span.source for one in labels)
        about = [source for source in sources if source is self.recipe or source in self.ways]
        if len(about) < 2:
            return finding
        known = {one.span for one in labels}
        steps = {step.span: step for source in about for step in self.ways.get(source, ()) if step.span not in known}
        return replace(finding, secondary=(*finding.secondary, *steps.values()))
