"""From text to tokens.

The terminals come from the parse table. A keyword is told from a name by the parser's state, never here: a token of
type NAME may turn out to be either (`Token.type` is settled when the parser takes it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracelang.diagnostics import Diagnostic, Findings, Source, Span
from tracelang.records import dataclass
from tracelang.syntax.table import Table
from tracelang.syntax.tree import Comment, Token

MAX_NESTING = 64
OPENING = {"{": "}", "(": ")"}
OPENED = {"]": "["}
"""Strange marks that come in pairs, which are one mistake."""
CLOSING = {"}": "{", ")": "("}


@dataclass(frozen=True, slots=True)
class Lexed:
    """The tokens of a source, an `$END` after the last, and its comments."""

    tokens: list[Token]
    comments: tuple[Comment, ...]


def pattern(table: Table) -> re.Pattern[str]:
    """One expression for all terminals: patterns by name, marks (longest first) as `MARK`."""
    marks = sorted((text for text in table.literals if not text.isalpha()), key=len, reverse=True)
    parts = [f"(?P<{name}>{expression})" for name, expression in table.patterns.items()]
    return re.compile("|".join([*parts, f"(?P<MARK>{'|'.join(map(re.escape, marks))})"]))


def lex(source: Source, table: Table, expression: re.Pattern[str], report: Findings) -> Lexed:
    """Cut a source into tokens. What cannot be read is reported and passed over: once a line, but for single strange
    marks, each of which is told once a line and makes nothing else of it.

    Nesting past the limit is reported and ends the tokens.
    """
    text = source.text
    tokens: list[Token] = []
    comments: list[Comment] = []
    depth = 0
    at = 0
    reported = 0  # up to here nothing is said
    line_end = 0  # of the last line with something unreadable
    told: set[str | None] = set()  # the strange marks of that line
    marked = 0  # so many tokens stand before the last strange mark and the one after it
    whole = len(text.rstrip())
    while True:
        for match in _matches(expression, text, at):
            at = match.end()
            kind = match.lastgroup or ""
            if kind in table.ignored:
                if kind == "COMMENT":
                    comments.append(Comment(match[0].rstrip("\r"), span=Span(source, match.start(), at)))
                continue
            word = match[0]
            if kind == "MARK":
                kind = table.literals[word]
                depth = max(0, depth + (word in OPENING) - (word in CLOSING))
                if depth > MAX_NESTING:
                    span = Span(source, match.start(), at)
                    report.error("TL107", f"nested more than {MAX_NESTING} deep", span, help="flatten the nesting")
                    return Lexed(_ended(tokens, match.start()), tuple(comments))
            tokens.append(Token(kind, word, match.start(), at))
        if at == len(text):
            return Lexed(_ended(tokens, tokens[-1].end if tokens else 0), tuple(comments))
        from tracelang.syntax.unreadable import unreadable  # only now: most files need it not

        last = tokens[-1] if tokens else None
        begun = last.start if last and last.end == at and last.type == "NAME" else None
        found = unreadable(source, at, begun, table.literals)
        mark = text[at] if is_mark(found.finding) else ""
        if at >= line_end:
            line_end = text.find("\n", at)
            line_end = len(text) if line_end < 0 else line_end
            told.clear()
        again = mark != "" and (len(tokens) < marked or mark in told or OPENED.get(mark) in told)
        again = again or (mark != "" and depth > 0 and found.end == whole)  # the file was cut: what is open says it
        if found.start >= reported and not again:
            report.findings.append(found.finding)
            told.add(mark)
            if not mark:
                reported = line_end
        if mark:
            marked = len(tokens) + 2
        if found.stand_in is not None:
            if last and last.start == found.start:
                tokens.pop()
            tokens.append(Token(*found.stand_in, found.start, found.end))
        at = found.end


def is_mark(finding: Diagnostic) -> bool:
    """Is what could not be read one mark of ASCII that the language does not have, which can be left out? Quotes are
    more, and so are letters: they make something else of what stands around them.
    """
    text = finding.primary.span.text
    return len(text) == 1 and "!" <= text <= "~" and not text.isalnum() and text not in "\"'`_"


def _matches(expression: re.Pattern[str], text: str, at: int) -> Iterator[re.Match[str]]:
    """Matches that lie end to end, from one place on."""
    return iter(expression.scanner(text, at).match, None)  # type: ignore[attr-defined]


def _ended(tokens: list[Token], at: int) -> list[Token]:
    tokens.append(Token("$END", "", at, at))
    return tokens
