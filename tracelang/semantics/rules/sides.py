"""The two sides of a recipe: texts that are erased and texts that are preserved, and where they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracelang.diagnostics import Diagnostic, Label, Severity, Span
from tracelang.records import dataclass
from tracelang.semantics.program import Concept, Erasure, Preservation, Program
from tracelang.semantics.rules.references import leaves
from tracelang.syntax import tree


@dataclass(frozen=True, slots=True)
class Clash:
    """A preserved text and the erased text that it meets."""

    preserved: str
    keeper: Concept
    statement: Preservation
    erased: str
    gone: Concept
    erasure: Erasure


def erasures(program: Program) -> Iterator[Erasure]:
    """The erasures that take something away."""
    return (one for one in program.erase if one.degree > 0)


def kept(program: Program) -> Iterator[tuple[str, Concept, Preservation]]:
    """Every name of every preserved concept."""
    for one in program.preserve:
        for key in one.concepts:
            concept = program.concepts[key]
            for name in concept.names:
                yield name, concept, one


def report(
    file: tree.File, code: str, severity: Severity, clashes: Iterable[Clash], verb: str, help: str, note: str
) -> Iterator[Diagnostic]:
    """One finding for each place and erased concept; texts of one list share it."""
    grouped: dict[tuple[Span, str], list[Clash]] = {}
    places: tuple[dict[str, Span], dict[str, Span]] | None = None
    for clash in clashes:
        if places is None:
            places = _written(file, tree.Preserve), _written(file, tree.Erase)
        span = places[0].get(clash.preserved, clash.statement.span)
        grouped.setdefault((span, clash.gone.key), []).append(clash)
    for (span, _), group in grouped.items():
        first = group[0]
        texts = list(dict.fromkeys(clash.preserved for clash in group))
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        message = f'the preserved "{first.preserved}"{more} {verb} "{first.erased}", which is erased'
        assert places is not None
        gone = Label(places[1].get(first.erased, first.gone.span), "erased here")
        also = [gone]
        if first.statement.span != span and not _covers(first.statement.span, span):
            also.append(Label(first.statement.span, "preserved here"))
        yield Diagnostic(
            code,
            severity,
            message,
            Label(span, "preserved here" if len(also) == 1 else ""),
            tuple(also),
            help=help,
            note=note,
        )


def _covers(outer: Span, inner: Span) -> bool:
    return outer.source is inner.source and outer.start <= inner.start and inner.end <= outer.end


def _written(file: tree.File, statement: type) -> dict[str, Span]:
    """Where a text stands first: in statements of this type, in groups, or among a concept's names."""
    found: dict[str, Span] = {}
    for node in sorted(file.statements, key=lambda node: not isinstance(node, statement)):
        texts: Iterable[tree.Node] = ()
        if isinstance(node, (tree.Group, statement)) and isinstance(node, tree.Group | tree.Erase | tree.Preserve):
            texts = leaves(node.set)
        elif isinstance(node, tree.Concept):
            texts = (item for entry in node.entries if entry.field != "templates" for item in entry.items)
        for text in texts:
            if isinstance(text, tree.Text):
                found.setdefault(text.value, text.span)
    return found
