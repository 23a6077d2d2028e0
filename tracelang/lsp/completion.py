"""What an editor offers at a place: keywords, names in scope, the words of the language, and files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lsprotocol.types import CompletionItem, CompletionItemKind, CompletionList, TextEdit

from tracelang.lsp.cursor import Cursor, cursor
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.lists import cells, columns, source
from tracelang.lsp.mentions import Address, Mention
from tracelang.lsp.methods import settings_at
from tracelang.lsp.names import imported
from tracelang.lsp.words import setting_text, where
from tracelang.records import dataclass
from tracelang.semantics.fields import Field, settings
from tracelang.semantics.kinds import PASSES, TERMS, declared, does, kinds, takes_terms
from tracelang.semantics.paths import LIBRARY, STD
from tracelang.semantics.rules.allowances import MARK, WORD
from tracelang.semantics.scope import WHAT, Scope
from tracelang.semantics.scope import Sort as NameSort
from tracelang.semantics.standard import method_names
from tracelang.semantics.tables import (
    AFTERS,
    ATTACKS,
    CONTROLS,
    FAMILIES,
    HEADER,
    KINDS,
    METRICS,
    ROUNDINGS,
    SUITES,
    THREATS,
)
from tracelang.semantics.values import PLACES, READS, ROLES
from tracelang.syntax import tree
from tracelang.syntax.text import quote

Kind = CompletionItemKind
WINDOW_WORDS = frozenset({"auto", "sigma", "logsnr", "t"})
MAX_OFFERED = 200
"""So much at once at most."""
MAX_FILES = 2_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A word that fits, what it is, and in a line what it means."""

    word: str
    kind: Kind
    detail: str = ""
    text: str = ""


def completion(documents: Documents, document: Document, offset: int) -> CompletionList:
    """Everything that fits at a place, in the order in which it is offered.

    Of very many, those that begin as what is typed already come first, and the editor asks again as more is typed.
    """
    place = cursor(document.source, offset) if document.readable else None
    if place is None:
        return CompletionList(False, _in_comment(document, offset))
    offers = [*_names(documents, document, place), *_keywords(place)]
    more = len(offers) > MAX_OFFERED
    if more:
        typed = document.source.text[place.start + place.quoted : offset]
        offers.sort(key=lambda one: (not one.word.startswith(typed), typed not in one.word))
    items = []
    for i, one in enumerate(offers[:MAX_OFFERED]):
        edit = _edit(document, place, offset, one)
        items.append(
            CompletionItem(
                label=one.word,
                kind=one.kind,
                detail=one.detail or None,
                documentation=one.text or None,
                filter_text=edit.new_text,
                sort_text=f"{i:05}",
                text_edit=edit,
            )
        )
    return CompletionList(more, items)


def _edit(document: Document, place: Cursor, offset: int, one: Offer) -> TextEdit:
    """What puts an offer in place of what is typed. A text brings its quotes, and takes those that are there; that of a
    folder stays open for what lies in it.
    """
    if not place.text or one.kind == Kind.Keyword:
        return TextEdit(document.lines.range(place.start, offset), one.word)
    if one.kind == Kind.Folder:
        return TextEdit(document.lines.range(place.start, offset), quote(one.word)[:-1])
    closed = place.quoted and document.source.text[offset : offset + 1] == '"'
    return TextEdit(document.lines.range(place.start, offset + closed), quote(one.word))


def _keywords(place: Cursor) -> Iterator[Offer]:
    """A statement begins with its own line; what goes on with one stands there too."""
    mention = place.mention
    if place.text and mention is not None:
        return
    words = place.keywords if place.first else place.keywords - place.begins
    if mention is not None and mention.sort not in ("window", "template"):
        words -= WINDOW_WORDS
    for word in sorted(words, key=lambda one: (one in place.begins, one)):
        yield Offer(word, Kind.Keyword)


