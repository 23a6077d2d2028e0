"""What to say about a token that does not fit, in the words of the language."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from tracelang.diagnostics import Findings, Label, Source, Span
from tracelang.syntax.advice import advice
from tracelang.syntax.automaton import accepted, replay, settled, statements
from tracelang.syntax.lexer import CLOSING, OPENING
from tracelang.syntax.phrases import phrases
from tracelang.syntax.table import Table
from tracelang.syntax.tree import Token

MAX_KEYWORD = 20
"""Longer words are near no keyword."""

TOKENS = {"STRING": "a quoted text", "NAME": "a name", "NUMBER": "a number"}


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that another nearly is, or nothing."""
    near = get_close_matches(word, words, n=1, cutoff=0.6) if len(word) <= MAX_KEYWORD else []
    return near[0] if near else ""


def meant(table: Table, before: list[Token], token: Token) -> str:
    """The keyword that a word after those `before` it nearly is, of those that may stand there; or nothing."""
    if token.type != "NAME" or token.text in table.literals:
        return ""
    here = accepted(table, replay(table, before)[0])
    return nearest(token.text, [text for text, kind in table.literals.items() if kind in here and text.isalpha()])


def report_unexpected(
    source: Source, table: Table, before: list[Token], token: Token, after: list[Token], report: Findings
) -> None:
    """Report the token that the automaton cannot take after those `before` it; a few may follow it."""
    stack, values = replay(table, before)
    tokens = [value for value in values if value is not None]
    wanted = phrases().expected.get(str(stack[-1])) or _listing(_follow(table, accepted(table, stack)))
    also = []
    opening = _unclosed(tokens)
    if token.type == "$END":
        span = Span(source, token.start, token.start)
        code, message = "TL102", f"the file ends where {wanted} should follow"
        if opening is not None:
            message = f"the file ends, but this `{opening.text}` is still open"
            also.append(Label(Span(source, token.start, token.start), "the file ends here"))
            span = Span(source, opening.start, opening.end)
    else:
        span = Span(source, token.start, token.end)
        code, message = "TL101", f"expected {wanted}, found {_found(token)}"
    if tokens and tokens[0].start != span.start:
        statement = tokens[0]
        also.append(Label(Span(source, statement.start, statement.end), f"in this `{statement.text}` statement"))
    known = advice(source, before, token, after) if code == "TL101" else None
    if known is not None:
        report.error(code, message, span, also=also, help=known.help, fix=known.fix)
    else:
        report.error(code, message, span, also=also, help=_help(table, stack, tokens, token, opening))


def _follow(table: Table, kinds: set[str]) -> list[str]:
    """What terminals are called, those that begin a statement together."""
    words = []
    starts = set(statements(table).values())
    if kinds >= starts and "NAME" not in kinds:
        kinds = kinds - starts
        words.append("the next statement" if kinds else "a statement")
    elif "NAME" in kinds:
        kinds = kinds - {kind for text, kind in table.literals.items() if text.isalpha()}
    names = {kind: f"`{text}`" for text, kind in table.literals.items()} | TOKENS
    return sorted(names[kind] for kind in kinds) + words or ["nothing more"]


def _listing(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _found(token: Token) -> str:
    if token.type == "STRING":
        return "a quoted text"
    return f"`{token.text if len(token.text) <= 40 else token.text[:37] + '...'}`"


def _unclosed(tokens: list[Token]) -> Token | None:
    open_ones: list[Token] = []
    for token in tokens:
        if token.text in OPENING:
            open_ones.append(token)
        elif token.text in CLOSING and open_ones:
            open_ones.pop()
    return open_ones[-1] if open_ones else None


def _help(table: Table, stack: list[int], tokens: list[Token], token: Token, opening: Token | None) -> str:
    """What to do about a token after those still on the `stack`; the first advice that fits."""
    starts = statements(table)
    if token.type == "$END" and opening is not None:
        return f"close it with `{OPENING[opening.text]}`"
    if opening is not None and opening.text == "{" and token.text in starts:
        return "is the `{` before it closed with `}`?"
    if token.text in CLOSING and opening is None:
        return "it closes nothing: remove it"
    if opening is not None and token.text in CLOSING and token.text != OPENING[opening.text]:
        return f"close the `{opening.text}` before it with `{OPENING[opening.text]}`"
    known, place = phrases(), settled(table, stack)
    named = any(action < 0 and table.rules[-1 - action].name == "name" for action in table.states[stack[-1]].values())
    if named and tokens[-1].text in starts:
        return f"`{tokens[-1].text}` is read as a name here: something is missing before it"
    if named and tokens[-1].text == "in":
        return "a layer set in a setting stands in parentheses: `on = (text in (mid, up))`"
    if said := known.helps(place, token.text):
        return said
    here = accepted(table, stack)
    words = (text for text, kind in table.literals.items() if kind in here)
    if token.type == "NAME" and (near := nearest(token.text, words)):
        return f"did you mean `{near}`?"
    if said := known.helps(place, token.type) or known.helps(place, ""):
        return said
    example = next((known.example[key] for state in place if (key := str(state)) in known.example), "")
    return f"an example: `{example}`" if example else f"a statement starts with {_listing([f'`{w}`' for w in starts])}"
