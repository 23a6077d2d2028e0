"""What is open in the editor, and what of it can be read: trees and names, without asking what they mean."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from pygls.uris import from_fs_path, to_fs_path

from tracelang.diagnostics import CompileError, Diagnostic, Findings, Source
from tracelang.lsp.positions import Lines, lines
from tracelang.plan.compile import root_of
from tracelang.records import dataclass, field
from tracelang.semantics.config import config_of
from tracelang.semantics.modules import Module, Modules
from tracelang.semantics.paths import LIBRARY, Place
from tracelang.semantics.rules.lint import Lint
from tracelang.syntax import tree
from tracelang.syntax.parser import recover
from tracelang.syntax.read import MAX_RECIPE_BYTES, decode, read


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A recipe as it is in the editor, or on the disk where it is not open there.

    `path` is None for one that was never saved. What cannot be read leaves an empty tree. `readable`: it is text of a
    size that a recipe may have.
    """

    uri: str
    path: Path | None
    place: Place
    source: Source
    lines: Lines
    module: Module
    readable: bool

    def statement(self, offset: int) -> tree.Statement | None:
        """The statement around a place, or before it where it ends there."""
        found = (one for one in self.module.file.statements if one.span.start <= offset <= one.span.end)
        return max(found, key=lambda one: one.span.start, default=None)


@dataclass(slots=True)
class Documents:
    """All documents. `texts` are those that are open, by URI, and `recipes` those of them that are no lists.

    `root` is where every recipe stays in, None: around each its own. `workspace` is the folder that the editor has
    open, where what has no path lies. Positions are counted in `units`.
    """

    root: Path | None = None
    workspace: Path | None = None
    units: str = "utf-16"
    texts: dict[str, str] = field(default_factory=dict)
    recipes: set[str] = field(default_factory=set)
    _known: dict[str, Document] = field(default_factory=dict)

    def put(self, uri: str, text: str | None) -> None:
        """Take what a document holds now; None: it is closed."""
        if text is None:
            self.texts.pop(uri, None)
            self.recipes.discard(uri)
        else:
            self.texts[uri] = text
        self.forget()

    def forget(self) -> None:
        """Read everything anew when it is asked for: something has changed."""
        self._known = {}

    def unsaved(self) -> dict[Path, str]:
        """The open files' texts by path, links followed, as the compiler asks for them."""
        paths = ((path_of(uri), text) for uri, text in list(self.texts.items()))
        return {path.resolve(): text for path, text in paths if path is not None}

    def at(self, uri: str) -> Document:
        """A document; one that cannot be had is empty."""
        known = self._known
        if uri not in known:
            known[uri] = self._document(uri)
        return known[uri]

    def of(self, path: Path) -> Document:
        """A document by its path, under the name by which it is open, if it is."""
        return self.at(self.uri_of(path))

    def uri_of(self, path: Path) -> str:
        """The name under which a file is open, else the plain one."""
        wanted = path.resolve()
        for uri in self.texts:
            one = path_of(uri)
            if one is not None and one.resolve() == wanted:
                return uri
        return from_fs_path(str(path)) or ""

    def lines_of(self, source: Source) -> Lines:
        """The lines of any source."""
        return lines(source.text, self.units)

    def source_uri(self, source: Source, home: Document) -> str:
        """Where a source lies that a document led to."""
        if source.path == home.source.path:
            return home.uri
        return self.uri_of(file_of(source))

    def findings(self, uri: str, text: str) -> list[Diagnostic]:
        """What a lint finds in an open document that holds a text, its unsaved neighbours as they are in the editor."""
        report = Findings()
        folder, _, shown = self._where(uri)
        try:
            config = config_of(folder)
        except CompileError as error:
            return list(error.diagnostics)
        found = decode(text.encode("utf-8", "surrogatepass"), shown, MAX_RECIPE_BYTES, report)
        if found is None:
            return report.in_order()
        lint = self.lint(uri)
        source = Source(shown, found.source.text)
        report = lint.report(source)
        if config.require and not report.failed:
            from tracelang.plan.required import unmet

            report.findings += unmet(source, lint, config)
        return [one for one in report.in_order() if config.tells(one)]

    def lint(self, uri: str) -> Lint:
        """How a document is looked at."""
        folder, path, _ = self._where(uri)
        raised = config_of(folder).notes_as_warnings
        return Lint(folder, self._root(folder), date.today(), path=path, raised=raised, unsaved=self.unsaved())

    def mended(self, document: Document) -> str:
        """The text of a document with every safe fix made."""
        try:
            lint = self.lint(document.uri)
        except CompileError:
            return document.source.text
        return lint.mended(Source(document.source.path, document.source.text))[0].text

    def _where(self, uri: str) -> tuple[Path, Path | None, str]:
        """A document's folder, its path, and what messages call it."""
        path = path_of(uri)
        if path is None:
            return self.workspace or Path.cwd(), None, uri
        return path.parent, path, path.as_posix()

    def _root(self, folder: Path) -> Path:
        try:
            return self.root if self.root is not None else root_of(folder / "recipe.erase")
        except CompileError:  # what is wrong in the configuration is among the findings
            return folder

    def _document(self, uri: str) -> Document:
        report = Findings()
        folder, path, shown = self._where(uri)
        if uri in self.texts and uri not in self.recipes:
            found = None
        elif uri in self.texts:
            data = self.texts[uri].encode("utf-8", "surrogatepass")
            found = decode(data, shown, MAX_RECIPE_BYTES, report)
        else:
            found = read(path, shown, MAX_RECIPE_BYTES, report) if path is not None else None
        source = found.source if found else Source(shown, self.texts.get(uri, ""))
        file = recover(source, report) if found else None
        place = Place(folder, self._root(folder), folder.as_posix())
        modules = Modules(report, self.unsaved())
        module = modules.top(file or tree.File(source, (), ()), place, os.path.realpath(path) if path else None)
        return Document(uri, path, place, source, lines(source.text, self.units), module, found is not None)


def path_of(uri: str) -> Path | None:
    """The file that a URI names, if it names one."""
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return Path(path) if path and "\0" not in path else None


def file_of(source: Source) -> Path:
    """Where a source of the compiler lies: one of its library below that, any other at its path."""
    path = Path(source.path)
    if path.is_absolute() or ".." in path.parts:
        return Path(os.path.abspath(path))
    places = (Path(LIBRARY, path), Path(LIBRARY, "std", path), Path(LIBRARY, "methods", path))
    return next((one for one in places if one.is_file()), Path(os.path.abspath(path)))
