"""Which definition a name means: one namespace a sort, a file's own scope inside the prelude's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from tracelang.diagnostics import Findings, Label, Span
from tracelang.diagnostics.diagnostic import did_you_mean, nearest
from tracelang.records import dataclass, field
from tracelang.semantics.paths import STANDARD, Place
from tracelang.semantics.prior import PRIOR
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
WHAT: dict[Sort, tuple[str, str, str]] = {
    "concept": ("TL201", "concept or group", 'quote a text: `"{}"`'),
    "templates": ("TL202", "templates", ""),
    "window": ("TL203", "window", ""),
    "layers": ("TL204", "layer set", ""),
    "method": ("TL205", "method", ""),
    "param": ("TL208", "param", "define it: `param {} = 100% in 0%..100%`"),
}
"""Of each sort: the code for an unknown name, what it is called, and what to do where no known name is near."""
DEFINES = frozenset({"import", "from", "param", "templates", "concept", "group", "window", "layers", "define"})
"""The keywords of statements that give a name a meaning."""
VOCABULARY = 'the vocabulary has a statement to itself: `preserve prior`; quote a text: `"prior"`'


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The definitions of one file, called `name` (the recipe's is empty); its own paths start at `place`.

    `texts` are the concepts declared under a quoted text, `brought` what `from … import` brings with the scope that
    it stands in, `imports` the scopes behind an alias. An import that could not be read is None there, and the names
    that it would have brought, or that a broken statement was to define, are `missing`: nothing more is said about
    them. `lost`: of some that were to be defined the name is not known either.
    """

    parent: Scope | None
    definitions: dict[Sort, dict[str, Definition]]
    texts: dict[str, tree.Concept] = field(default_factory=dict)
    brought: dict[Sort, dict[str, tuple[Definition, Scope]]] = field(default_factory=dict)
    imports: dict[str, Scope | None] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    lost: bool = False
    place: Place = STANDARD
    name: str = ""

    def own(self, sort: Sort, name: str) -> tuple[Definition, Scope] | None:
        """What the file itself defines or brings under a name, and the scope that it stands in."""
        found = self.definitions[sort].get(name)
        return (found, self) if found is not None else self.brought.get(sort, {}).get(name)

    def find(self, sort: Sort, name: str) -> tuple[Definition, Scope] | None:
        """The nearest definition of a name and the scope that it stands in."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.own(sort, name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def names(self, sort: Sort) -> set[str]:
        """The names of a sort that `own` knows."""
        return {*self.definitions[sort], *self.brought.get(sort, {})}

    def known(self, sort: Sort) -> set[str]:
        """Every name of a sort that can be used here without a dot."""
        return self.names(sort) | (self.parent.known(sort) if self.parent else set())


def collect(
    file: tree.File,
    parent: Scope | None,
    report: Findings,
    *,
    place: Place = STANDARD,
    name: str = "",
    imported: Mapping[int, Scope | None] | None = None,
) -> Scope:
    """The scope of a file. A second definition of a name is an error, and the first one holds.

    `imported` holds the scope behind each import statement, by its `id`.
    """
    lost = any(one.lost and (not one.starts or one.starts & DEFINES) for one in file.broken)
    scope = Scope(parent, {sort: {} for sort in WHAT}, lost=lost, place=place, name=name)
    for one in file.broken:
        scope.missing.update(one.defines)
        if not one.starts or "import" in one.starts:
            scope.imports.update(dict.fromkeys(one.defines))
    taken: dict[tuple[str, str], Span] = {}
    for statement in file.statements:
        if isinstance(statement, tree.Import):
            if _free(taken, "import", statement.alias.text, statement.alias.span, report):
                scope.imports[statement.alias.text] = (imported or {}).get(id(statement))
        elif isinstance(statement, tree.FromImport):
            _bring(scope, statement, (imported or {}).get(id(statement)), taken, report)
        elif isinstance(statement, Definition):
            sort = SORTS[type(statement)]
            span = statement.name.span
            if isinstance(statement.name, tree.Text):
                assert isinstance(statement, tree.Concept)
                if _free(taken, "text", statement.name.value, span, report):
                    scope.texts[statement.name.value] = statement
            elif _free(taken, sort, statement.name.text, span, report):
                scope.definitions[sort][statement.name.text] = statement
    return scope


def _bring(
    scope: Scope,
    statement: tree.FromImport,
    source: Scope | None,
    taken: dict[tuple[str, str], Span],
    report: Findings,
) -> None:
    for name in statement.names:
        if source is None:
            scope.missing.add(name.text)
            continue
        found = {sort: one for sort in WHAT if (one := source.own(sort, name.text)) is not None}
        if not found:
            scope.missing.add(name.text)
            if name.text in source.missing or source.lost:
                continue
            help = did_you_mean(name.text, {known for sort in WHAT for known in source.names(sort)})
            message = f"`{statement.path.value}` defines nothing that is called `{name.text}`"
            report.error("TL224", message, name.span, help=help)
        for sort, one in found.items():
            if _free(taken, sort, name.text, name.span, report):
                scope.brought.setdefault(sort, {})[name.text] = one


def _free(taken: dict[tuple[str, str], Span], sort: str, name: str, span: Span, report: Findings) -> bool:
    first = taken.setdefault((sort, name), span)
    if first is not span:
        also = [Label(first, "first defined here")]
        report.error("TL210", f"`{name}` is defined twice", span, also=also, help="remove one, or rename it")
    return first is span


def find(
    scope: Scope, sort: Sort, reference: tree.Reference, report: Findings, more: Callable[[], Iterable[str]] = tuple
) -> tuple[Definition, Scope] | None:
    """Look a reference up: `name`, or `alias.name` for what an import defines. An unknown name is reported.

    What a failed import would have brought is not reported again. `more` gives further names that would do.
    """
    code, what, other = WHAT[sort]
    first, last = reference.parts[0].text, reference.parts[-1].text
    if len(reference.parts) == 1:
        found = scope.find(sort, first)
        if found is None and first not in scope.missing:
            alone = VOCABULARY if sort == "concept" and first == PRIOR else ""
            known = {*scope.known(sort), *more()}
            if scope.lost and not nearest(first, known):
                return None
            help = _behind(scope, sort, first) or alone or did_you_mean(first, known)
            report.error(code, f"no {what} is called `{first}`", reference.span, help=help or other.format(first))
        return found
    if first not in scope.imports and scope.lost and not nearest(first, scope.imports):
        return None
    if len(reference.parts) > 2 or first not in scope.imports:
        owner = _behind(scope, sort, last) if len(reference.parts) == 2 else ""
        help = owner or (did_you_mean(first, scope.imports) if len(reference.parts) == 2 else "")
        help = help or 'a dotted name is `n.name`, after `import "file.erase" as n`'
        report.error(code, f"no {what} is called `{reference.text}`", reference.span, help=help)
        return None
    source = scope.imports[first]
    found = None if source is None else source.own(sort, last)
    if found is None and source is not None and last not in source.missing and not source.lost:
        help = did_you_mean(last, source.names(sort))
        report.error(code, f"`{first}` has no {what} that is called `{last}`", reference.span, help=help)
    return found


def _behind(scope: Scope, sort: Sort, name: str) -> str:
    """What to write for a name that an import has, or for an import that is taken for a name."""
    if name in scope.imports:
        return f"`{name}` is an import: write `{name}.` and a name"
    aliases = (alias for alias, source in scope.imports.items() if source is not None and source.own(sort, name))
    return next((f"did you mean `{alias}.{name}`?" for alias in aliases), "")
