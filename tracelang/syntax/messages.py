"""What to say about a token that does not fit, in the words of the language."""

from __future__ import annotations

from tracelang.diagnostics import Label, Report, Source, Span
from tracelang.syntax.lexer import CLOSING, OPENING, Token
from tracelang.syntax.table import Table

STATEMENTS = {
    "TRACELANG": "tracelang",
    "RECIPE": "recipe",
    "IMPORT": "import",
    "FROM": "from",
    "INCLUDE": "include",
    "PARAM": "param",
    "TEMPLATES": "templates",
    "CONCEPT": "concept",
    "GROUP": "group",
    "WINDOW": "window",
    "LAYERS": "layers",
    "ERASE": "erase",
    "PRESERVE": "preserve",
    "METHOD": "method",
    "DEFINE": "define",
    "EXPECT": "expect",
}

A_CONCEPT = 'a quoted text like `"cat"`, or the name of a concept or group'
A_RANGE = "a range like `60%..100%`"
A_LAYER_SET = "a layer set like `text in (mid, up)`"

# What belongs after a token, by the statement that it stands in ("" = any).
AFTER: dict[tuple[str, str], str] = {
    ("", "ERASE"): A_CONCEPT,
    ("", "PRESERVE"): A_CONCEPT,
    ("", "TOWARD"): A_CONCEPT,
    ("", "EXCEPT"): A_CONCEPT,
    ("", "AND"): A_CONCEPT,
    ("GROUP", "EQUALS"): A_CONCEPT,
    ("ERASE", "COMMA"): A_CONCEPT,
    ("PRESERVE", "COMMA"): A_CONCEPT,
    ("GROUP", "COMMA"): A_CONCEPT,
    ("ERASE", "DEGREE"): "a degree like `60%`, or `param.name`",
    ("PRESERVE", "WEIGHT"): "a weight like `0.5`, or `param.name`",
    ("CONCEPT", "KIND"): "a kind: object, style, identity, explicit or protected",
    ("CONCEPT", "NAMES"): 'a quoted text, or `list "file"`',
    ("CONCEPT", "PROBES"): 'a quoted text, or `list "file"`',
    ("CONCEPT", "TEMPLATES"): 'a template like `"a photo of {}"`, or the name of some',
    ("TEMPLATES", "EQUALS"): 'a template like `"a photo of {}"`, or the name of some',
    ("WINDOW", "EQUALS"): A_RANGE,
    ("", "DURING"): f"{A_RANGE}, or the name of a window",
    ("PARAM", "IN"): A_RANGE,
    ("PARAM", "EQUALS"): "a number or a percentage",
    ("", "TO"): "the upper end of the range",
    ("LAYERS", "EQUALS"): A_LAYER_SET,
    ("LAYERS", "COMMA"): A_LAYER_SET,
    ("LAYERS", "MINUS"): A_LAYER_SET,
    ("LAYERS", "IN"): "a place, or places in parentheses",
    ("", "ON"): A_LAYER_SET,
    ("METHOD", "EQUALS"): "a value",
    ("RECIPE", "EQUALS"): "a quoted text or a name",
    ("", "RECIPE"): "the recipe's name in quotes",
    ("", "IMPORT"): "a file name in quotes",
    ("", "FROM"): "a file name in quotes",
    ("", "INCLUDE"): "a file name in quotes",
    ("", "LIST"): "a file name in quotes",
    ("", "COLUMN"): "the column's name in quotes",
    ("EXPECT", "OVER"): "a number of samples",
    ("EXPECT", "SEED"): "a number",
    ("", "AT_MOST"): "a bound like `2%`",
    ("", "AT_LEAST"): "a bound like `90%`",
}

TOKENS = {"STRING": "a quoted text", "NAME": "a name", "NUMBER": "a number"}


def misspelt(word: str) -> str:
    """The statement keyword that a word nearly is, or nothing."""
    if len(word) > 2 * max(map(len, STATEMENTS.values())):
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
    report.error(code, message, span, also=also, help=_help(statement, previous, token, opening, wanted))


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


def _help(statement: Token | None, previous: Token | None, token: Token, opening: Token | None, wanted: str) -> str:
    if token.type == "$END" and opening is not None:
        return f"close it with `{OPENING[opening.text]}`"
    if opening is not None and opening.text == "{" and token.text in STATEMENTS.values():
        return "is the `{` before it closed with `}`?"
    if token.type == "DOT":
        return "a number starts with a digit: `0.5`"
    if wanted == A_RANGE and token.type in {"NUMBER", "STRING"}:
        return "write both ends, the lower one first"
    if statement is None:
        if token.type == "NAME" and (near := misspelt(token.text)):
            return f"did you mean `{near}`?"
        return f"a statement starts with {_listing([f'`{word}`' for word in STATEMENTS.values()])}"
    if previous is not None and previous.type == "IN" and statement.type in {"METHOD", "DEFINE"}:
        return "a layer set in a setting stands in parentheses: `on = (text in (mid, up))`"
    if previous is not None and previous is not statement and previous.text in STATEMENTS.values():
        return f"`{previous.text}` is read as a name here: something is missing before it"
    if token.type == "NAME" and wanted.endswith("statement") and (near := misspelt(token.text)):
        return f"did you mean `{near}`?"
    if token.type == "NAME" and wanted == A_CONCEPT:
        return 'quote a text: `"cat"`'
    if token.text == "{" and statement.type in {"ERASE", "PRESERVE"}:
        return f"`{statement.text}` has no block; settings stand in `method`"
    if token.type == "STRING":
        return "separate several texts with commas"
    return f"this is how it may go on: {wanted}" if wanted != "nothing more" else "remove it"
