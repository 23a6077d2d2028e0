"""A statement read on past a syntax error, as if that had been mended, so that its other errors are told too.

Each change of one token at the error, or right before it, is tried: to take it out, to put another for it or before it,
to let two change places. Where one of them makes the statement whole, it has no other error. Where none does, it has
one, and the change by which most of it can be read says where.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracelang.syntax.automaton import accepted, after, complete, kind_of, replay, statements
from tracelang.syntax.lexer import CLOSING
from tracelang.syntax.messages import meant
from tracelang.syntax.table import Table
from tracelang.syntax.tree import Token

READ = 3
"""So many tokens have to fit after a change before it is believed: one or two fit after many."""
LONGEST = 120
"""Tokens of a statement; longer ones are lists, which are not tried over and over."""


def next_error(table: Table, tokens: list[Token], at: int) -> tuple[list[Token], int] | None:
    """A broken statement, mended at the token that did not fit, and where in it the next one does not; None where
    there is no other error, or nothing can be said of it. The last token is `$END`.
    """
    if len(tokens) > LONGEST:
        return None
    best: tuple[int, list[Token], int] | None = None
    for changed, start, moved, stack in _changes(table, tokens, at):
        stop = _stop(table, changed, start, stack)
        if stop is None:
            return None
        if best is None or stop - moved > best[0]:
            best = stop - moved, changed, stop
    # two misspelt keywords need nothing between them to be two
    slips = (
        best is not None
        and meant(table, tokens[:at], tokens[at])
        and meant(table, best[1][: best[2]], best[1][best[2]])
    )
    if best is None or best[0] <= at + (0 if slips else READ) or tokens[best[0]].type == "$END":
        return None
    if best[1][best[2]].text in CLOSING:  # what a bracket that was taken out has left
        return None
    return best[1], best[2]


def _changes(table: Table, tokens: list[Token], at: int) -> Iterator[tuple[list[Token], int, int, list[int]]]:
    """Each changed statement, where the change begins, by how much it moves what follows, and the states before it."""
    word = meant(table, tokens[:at], tokens[at])
    if word:
        yield (
            _with(tokens, at, 1, [_token(table, table.literals[word], tokens[at])]),
            at,
            0,
            replay(table, tokens[:at])[0],
        )
    for place in (at, at - 1):
        if place < 1:  # the keyword that begins it is not in doubt
            continue
        here = tokens[place]
        stack = replay(table, tokens[:place])[0]
        others = [
            _token(table, kind, here) for kind in sorted(accepted(table, stack) - set(statements(table).values()))
        ]
        if here.type != "$END":
            yield _with(tokens, place, 1, []), place, -1, stack
            if tokens[place + 1].type != "$END":
                yield _with(tokens, place, 2, [tokens[place + 1], here]), place, 0, stack
            for other in others:
                yield _with(tokens, place, 1, [other]), place, 0, stack
        for other in others:
            yield _with(tokens, place, 0, [other]), place, 1, stack


def _with(tokens: list[Token], at: int, length: int, others: list[Token]) -> list[Token]:
    return [*tokens[:at], *others, *tokens[at + length :]]


def _token(table: Table, kind: str, near: Token) -> Token:
    """A token of a kind that stands where another does."""
    text = next((text for text, other in table.literals.items() if other == kind), "x")
    return Token(kind, text, near.start, near.end)


def _stop(table: Table, tokens: list[Token], start: int, stack: list[int]) -> int | None:
    """The first token from `start` on that does not fit after some states; None where all do."""
    for at in range(start, len(tokens)):
        token = tokens[at]
        if token.type == "$END":
            return None if complete(table, stack) else at
        then = after(table, stack, kind_of(table, stack, token))
        if then is None:
            return at
        stack = then
    raise AssertionError("the tokens end with $END")
