"""What could be written at a place: found by driving the parser's automaton up to it.

What a name would mean there is not guessed from what stands before it. The statement is finished in the shortest way
that the grammar allows, with a stand-in where the cursor is, and the tree of that says what the stand-in is.
"""

from __future__ import annotations

import re
from collections import deque
from functools import cache

from tracelang.diagnostics import Findings, Source
from tracelang.lsp.mentions import Mention, at
from tracelang.records import dataclass
from tracelang.syntax import tree
from tracelang.syntax.automaton import accepted, accepts, after, complete, kind_of, statements
from tracelang.syntax.lexer import lex, pattern
from tracelang.syntax.parser import recover
from tracelang.syntax.table import Table, load

STAND_IN = "stand_in"
MAX_BEFORE = 200_000
"""So many characters before the cursor are looked at."""
MAX_STEPS = 8
"""So many tokens, at most, finish a statement up to the next bracket."""

table = cache(load)


@dataclass(frozen=True, slots=True)
class Cursor:
    """What may stand at a place. What is there of it already begins at `start`; `quoted`: inside of a text.

    `keywords` are those that can come, `begins` those of them that begin a statement; `first`: it is the first word of
    its line. `mention` says what a name would be there, or, where there can be none, a text (`text`); it stands in the
    `statement`, which is finished for the purpose.
    """

    start: int
    quoted: bool
    text: bool
    keywords: frozenset[str]
    begins: frozenset[str]
    first: bool
    mention: Mention | None
    statement: tree.Statement | None


def cursor(source: Source, offset: int) -> Cursor | None:
    """What may stand at a place of a text; None inside a comment."""
    grammar, text = table(), source.text
    line = text.rfind("\n", 0, offset) + 1
    start, quoted = _partial(text, line, offset)
    if start < 0:
        return None
    first = not text[line:start].strip()
    for begun in _beginnings(text, line, start):
        stack = _stack(grammar, source, begun, start)
        if stack is not None:
            break
    else:
        begun, stack = start, [grammar.start]
    kinds = accepted(grammar, stack)
    starts = statements(grammar)
    keywords = frozenset(
        word
        for word, kind in grammar.literals.items()
        if word.isalpha() and kind in kinds and _says(grammar, stack, kind)
    )
    if start == line:
        keywords |= starts.keys()  # whatever a bracket above that is not closed says
    kind = "STRING" if quoted or not accepts(grammar, stack, "NAME") else "NAME"
    mention = statement = None
    if accepts(grammar, stack, kind):
        written = text[start + 1 : offset] if quoted else ""
        statement = _finished(grammar, source, begun, start, stack, kind, written)
        mention = at(statement, start + 1) if statement is not None else None
    if quoted:
        keywords = frozenset()
    begins = frozenset(word for word in keywords & starts.keys() if _begins(grammar, stack, starts[word]))
    return Cursor(start, quoted, kind == "STRING", keywords, begins, first, mention, statement)


def _partial(text: str, line: int, offset: int) -> tuple[int, bool]:
    """Where the word or the text begins that is being written, and whether it is a text; -1 inside a comment."""
    place = line
    expression = pattern(table())
    while place < offset:
        match = expression.match(text, place, offset)
        if match is None:
            if text[place] == '"':
                return place, True
            place += 1
            continue
        if match.lastgroup == "COMMENT":
            return -1, False
        if match.end() == offset and match.lastgroup == "NAME":
            return match.start(), False
        if match.end() == offset and match.lastgroup == "STRING":
            return offset, False
        place = match.end()
    return offset, False


def _beginnings(text: str, line: int, start: int) -> list[int]:
    """Where the statement around a place may begin, likeliest first: at the last keyword in the first column, unless
    a bracket is still open there.
    """
    words = "|".join(statements(table()))
    low = max(0, start - MAX_BEFORE)
    found = [m.start() for m in re.finditer(rf"^(?:{words})\b", text[low:start], re.M)]
    found = [low + one for one in found if low + one < start]
    if not found:
        return [text.rfind("\n", 0, low) + 1]
    nearest = found[-1]
    before = found[-2] if len(found) > 1 else None
    if before is not None and _open(text[before:nearest]):
        return [before, nearest]
    return [nearest]