def _names(documents: Documents, document: Document, place: Cursor) -> Iterator[Offer]:
    mention = place.mention
    if mention is None or mention.defines:
        return
    scope = document.module.scope
    match mention.sort:
        case "concept" | "templates" | "window" | "layers" | "method" | "param" as sort:
            if mention.owner is ATTACKS:
                yield from _attacks()
            yield from _in_scope(scope, sort, mention)
        case "text":
            yield from (Offer(text, Kind.Value, "concept") for text in sorted(scope.texts))
        case "scalar":
            yield from _params(scope)
        case "brought":
            yield from _brought(documents, document, mention.owner)
        case "metric":
            for name, metric in METRICS.items():
                demand = metric.demand.format(limit=metric.comparison or "around", bound="the bound", attack="it names")
                yield Offer(name, Kind.Function, "metric", f"{demand[:1].upper()}{demand[1:]}")
        case "attack":
            yield from _attacks()
            yield from _in_scope(scope, "concept", mention)
        case "suite":
            yield from (Offer(name, Kind.EnumMember, "suite", what) for name, what in SUITES.items())
        case "suite path":
            yield from _files(document, mention.name, "suite")
        case "control":
            yield from (Offer(name, Kind.EnumMember, "control", what) for name, what in CONTROLS.items())
        case "after":
            yield from (Offer(name, Kind.EnumMember, "what is done first", what) for name, what in AFTERS.items())
        case "rounding":
            yield from (Offer(name, Kind.EnumMember, "number format", what) for name, what in ROUNDINGS.items())
        case "kind":
            yield from (Offer(name, Kind.EnumMember, "kind", what) for name, what in KINDS.items())
        case "header":
            yield from (Offer(name, Kind.Property, _header(kind)) for name, kind in HEADER.items())
        case "header value":
            if mention.owner == "supports":
                yield from (Offer(name, Kind.EnumMember, what) for name, what in FAMILIES.items())
            elif mention.owner == "threat":
                yield from (Offer(name, Kind.EnumMember, "threat") for name in THREATS)
        case "place":
            yield from (Offer(name, Kind.EnumMember, "place") for name in PLACES)
        case "pass":
            yield from _names_of_passes()
        case "term" | "setting":
            yield from _inside(place, mention)
        case "choice":
            field: Field = mention.owner
            yield from (Offer(word, Kind.EnumMember) for word in (*field.choices, *filter(None, [field.absent])))
        case "address":
            yield from _address(document, mention.owner)
        case "recipe" | "list" as sort:
            yield from _files(document, mention.name, sort)
        case "column" | "row column" | "row value" as sort:
            yield from _cells(documents, document, mention, sort)


def _attacks() -> Iterator[Offer]:
    for name, (access, what) in ATTACKS.items():
        yield Offer(name, Kind.EnumMember, f"attack, {access}", what)


def _in_scope(scope: Scope, sort: NameSort, mention: Mention) -> Iterator[Offer]:
    """The names of a sort; after an alias and a dot, those of its import."""
    reference = mention.reference
    _, what, _ = WHAT[sort]
    if reference is not None and len(reference.parts) > 1:
        source = scope.imports.get(reference.parts[0].text)
        names: Iterable[str] = source.names(sort) if source is not None else ()
        yield from (Offer(name, Kind.Variable, _of(source, sort, name)) for name in sorted(names))
        return
    own = sorted(scope.names(sort))
    yield from (Offer(name, Kind.Variable, _of(scope, sort, name)) for name in own)
    for name, source in scope.imports.items():
        if source is not None and source.names(sort):
            yield Offer(name, Kind.Module, f"import: {what}")
    others = scope.known(sort) - {*own}
    if sort == "method":
        others |= {*method_names()} - {*own}
    yield from (Offer(name, Kind.Variable, f"{what}, shipped") for name in sorted(others))
    if sort == "concept":
        yield from (Offer(quote(text), Kind.Value, "concept") for text in sorted(scope.texts))
    if sort == "layers":
        yield from (Offer(word, Kind.EnumMember, "layers by what they read") for word in READS)
        yield from (Offer(word, Kind.EnumMember, "layers by their role") for word in ROLES)


def _of(scope: Scope | None, sort: NameSort, name: str) -> str:
    found = scope.own(sort, name) if scope is not None else None
    if found is None:
        return ""
    node = found[0]
    if isinstance(node, tree.Concept):
        return f"concept, {node.kind.text if node.kind else 'object'}"
    return "group" if isinstance(node, tree.Group) else WHAT[sort][1]


