"""The automaton at rest after some tokens: what it holds, what it could take next, and what in it stands complete."""

from __future__ import annotations

from tracelang.syntax.table import Table
from tracelang.syntax.tree import Token


def statements(table: Table) -> dict[str, str]:
    """The keywords that begin a statement, and their terminals."""
    return {text: kind for text, kind in table.literals.items() if kind in table.states[table.start]}


def replay(table: Table, tokens: list[Token]) -> tuple[list[int], list[Token | None]]:
    """States and values right after tokens that fit, before a next one makes anything reduce; None stands for a node.

    KeyError if one does not fit.
    """
    stack = [table.start]
    values: list[Token | None] = []
    for token in tokens:
        kind = kind_of(table, stack, token)
        while (action := table.states[stack[-1]][kind]) < 0:
            taken = _reduce(table, stack, action)
            del values[len(values) - taken :]
            values.append(None)
        stack.append(action)
        values.append(token)
    return stack, values


def kind_of(table: Table, stack: list[int], token: Token) -> str:
    """The terminal that a token is here: a word is a keyword where one can stand."""
    keyword = table.literals.get(token.text, "")
    return keyword if token.type == "NAME" and keyword in table.states[stack[-1]] else token.type


def accepts(table: Table, stack: list[int], kind: str) -> bool:
    """Whether a terminal could come next, found by driving the automaton: LALR's lookahead sets name too many."""
    trial = list(stack)
    while (action := table.states[trial[-1]].get(kind)) is not None and action < 0:
        _reduce(table, trial, action)
    return action is not None


def accepted(table: Table, stack: list[int]) -> set[str]:
    """The terminals that could come next, but for `$END`."""
    return {kind for kind in table.states[stack[-1]] if kind.isupper() and accepts(table, stack, kind)} - {"$END"}


def after(table: Table, stack: list[int], kind: str) -> list[int] | None:
    """The states after a terminal, or None where it cannot come next."""
    trial = list(stack)
    while (action := table.states[trial[-1]].get(kind)) is not None and action < 0:
        _reduce(table, trial, action)
    return None if action is None else [*trial, action]


def complete(table: Table, stack: list[int]) -> bool:
    """Whether a file could end there."""
    trial = list(stack)
    while trial[-1] != table.end and (action := table.states[trial[-1]].get("$END")) is not None and action < 0:
        _reduce(table, trial, action)
    return trial[-1] == table.end


def settled(table: Table, stack: list[int]) -> list[int]:
    """The states with reduced what nothing can be added to, short of the statement: the last one tells what stands
    complete there, where right after `"cat"` it is the same wherever a text can stand.
    """
    starts = table.states[table.start]
    between = {table.start} | {to for symbol, to in starts.items() if symbol.startswith("_")}
    trial = list(stack)
    while len(actions := {to for kind, to in table.states[trial[-1]].items() if kind.isupper()}) == 1:
        action = actions.pop()
        if action >= 0 or trial[-1 - table.rules[-1 - action].length] in between:
            break
        _reduce(table, trial, action)
    return trial


def _reduce(table: Table, stack: list[int], action: int) -> int:
    """Reduce the states by a rule; how many symbols it took."""
    rule = table.rules[-1 - action]
    if rule.length:
        del stack[-rule.length :]
    stack.append(table.states[stack[-1]][rule.origin])
    return rule.length