def _open(text: str) -> bool:
    """Whether a block is still open at the end of a text."""
    depth = 0
    for match in pattern(table()).finditer(text):
        depth += (match[0] == "{") - (match[0] == "}")
    return depth > 0


def _stack(grammar: Table, source: Source, begun: int, until: int) -> list[int] | None:
    """The states right before a place. Where something does not fit, a new start is made at the next statement; None
    where there is none.
    """
    tokens = lex(Source(source.path, source.text[begun:until]), grammar, pattern(grammar), Findings()).tokens[:-1]
    starts = statements(grammar)
    stack: list[int] | None = [grammar.start]
    for i, token in enumerate(tokens):
        following = after(grammar, stack, kind_of(grammar, stack, token)) if stack is not None else None
        if following is None and token.text in starts:
            fresh = stack is not None or "\n" in source.text[begun + tokens[i - 1].end : begun + token.start]
            following = after(grammar, [grammar.start], starts[token.text]) if fresh else None
        stack = following
    return stack


def _says(grammar: Table, stack: list[int], kind: str) -> bool:
    """Whether a keyword would be one there, and not a name that is called so."""
    following = after(grammar, stack, kind)
    if following is None:
        return False
    actions = grammar.states[following[-1]].values()
    return any(action >= 0 or grammar.rules[-1 - action].name != "name" for action in actions)


def _begins(grammar: Table, stack: list[int], kind: str) -> bool:
    """Whether a keyword would begin a statement there: `import` and `templates` go on with one as well."""
    following = after(grammar, stack, kind)
    return following is None or following[-1] == grammar.states[grammar.start][kind]


FILLING = {"NAME": "x", "STRING": '"x"', "NUMBER": "0"}


def _finished(
    grammar: Table, source: Source, begun: int, start: int, stack: list[int], kind: str, written: str
) -> tree.Statement | None:
    """The statement with a stand-in at the cursor, finished."""
    here = after(grammar, stack, kind)
    rest = _rest(grammar, here) if here is not None else None
    if rest is None:
        return None
    word = STAND_IN if kind == "NAME" else f'"{written}"'
    text = " " * begun + f"{source.text[begun:start]}{word} {' '.join(rest)}"
    file = recover(Source(source.path, text), Findings())
    return next((one for one in file.statements if one.span.start <= start < one.span.end), None) if file else None


def _rest(grammar: Table, stack: list[int]) -> list[str] | None:
    """The words that finish a statement, the fewest up to each closing bracket."""
    words = {kind: text for text, kind in grammar.literals.items()} | FILLING
    result: list[str] = []
    here: list[int] = stack
    while not complete(grammar, here):
        step = _nearest(grammar, here)
        if step is None:
            return None
        result += [words[kind] for kind in step]
        for kind in step:
            here = after(grammar, here, kind) or here
    return result


def _nearest(grammar: Table, stack: list[int]) -> list[str] | None:
    """The fewest terminals after which the statement ends, or a bracket closes."""
    closing = ("CLOSE", "CLOSE_PAREN")
    waiting: deque[tuple[list[int], list[str]]] = deque([(stack, [])])
    seen = {tuple(stack)}
    while waiting:
        states, taken = waiting.popleft()
        if taken and complete(grammar, states):
            return taken
        for kind in closing:
            if accepts(grammar, states, kind):
                return [*taken, kind]
        if len(taken) == MAX_STEPS:
            continue
        for kind in _fillers(grammar, states):
            following = after(grammar, states, kind)
            if following is not None and tuple(following) not in seen:
                seen.add(tuple(following))
                waiting.append((following, [*taken, kind]))
    return None


def _fillers(grammar: Table, stack: list[int]) -> list[str]:
    """What could come, without the names that are keywords."""
    kinds = accepted(grammar, stack)
    if "NAME" in kinds:
        kinds -= {kind for text, kind in grammar.literals.items() if text.isalpha()}
    return sorted(kinds, key=lambda kind: (kind not in FILLING, kind))
