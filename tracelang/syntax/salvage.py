"""What can still be told of the statements that could not be read.

Only a file with an error comes here. What such a statement was to define is a name that is known, whatever it means;
what it speaks of may be erased there: so nothing that leans on it is an error of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from tracelang.diagnostics import Diagnostic, Span
from tracelang.records import replace
from tracelang.syntax.automaton import statements
from tracelang.syntax.messages import nearest
from tracelang.syntax.table import Table
from tracelang.syntax.text import unquote
from tracelang.syntax.tree import Broken, File, Statement, Token

DEFINING = frozenset({"concept", "group", "templates", "window", "layers", "define", "param", "import", "from"})


def salvage(
    file: File, table: Table, tokens: list[Token], gaps: Iterable[tuple[int, int]], findings: Iterable[Diagnostic]
) -> File:
    """The file without the statements that hold an error, and with what can be told of these and of the gaps."""
    unread = sorted(_doubtful(findings))
    stretches = [(tokens[first].start, _end(file, tokens, first, end)) for first, end in gaps if first < end]
    whole: list[Statement] = []
    torn = {start for start, _ in stretches}
    for statement in file.statements:
        span = statement.span
        if _within(unread, span.start, span.end) or _torn(file.source.text, span.end, torn):
            stretches.append((span.start, span.end))
        else:
            whole.append(statement)
    known = set(statements(table))
    broken = []
    for start, end in sorted(stretches):
        first, last = (bisect_left(tokens, at, key=lambda token: token.start) for at in (start, end))
        lost = _within(unread, start, end)
        broken.append(_broken(file, known, tokens[first:last], Span(file.source, start, end), lost))
    return replace(file, statements=tuple(whole), broken=tuple(broken))


def _doubtful(findings: Iterable[Diagnostic]) -> list[int]:
    """Where characters stand of which nobody can tell what was meant."""
    return [
        one.primary.span.start
        for one in findings
        if one.severity == "error" and one.code not in ("TL101", "TL102") and not (one.code == "TL104" and one.fix)
    ]


def _torn(text: str, end: int, torn: set[int]) -> bool:
    """Whether a statement that ends here goes on, on the same line, with a stretch that could not be read."""
    after = end
    while text[after : after + 1] in (" ", "\t"):
        after += 1
    return text[end - 1] != "}" and after in torn and text[after : after + 1] != "}"


def _within(places: list[int], start: int, end: int) -> bool:
    at = bisect_left(places, start)
    return at < len(places) and places[at] < end


def _end(file: File, tokens: list[Token], first: int, end: int) -> int:
    """Where a stretch of tokens ends: at the next one, so that what is no token there belongs to it."""
    return len(file.source.text) if end >= len(tokens) - 1 else tokens[end].start


def _broken(file: File, known: set[str], tokens: list[Token], span: Span, lost: bool) -> Broken:
    starts: set[str] = set()
    defines: set[str] = set()
    words: set[str] = set()
    depth = 0
    for i, token in enumerate(tokens):
        word = token.text
        depth = max(0, depth + (word == "{") - (word == "}"))
        if token.type == "STRING":
            words.add(unquote(word))
        if not word[:1].isalpha():
            continue
        words.add(word)
        head = i == 0 or (depth == 0 and "\n" in file.source.text[tokens[i - 1].end : token.start])
        meant = word if word in known else nearest(word, known) if head else ""
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        after = after if after[:1].isalpha() else ""
        if meant and depth == 0:
            starts.add(meant)
            if (meant in DEFINING or meant == "method") and after and meant + after != "definemethod":
                defines.add(after)
        elif head and not meant:
            defines |= {word, after} - {""}  # its keyword is gone
        elif word == "as" and after:
            defines.add(after)
    if "from" in starts:
        defines |= words - known - {"as", "import"}
    nameless = bool(starts & DEFINING) and not defines
    return Broken(frozenset(starts), frozenset(defines), frozenset(words), lost or nameless, span=span)
