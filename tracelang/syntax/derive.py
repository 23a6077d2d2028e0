"""The words for syntax errors, derived from the bad snippets in `grammar/messages.txt`.

`python -m tracelang.syntax.derive` writes the JSON that ships.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tracelang.diagnostics import Findings, Source
from tracelang.syntax.automaton import accepts, kind_of, replay, settled
from tracelang.syntax.lexer import lex, pattern
from tracelang.syntax.phrases import MESSAGES, Phrases, digest
from tracelang.syntax.table import FOLDER, Table, load
from tracelang.syntax.tree import Token

SNIPPETS = Path(FOLDER, "messages.txt")


def derive(text: str) -> Phrases:
    """The phrases from labelled snippets. ValueError names each snippet that is not what its label says."""
    table = load()
    keys = {"expected": _after, "example": _after, "help": _help, "character": _character}
    words: dict[str, dict[str, str]] = {sort: {} for sort in keys}
    wrong = []
    for block in text.split("\n### ")[1:]:
        label, _, snippets = block.partition("\n")
        sort, _, said = label.partition(" ")
        for snippet in filter(str.strip, snippets.splitlines()):
            try:
                key = keys[sort](table, snippet)
                if key in words[sort]:
                    raise ValueError(f"this place has its words already: {words[sort][key]}")
                words[sort][key] = said
            except ValueError as error:
                wrong.append(f"{snippet}: {error}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return Phrases(digest(), **words)


def dump(found: Phrases) -> str:
    """The text of the JSON file."""
    return json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n"


def _after(table: Table, snippet: str) -> str:
    return str(_states(table, snippet)[-1])


def _help(table: Table, snippet: str) -> str:
    right, _, wrong = f" {snippet} ".rpartition(" | ")
    outer, inside, right = right.rpartition("…")
    stack = _states(table, outer + right)
    token = _tokens(table, wrong.replace("NAME", "name"))[0]
    if accepts(table, stack, kind_of(table, stack, token)):
        raise ValueError("nothing is wrong here")
    around = settled(table, _states(table, outer))[-1]
    stack = settled(table, stack)
    if inside and around not in stack:
        raise ValueError("what stands before the … ends before the last token")
    told = token.type if token.type in {"STRING", "NUMBER"} else wrong.strip()
    return f"{around} … {told}" if inside else f"{stack[-1]} {told}"


def _character(table: Table, snippet: str) -> str:
    found = snippet.rpartition(" | ")[2]
    if len(found) != 1 or pattern(table).match(found):
        raise ValueError("the last is no unreadable character")
    return found


def _states(table: Table, snippet: str) -> list[int]:
    """The states after a snippet that is right so far."""
    try:
        return replay(table, _tokens(table, snippet)[:-1])[0]
    except KeyError as error:
        raise ValueError(f"not right up to its end: {error}") from None


def _tokens(table: Table, snippet: str) -> list[Token]:
    if rest := pattern(table).sub("", snippet):
        raise ValueError(f"no token: {rest}")
    return lex(Source("", snippet), table, pattern(table), Findings()).tokens


if __name__ == "__main__":
    MESSAGES.write_text(dump(derive(SNIPPETS.read_text("utf-8"))), "utf-8")
