"""Which definition a name means: one namespace a sort, a file's own scope inside the prelude's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tracelang.diagnostics import Label, Report
from tracelang.diagnostics.diagnostic import did_you_mean
from tracelang.syntax import tree

Sort = Literal["concept", "templates", "window", "layers", "method", "param"]
Definition = tree.Concept | tree.Group | tree.Templates | tree.Window | tree.Layers | tree.Define | tree.Param

SORTS: dict[type, Sort] = {
    tree.Concept: "concept",
    tree.Group: "concept",
    tree.Templates: "templates",
    tree.Window: "window",
    tree.Layers: "layers",
    tree.Define: "method",
    tree.Param: "param",
}
WHAT: dict[Sort, tuple[str, str]] = {
    "concept": ("TL201", "concept or group"),
    "templates": ("TL202", "templates"),
    "window": ("TL203", "window"),
    "layers": ("TL204", "layer set"),
    "method": ("TL205", "method"),
    "param": ("TL208", "param"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The definitions of one file; `texts` are the concepts declared under a quoted text, `aliases` its imports."""

    parent: Scope | None
    definitions: dict[Sort, dict[str, Definition]]
    texts: dict[str, tree.Concept] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()

    def find(self, sort: Sort, name: str) -> tuple[Definition, Scope] | None:
        """The nearest definition of a name and the scope that it stands in."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.definitions[sort].get(name)
            if found is not None:
                return found, scope
            scope = scope.parent
        return None

    def known(self, sort: Sort) -> set[str]:
        """Every name of a sort that can be used here."""
        return set(self.definitions[sort]) | (self.parent.known(sort) if self.parent else set())


def collect(statements: Iterable[tree.Statement], parent: Scope | None, report: Report) -> Scope:
    """The scope of a file. A second definition of a name is an error, and the first one holds."""
    definitions: dict[Sort, dict[str, Definition]] = {sort: {} for sort in WHAT}
    texts: dict[str, tree.Concept] = {}
    aliases: set[str] = set()
    for statement in statements:
        if isinstance(statement, tree.Import):
            aliases.add(statement.alias.text)
        elif isinstance(statement, tree.FromImport):
            aliases.update(name.text for name in statement.names)
        sort = SORTS.get(type(statement))
        if sort is None:
            continue
        assert isinstance(statement, Definition)
        if isinstance(statement.name, tree.Text):
            assert isinstance(statement, tree.Concept)
            _put(texts, statement.name.value, statement, report)
        else:
            _put(definitions[sort], statement.name.text, statement, report)
    return Scope(parent, definitions, texts, frozenset(aliases))


Entry = TypeVar("Entry", bound=Definition)


def _put(table: dict[str, Entry], name: str, statement: Entry, report: Report) -> None:
    first = table.setdefault(name, statement)
    if first is not statement:
        also = [Label(first.name.span, "first defined here")]
        message = f"`{name}` is defined twice"
        report.error("TL210", message, statement.name.span, also=also, help="remove one, or rename it")


def find(scope: Scope, sort: Sort, reference: tree.Reference, report: Report) -> tuple[Definition, Scope] | None:
    """Look a reference up. An unknown name is reported; what an import would have brought is not reported again."""
    name = reference.parts[0].text
    if len(reference.parts) == 1:
        found = scope.find(sort, name)
        if found is not None:
            return found
    if name in scope.aliases:
        return None
    code, what = WHAT[sort]
    if len(reference.parts) > 1:
        help = "a dotted name starts with the name of an import"
    else:
        help = did_you_mean(name, scope.known(sort)) or (f'quote a text: `"{name}"`' if sort == "concept" else "")
    report.error(code, f"no {what} is called `{reference.text}`", reference.span, help=help)
    return None
