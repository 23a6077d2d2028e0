"""The server: what the protocol asks, handed to the module that answers it."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from tracelang.diagnostics import Diagnostic, Findings, Span
from tracelang.lsp.completion import completion
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.findings import Rendering, actions
from tracelang.lsp.hover import hover
from tracelang.lsp.mentions import at
from tracelang.lsp.names import definition
from tracelang.lsp.references import Refused, references, renamed, target
from tracelang.lsp.symbols import symbols
from tracelang.semantics.standard import method_names, shipped_method
from tracelang.syntax.format import FormatError, format_text

DELAY = 0.2
"""Seconds without a change before recipes are looked at again."""
LANGUAGE, ENDING = "erase", ".erase"
TRIGGERS = ['"', ".", "/", "=", "(", ",", "{", " "]


class Place(Protocol):
    """A question about a place in a document."""

    text_document: types.TextDocumentIdentifier
    position: types.Position


class Server(LanguageServer):
    """A server with its documents. `told` are the findings of each open one, as the editor last heard of them."""

    def __init__(self, root: Path | None) -> None:
        super().__init__("tracec", version("tracelang"), types.TextDocumentSyncKind.Full)
        self.documents = Documents(root)
        self.told: dict[str, list[Diagnostic]] = {}
        self.published: dict[str, dict[str, list[types.Diagnostic]]] = {}
        """What was said of each file, by the open document that led to it."""
        self.waiting: asyncio.TimerHandle | None = None
        self.looking: asyncio.Task[None] | None = None

    def changed(self, uri: str, text: str | None) -> None:
        """Take a document's text, and look at all of them when no more changes come."""
        self.documents.put(uri, text)
        self.look_soon(DELAY)

    def look_soon(self, delay: float) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = asyncio.get_running_loop().call_later(delay, self._start)

    def _start(self) -> None:
        self.waiting = None
        if self.looking is not None and not self.looking.done():
            self.look_soon(DELAY)
            return
        self.looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Look at every open document, off the loop, so that the editor's questions are answered meanwhile."""
        for uri in sorted(self.documents.recipes):
            text = self.documents.texts.get(uri)
            if text is None:
                continue
            try:
                found = await asyncio.to_thread(self.documents.findings, uri, text)
            except Exception as error:  # a fault at one recipe is logged, and the others are still looked at
                self.window_log_message(
                    types.LogMessageParams(types.MessageType.Error, f"a fault of tracec at {uri}: {error!r}")
                )
                continue
            if self.documents.texts.get(uri) == text:
                self.told[uri] = found
                self.publish(uri, Rendering(self.documents, self.documents.at(uri)).by_uri(found))

    def publish(self, uri: str, found: dict[str, list[types.Diagnostic]] | None) -> None:
        """Tell the editor what an open document has brought up; None: it is closed."""
        before = self.published.pop(uri, {})
        if found is not None:
            self.published[uri] = found
        for other in {uri, *before, *(found or {})}:
            if found is not None and other != uri and before.get(other) == found.get(other):
                continue
            told: list[types.Diagnostic] = []
            for by in self.published.values():
                told += [one for one in by.get(other, ()) if one not in told]
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(other, told))

    def at(self, params: Place) -> tuple[Document, int]:
        document = self.documents.at(params.text_document.uri)
        return document, document.lines.offset(params.position)

    def location(self, document: Document, span: Span) -> types.Location:
        return Rendering(self.documents, document).location(span)


def server(root: Path | None = None) -> Server:
    """A server that answers; `root` is the folder that imports and lists stay in, None: as `tracec lint` finds it."""
    made = Server(root)
    _documents(made)
    _reading(made)
    _changing(made)
    for name in method_names():  # so that nobody waits for them, and no thread meets another that reads them
        shipped_method(name)
    return made


def _documents(made: Server) -> None:
    @made.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        made.documents.units = str(made.workspace.position_encoding or types.PositionEncodingKind.Utf16.value)
        folder = made.workspace.root_path
        made.documents.workspace = Path(folder) if folder else None

    @made.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        made.documents.put(document.uri, document.text)
        if document.language_id == LANGUAGE or document.uri.endswith(ENDING):
            made.documents.recipes.add(document.uri)  # others are lists: what they hold counts where they are read
        made.look_soon(0)

    @made.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def edited(params: types.DidChangeTextDocumentParams) -> None:
        for change in params.content_changes:
            made.changed(params.text_document.uri, change.text)

    @made.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        made.documents.forget()
        made.look_soon(0)

    @made.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        made.changed(uri, None)
        made.told.pop(uri, None)
        made.publish(uri, None)

    @made.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def touched(params: types.DidChangeWatchedFilesParams) -> None:
        made.documents.forget()
        made.look_soon(DELAY)


