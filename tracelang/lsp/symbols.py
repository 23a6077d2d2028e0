"""The outline of a recipe: its statements, and what stands inside of methods and expectations."""

from __future__ import annotations

from lsprotocol.types import DocumentSymbol, SymbolKind

from tracelang.diagnostics import Span
from tracelang.lsp.documents import Document
from tracelang.syntax import tree

KINDS: dict[type, SymbolKind] = {
    tree.Recipe: SymbolKind.Module,
    tree.Import: SymbolKind.Namespace,
    tree.FromImport: SymbolKind.Namespace,
    tree.Include: SymbolKind.File,
    tree.Param: SymbolKind.Constant,
    tree.Templates: SymbolKind.Array,
    tree.Concept: SymbolKind.Class,
    tree.Group: SymbolKind.Enum,
    tree.Window: SymbolKind.Variable,
    tree.Layers: SymbolKind.Variable,
    tree.Erase: SymbolKind.Event,
    tree.Preserve: SymbolKind.Event,
    tree.Method: SymbolKind.Method,
    tree.Define: SymbolKind.Method,
    tree.Control: SymbolKind.Object,
    tree.Expect: SymbolKind.Boolean,
}
MAX_NAME = 60


def symbols(document: Document) -> list[DocumentSymbol]:
    """One symbol a statement, in order."""
    return [_symbol(document, one) for one in document.module.file.statements if type(one) in KINDS]


def _symbol(document: Document, node: tree.Statement) -> DocumentSymbol:
    name, at = _named(node)
    word = node.span.text.partition(" ")[0].partition("\n")[0]
    children: list[DocumentSymbol] = []
    if isinstance(node, tree.Define) and node.base is None and node.body is not None:
        children = _blocks(document, node.body)
    elif isinstance(node, tree.Expect):
        for one in node.assertions:
            children.append(_made(document, one.span.text, SymbolKind.Boolean, one.span, one.metric.span))
    return _made(document, name, KINDS[type(node)], node.span, at, word, children)


def _named(node: tree.Statement) -> tuple[str, Span]:
    """What a statement is called in the outline, and where that stands."""
    match node:
        case tree.Erase() | tree.Preserve():
            return f"{node.span.text.split()[0]} {node.set.span.text}", node.set.span
        case tree.Expect():
            return "expect", Span(node.span.source, node.span.start, node.span.start + len("expect"))
        case tree.Control():
            return f"control {node.kind.text}", node.kind.span
        case tree.Import():
            return node.alias.text, node.alias.span
        case tree.FromImport() | tree.Include():
            return node.path.value or '""', node.path.span
        case tree.Recipe():
            return node.name.value or '""', node.name.span
        case tree.Method():
            return f"method {node.name.text}", node.name.span
        case tree.Version():
            return "tracelang", node.span
        case _:
            text = node.name.span.text
            return text, node.name.span


def _blocks(document: Document, body: tree.Body) -> list[DocumentSymbol]:
    found = []
    for item in body.items:
        if isinstance(item, tree.Block):
            label = item.label or item.name
            inner = _blocks(document, item.body)
            found.append(_made(document, label.text, SymbolKind.Function, item.span, label.span, item.name.text, inner))
    return found


def _made(
    document: Document,
    name: str,
    kind: SymbolKind,
    whole: Span,
    at: Span,
    detail: str = "",
    children: list[DocumentSymbol] | None = None,
) -> DocumentSymbol:
    text = " ".join(name.split())
    return DocumentSymbol(
        name=text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…",
        kind=kind,
        range=document.lines.range(whole.start, whole.end),
        selection_range=document.lines.range(at.start, at.end),
        detail=detail or None,
        children=children or None,
    )
