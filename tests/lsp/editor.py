"""An editor for the tests: a client of the protocol that starts `tracec lsp` and speaks with it over stdio."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient
from pygls.uris import from_fs_path

PATIENCE = 60.0
"""Seconds that an answer may take on a machine that is busy."""
TRACEC = "from tracelang.cli import main; main()"
MARK = "|"


class Editor:
    """What an editor does, one thing at a time. A place is written as a `|` in the text."""

    def __init__(self, client: LanguageClient, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.client, self.loop, self.folder = client, loop, folder
        self.versions: dict[str, int] = {}
        self.told: dict[str, list[types.Diagnostic]] = {}
        self.news = threading.Condition()
        self.log: list[str] = []
        self.last: dict[str, Any] = {}
        self.capabilities: types.ServerCapabilities

    def ask(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def uri(self, name: str) -> str:
        return name if ":" in name else from_fs_path(str(self.folder / name)) or ""

    def write(self, name: str, text: str) -> Path:
        """Write a file without the editor's knowing."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def type(self, name: str, text: str) -> types.Position:
        """Make a document hold a text, opening it if need be; where the mark was."""
        at = text.find(MARK)
        bare = text.replace(MARK, "", 1)
        uri = self.uri(name)
        version = self.versions[uri] = self.versions.get(uri, 0) + 1

        async def told() -> None:
            if version == 1:
                language = "plaintext" if name.endswith((".txt", ".csv")) else "erase"
                item = types.TextDocumentItem(uri, language, version, bare)
                self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
                return
            change = types.TextDocumentContentChangeWholeDocument(bare)
            document = types.VersionedTextDocumentIdentifier(version, uri)
            self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

        self.ask(told())
        before = bare[: max(at, 0)]
        line = before.rpartition("\n")[2]
        return types.Position(before.count("\n"), len(line.encode("utf-16-le")) // 2)

    def close(self, name: str) -> None:
        uri = self.uri(name)
        self.versions.pop(uri, None)

        async def told() -> None:
            document = types.TextDocumentIdentifier(uri)
            self.client.text_document_did_close(types.DidCloseTextDocumentParams(document))

        self.ask(told())

    def heard(self, name: str, wanted: Any) -> list[types.Diagnostic]:
        """The findings of a file, as soon as they are `wanted`: a list of codes, or what says yes to one."""
        uri = self.uri(name)
        fits = wanted if callable(wanted) else (lambda found: codes(found) == wanted)
        with self.news:
            came = self.news.wait_for(lambda: uri in self.told and fits(self.told[uri]), PATIENCE)
            assert came, [(one.code, one.message) for one in self.told.get(uri, [])]
            return self.told[uri]

    def place(self, name: str, text: str) -> dict[str, Any]:
        position = self.type(name, text)
        self.last = {"text_document": types.TextDocumentIdentifier(self.uri(name)), "position": position}
        return self.last

    def again(self, what: str) -> Any:
        """Ask the last question of hover or completion again, of the same text."""
        if what == "hover":
            return self.ask(self.client.text_document_hover_async(types.HoverParams(**self.last)))
        return self.ask(self.client.text_document_completion_async(types.CompletionParams(**self.last)))

    def hover(self, name: str, text: str) -> str:
        found = self.ask(self.client.text_document_hover_async(types.HoverParams(**self.place(name, text))))
        return found.contents.value if found is not None else ""

    def offered(self, name: str, text: str) -> list[types.CompletionItem]:
        params = types.CompletionParams(**self.place(name, text))
        return self.ask(self.client.text_document_completion_async(params)).items

    def labels(self, text: str, name: str = "c.erase") -> list[str]:
        return [one.label for one in self.offered(name, text)]

    def definition(self, name: str, text: str) -> types.Location | None:
        params = types.DefinitionParams(**self.place(name, text))
        return self.ask(self.client.text_document_definition_async(params))

    def formatted(self, name: str, text: str) -> str | None:
        """A text as it is after formatting; None where that was refused."""
        self.type(name, text)
        document = types.TextDocumentIdentifier(self.uri(name))
        params = types.DocumentFormattingParams(document, types.FormattingOptions(2, True))
        edits = self.ask(self.client.text_document_formatting_async(params))
        return None if edits is None else applied(text, edits)

    def actions(self, name: str, text: str, only: list[str] | None = None) -> list[types.CodeAction]:
        position = self.type(name, text)
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(self.uri(name)),
            types.Range(position, position),
            types.CodeActionContext([], only=only),
        )
        return self.ask(self.client.text_document_code_action_async(params))


def codes(found: list[types.Diagnostic]) -> list[Any]:
    return [one.code for one in found]


def offset(text: str, position: types.Position) -> int:
    """The character at a position, counted as the protocol does."""
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: position.line])
    line = lines[position.line] if position.line < len(lines) else ""
    return start + len(line.encode("utf-16-le")[: 2 * position.character].decode("utf-16-le"))


def stretch(text: str, place: types.Range) -> str:
    return text[offset(text, place.start) : offset(text, place.end)]


def applied(text: str, edits: list[types.TextEdit]) -> str:
    """A text with edits made, the last ones first."""
    for edit in sorted(edits, key=lambda one: (one.range.start.line, one.range.start.character), reverse=True):
        text = text[: offset(text, edit.range.start)] + edit.new_text + text[offset(text, edit.range.end) :]
    return text


@contextmanager
def editor(folder: Path, *options: str) -> Iterator[Editor]:
    """An editor with a server of its own, in a folder."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    client = LanguageClient("tests", "1")
    one = Editor(client, loop, folder)

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def published(params: types.PublishDiagnosticsParams) -> None:
        with one.news:
            one.told[params.uri] = list(params.diagnostics)
            one.news.notify_all()

    @client.feature(types.WINDOW_LOG_MESSAGE)
    def logged(params: types.LogMessageParams) -> None:
        one.log.append(params.message)

    @client.feature(types.WINDOW_SHOW_MESSAGE)
    def shown(params: types.ShowMessageParams) -> None:
        one.log.append(params.message)

    async def start() -> None:
        await client.start_io(sys.executable, "-c", TRACEC, "lsp", *options)
        root = from_fs_path(str(folder))
        asked = types.InitializeParams(types.ClientCapabilities(), root_uri=root)
        one.capabilities = (await client.initialize_async(asked)).capabilities
        client.initialized(types.InitializedParams())

    async def stop() -> None:
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()

    try:
        one.ask(start())
        yield one
        one.ask(stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
