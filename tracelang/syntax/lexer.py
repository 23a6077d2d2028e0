"""From text to tokens.

The terminals come from the parse table. A keyword is told from a name by the parser's state, never here: a token of
type NAME may turn out to be either (`Token.type` is settled when the parser takes it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tracelang.diagnostics import Report, Source, Span
from tracelang.syntax.table import Table
from tracelang.syntax.tree import Comment

MAX_NESTING = 64
OPENING = {"{": "}", "(": ")"}
CLOSING = {"}": "{", ")": "("}
QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019'`"


@dataclass(slots=True)
class Token:
    type: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lexed:
    """The tokens of a source, an `$END` after the last, and its comments. An unreadable part stopped the tokens."""

    tokens: list[Token]
    comments: tuple[Comment, ...]


def pattern(table: Table) -> re.Pattern[str]:
    """One expression for all terminals: patterns by name, marks (longest first) as `MARK`."""
    marks = sorted((text for text in table.literals if not text.isalpha()), key=len, reverse=True)
    parts = [f"(?P<{name}>{expression})" for name, expression in table.patterns.items()]
    return re.compile("|".join([*parts, f"(?P<MARK>{'|'.join(map(re.escape, marks))})"]))


def lex(source: Source, table: Table, expression: re.Pattern[str], report: Report) -> Lexed:
    """Cut a source into tokens; the first unreadable character or a nesting past the limit is reported and ends it."""
    text = source.text
    tokens: list[Token] = []
    comments: list[Comment] = []
    depth = 0
    at = 0
    for match in _matches(expression, text):
        at = match.end()
        kind = match.lastgroup or ""
        if kind in table.ignored:
            if kind == "COMMENT":
                comments.append(Comment(match[0].rstrip("\r"), span=Span(source, match.start(), at)))
            continue
        word = match[0]
        if kind == "MARK":
            kind = table.literals[word]
            depth += (word in OPENING) - (word in CLOSING)
            if depth > MAX_NESTING:
                span = Span(source, match.start(), at)
                report.error("TL107", f"nested more than {MAX_NESTING} deep", span, help="flatten the nesting")
                return Lexed(_ended(tokens, match.start()), tuple(comments))
        tokens.append(Token(kind, word, match.start(), at))
    if at < len(text):
        _unreadable(source, at, tokens[-1] if tokens else None, report)
    last = tokens[-1].end if tokens else 0
    return Lexed(_ended(tokens, last if at == len(text) else at), tuple(comments))


def _matches(expression: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that lie end to end, from the start on."""
    return iter(expression.scanner(text).match, None)  # type: ignore[attr-defined]


def _ended(tokens: list[Token], at: int) -> list[Token]:
    tokens.append(Token("$END", "", at, at))
    return tokens


def _unreadable(source: Source, at: int, before: Token | None, report: Report) -> None:
    """Report the character where the tokens end, with what to write instead."""
    text = source.text
    character = text[at]
    end = at + 1
    if character == '"':
        line_end = text.find("\n", at)
        end = len(text) if line_end < 0 else line_end
        span = Span(source, at, end)
        help = 'close it with " on the same line; write a line break as \\n'
        report.error("TL103", "this text has no closing quote", span, help=help)
    elif character in QUOTES:
        report.error("TL104", "texts stand in straight double quotes", Span(source, at, end), help='write "…"')
    elif character.isalpha() or character == "_":
        while end < len(text) and (text[end].isalnum() or text[end] == "_"):
            end += 1
        if before is not None and before.end == at and before.type == "NAME":
            at = before.start
        word = text[at:end]
        plain = re.sub(r"[^a-z0-9_]", "", word.lower()).lstrip("_0123456789")
        advice = f"write `{plain}`, or quote it if it is a text" if plain else "quote it if it is a text"
        message = "a name is made of a-z, 0-9 and _, and starts with a letter"
        report.error("TL104", message, Span(source, at, end), help=advice)
    else:
        hints = {
            ";": "statements need no mark between them",
            "/": "a comment starts with #",
            "<": "a bound is written with <= or >=",
            ">": "a bound is written with <= or >=",
            "[": "sets are grouped with ( )",
            ":": "a setting is written `name = value`",
            ".": "a number starts with a digit: write 0.5",
        }
        name = ascii(character)[1:-1] if not character.isprintable() else character
        message = f"`{name}` has no meaning here"
        report.error("TL104", message, Span(source, at, end), help=hints.get(character, ""))
