"""At every word of recipes the word itself is offered; at no place of broken ones does a question fail."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.test_textmate import USES
from tracelang.diagnostics import Findings
from tracelang.lsp.completion import completion
from tracelang.lsp.documents import Document, Documents
from tracelang.lsp.findings import Rendering, actions
from tracelang.lsp.hover import hover
from tracelang.lsp.mentions import at
from tracelang.lsp.names import definition
from tracelang.lsp.positions import lines
from tracelang.lsp.references import references, target
from tracelang.lsp.symbols import symbols
from tracelang.syntax.lexer import lex, pattern
from tracelang.syntax.table import load
from tracelang.syntax.tree import Token

RECIPES = Path(__file__).parents[2] / "recipes"
TEXTS = {name: (RECIPES / name).read_text("utf-8") for name in ("methods/trace_robust.erase", "artists.erase")}
TEXTS["every keyword.erase"] = USES


def opened(documents: Documents, name: str, text: str) -> Document:
    uri = (RECIPES / name).as_uri()
    documents.put(uri, text)
    documents.recipes.add(uri)
    return documents.at(uri)


def words(document: Document) -> Iterator[Token]:
    """Keywords and names, but for those that give a thing its name."""
    table = load()
    tokens = lex(document.source, table, pattern(table), Findings()).tokens
    for before, token in zip([tokens[-1], *tokens], tokens, strict=False):
        mention = at(document.statement(token.start), token.start)
        new = mention is not None and mention.defines and mention.span.start == token.start
        if token.type == "NAME" and before.text != "as" and not new:
            yield token


@pytest.mark.parametrize("name", TEXTS)
def test_what_stands_there_is_offered(name: str) -> None:
    text = TEXTS[name]
    documents = Documents()
    for token in list(words(opened(documents, name, text))):
        without = opened(documents, name, text[: token.start] + text[token.end :])
        labels = [one.label for one in completion(documents, without, token.start).items]
        dotted = {label.partition(".")[0] for label in labels} | {label.rpartition(".")[2] for label in labels}
        known = token.text in labels or token.text in dotted
        unknown = name == "every keyword.erase" and token.text in {"b"}
        assert known or unknown, (text[max(0, token.start - 40) : token.start], labels)


def test_no_question_fails() -> None:
    """Recipes cut, doubled and sprinkled with what does not belong there, asked about at places all over."""
    chance = random.Random(1)
    documents = Documents()
    pieces = [
        '"',
        "{",
        "}",
        "(",
        ")",
        " = ",
        ".",
        "..",
        "%",
        "@",
        "\r",
        "\0",
        "\U0001f600",
        "\n",
        "# tracec: allow ",
        "list ",
    ]
    sources = [*TEXTS.values(), 'group g = list "lists/people.csv" column "n" where "a" is "b"\n']
    for _ in range(60):
        text = chance.choice(sources)[:3_000]
        for _ in range(chance.randrange(1, 6)):
            a, b = sorted(chance.randrange(len(text) + 1) for _ in range(2))
            b = min(b, a + 40)
            text = text[:a] + chance.choice([*pieces, text[a:b] * 2, ""]) + text[b if chance.random() < 0.5 else a :]
        document = opened(documents, "broken.erase", text)
        found = documents.findings(document.uri, text)
        rendering = Rendering(documents, document)
        assert sum(map(len, rendering.by_uri(found).values())) == len(found)
        symbols(document)
        for _ in range(6):
            place = chance.randrange(len(text) + 1)
            completion(documents, document, place)
            hover(documents, document, place, found)
            list(actions(rendering, found, place, place))
            mention = at(document.statement(place), place)
            if mention is not None:
                definition(documents, document, mention)
                wanted = target(document, place)
                if wanted is not None and wanted.span.source.path == document.source.path:
                    assert any(True for _ in references(documents, document, wanted))


def test_positions_go_there_and_back() -> None:
    text = 'a\r\n\U0001f600é"猫"\rb\n\n\u2028x\x0cy\n'
    for units in ("utf-8", "utf-16", "utf-32"):
        known = lines(text, units)
        for place in range(len(text) + 1):
            if text[max(place - 1, 0) : place + 1] != "\r\n":
                assert known.offset(known.position(place)) == place, (units, place)
    assert lines(text).position(text.index("猫")).character == 4 and lines(text).position(len(text)).line == 5