def _reading(made: Server) -> None:
    @made.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        document, offset = made.at(params)
        found = hover(made.documents, document, offset, made.told.get(document.uri, ()))
        if found is None:
            return None
        text, span = found
        content = types.MarkupContent(types.MarkupKind.Markdown, text)
        return types.Hover(content, document.lines.range(span.start, span.end))

    @made.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=TRIGGERS))
    def completed(params: types.CompletionParams) -> types.CompletionList:
        document, offset = made.at(params)
        return completion(made.documents, document, offset)

    @made.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(params: types.DefinitionParams) -> types.Location | None:
        document, offset = made.at(params)
        mention = at(document.statement(offset), offset)
        span = definition(made.documents, document, mention) if mention is not None else None
        return made.location(document, span) if span is not None else None

    @made.feature(types.TEXT_DOCUMENT_REFERENCES)
    def used(params: types.ReferenceParams) -> list[types.Location]:
        document, offset = made.at(params)
        wanted = target(document, offset)
        if wanted is None:
            return []
        wants_all = params.context.include_declaration
        found = references(made.documents, document, wanted)
        spans = [mention.span for _, mention in found if wants_all or not mention.defines]
        rendering = Rendering(made.documents, document)
        return [rendering.location(span) for span in spans]

    @made.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        return symbols(made.documents.at(params.text_document.uri))


def _changing(made: Server) -> None:
    @made.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]),
    )
    def offered(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        document = made.documents.at(uri)
        start, end = document.lines.offset(params.range.start), document.lines.offset(params.range.end)
        if uri not in made.documents.recipes or not document.readable:
            return []
        wanted = params.context.only
        found: list[types.CodeAction] = []
        if _wants(wanted, types.CodeActionKind.QuickFix):
            known = made.documents.findings(uri, made.documents.texts[uri])
            found += actions(Rendering(made.documents, document), known, start, end)
        if wanted and _wants(wanted, types.CodeActionKind.SourceFixAll):
            after = made.documents.mended(document)
            if after != document.source.text:
                found.append(
                    types.CodeAction(
                        title="Make every safe fix",
                        kind=types.CodeActionKind.SourceFixAll,
                        edit=types.WorkspaceEdit(changes={uri: _replaced(document, after)}),
                    )
                )
        return found

    @made.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document = made.documents.at(params.text_document.uri)
        if not document.readable:
            return None
        try:
            text = format_text(document.source, Findings())
        except FormatError as error:
            made.window_log_message(types.LogMessageParams(types.MessageType.Error, f"{error}; a fault of tracec"))
            return None
        if text is None:
            note = f"{document.source.path} has errors, so that it was not formatted"
            made.window_log_message(types.LogMessageParams(types.MessageType.Info, note))
            return None
        return _replaced(document, text) if text != document.source.text else []

    @made.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepared(params: types.PrepareRenameParams) -> types.Range | None:
        document, offset = made.at(params)
        mention = at(document.statement(offset), offset)
        if mention is None or target(document, offset) is None:
            return None
        quoted = mention.span.text.startswith('"')
        return document.lines.range(mention.span.start + quoted, mention.span.end - quoted)

    @made.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def renaming(params: types.RenameParams) -> types.WorkspaceEdit:
        document, offset = made.at(params)
        try:
            edits = renamed(made.documents, document, offset, params.new_name)
        except Refused as error:
            raise JsonRpcInvalidParams(str(error)) from error
        return Rendering(made.documents, document).edits(edits)


def _wants(only: object, kind: types.CodeActionKind) -> bool:
    """Whether a client asks for a kind of action; without a wish it asks for all."""
    return not only or (isinstance(only, list | tuple) and any(str(kind.value).startswith(_value(one)) for one in only))


def _value(kind: object) -> str:
    return str(kind.value) if isinstance(kind, types.CodeActionKind) else str(kind)


def _replaced(document: Document, text: str) -> list[types.TextEdit]:
    """The whole text put in place of the old one."""
    return [types.TextEdit(document.lines.range(0, len(document.source.text)), text)]
