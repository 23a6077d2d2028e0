"""One finding, and a list that collects them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partialmethod
from typing import Literal

from tracelang.diagnostics.source import Span
from tracelang.records import dataclass, field, replace

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Label:
    """A stretch of source and what this stretch is."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of `span` (an empty span inserts, an empty text deletes)."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """How to mend a finding. `safe`: the recipe means the same afterwards, or what it visibly was meant to."""

    message: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding: `help` says what to do, `note` says why. Codes are listed in `diagnostics.codes`.

    `allowed` is the reason that a comment gives for allowing it, and None where none does.
    """

    code: str
    severity: Severity
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    help: str = ""
    note: str = ""
    fix: Fix | None = None
    allowed: str | None = None

    @property
    def location(self) -> str:
        """`path:line:column` of the primary span."""
        line, column = self.primary.span.source.position(self.primary.span.start)
        return f"{self.primary.span.source.path}:{line}:{column}"


@dataclass(slots=True)
class Findings:
    """Findings in the order in which they were made, and beside them those that comments allow."""

    findings: list[Diagnostic] = field(default_factory=list)
    allowed: list[Diagnostic] = field(default_factory=list)

    def add(
        self,
        severity: Severity,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        *,
        also: Iterable[Label] = (),
        help: str = "",
        note: str = "",
        fix: Fix | None = None,
    ) -> None:
        """Add a finding whose primary span is `span`."""
        self.findings.append(Diagnostic(code, severity, message, Label(span, label), tuple(also), help, note, fix))

    error = partialmethod(add, "error")
    warning = partialmethod(add, "warning")
    remark = partialmethod(add, "note")

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    def in_order(self) -> list[Diagnostic]:
        """The findings by place, sources in the order in which they first appear."""
        sources = {id(finding.primary.span.source): i for i, finding in reversed(list(enumerate(self.findings)))}
        return sorted(self.findings, key=lambda d: (sources[id(d.primary.span.source)], d.primary.span.start))

    def raise_errors(self) -> None:
        """Raise CompileError if there is an error among the findings."""
        if self.failed:
            raise CompileError(self.in_order())


def gathered(findings: Iterable[Diagnostic], codes: Collection[str] | None = None) -> list[Diagnostic]:
    """One finding of each code (of `codes`; None: of all) and place: the first says how many more there are, as of the
    members of one list.
    """
    groups: dict[object, list[Diagnostic]] = {}
    for one in findings:
        span = one.primary.span
        alone = codes is not None and one.code not in codes
        key = id(one) if alone else (one.code, span.source.path, span.start, span.end)
        groups.setdefault(key, []).append(one)
    return [_first(group) for group in groups.values()]


def _first(group: list[Diagnostic]) -> Diagnostic:
    others = len({one.message for one in group}) - 1
    return replace(group[0], message=f"{group[0].message} (and {others:,} more)") if others else group[0]


class CompileError(ValueError):
    """What a user gave cannot be used. Carries every finding in `diagnostics`."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(f"{d.location}: {d.severity}[{d.code}]: {d.message}" for d in self.diagnostics))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A help text that names the nearest known word, or lists a short choice."""
    choice = sorted(set(known))
    near = nearest(word, choice)
    if near:
        return f"did you mean `{near}`?"
    return f"known here: {', '.join(choice)}" if 0 < len(choice) <= 12 else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that another nearly is, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return near[0] if near else ""
