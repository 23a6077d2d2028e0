"""From tokens to the tree: the LALR automaton that `grammar/erase.lark` defines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from typing import Any

from tracelang.diagnostics import Diagnostic, Findings, Label, Source, Span
from tracelang.records import dataclass, replace
from tracelang.syntax.build import BUILD
from tracelang.syntax.lexer import is_mark, lex, pattern
from tracelang.syntax.table import Table, load
from tracelang.syntax.text import bad_escapes, foreign, plain
from tracelang.syntax.tree import LANGUAGE_VERSION, File, Token

MAX_ERRORS = 100
SEARCHED = 20
"""So many errors of a file are told before a statement is no longer searched for a second one."""

_table = cache(load)


@dataclass(frozen=True, slots=True)
class Failure:
    """The token that did not fit, and the one that began its statement."""

    at: int
    begun: int


@cache
def _pattern() -> Any:
    return pattern(_table())


def tokens_of(source: Source) -> list[Token]:
    """The tokens of a source that has been read."""
    return lex(source, _table(), _pattern(), Findings()).tokens


def parse(source: Source, report: Findings) -> File | None:
    """The tree of a source, or None when it has syntax errors, which then stand in `report` by place.

    Beside a tree there may be warnings about characters that are not what they look like.
    """
    before = len(report.findings)
    file = recover(source, report)
    return None if any(found.severity == "error" for found in report.findings[before:]) else file


def recover(source: Source, report: Findings) -> File | None:
    """What can be read of a source, statement by statement, with every syntax error in `report`.

    None where what stands after some place, or in another version of the language, cannot be known.
    """
    table = _table()
    own = Findings()
    lexed = lex(source, table, _pattern(), own)
    newer = _newer(source, lexed.tokens)
    if newer is not None:
        report.findings.append(newer)
        return None
    if own.findings and source.text.lstrip()[:1] == "{":
        report.findings.append(_data(source))
        return None
    unreadable = [finding.primary.span.start for finding in own.findings if not is_mark(finding)]
    marks = [finding.primary.span.start for finding in own.findings if is_mark(finding)]
    statements, failure = _run(source, table, lexed.tokens, 0, len(lexed.tokens))
    gaps: list[tuple[int, int]] | None = []
    if failure is not None:
        statements, gaps = _read_on(source, table, lexed.tokens, statements, failure, unreadable, marks, own)
    hidden = not plain(source.text) or foreign(source.text)
    for token in lexed.tokens:
        if token.type == "STRING" and "\\" in token.text:
            hidden = hidden or "\\u" in token.text
            for start, end in bad_escapes(token.text):
                span = Span(source, token.start + start, token.start + end)
                own.error("TL103", "no such escape", span, help='the escapes are \\" \\\\ \\n \\t and \\u{…}')
    if hidden:
        from tracelang.syntax import lookalikes, unseen  # most files are all ASCII

        own.findings += unseen.in_recipe(source, lexed.tokens, lexed.comments)
        own.findings += lookalikes.in_recipe(source, lexed.tokens, lexed.comments)
    if own.findings:
        report.findings += _limited(_odd_quotes(own.in_order()))
    if not own.failed:
        return File(source, tuple(statements), lexed.comments)
    if gaps is None or any(finding.code == "TL107" for finding in own.findings):
        return None
    from tracelang.syntax.salvage import salvage

    return salvage(File(source, tuple(statements), lexed.comments), table, lexed.tokens, gaps, own.findings)


def _data(source: Source) -> Diagnostic:
    """The one finding about a file of JSON."""
    at = source.text.index("{")
    plan = '"format_version"' in source.text and '"digest"' in source.text
    what, help = ("a plan", "apply it: `tracec apply PLAN`") if plan else ("JSON", "name a recipe, a `.erase` file")
    return Diagnostic("TL104", "error", f"this is {what}, no recipe", Label(Span(source, at, at + 1)), help=help)


def _newer(source: Source, tokens: list[Token]) -> Diagnostic | None:
    """The one finding about a file in a later version of the language: nothing else in it means what it seems to."""
    if len(tokens) < 3 or tokens[0].text != "tracelang" or tokens[1].type != "NUMBER":
        return None
    token = tokens[1]
    if tokens[2].type == "PERCENT" or float(token.text) <= LANGUAGE_VERSION:
        return None
    message = f"this is version {token.text} of the language, and this compiler knows version {LANGUAGE_VERSION}"
    span = Span(source, token.start, token.end)
    return Diagnostic("TL312", "error", message, Label(span), help="use a newer tracelang")


def _odd_quotes(findings: list[Diagnostic]) -> list[Diagnostic]:
    """One quote too few or too many is one error: what it makes of its line is told where that begins."""
    kept: list[Diagnostic] = []
    for one in findings:
        before = kept[-1] if kept else None
        if before is not None and before.code == "TL101" and one.code == "TL103" and one.primary.span.text[0] == '"':
            start = before.primary.span.end
            if "\n" not in before.primary.span.source.text[start : one.primary.span.start]:
                kept[-1] = replace(before, help=QUOTES)
                continue
        kept.append(one)
    return kept


QUOTES = "the quotes of this line are odd in number: is one missing, or one too many?"


def _limited(findings: list[Diagnostic]) -> list[Diagnostic]:
    if len(findings) <= MAX_ERRORS:
        return findings
    note = f"more errors follow: only the first {MAX_ERRORS} of a file are shown"
    return [*findings[: MAX_ERRORS - 1], replace(findings[MAX_ERRORS - 1], note=note)]


def _read_on(
    source: Source,
    table: Table,
    tokens: list[Token],
    statements: list[Any],
    failure: Failure,
    unreadable: list[int],
    marks: list[int],
    report: Findings,
) -> tuple[list[Any], list[tuple[int, int]] | None]:
    """Report a failure and those of the statements after it. One that an earlier error brought about is no error.

    A strange mark, passed over in reading, brings about what stands right beside it, other unreadable text all that
    follows in its statement. Returns every statement that could be read, and the stretches of tokens that could not;
    None for these where the end was not reached.
    """
    from tracelang.syntax.messages import report_unexpected  # a file without errors needs neither
    from tracelang.syntax.recovery import ends_before, misspelt_start, resume

    first = 0
    reported = -1
    left_open = 0
    reports = 0
    gaps: list[tuple[int, int]] = []
    following: Failure | None = failure
    while following is not None:
        if reports > MAX_ERRORS:
            return statements, None
        begun, failed = following.begun, following.at
        token = tokens[failed]
        stray = begun == failed and token.type == "CLOSE" and left_open > 0
        left_open -= stray
        # what could not be read right before a statement may have been its keyword
        new = begun == failed or misspelt_start(source, table, tokens, begun, failed)
        since = tokens[begun].start if not new else tokens[failed - 1].end if failed else 0
        until = token.end if token.type != "$END" else len(source.text)
        known = bisect_right(unreadable, until) > bisect_left(unreadable, since)
        if not (stray or known or failed == reported or _beside(marks, tokens, failed)):
            report_unexpected(source, table, tokens[first:failed], token, tokens[failed + 1 : failed + 3], report)
            reports += 1
        resumption = resume(source, table, tokens, begun, failed)
        end = resumption.at
        clear = bisect_left(unreadable, tokens[end].start) == bisect_left(unreadable, token.start)
        if clear and reports <= SEARCHED and end > failed and not (stray or known or failed == reported):
            statement = [replace(one) for one in tokens[begun:end]]
            reports += _others(source, table, statement, failed - begun, marks, report)
        reported = failed
        if begun < failed and resumption.at >= failed and ends_before(source, tokens, begun, failed):
            # the statement before is whole, and the line after it is not part of it
            more, short = _run(source, table, tokens, begun, failed)
            if short is None:
                statements += more
                begun = failed
        gaps.append((begun, resumption.at))
        first = resumption.at
        left_open += resumption.left_open
        following = None
        if first < len(tokens) - 1:
            more, following = _run(source, table, tokens, first, len(tokens))
            statements += more
    return statements, gaps


def _beside(marks: list[int], tokens: list[Token], at: int) -> bool:
    """Whether a strange mark stands right before or after a token."""
    start = tokens[at - 1].start if at else 0  # which may be read in place of one
    after = bisect_right(marks, tokens[at + 1].start) if at + 1 < len(tokens) else len(marks)  # behind the last token
    return after > bisect_left(marks, start)


def _others(source: Source, table: Table, tokens: list[Token], at: int, marks: list[int], report: Findings) -> int:
    """Report the errors of a statement after its first, each as if those before it had been mended. Returns how many
    there are.
    """
    from tracelang.syntax.messages import report_unexpected
    from tracelang.syntax.repair import next_error

    last = tokens[-1].end
    tokens.append(Token("$END", "", last, last))
    count = 0
    while (further := next_error(table, tokens, at)) is not None:
        tokens, at = further
        if not _beside(marks, tokens, at):
            report_unexpected(source, table, tokens[:at], tokens[at], tokens[at + 1 : at + 3], report)
            count += 1
    return count


def _run(source: Source, table: Table, tokens: list[Token], first: int, end: int) -> tuple[list[Any], Failure | None]:
    """Drive the automaton over the tokens from `first` to `end`: the statements that are whole, and where it stops."""
    states, rules, literals = table.states, table.rules, table.literals
    stack = [table.start]
    values: list[Any] = []
    starts: list[int] = []
    ends: list[int] = []
    for at in range(first, end + (end < len(tokens))):
        token = tokens[at]
        kind = token.type if at < end else "$END"
        actions = states[stack[-1]]
        if kind == "NAME":
            keyword = literals.get(token.text)
            if keyword is not None and keyword in actions:
                kind = keyword
        while True:
            action = states[stack[-1]].get(kind)
            if action is None:
                whole: list[Any] = []
                depth = _depth(table, stack)
                for value in values[:depth]:
                    _put(whole, value)
                begun = bisect_left(tokens, starts[depth], key=lambda one: one.start) if depth < len(starts) else at
                return whole, Failure(at, begun)
            if action >= 0:
                token.type = kind
                stack.append(action)
                values.append(token)
                starts.append(token.start)
                ends.append(token.end)
                break
            rule = rules[-1 - action]
            if rule.alone and type(values[-1]) is not list:  # most reductions: an only child stands for its parent
                stack.pop()
                stack.append(states[stack[-1]][rule.origin])
                continue
            cut = len(values) - rule.length
            start = starts[cut] if rule.length else token.start
            last = ends[-1] if rule.length else token.start
            value = _reduce(rule, source, start, last, values[cut:])
            del stack[cut + 1 :], values[cut:], starts[cut:], ends[cut:]
            state = states[stack[-1]][rule.origin]
            if state == table.end:
                return list(value), None
            stack.append(state)
            values.append(value)
            starts.append(start)
            ends.append(last)
    raise AssertionError("the tokens end with $END")


def _depth(table: Table, stack: list[int]) -> int:
    """How many values on the stack are whole statements."""
    between = {table.start} | {to for symbol, to in table.states[table.start].items() if symbol.startswith("_")}
    return max(i for i, state in enumerate(stack) if state in between)


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
