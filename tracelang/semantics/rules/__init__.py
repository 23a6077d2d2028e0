"""What a recipe can mean and still be a mistake: one rule a file, each with the text that explains it.

A rule's docstring says what it does, why, and shows an example and its remedy; `tracec rule` and the page of all rules
are made from it. Rules need a recipe without errors and no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Protocol

from tracelang.diagnostics import Diagnostic, Findings, Severity
from tracelang.records import replace
from tracelang.semantics.resolve import Resolution
from tracelang.semantics.rules import (
    allowance_without_reason,
    control_missing,
    gated_edit,
    inflected_probe,
    looser_bound,
    near_synonym,
    nothing_erased,
    nothing_expected,
    nothing_kept,
    nothing_preserved,
    nothing_taken,
    odd_name,
    other_family,
    preserved_name,
    protected_training,
    quoted_name,
    replaced_setting,
    review_overdue,
    shadowed_prelude,
    unreachable_bound,
    unused_allowance,
    unused_definition,
    version_missing,
    window_cover,
)
from tracelang.semantics.rules.allowances import silence
from tracelang.semantics.rules.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path


class Rule(Protocol):
    """A module of this package that holds a rule."""

    __name__: str
    __doc__: str | None
    CODE: str
    SEVERITY: Severity
    TITLE: str

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Every place where the recipe breaks the rule."""


RULES: tuple[Rule, ...] = (
    preserved_name,
    near_synonym,
    inflected_probe,
    nothing_preserved,
    window_cover,
    unreachable_bound,
    review_overdue,
    nothing_expected,
    protected_training,
    nothing_taken,
    nothing_erased,
    other_family,
    control_missing,
    replaced_setting,
    unused_definition,
    shadowed_prelude,
    quoted_name,
    unused_allowance,
    allowance_without_reason,
    version_missing,
    nothing_kept,
    odd_name,
    gated_edit,
    looser_bound,
)
ABOUT_ALLOWANCES: tuple[Rule, ...] = (unused_allowance, allowance_without_reason)
"""These run when the others have, and nothing silences them."""

AT_COMPILE: tuple[Rule, ...] = tuple(
    rule for rule in RULES if rule.SEVERITY == "warning" and rule not in (review_overdue, *ABOUT_ALLOWANCES)
)
"""What every command that reads a recipe prints. Lint adds the notes, the allowances, and what depends on the day."""


def examine(
    resolution: Resolution,
    report: Findings,
    *,
    rules: tuple[Rule, ...] = AT_COMPILE,
    today: date | None = None,
    root: str | Path | None = None,
    raised: tuple[str, ...] = (),
) -> None:
    """Add what the rules find to the report, and set the warnings aside that the recipe allows.

    `raised`: how the codes of those notes begin that are warnings here, and so may be allowed.
    """
    notes = frozenset(rule.CODE for rule in RULES if rule.SEVERITY == "note" and not rule.CODE.startswith(raised))
    subject = Subject(resolution, today, root, notes)
    for rule in rules:
        if rule not in ABOUT_ALLOWANCES:
            report.findings.extend(map(resolution.came.shown, rule.check(subject)))
    if raised:
        report.findings[:] = [_raised(finding, raised) for finding in report.findings]
    silence(report, (*subject.allowances, *subject.brought))
    for rule in rules:
        if rule in ABOUT_ALLOWANCES:
            report.findings.extend(rule.check(subject))


def _raised(finding: Diagnostic, raised: tuple[str, ...]) -> Diagnostic:
    return (
        replace(finding, severity="warning")
        if finding.severity == "note" and finding.code.startswith(raised)
        else finding
    )
