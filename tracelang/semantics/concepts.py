"""Concepts: their words, held-out words and templates."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tracelang.diagnostics import Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.semantics.context import Context
from tracelang.semantics.program import Concept, Key
from tracelang.semantics.scope import Scope, find
from tracelang.semantics.tables import KINDS
from tracelang.syntax import tree
from tracelang.syntax.text import normal

HOLE = "{}"


def folded(text: str) -> str:
    """What two texts share that a text encoder may not tell apart: case and spacing aside."""
    return " ".join(text.casefold().split())


def alike(text: str) -> str:
    """What two texts share that a reader may not tell apart: case, spacing, width and accents aside. An ñ is no n."""
    if text.isascii():
        return folded(text)
    from tracelang.semantics.morphology import plainly

    parts = re.split("([ñÑ])", normal(text))
    return folded("".join(part if part in "ñÑ" else plainly(part) for part in parts))


def declared(context: Context, scope: Scope, node: tree.Concept) -> Key:
    """The key of a declared concept, whose meaning is then in `context.concepts`, with what could be read of it."""
    text = node.name.value if isinstance(node.name, tree.Text) else None
    key = node.name.text if isinstance(node.name, tree.Name) else f'"{node.name.value}"'
    if id(node) not in context.done:
        kind = _kind(context, node)
        given = {field: [e for e in node.entries if e.field == field] for field in ("names", "probes", "templates")}
        names = words(context, scope, given["names"])
        if not given["names"] and text is not None:
            names = (text,)
        elif not given["names"]:
            context.report.error("TL220", f"the concept `{key}` has no names", node.name.span, help='write `names "…"`')
        probes = words(context, scope, given["probes"])
        templates = (
            template_texts(context, scope, [item for entry in given["templates"] for item in entry.items])
            if given["templates"]
            else default_templates(context, scope, kind, node)
        )
        _distinct(context, names, given["probes"], probes)
        concept = Concept(key, kind, names, probes, templates, node.name.span)
        context.done[id(node)] = context.concepts.enter(concept, scope.name)
    known: Key = context.done[id(node)]
    return known


def implicit(context: Context, scope: Scope, text: str, node: tree.Node) -> Key | None:
    """The key of the concept that a quoted text stands for: its one name, kind object."""
    if text in scope.texts:
        return declared(context, scope, scope.texts[text])
    if (id(scope), text) not in context.done:
        if not text.strip():
            context.report.error("TL213", "an empty text is no concept", node.span)
            return None
        templates = default_templates(context, scope, "object", node)
        concept = Concept(f'"{text}"', "object", (text,), (), templates, node.span)
        context.done[id(scope), text] = context.concepts.enter(concept, scope.name)
    known: Key = context.done[id(scope), text]
    return known


def words(context: Context, scope: Scope, entries: Iterable[tree.Entry]) -> tuple[str, ...]:
    """The texts of some entries, lists read, each once, in order."""
    found: dict[str, None] = {}
    for entry in entries:
        for item in entry.items:
            match item:
                case tree.Text() if not item.value.strip():
                    context.report.error("TL213", "an empty text is no name", item.span)
                case tree.Text():
                    found[item.value] = None
                case tree.ListFile():
                    found.update(dict.fromkeys(context.lists.texts(scope.place, item) or ()))
                case tree.Reference():
                    message = f"{entry.field} are quoted texts or lists"
                    context.report.error("TL212", message, item.span, help=f'quote it: `"{item.text}"`')
    return tuple(found)


def template_texts(
    context: Context, scope: Scope, items: Iterable[tree.Text | tree.ListFile | tree.Reference]
) -> tuple[str, ...]:
    """Templates, named ones and lists taken apart, each once, in order."""
    found: dict[str, None] = {}
    for item in items:
        match item:
            case tree.Text():
                found.update(_checked(context, (item.value,), item.span))
            case tree.ListFile():
                found.update(_checked(context, context.lists.texts(scope.place, item) or (), item.span))
            case tree.Reference():
                found.update(dict.fromkeys(_named_templates(context, scope, item)))
    return tuple(found)


def default_templates(context: Context, scope: Scope, kind: str, use: tree.Node) -> tuple[str, ...]:
    """The templates of a kind: those that the scope defines under the kind's own name, at the latest the prelude."""
    found = scope.find("templates", kind)
    if found is None:
        return ()
    definition, home = found
    assert isinstance(definition, tree.Templates)
    return defined_templates(context, home, definition, use)


def _named_templates(context: Context, scope: Scope, reference: tree.Reference) -> tuple[str, ...]:
    found = find(scope, "templates", reference, context.report)
    if found is None:
        return ()
    definition, home = found
    if context.within(definition) and home.parent is not None:
        # `templates object = object, "…"` extends the prelude's.
        return _named_templates(context, home.parent, reference)
    assert isinstance(definition, tree.Templates)
    return defined_templates(context, home, definition, reference)


def defined_templates(context: Context, home: Scope, definition: tree.Templates, use: tree.Node) -> tuple[str, ...]:
    """The texts of a definition."""
    return context.meaning(definition, use, lambda: template_texts(context, home, definition.items)) or ()


def _checked(context: Context, texts: Iterable[str], span: Span) -> dict[str, None]:
    good: dict[str, None] = {}
    for text in texts:
        if text.count(HOLE) == 1 and text.count("{") == text.count("}") == 1:
            good[text] = None
            continue
        help = 'write `{}` once, where the concept\'s words go: `"a photo of {}"`'
        context.report.error("TL219", f"a template has one `{{}}`: {text[:60]!r} has not", span, help=help)
    return good


def _kind(context: Context, node: tree.Concept) -> str:
    if node.kind is None:
        return "object"
    if node.kind.text in KINDS:
        return node.kind.text
    help = did_you_mean(node.kind.text, KINDS)
    context.report.error("TL209", f"no kind is called `{node.kind.text}`", node.kind.span, help=help)
    return "object"


def _distinct(context: Context, names: tuple[str, ...], entries: list[tree.Entry], probes: tuple[str, ...]) -> None:
    """A probe that is also a name would be trained on and tested on."""
    taken = {folded(name) for name in names}
    shared = [probe for probe in probes if folded(probe) in taken]
    for probe in shared:
        items = [item for entry in entries for item in entry.items]
        item = next((i for i in items if isinstance(i, tree.Text) and i.value == probe), items[0])
        also = [Label(entry.span, "held out here") for entry in entries if item not in entry.items]
        message = f'the probe "{probe}" is also a name'
        help = "remove one of them; a probe is held out from the edit"
        context.report.error("TL302", message, item.span, also=also, help=help)
