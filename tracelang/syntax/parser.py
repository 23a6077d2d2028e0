"""From tokens to the tree: the LALR automaton that `grammar/erase.lark` defines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from typing import Any

from tracelang.diagnostics import Diagnostic, Findings, Source, Span
from tracelang.records import dataclass, replace
from tracelang.syntax.build import BUILD
from tracelang.syntax.lexer import lex, pattern
from tracelang.syntax.table import Table, load
from tracelang.syntax.text import bad_escapes, plain
from tracelang.syntax.tree import File, Token

MAX_ERRORS = 100

_table = cache(load)


@dataclass(frozen=True, slots=True)
class Failure:
    """The token that did not fit, and the one that began its statement."""

    at: int
    begun: int


@cache
def _pattern() -> Any:
    return pattern(_table())


def parse(source: Source, report: Findings) -> File | None:
    """The tree of a source, or None when it has syntax errors, which then stand in `report` by place.

    Beside a tree there may be warnings about characters that are not what they look like.
    """
    table = _table()
    own = Findings()
    lexed = lex(source, table, _pattern(), own)
    unreadable = [finding.primary.span.start for finding in own.findings]
    statements, failure = _run(source, table, lexed.tokens, 0)
    if failure is not None:
        _read_on(source, table, lexed.tokens, failure, unreadable, own)
    hidden = not plain(source.text)
    for token in lexed.tokens:
        if token.type == "STRING" and "\\" in token.text:
            hidden = hidden or "\\u" in token.text
            for start, end in bad_escapes(token.text):
                span = Span(source, token.start + start, token.start + end)
                own.error("TL103", "no such escape", span, help='the escapes are \\" \\\\ \\n \\t and \\u{…}')
    if hidden:
        from tracelang.syntax.unseen import in_recipe  # most files are all ASCII

        own.findings += in_recipe(source, lexed.tokens, lexed.comments)
    if own.findings:
        report.findings += _limited(own.in_order())
    return None if own.failed else File(source, statements, lexed.comments)


def _limited(findings: list[Diagnostic]) -> list[Diagnostic]:
    if len(findings) <= MAX_ERRORS:
        return findings
    note = f"more errors follow: only the first {MAX_ERRORS} of a file are shown"
    return [*findings[: MAX_ERRORS - 1], replace(findings[MAX_ERRORS - 1], note=note)]


def _read_on(
    source: Source, table: Table, tokens: list[Token], failure: Failure, unreadable: list[int], report: Findings
) -> None:
    """Report a failure and those of the statements after it. One that an earlier error brought about is no error."""
    from tracelang.syntax.messages import report_unexpected  # a file without errors needs neither
    from tracelang.syntax.recovery import misspelt_start, resume

    first = 0
    reported = -1
    left_open = 0
    reports = 0
    following: Failure | None = failure
    while following is not None and reports <= MAX_ERRORS:
        begun, failed = following.begun, following.at
        token = tokens[failed]
        stray = begun == failed and token.type == "CLOSE" and left_open > 0
        left_open -= stray
        # what could not be read right before a statement may have been its keyword
        new = begun == failed or misspelt_start(source, table, tokens, begun, failed)
        since = tokens[begun].start if not new else tokens[failed - 1].end if failed else 0
        until = token.end if token.type != "$END" else len(source.text)
        known = bisect_right(unreadable, until) > bisect_left(unreadable, since)
        if not (stray or known or failed == reported):
            report_unexpected(source, table, tokens[first:failed], token, report)
            reports += 1
        reported = failed
        resumption = resume(source, table, tokens, begun, failed)
        first = resumption.at
        left_open += resumption.left_open
        _, following = _run(source, table, tokens, first) if first < len(tokens) - 1 else (None, None)


def _run(source: Source, table: Table, tokens: list[Token], first: int) -> tuple[Any, Failure | None]:
    """Drive the automaton over the tokens from `first` on: what the file is, or where that ends."""
    states, rules, literals = table.states, table.rules, table.literals
    stack = [table.start]
    values: list[Any] = []
    starts: list[int] = []
    ends: list[int] = []
    for at in range(first, len(tokens)):
        token = tokens[at]
        kind = token.type
        actions = states[stack[-1]]
        if kind == "NAME":
            keyword = literals.get(token.text)
            if keyword is not None and keyword in actions:
                kind = keyword
        while True:
            action = states[stack[-1]].get(kind)
            if action is None:
                return None, Failure(at, _begun(table, tokens, stack, starts, at))
            if action >= 0:
                token.type = kind
                stack.append(action)
                values.append(token)
                starts.append(token.start)
                ends.append(token.end)
                break
            rule = rules[-1 - action]
            cut = len(values) - rule.length
            start = starts[cut] if rule.length else token.start
            end = ends[-1] if rule.length else token.start
            value = _reduce(rule, source, start, end, values[cut:])
            del stack[cut + 1 :], values[cut:], starts[cut:], ends[cut:]
            state = states[stack[-1]][rule.origin]
            if state == table.end:
                return value, None
            stack.append(state)
            values.append(value)
            starts.append(start)
            ends.append(end)
    raise AssertionError("the tokens end with $END")


def _begun(table: Table, tokens: list[Token], stack: list[int], starts: list[int], at: int) -> int:
    """The token that began the statement in which the automaton stands: `at`, where it stands between two."""
    between = {table.start} | {to for symbol, to in table.states[table.start].items() if symbol.startswith("_")}
    depth = max(i for i, state in enumerate(stack) if state in between)
    return bisect_left(tokens, starts[depth], key=lambda token: token.start) if depth < len(starts) else at


def _reduce(rule: Any, source: Source, start: int, end: int, values: list[Any]) -> Any:
    if rule.inline:
        first = values[0]
        if type(first) is list and rule.length > 1:
            items, rest = first, rule.kept[1:]
        else:
            items, rest = [], rule.kept
        for i in rest:
            _put(items, values[i])
        return items
    children: list[Any] = []
    for i in rule.kept:
        _put(children, values[i])
    if rule.transparent and len(children) == 1 and rule.name == rule.origin:
        return children[0]
    return BUILD[rule.name](Span(source, start, end), children)


def _put(items: list[Any], value: Any) -> None:
    if type(value) is list:
        items.extend(value)
    else:
        items.append(value)
