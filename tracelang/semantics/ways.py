"""By which statements the files came that a finding is about."""

from __future__ import annotations

from collections.abc import Mapping

from tracelang.diagnostics import Diagnostic, Label, Source
from tracelang.records import replace

Ways = Mapping[Source, tuple[Label, ...]]
"""For each file that was brought: the statements that lead to it, the recipe's own first."""


def led(finding: Diagnostic, ways: Ways, recipe: Source) -> Diagnostic:
    """A finding about several recipe files, with the statements that bring them; any other as it is."""
    labels = (finding.primary, *finding.secondary)
    about = {one.span.source: None for one in labels if one.span.source is recipe or one.span.source in ways}
    if len(about) < 2:
        return finding
    known = {one.span for one in labels}
    steps = {step.span: step for source in about for step in ways.get(source, ()) if step.span not in known}
    return replace(finding, secondary=(*finding.secondary, *steps.values()))
