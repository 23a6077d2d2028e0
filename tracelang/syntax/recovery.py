"""Where to read on after a syntax error, so that one run finds every independent error of a file.

A statement keyword is a plausible start where it begins a line, or follows the brace that closes the broken
statement's block, or a value where its next token fits it. Inside a block that is still open, keywords may be the names
of settings: there it must also stand no deeper than the broken statement does, and its next token must fit it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracelang.diagnostics import Source
from tracelang.syntax.automaton import statements
from tracelang.syntax.messages import nearest
from tracelang.syntax.table import Table
from tracelang.syntax.tree import Token


@dataclass(frozen=True, slots=True)
class Resumption:
    """The token to read on from, and how many blocks were left open before it."""

    at: int
    left_open: int


def resume(source: Source, table: Table, tokens: list[Token], begun: int, failed: int) -> Resumption:
    """Where to read on when the statement that began at one token failed at another; `$END` at the latest."""
    indent = _indent(source.text, tokens[begun].start)
    # A keyword that was taken as a name right before the failure was, on a line of its own, the next statement.
    earliest = max(begun + 1, failed - 1)
    depth = 0
    closed = False
    starts = statements(table)
    for at in range(begun, len(tokens) - 1):
        token = tokens[at]
        if at >= earliest:
            first = _begins_line(source, tokens, at)
            if token.text in starts:
                # a block that the author has not closed ends where a line starts like a statement
                fits = _fits(table, tokens, at)
                unclosed = first and _indent(source.text, token.start) <= indent and fits
                if unclosed or (depth == 0 and (closed or first or (fits and _after_value(table, tokens[at - 1])))):
                    token.type = "NAME"
                    return Resumption(at, depth)
            elif depth == 0 and at > failed and misspelt_start(source, table, tokens, begun, at):
                return Resumption(at, depth)
        closed = token.type == "CLOSE" and depth <= 1
        depth = max(0, depth + (token.type == "OPEN") - (token.type == "CLOSE"))
    return Resumption(len(tokens) - 1, depth)


def misspelt_start(source: Source, table: Table, tokens: list[Token], begun: int, at: int) -> bool:
    """Whether a token looks like a statement's keyword with a slip in it, after the statement begun at another."""
    token = tokens[at]
    if token.type != "NAME" or token.text in table.literals or not _begins_line(source, tokens, at):
        return False
    if _indent(source.text, token.start) > _indent(source.text, tokens[begun].start):
        return False
    return nearest(token.text, statements(table)) != ""


def ends_before(source: Source, tokens: list[Token], begun: int, failed: int) -> bool:
    """Whether a token stands on a new line, no deeper than the statement begun at another."""
    if not _begins_line(source, tokens, failed):
        return False
    return _indent(source.text, tokens[failed].start) <= _indent(source.text, tokens[begun].start)


def _begins_line(source: Source, tokens: list[Token], at: int) -> bool:
    return at == 0 or source.text.find("\n", tokens[at - 1].end, tokens[at].start) >= 0


def _indent(text: str, at: int) -> int:
    """The indentation of the line on which a character stands."""
    line = text.rfind("\n", 0, at) + 1
    end = line
    while end < at and text[end] in " \t":
        end += 1
    return end - line


VALUES = frozenset({"STRING", "NUMBER", "PERCENT", "CLOSE_PAREN"})


def _after_value(table: Table, token: Token) -> bool:
    """Whether no name can follow this token on its line: a keyword there is one."""
    return token.type in VALUES or (token.type == "NAME" and token.text not in table.literals)


def _fits(table: Table, tokens: list[Token], at: int) -> bool:
    """Whether the token after a statement keyword can follow it."""
    if tokens[at].text == "templates" and tokens[min(at + 2, len(tokens) - 1)].text != "=":
        return False  # of a concept
    follow = table.states[table.states[table.start][table.literals[tokens[at].text]]]
    return tokens[at + 1].type in follow or table.literals.get(tokens[at + 1].text) in follow
