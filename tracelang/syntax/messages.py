"""What to say about a token that does not fit, in the words of the language."""

from __future__ import annotations

from tracelang.diagnostics import Label, Report, Source, Span
from tracelang.syntax.lexer import CLOSING, OPENING, Token
from tracelang.syntax.phrases import A_CONCEPT, A_RANGE, AFTER, FORMS, INNER, MAX_KEYWORD, MEANT, STATEMENTS, TOKENS
from tracelang.syntax.table import Table


def misspelt(word: str) -> str:
    """The statement keyword that a word nearly is, or nothing."""
    if len(word) > MAX_KEYWORD:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(word, STATEMENTS.values(), n=1, cutoff=0.6)
    return near[0] if near else ""


def accepted(table: Table, stack: list[int]) -> list[str]:
    """The terminals that could come next, found by driving the automaton: LALR's lookahead sets name too many."""
    terminals = (kind for kind in table.states[stack[-1]] if kind.isupper())
    return [kind for kind in terminals if _accepts(table, stack, kind)]


def report_unexpected(source: Source, table: Table, before: list[Token], token: Token, report: Report) -> None:
    """Report the token that the automaton cannot take after those `before` it."""
    stack, values = _replay(table, before)
    tokens = [value for value in values if value is not None]
    statement = next((one for one in tokens if one.type in STATEMENTS), None)
    previous = values[-1] if values else None
    wanted = _wanted(table, stack, statement, previous)
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
    if statement is not None and statement.start != span.start:
        also.append(Label(Span(source, statement.start, statement.end), f"in this `{statement.text}` statement"))
    last = before[-1] if before else None
    report.error(code, message, span, also=also, help=_help(table, stack, statement, last, token, opening, wanted))


def _replay(table: Table, tokens: list[Token]) -> tuple[list[int], list[Token | None]]:
    """The automaton right after some tokens, before the one that failed made it reduce; None stands for a node."""
    stack = [table.start]
    values: list[Token | None] = []
    for token in tokens:
        while (action := table.states[stack[-1]][token.type]) < 0:
            rule = table.rules[-1 - action]
            if rule.length:
                del stack[-rule.length :], values[-rule.length :]
            stack.append(table.states[stack[-1]][rule.origin])
            values.append(None)
        stack.append(action)
        values.append(token)
    return stack, values


def _accepts(table: Table, stack: list[int], kind: str) -> bool:
    trial = list(stack)
    while True:
        action = table.states[trial[-1]].get(kind)
        if action is None:
            return False
        if action >= 0:
            return True
        rule = table.rules[-1 - action]
        if rule.length:
            del trial[-rule.length :]
        trial.append(table.states[trial[-1]][rule.origin])


def _wanted(table: Table, stack: list[int], statement: Token | None, previous: Token | None) -> str:
    kinds = set(accepted(table, stack))
    if previous is not None and kinds & TOKENS.keys():  # else a keyword was meant as a name, and stands complete
        inside = statement.type if statement else ""
        known = AFTER.get((inside, previous.type)) or AFTER.get(("", previous.type))
        if known:
            return known
    words = []
    if kinds >= STATEMENTS.keys() and "NAME" not in kinds:
        kinds -= STATEMENTS.keys()
        words.append("a statement" if not kinds else "the next statement")
    keywords = {kind for text, kind in table.literals.items() if text.isalpha()}
    if "NAME" in kinds:
        kinds -= keywords
    names = {kind: f"`{text}`" for text, kind in table.literals.items()} | TOKENS
    words = sorted(names[kind] for kind in kinds) + words
    return _listing(words) if words else "nothing more"


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


def _help(
    table: Table,
    stack: list[int],
    statement: Token | None,
    last: Token | None,
    token: Token,
    opening: Token | None,
    wanted: str,
) -> str:
    """What to do about a token after the `last` one; the first advice that fits."""
    inside = statement.type if statement else "-"
    if token.type == "$END" and opening is not None:
        return f"close it with `{OPENING[opening.text]}`"
    if opening is not None and opening.text == "{" and token.text in STATEMENTS.values():
        return "is the `{` before it closed with `}`?"
    if token.type == "DOT":
        return "a number starts with a digit: `0.5`"
    if wanted == A_RANGE and token.type in {"NUMBER", "STRING"}:
        return "write both ends, the lower one first"
    keyword = last is not None and last is not statement and last.text in STATEMENTS.values()
    if last is not None and keyword and (inside, last.text) not in INNER:
        return f"`{last.text}` is read as a name here: something is missing before it"
    if last is not None and last.type == "IN" and inside in {"METHOD", "DEFINE"}:
        return "a layer set in a setting stands in parentheses: `on = (text in (mid, up))`"
    meant = MEANT.get((inside, token.text)) or MEANT.get(("", token.text))
    if meant:
        return meant
    if token.type == "NAME" and (near := _near(table, stack, token.text)):
        return f"did you mean `{near}`?"
    if statement is None:
        return f"a statement starts with {_listing([f'`{word}`' for word in STATEMENTS.values()])}"
    if token.type == "NAME" and wanted == A_CONCEPT:
        return 'quote a text: `"cat"`'
    if token.text == "{" and inside in {"ERASE", "PRESERVE"}:
        return f"`{statement.text}` has no block; settings stand in `method`"
    if last is not None and last.type == "STRING" and token.type == "STRING":
        return "separate several texts with commas"
    if last is not None and last.type == "COMMA":
        return "write one more after the comma, or remove it"
    if token.type == "NUMBER" and "a name" in wanted:
        return "a name starts with a letter"
    if token.type == "NUMBER" and inside in {"WINDOW", "PARAM"}:
        return "a range is written `60%..100%`"
    if token.type == "STRING" and wanted == "a name":
        return "a name stands without quotes"
    return f"an example: `{FORMS[inside]}`"


def _near(table: Table, stack: list[int], word: str) -> str:
    """The keyword that could stand here and that a word nearly is, or nothing."""
    if len(word) > MAX_KEYWORD:
        return ""
    from difflib import get_close_matches

    here = set(accepted(table, stack))
    near = get_close_matches(word, (text for text, kind in table.literals.items() if kind in here), n=1, cutoff=0.6)
    return near[0] if near else ""
