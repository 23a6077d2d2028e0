"""Every place that speaks of a definition, in all recipes around it, and giving it another name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tracelang.diagnostics import Edit, Span
from tracelang.lsp.documents import Document, Documents, path_of
from tracelang.lsp.mentions import Mention, at, mentions
from tracelang.lsp.names import Defined, looked_up, of_names
from tracelang.records import dataclass
from tracelang.semantics.paths import LIBRARY
from tracelang.syntax import tree
from tracelang.syntax.text import quote

NAME = re.compile(r"[a-z][a-z0-9_]*")
ENDING = ".erase"
MAX_FOLDERS, MAX_FILES = 20_000, 5_000
"""So many folders and recipes are looked through."""


class Refused(Exception):
    """Why a name is not changed, in one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked for: a definition, or an import's alias, by the place of its name."""

    name: str
    sort: str
    span: Span

    @property
    def key(self) -> tuple[str, int]:
        return self.span.source.path, self.span.start


def target(document: Document, offset: int) -> Target | None:
    """The definition that a place speaks of."""
    mention = at(document.statement(offset), offset)
    return _target(document, mention) if mention is not None else None


def references(documents: Documents, document: Document, wanted: Target) -> Iterator[tuple[Document, Mention]]:
    """Every mention of a definition, itself first among those of its file."""
    for one in _recipes(documents, document, wanted):
        for statement in one.module.file.statements:
            for mention in mentions(statement):
                if mention.name == wanted.name or mention.sort == "text":
                    found = _target(one, mention)
                    if found is not None and found.key == wanted.key and found.sort == wanted.sort:
                        yield one, mention


def renamed(documents: Documents, document: Document, offset: int, name: str) -> list[Edit]:
    """The edits that give what a place speaks of another name. Raises Refused."""
    wanted = target(document, offset)
    if wanted is None:
        raise Refused("only what a recipe defines can be renamed")
    path = Path(wanted.span.source.path)
    if (not path.is_absolute() and path_of(document.uri) is not None) or path.is_relative_to(LIBRARY):
        raise Refused(f"`{wanted.name}` comes with the compiler")
    text = wanted.span.text.startswith('"')
    if text and not name.strip():
        raise Refused("an empty text is no concept")
    if not text and not NAME.fullmatch(name):
        raise Refused(f"`{name}` is no name: write small letters, digits and `_`, a letter first")
    word = quote(name) if text else name
    edits = []
    for one, mention in references(documents, document, wanted):
        scope = one.module.scope
        taken = name in scope.imports if wanted.sort == "import" else not text and _taken(one, wanted.sort, name)
        if taken:
            raise Refused(f"`{name}` has a meaning in {one.source.path} already")
        if one.module.file.broken:
            raise Refused(f"{one.source.path} has a statement that cannot be read: mend it first")
        edits.append(Edit(mention.span, word))
    return edits


def _taken(document: Document, sort: str, name: str) -> bool:
    return of_names(sort) and document.module.scope.find(sort, name) is not None


def _target(document: Document, mention: Mention) -> Target | None:
    if mention.sort == "import":
        for one in document.module.file.statements:
            if isinstance(one, tree.Import) and one.alias.text == mention.name:
                return Target(mention.name, "import", one.alias.span)
        return None
    found: Defined | None = looked_up(document, mention)
    return Target(mention.name, found.sort, found.span) if found is not None else None


def _recipes(documents: Documents, document: Document, wanted: Target) -> Iterator[Document]:
    """The documents that may speak of a definition: this one, the open ones, and those around it."""
    seen = {document.uri}
    yield document
    home = Path(wanted.span.source.path)
    if home.is_absolute():
        seen.add(documents.uri_of(home))
        if documents.uri_of(home) != document.uri:
            yield documents.of(home)
    if wanted.sort == "import":
        return
    for uri in sorted(documents.texts):
        if uri not in seen and uri in documents.recipes:
            seen.add(uri)
            yield documents.at(uri)
    wall, workspace = Path(document.place.wall), documents.workspace
    for path in _below(workspace if workspace is not None and wall.is_relative_to(workspace) else wall):
        uri = documents.uri_of(path)
        if uri not in seen and _speaks(documents, uri, path, wanted.name):
            yield documents.at(uri)


def _speaks(documents: Documents, uri: str, path: Path, name: str) -> bool:
    """Whether a file has the name somewhere: most have not, and need not be read."""
    text = documents.texts.get(uri)
    if text is not None:
        return name in text
    try:
        return name.encode() in path.read_bytes()
    except OSError:
        return False


def _below(root: Path) -> Iterator[Path]:
    count = 0
    for visited, (parent, folders, names) in enumerate(os.walk(root)):
        if visited > MAX_FOLDERS:
            return
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(names):
            if name.endswith(ENDING):
                count += 1
                if count > MAX_FILES:
                    return
                yield Path(parent, name)
