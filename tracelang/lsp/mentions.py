"""What each word of a statement speaks of: the one reading that hovering, completing, jumping and renaming share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracelang.diagnostics import Span
from tracelang.records import dataclass, replace
from tracelang.semantics.expectations import attack_of
from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import PASSES, TERMS, declared, takes_terms
from tracelang.semantics.prior import Prior
from tracelang.semantics.rules.references import PARAM, field_called, leaves
from tracelang.semantics.scope import SORTS, WHAT
from tracelang.semantics.tables import ATTACKS, METRICS
from tracelang.syntax import tree

NAMES = frozenset({*WHAT, "import"})
"""The sorts of names that a recipe defines."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of a statement. `sort` is one of those of names (`semantics.scope`), `import` for an alias, `brought`
    for what `from … import` brings; of the language's own words (`metric`, `attack`, `kind`, `header`, `header value`,
    `place`, `pass`, `term`, `setting`, `choice`, `address`, `scalar`, `control`, `after`, `rounding`, `suite`); or of
    quoted texts (`recipe`, `suite path`, `list`, `column`, `row column`, `row value`, `text`).

    `reference` is the whole name where one is used, None where it is defined. `owner` is what gives the word its
    meaning: the class that declares a setting or has a term (None: a method), a choice's field, a header's field, a
    list, an import, a setting's address; of a concept, the attacks that might stand there as well.
    """

    sort: str
    span: Span
    name: str
    reference: tree.Reference | None = None
    owner: Any = None

    @property
    def defines(self) -> bool:
        return self.sort in NAMES and self.reference is None


@dataclass(frozen=True, slots=True)
class Address:
    """An address inside a method: the method that it changes, all its labels, and which of them is meant."""

    method: tree.Reference
    labels: tuple[str, ...]
    at: int


def mentions(statement: tree.Statement) -> Iterator[Mention]:
    """Every word of a statement that means something, in no order."""
    match statement:
        case tree.Recipe():
            for item in statement.body.items:
                yield from _header(item)
        case tree.Import():
            yield Mention("recipe", statement.path.span, statement.path.value)
            yield Mention("import", statement.alias.span, statement.alias.text)
        case tree.FromImport():
            yield Mention("recipe", statement.path.span, statement.path.value)
            for name in statement.names:
                yield Mention("brought", name.span, name.text, owner=statement)
        case tree.Include():
            yield Mention("recipe", statement.path.span, statement.path.value)
        case tree.Erase():
            yield from _set(statement.set)
            for modifier in statement.modifiers:
                if isinstance(modifier, tree.Toward):
                    yield from _set(modifier.set)
                elif isinstance(modifier, tree.Degree):
                    yield from _scalar(modifier.value)
        case tree.Preserve():
            if isinstance(statement.set, tree.Prior):
                yield from _words(statement.set.items, "prompt")
            else:
                yield from _set(statement.set)
            if statement.weight is not None:
                yield from _scalar(statement.weight.value)
            for item in statement.body.items if statement.body else ():
                yield from _part(item, Prior, takes=False)
        case tree.Method():
            yield from _use("method", statement.name)
            yield from _changes(statement.body, statement.name)
        case tree.Expect():
            for option in statement.options:
                yield from _scalar(option.number)
            for assertion in statement.assertions:
                yield from _assertion(assertion)
        case tree.Control():
            yield Mention("control", statement.kind.span, statement.kind.text)
        case tree.Version():
            pass
        case _:
            named = statement.name
            text = named.value if isinstance(named, tree.Text) else named.text
            yield Mention(SORTS[type(statement)], named.span, text)
            yield from _meaning(statement)


def _meaning(statement: tree.Statement) -> Iterator[Mention]:
    """What stands behind the name of a definition."""
    match statement:
        case tree.Templates():
            yield from _words(statement.items, "template")
        case tree.Concept():
            if statement.kind is not None:
                yield Mention("kind", statement.kind.span, statement.kind.text)
            for entry in statement.entries:
                yield from _words(entry.items, entry.field)
        case tree.Group():
            yield from _set(statement.set)
        case tree.Window():
            yield from _window(statement.value)
        case tree.Layers():
            yield from _sites(statement.sites)
        case tree.Define():
            if statement.base is not None:
                yield from _use("method", statement.base)
                yield from _changes(statement.body, statement.base)
                return
            for item in statement.body.items if statement.body else ():
                yield from _part(item, None, takes=True)


def _use(sort: str, reference: tree.Reference) -> Iterator[Mention]:
    first, last = reference.parts[0], reference.parts[-1]
    if first is not last:
        yield Mention("import", first.span, first.text, reference)
    yield Mention(sort, last.span, last.text, reference)


def _header(item: tree.Setting | tree.Block) -> Iterator[Mention]:
    name = item.name if isinstance(item, tree.Block) else item.address[0]
    yield Mention("header", name.span, name.text)
    for value in item.values if isinstance(item, tree.Setting) else ():
        if isinstance(value, tree.Reference):
            yield Mention("header value", value.span, value.text, owner=name.text)


def _words(items: tuple[tree.Text | tree.ListFile | tree.Reference, ...], field: str) -> Iterator[Mention]:
    for item in items:
        match item:
            case tree.ListFile():
                yield from _list(item)
            case tree.Reference():
                yield from _use("templates", item)
            case tree.Text() if field in ("names", "probes"):
                yield Mention("word", item.span, item.value)


def _set(node: tree.Set | tree.Prior) -> Iterator[Mention]:
    for one in leaves(node):
        match one:
            case tree.Text():
                yield Mention("text", one.span, one.value, owner=node)
            case tree.ListFile():
                yield from _list(one)
            case tree.Reference():
                yield from _use("concept", one)


def _list(node: tree.ListFile) -> Iterator[Mention]:
    yield Mention("list", node.path.span, node.path.value)
    if node.column is not None:
        yield Mention("column", node.column.span, node.column.value, owner=node)
    if node.where is not None:
        yield Mention("row column", node.where.column.span, node.where.column.value, owner=node)
        yield Mention("row value", node.where.value.span, node.where.value.value, owner=node)


def _scalar(node: tree.Value | tree.Scalar) -> Iterator[Mention]:
    if not isinstance(node, tree.Reference):
        return
    if len(node.parts) > 1 and node.parts[0].text == PARAM:
        first, last = node.parts[1].span, node.parts[-1].span
        yield from _use("param", tree.Reference(node.parts[1:], span=Span(first.source, first.start, last.end)))
    else:
        yield Mention("scalar", node.span, node.text)


def _window(node: tree.Value) -> Iterator[Mention]:
    if isinstance(node, tree.Before):
        node = node.window
    if isinstance(node, tree.Reference):
        yield from _use("window", node)


def _sites(node: tree.Sites) -> Iterator[Mention]:
    match node:
        case tree.Reference():
            yield from _use("layers", node)
        case tree.SitesIn():
            yield from _sites(node.of)
            for place in node.places:
                yield Mention("place", place.span, place.text)
        case tree.SitesParentheses():
            yield from _sites(node.inner)
        case tree.SitesDifference() | tree.SitesUnion():
            for member in node.members:
                yield from _sites(member)


def _part(item: tree.Setting | tree.Block, owner: Any, *, takes: bool) -> Iterator[Mention]:
    """A setting, or a block: a pass where `owner` is None, else a term of it where it `takes` these."""
    if isinstance(item, tree.Setting):
        last = item.address[-1]
        yield Mention("setting", last.span, last.text, owner=owner)
        field = settings(owner).get(last.text) if owner is not None else None
        yield from _values(item.values, field)
        return
    yield Mention("pass" if owner is None else "term", item.name.span, item.name.text, owner=owner)
    inner = declared(PASSES if owner is None else TERMS, item.name.text) if takes else None
    if item.on is not None:
        yield from _sites(item.on)
    if item.during is not None:
        yield from _window(item.during)
    for one in item.body.items if inner is not None else ():
        yield from _part(one, inner, takes=owner is None and takes_terms(inner))


def _changes(body: tree.Body | None, method: tree.Reference) -> Iterator[Mention]:
    """Settings of a method, changed by address."""
    for item in body.items if body else ():
        names = (item.name,) if isinstance(item, tree.Block) else item.address
        labels = tuple(name.text for name in names)
        for at, name in enumerate(names):
            yield Mention("address", name.span, name.text, owner=Address(method, labels, at))
        if isinstance(item, tree.Setting):
            yield from _values(item.values, field_called(labels[-1]))


def _values(values: tuple[tree.Value, ...], field: Field | None) -> Iterator[Mention]:
    kind = field.type if field is not None else ""
    for value in values:
        match value:
            case tree.Reference() if kind == "sites":
                yield from _use("layers", value)
            case tree.Reference() if kind == "window":
                yield from _use("window", value)
            case tree.Reference() if kind in ("choice", "choices"):
                yield Mention("choice", value.span, value.text, owner=field)
            case tree.Reference():
                yield from _scalar(value)
            case tree.SitesParentheses():
                yield from _sites(value.inner)
            case tree.Before():
                yield from _window(value)


def _assertion(node: tree.Assertion) -> Iterator[Mention]:
    yield Mention("metric", node.metric.span, node.metric.text)
    concepts, attack = attack_of(node)
    if attack is not None:
        yield Mention("attack", attack.span, attack.text)
    metric = METRICS.get(node.metric.text)
    last = concepts.members[-1] if isinstance(concepts, tree.Union) else None
    for mention in _set(concepts):
        open_ = metric is not None and metric.attack == "may" and last is not None and mention.reference is last
        yield replace(mention, owner=ATTACKS) if open_ else mention
    if node.suite is not None:
        yield Mention("suite path", node.suite.path.span, node.suite.path.value)
        yield Mention("suite", node.suite.reader.span, node.suite.reader.text)
    if node.after is not None:
        yield Mention("after", node.after.how.span, node.after.how.text)
        if node.after.how.text == "round" and isinstance(node.after.value, tree.Reference):
            yield Mention("rounding", node.after.value.span, node.after.value.text)
        else:
            yield from _scalar(node.after.value)
    yield from _scalar(node.bound)


def at(statement: tree.Statement | None, offset: int) -> Mention | None:
    """What a place inside a statement speaks of; between two words that touch, the later one."""
    if statement is None:
        return None
    found = [one for one in mentions(statement) if one.span.start <= offset <= one.span.end]
    return max(found, key=lambda one: one.span.start, default=None)