def _params(scope: Scope) -> Iterator[Offer]:
    for name in sorted(scope.known("param")):
        yield Offer(f"param.{name}", Kind.Variable, "param")
    for alias, behind in scope.imports.items():
        for name in sorted(behind.names("param")) if behind is not None else ():
            yield Offer(f"param.{alias}.{name}", Kind.Variable, "param")


def _brought(documents: Documents, document: Document, statement: tree.FromImport) -> Iterator[Offer]:
    target = imported(documents, document, statement.path)
    taken = {name.text for name in statement.names}
    for sort in WHAT if target is not None else ():
        assert target is not None
        scope = target.module.scope
        yield from (Offer(name, Kind.Variable, _of(scope, sort, name)) for name in sorted(scope.names(sort) - taken))


def _header(kind: str) -> str:
    return {"text": "one text", "name": "one name", "names": "names"}[kind]


def _inside(place: Cursor, mention: Mention) -> Iterator[Offer]:
    """Inside the block of a pass, a term, or a prior: settings that it has not got yet, and terms."""
    owner = mention.owner
    if owner is None:
        yield from _names_of_passes()
        return
    given = where(place.statement, place.start)
    for name, field in settings(owner).items():
        if name not in given and not (owner.__name__ == "Prior" and name == "weight"):
            yield Offer(name, Kind.Property, "setting", setting_text(owner, name, field))
    for kind in kinds(TERMS) if hasattr(owner, "terms") and takes_terms(owner) else ():
        yield Offer(kind, Kind.Class, "term", does(declared(TERMS, kind)))


def _names_of_passes() -> Iterator[Offer]:
    for kind in kinds(PASSES):
        yield Offer(kind, Kind.Class, "pass", does(declared(PASSES, kind)))


def _address(document: Document, address: Address) -> Iterator[Offer]:
    """The next label of an address in a method."""
    for name, text, whole in settings_at(document, address.method, address.labels[: address.at]):
        yield Offer(name, Kind.Property if whole else Kind.Class, "setting" if whole else "pass or term", text)


def _files(document: Document, written: str, sort: str) -> Iterator[Offer]:
    """What lies in the folder that a path has led to so far, and never outside of the root."""
    folder, slash, _ = written.rpartition("/")
    start, wall = Path(document.place.folder), Path(document.place.wall)
    if f"{folder}/".startswith(STD):
        start, wall = Path(LIBRARY), Path(LIBRARY, "std")
    elif not slash:
        yield Offer(STD, Kind.Folder, "the standard library")
    try:
        here = (start / folder).resolve()
        if Path(written).is_absolute() or not here.is_relative_to(wall.resolve()):
            return
        entries = sorted(os.scandir(here), key=lambda one: one.name)[:MAX_FILES]
    except (OSError, ValueError):
        return
    for entry in entries:
        recipe = entry.name.endswith(".erase")
        if entry.name.startswith((".", "__")) or "\\" in entry.name:
            continue
        if entry.is_dir():
            yield Offer(f"{folder}{slash}{entry.name}/", Kind.Folder)
        elif recipe == (sort == "recipe") and Path(entry.path) != document.path:
            yield Offer(f"{folder}{slash}{entry.name}", Kind.File)


def _cells(documents: Documents, document: Document, mention: Mention, sort: str) -> Iterator[Offer]:
    node: tree.ListFile = mention.owner
    found = source(documents, document, node)
    if found is None:
        return
    if sort == "row value" and node.where is not None:
        yield from (Offer(cell, Kind.Value, "cell") for cell in cells(found.text, node.where.column.value))
    else:
        yield from (Offer(name, Kind.Field, "column") for name in columns(found.text))


def _in_comment(document: Document, offset: int) -> list[CompletionItem]:
    """After `# tracec:` the word, and after that the codes that can be allowed."""
    text = document.source.text
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    comment = re.search(rf"#\s*{MARK}\s*(?:({WORD})\s+(?:TL\d{{3}},?\s+)*)?(\w*)$", line)
    if comment is None:
        return []
    edited = document.lines.range(offset - len(comment[2]), offset)
    words = [(WORD, "silence a warning here")]
    if comment[1]:
        from tracelang.semantics.rulebook import rules

        words = [(code, rule.title) for code, rule in rules().items() if rule.severity == "warning"]
    return [
        CompletionItem(label=word, kind=Kind.Constant, detail=what, text_edit=TextEdit(edited, word))
        for word, what in words
    ]
