"""The files of a recipe: what it imports and includes, and what those do, each file once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tracelang.diagnostics import Findings, Label, Source, Span
from tracelang.records import dataclass, field
from tracelang.semantics.paths import Located, Place, locate
from tracelang.semantics.program import File
from tracelang.semantics.scope import Scope, collect
from tracelang.semantics.standard import prelude
from tracelang.semantics.tables import MAX_IMPORTS
from tracelang.syntax import tree
from tracelang.syntax.read import Texts

if TYPE_CHECKING:
    from pathlib import Path

Link = tree.Import | tree.FromImport | tree.Include
LINKS = (tree.Import, tree.FromImport, tree.Include)


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """One recipe file. `includes` holds the module behind each `include`, by the statement's `id`.

    `height` counts the files on the longest way down from this one, itself not among them.
    """

    file: tree.File
    scope: Scope
    includes: dict[int, Module]
    height: int

    def statements(self, seen: set[int] | None = None) -> Iterator[tuple[Module, tree.Statement]]:
        """Every statement that holds here, those of included files too, each file's once."""
        seen = set() if seen is None else seen
        seen.add(id(self))
        for statement in self.file.statements:
            included = self.includes.get(id(statement))
            if included is None:
                yield self, statement
            elif id(included) not in seen:
                yield from included.statements(seen)


@dataclass(frozen=True, slots=True)
class _Open:
    """A file on the way down: how it is called, and the path in the statement that led to it."""

    path: str | None
    shown: str
    span: Span | None


@dataclass(slots=True)
class Modules:
    """All modules of a recipe, in the order in which they are done. `files` are those that were read, by path.

    `ways` holds how each was come by: includes count, where there are any.
    """

    report: Findings
    unsaved: Texts | None = None
    all: list[Module] = field(default_factory=list)
    files: dict[Path, File] = field(default_factory=dict)
    ways: dict[Source, tuple[Label, ...]] = field(default_factory=dict)
    _known: dict[Path, Module | None] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _home: str = ""

    def top(self, file: tree.File, place: Place, path: str | None) -> Module:
        """The module of a recipe. Files that cannot be had are reported, and what they would bring is left out."""
        self._home = place.shown
        self._open.append(_Open(path, file.source.path, None))
        return self._module(file, place, "")

    def _module(self, file: tree.File, place: Place, name: str) -> Module:
        imported: dict[int, Scope | None] = {}
        includes: dict[int, Module] = {}
        height = 0
        for statement in file.statements:
            if isinstance(statement, LINKS):
                module = self._behind(statement, place)
                imported[id(statement)] = module.scope if module else None
                height = max(height, module.height + 1 if module else 0)
                if module and isinstance(statement, tree.Include):
                    includes[id(statement)] = module
        scope = collect(file, prelude(), self.report, place=place, name=name, imported=imported)
        done = Module(file, scope, includes, height)
        self.all.append(done)
        return done

    def _behind(self, link: Link, place: Place) -> Module | None:
        located = locate(place, link.path, "recipe", self.report)
        if located is None:
            return None
        circle = next((i for i, one in enumerate(self._open) if one.path == str(located.path)), None)
        if circle is not None:
            message = "these files import one another in a circle"
            also = [Label(one.span, "on the way") for one in self._open[circle + 1 :] if one.span is not None]
            help = "move what they share into a third file"
            self._refuse(link, message, self._open[circle:], located.shown, help, also)
            return None
        if located.path not in self._known:
            if len(self._open) > MAX_IMPORTS:
                self._too_deep(link, located.shown)
                return None
            self._known[located.path] = self._read(link, located)
        module = self._known[located.path]
        if module is not None and len(self._open) + module.height > MAX_IMPORTS:
            self._too_deep(link, located.shown)
            return None
        known = self.files.get(located.path)
        if known is not None and isinstance(link, tree.Include):
            if module is not None and known.role != "include":
                self.ways[module.file.source] = self._way(link)
            self.files[located.path] = File(known.path, known.data, "include")
        return module

    def _read(self, link: Link, located: Located) -> Module | None:
        from tracelang.syntax.parser import recover
        from tracelang.syntax.read import MAX_RECIPE_BYTES, read

        found = read(located.path, located.shown, MAX_RECIPE_BYTES, self.report, link.path.span, self.unsaved)
        file = recover(found.source, self.report) if found else None
        if found is None or file is None:
            return None
        self.files[located.path] = File(located.name, found.data, "import")
        self.ways[file.source] = self._way(link)
        self._open.append(_Open(str(located.path), located.shown, link.path.span))
        module = self._module(file, located.place, self._name(located))
        self._open.pop()
        return module

    def _way(self, link: Link) -> tuple[Label, ...]:
        """The statements that lead to a file."""
        spans = [one.span for one in self._open if one.span is not None]
        return tuple(Label(span, "brought in here") for span in (*spans, link.path.span))

    def _name(self, located: Located) -> str:
        """What a file is called beside a concept of its own: its way from the recipe, wherever they lie."""
        if located.place.prefix:
            return located.name
        return posixpath.relpath(located.shown, self._home or ".")

    def _too_deep(self, link: Link, shown: str) -> None:
        message = f"imports lead more than {MAX_IMPORTS} files deep"
        self._refuse(link, message, self._open, shown, "import what is needed directly")

    def _refuse(
        self, link: Link, message: str, chain: list[_Open], last: str, help: str, also: Iterable[Label] = ()
    ) -> None:
        """An error that shows the way from file to file."""
        note = " -> ".join([*(one.shown for one in chain), last])
        self.report.error("TL225", message, link.path.span, also=also, help=help, note=note)
