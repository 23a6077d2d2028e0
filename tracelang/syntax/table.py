"""The parse table that ships: a module of plain data, rebuilt from `grammar/erase.lark` by Lark.

`python -m tracelang.syntax.table` writes it again; `--check` only compares. Lark is needed for nothing else, so
that reading a recipe imports neither it nor the grammar; and as Python keeps a module's data ready to be read, it
takes no parser for the table either.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from tracelang.records import dataclass

FOLDER = os.path.dirname(str(import_module("tracelang.grammar").__file__))
GRAMMAR = os.path.join(FOLDER, "erase.lark")
TABLE = os.path.join(FOLDER, "erase_table.py")
Row = tuple[Any, ...]
HEAD = '"""The parse table of `erase.lark`, written by `python -m tracelang.syntax.table`."""\n\n# ruff: noqa: E501\n'


@dataclass(frozen=True, slots=True)
class Rule:
    """A production: what it reduces to, how many symbols it takes, and which of them its node gets.

    `inline` rules are repetitions, whose list is spliced into the parent; `transparent` ones give way to an only child,
    and those that are `alone` never have another.
    """

    name: str
    length: int
    kept: tuple[int, ...]
    origin: str
    inline: bool
    transparent: bool
    alone: bool


class States(dict[int, dict[str, int]]):
    """The states of an automaton by number, each taken from its row when it is first asked for: few ever are.

    Many states know the same symbols, and most do the same at all of theirs: a row names one of the `known` sets of
    symbols, and one action for all of it or one for each.
    """

    def __init__(self, symbols: Row, known: tuple[Row, ...], rows: tuple[Row, ...]) -> None:
        self.symbols, self.known, self.rows = symbols, known, rows

    def __missing__(self, number: int) -> dict[str, int]:
        known, action = self.rows[number]
        names = [self.symbols[i] for i in self.known[known]]
        found = self[number] = (
            dict.fromkeys(names, action) if isinstance(action, int) else dict(zip(names, action, strict=True))
        )
        return found


class Rules(dict[int, Rule]):
    """The productions by number, each made when it is first asked for, as a state is."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self.rows = rows

    def __missing__(self, number: int) -> Rule:
        name, length, kept, origin, transparent = self.rows[number]
        inline = origin.startswith("_")
        alone = bool(transparent) and not inline and kept == (0,) and length == 1 and name == origin
        found = self[number] = Rule(name, length, kept, origin, inline, bool(transparent), alone)
        return found


@dataclass(frozen=True, slots=True)
class Table:
    """An LALR(1) automaton. `states[s][symbol]` is the next state, or `-1 - r` to reduce by rule r."""

    patterns: dict[str, str]
    literals: dict[str, str]
    ignored: frozenset[str]
    rules: Rules
    states: States
    start: int
    end: int


def load() -> Table:
    """Read the table that ships."""
    data: dict[str, Any] = import_module("tracelang.grammar.erase_table").TABLE
    return Table(
        patterns=data["patterns"],
        literals=data["literals"],
        ignored=frozenset(data["ignored"]),
        rules=Rules(data["rules"]),
        states=States(data["symbols"], data["known"], data["states"]),
        start=data["start"],
        end=data["end"],
    )


def build(path: str = GRAMMAR) -> dict[str, Any]:
    """Build the table from the grammar, in Lark's strict mode: any conflict or collision raises GrammarError."""
    from pathlib import Path

    from lark import Lark
    from lark.lexer import PatternStr
    from lark.parsers.lalr_analysis import Shift

    lark = Lark(Path(path).read_text("utf-8"), parser="lalr", lexer="contextual", strict=True, maybe_placeholders=False)
    automaton: Any = lark.parser.parser
    automaton = automaton._parse_table
    numbers = {rule: i for i, rule in enumerate(lark.rules)}
    order = _order(automaton.states, automaton.start_states["start"], Shift)
    symbols = sorted({symbol for actions in automaton.states.values() for symbol in actions})
    index = {symbol: i for i, symbol in enumerate(symbols)}
    known = sorted({tuple(sorted(index[symbol] for symbol in actions)) for actions in automaton.states.values()})
    place = {row: i for i, row in enumerate(known)}

    def row(actions: dict[str, tuple[Any, Any]]) -> Row:
        there = tuple(sorted(index[symbol] for symbol in actions))
        does = [actions[symbols[i]] for i in there]
        steps = tuple(order[target] if action is Shift else -1 - numbers[target] for action, target in does)
        return place[there], steps[0] if len(set(steps)) == 1 else steps

    def rule(one: Any) -> Row:
        kept = tuple(i for i, symbol in enumerate(one.expansion) if not (symbol.is_term and symbol.filter_out))
        origin = str(one.origin.name)
        return str(one.alias or origin), len(one.expansion), kept, origin, int(one.options.expand1)

    ignored = {str(name) for name in lark.ignore_tokens}
    return {
        "patterns": {t.name: t.pattern.value for t in lark.terminals if not isinstance(t.pattern, PatternStr)},
        "literals": {t.pattern.value: t.name for t in lark.terminals if isinstance(t.pattern, PatternStr)},
        "ignored": tuple(sorted(ignored)),
        "rules": [rule(one) for one in lark.rules],
        "symbols": tuple(symbols),
        "start": order[automaton.start_states["start"]],
        "end": order[automaton.end_states["start"]],
        "known": known,
        "states": [row(automaton.states[state]) for state in order],
    }


def _order(states: Any, start: Any, shift: Any) -> dict[Any, int]:
    """Numbers for the states that do not depend on the run: breadth first from the start, symbols in order."""
    found = {start: 0}
    for state in (queue := [start]):
        for _, (action, target) in sorted(states[state].items(), key=lambda item: item[0]):
            if action is shift and target not in found:
                found[target] = len(found)
                queue.append(target)
    return found


def dump(data: dict[str, Any]) -> str:
    """The text of the table file: one line for each rule and state, so that a change of the grammar can be read."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list):
            parts.append(f'"{key}": (\n' + "".join(f"  {row!r},\n" for row in value) + "),\n")
        else:
            parts.append(f'"{key}": {value!r},\n')
    return f"{HEAD}TABLE = {{\n{''.join(parts)}}}\n"


def main(arguments: list[str]) -> int:
    from pathlib import Path

    path = Path(TABLE)
    text = dump(build())
    if "--check" in arguments:
        current = path.read_text("utf-8") if path.exists() else ""
        print("the table is current" if text == current else "the table is stale: run python -m tracelang.syntax.table")
        return int(text != current)
    path.write_text(text, "utf-8")
    print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
