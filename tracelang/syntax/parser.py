"""From tokens to the tree: the LALR automaton that `grammar/erase.lark` defines."""

from __future__ import annotations

from functools import cache
from typing import Any

from tracelang.diagnostics import Report, Source, Span
from tracelang.syntax.build import BUILD
from tracelang.syntax.lexer import Token, lex, pattern
from tracelang.syntax.messages import report_unexpected
from tracelang.syntax.table import Table, load
from tracelang.syntax.text import bad_escapes
from tracelang.syntax.tree import File

_table = cache(load)


@cache
def _pattern() -> Any:
    return pattern(_table())


def parse(source: Source, report: Report) -> File | None:
    """The tree of a source, or None when it has a syntax error, which then stands in `report`."""
    table = _table()
    before = len(report.findings)
    lexed = lex(source, table, _pattern(), report)
    unreadable = len(report.findings) > before
    for token in lexed.tokens:
        if token.type == "STRING":
            for start, end in bad_escapes(token.text):
                span = Span(source, token.start + start, token.start + end)
                report.error("TL103", "no such escape", span, help='the escapes are \\" \\\\ \\n \\t and \\u{…}')
    statements = _run(source, table, lexed.tokens, report, quiet=unreadable)
    if statements is None or len(report.findings) > before:
        return None
    return File(source, statements, lexed.comments)


def _run(source: Source, table: Table, tokens: list[Token], report: Report, *, quiet: bool) -> Any:
    """Drive the automaton; `quiet`: the tokens end at a part that is already reported, so their end is no error."""
    states, rules, literals = table.states, table.rules, table.literals
    stack = [table.start]
    values: list[Any] = []
    starts: list[int] = []
    ends: list[int] = []
    for at, token in enumerate(tokens):
        kind = token.type
        actions = states[stack[-1]]
        if kind == "NAME":
            keyword = literals.get(token.text)
            if keyword is not None and keyword in actions:
                kind = keyword
        while True:
            action = states[stack[-1]].get(kind)
            if action is None:
                if not (quiet and kind == "$END"):
                    report_unexpected(source, table, tokens[:at], token, report)
                return None
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
                return value
            stack.append(state)
            values.append(value)
            starts.append(start)
            ends.append(end)
    return None


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
