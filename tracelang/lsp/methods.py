"""Methods as a recipe's names give them: their passes, terms and settings, by address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracelang.diagnostics import Findings
from tracelang.lsp.documents import Document
from tracelang.lsp.words import setting_text
from tracelang.semantics.context import Context
from tracelang.semantics.fields import settings
from tracelang.semantics.kinds import does
from tracelang.semantics.lists import Lists
from tracelang.semantics.methods import method
from tracelang.semantics.params import params
from tracelang.semantics.program import Method
from tracelang.semantics.scope import Scope
from tracelang.syntax import tree


def context(scope: Scope, unsaved: Any = None) -> Context:
    """A context in which names of a file can be worked out; what is wrong with them is not reported."""
    made = Context(Findings(), Lists(Findings(), unsaved))
    for one in (scope, *scope.imports.values()):
        if one is not None:
            params(made, one)
    return made


def meant(document: Document, reference: tree.Reference) -> Method | None:
    """The method that a name means in a document, as it is without the settings that are being changed."""
    scope = document.module.scope
    home: Scope | None = scope
    if len(reference.parts) == 1:
        own = scope.definitions["method"].get(reference.text)
        if own is not None and own.span.start <= reference.span.start < own.span.end:
            home = scope.parent
    return method(context(scope), home, reference, None) if home is not None else None


def parts(found: Method, labels: tuple[str, ...]) -> list[Any]:
    """The passes with a label, or their terms with the next."""
    here: list[Any] = [one for one in found.passes if labels and one.label == labels[0]]
    for label in labels[1:]:
        here = [term for one in here for term in getattr(one, "terms", ()) if term.label == label]
    return here


def settings_at(
    document: Document, reference: tree.Reference, labels: tuple[str, ...]
) -> Iterator[tuple[str, str, bool]]:
    """What may follow some labels of an address: the word, what it means, and whether it is a setting."""
    found = meant(document, reference)
    if found is None:
        return
    if not labels:
        yield from ((one.label, does(type(one)), False) for one in found.passes)
        return
    for one in parts(found, labels):
        yield from ((term.label, does(type(term)), False) for term in getattr(one, "terms", ()))
        yield from ((name, setting_text(one, name, field), True) for name, field in settings(one).items())
