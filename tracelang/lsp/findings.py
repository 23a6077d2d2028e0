"""Findings as the protocol carries them, and what an editor can do about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lsprotocol import types

from tracelang.diagnostics import Diagnostic, Edit, Source, Span
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.positions import Lines
from tracelang.records import dataclass, field
from tracelang.semantics.rules.allowances import MARK, WORD

SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
SOURCE = "tracec"


@dataclass(slots=True)
class Rendering:
    """Turns findings about one document into the protocol's: each source's lines are counted once."""

    documents: Documents
    document: Document
    _lines: dict[int, tuple[Source, Lines, str]] = field(default_factory=dict)

    def by_uri(self, findings: Iterable[Diagnostic]) -> dict[str, list[types.Diagnostic]]:
        """The findings by the file that each lies in."""
        found: dict[str, list[types.Diagnostic]] = {}
        for one in findings:
            location = self.location(one.primary.span)
            found.setdefault(location.uri, []).append(self._shown(one, location.range))
        return found

    def location(self, span: Span) -> types.Location:
        """Where a span is."""
        _, lines, uri = self._source(span.source)
        return types.Location(uri, lines.range(span.start, span.end))

    def edits(self, edits: Iterable[Edit]) -> types.WorkspaceEdit:
        """Edits, by the file that they change."""
        changes: dict[str, list[types.TextEdit]] = {}
        for edit in edits:
            where = self.location(edit.span)
            changes.setdefault(where.uri, []).append(types.TextEdit(where.range, edit.text))
        return types.WorkspaceEdit(changes=dict(changes))

    def _source(self, source: Source) -> tuple[Source, Lines, str]:
        known = self._lines.get(id(source))
        if known is None:
            lines, uri = self.documents.lines_of(source), self.documents.source_uri(source, self.document)
            known = self._lines[id(source)] = (source, lines, uri)
        return known

    def _shown(self, one: Diagnostic, place: types.Range) -> types.Diagnostic:
        related = [
            types.DiagnosticRelatedInformation(self.location(label.span), label.text or "see also")
            for label in one.secondary
        ]
        return types.Diagnostic(
            range=place,
            message=self._plain(message(one)),
            severity=SEVERITIES[one.severity],
            code=one.code,
            source=SOURCE,
            related_information=related or None,
        )

    def _plain(self, text: str) -> str:
        """A message with paths as they are below the root."""
        return text.replace(f"{Path(self.document.place.wall).as_posix()}/", "")


def message(one: Diagnostic) -> str:
    """A finding with its reason and its remedy."""
    label = f" ({one.primary.text})" if one.primary.text else ""
    lines = [f"{one.message}{label}"]
    lines += [f"note: {one.note}"] if one.note else []
    lines += [f"help: {one.help}"] if one.help else []
    return "\n".join(lines)


def actions(rendering: Rendering, findings: Iterable[Diagnostic], start: int, end: int) -> Iterator[types.CodeAction]:
    """What can be done about the findings that meet a stretch of the document: their fixes, and to allow a warning."""
    document = rendering.document
    for one in findings:
        span = one.primary.span
        if span.source.path != document.source.path or span.end < start or end < span.start:
            continue
        shown = rendering.by_uri([one])[document.uri]
        if one.fix is not None:
            yield types.CodeAction(
                title=one.fix.message[:1].upper() + one.fix.message[1:],
                kind=types.CodeActionKind.QuickFix,
                diagnostics=shown,
                is_preferred=one.fix.safe,
                edit=rendering.edits(one.fix.edits),
            )
        if one.severity == "warning":
            yield types.CodeAction(
                title=f"Allow {one.code} here; the reason is yours to write",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=shown,
                edit=rendering.edits([_allowance(document.source, one)]),
            )


def _allowance(source: Source, one: Diagnostic) -> Edit:
    """The comment that allows a finding, on a line of its own before it. Without a reason it is a finding itself."""
    text = source.text
    line = text.rfind("\n", 0, one.primary.span.start) + 1
    indent = text[line : len(text) - len(text[line:].lstrip(" \t"))]
    return Edit(Span(source, line, line), f"{indent}# {MARK} {WORD} {one.code} \n")
