"""Which definition a mentioned name means, and where that stands."""

from __future__ import annotations

from typing import TypeGuard

from tracelang.diagnostics import Findings, Source, Span
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.lists import place
from tracelang.lsp.mentions import Mention
from tracelang.records import dataclass
from tracelang.semantics.paths import Located, Sort, locate
from tracelang.semantics.scope import WHAT, Definition, Scope
from tracelang.semantics.scope import Sort as NameSort
from tracelang.semantics.standard import shipped_method
from tracelang.syntax import tree


@dataclass(frozen=True, slots=True)
class Defined:
    """A definition, the sort of its name, and the scope that it stands in."""

    sort: NameSort
    node: Definition
    home: Scope

    @property
    def span(self) -> Span:
        return self.node.name.span


def of_names(sort: str) -> TypeGuard[NameSort]:
    """Is it a sort of names that a scope holds?"""
    return sort in WHAT


def looked_up(document: Document, mention: Mention) -> Defined | None:
    """The definition of a name; of a quoted text, the concept that is declared under it."""
    scope = document.module.scope
    if mention.sort == "text":
        concept = scope.texts.get(mention.name)
        return Defined("concept", concept, scope) if concept is not None else None
    if mention.sort == "brought":
        return next((one for sort in WHAT if (one := _own(scope, sort, mention.name)) is not None), None)
    if not of_names(mention.sort):
        return None
    if mention.reference is None:
        if mention.sort == "concept" and mention.name in scope.texts and mention.span.text.startswith('"'):
            return Defined("concept", scope.texts[mention.name], scope)
        return _own(scope, mention.sort, mention.name)
    return find(scope, mention.sort, mention.reference)


def find(scope: Scope, sort: NameSort, reference: tree.Reference) -> Defined | None:
    """The definition that a name means: inside of its own, the one that it is derived from."""
    first, last = reference.parts[0].text, reference.parts[-1].text
    if len(reference.parts) > 1:
        source = scope.imports.get(first)
        return _own(source, sort, last) if source is not None and len(reference.parts) == 2 else None
    if sort == "method":
        shipped_method(first)
    found = _nearest(scope, sort, first)
    if found is not None and _inside(reference.span, found.node.span) and found.home.parent is not None:
        return _nearest(found.home.parent, sort, first)
    return found


def _nearest(scope: Scope, sort: NameSort, name: str) -> Defined | None:
    found = scope.find(sort, name)
    return None if found is None else Defined(sort, *found)


def _own(scope: Scope, sort: NameSort, name: str) -> Defined | None:
    found = scope.own(sort, name)
    return None if found is None else Defined(sort, *found)


def _inside(inner: Span, outer: Span) -> bool:
    return inner.source is outer.source and outer.start <= inner.start and inner.end <= outer.end


def file_at(document: Document, path: tree.Text, sort: Sort) -> Located | None:
    """The file behind a path in a document, None where it may not be read or is not there."""
    return locate(document.place, path, sort, Findings())


def imported(documents: Documents, document: Document, path: tree.Text) -> Document | None:
    """The recipe behind an import."""
    located = file_at(document, path, "recipe")
    return documents.of(located.path) if located is not None else None


def alias(document: Document, name: str) -> tree.Import | None:
    """The import behind an alias."""
    for one in document.module.file.statements:
        if isinstance(one, tree.Import) and one.alias.text == name:
            return one
    return None


def definition(documents: Documents, document: Document, mention: Mention) -> Span | None:
    """Where a mentioned name is defined, or the file that a path leads to, or the place in it."""
    found = looked_up(document, mention)
    if found is not None:
        return found.span
    match mention.sort:
        case "import":
            one = alias(document, mention.name)
            target = imported(documents, document, one.path) if one is not None else None
            return _start(target.source) if target is not None else None
        case "recipe":
            path = tree.Text(mention.name, span=mention.span)
            target = imported(documents, document, path)
            return _start(target.source) if target is not None else None
        case "list" | "column" | "row column" | "row value" | "text":
            return place(documents, document, mention)
    return None


def _start(source: Source) -> Span:
    return Span(source, 0, 0)
