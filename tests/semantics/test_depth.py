"""How deep definitions may lean on one another: the same in whatever order a file lists them."""

from __future__ import annotations

import random

import pytest

from tracelang.plan.compile import compile_with_findings
from tracelang.semantics.tables import MAX_REFERENCES, MAX_SITES_DEPTH

CHAINS = {
    "group": ('group g0 = "a"', 'group g{i} = g{j}, "b{i}"'),
    "templates": ('templates t0 = "a {{}}"', 'templates t{i} = t{j}, "b{i} {{}}"'),
    "window": ("window w0 = 10%..20%", "window w{i} = w{j}"),
    "layers": ("layers l0 = text", "layers l{i} = l{j}"),
    "method": ("define method m0 {{ refine {{}} }}", "define method m{i} = m{j} {{ refine.ridge = {i} }}"),
    "a group of concepts with templates": (
        'templates object = object, "a toy {{}}"\ngroup g0 = "a"',
        'group g{i} = g{j}, "b{i}"',
    ),
}


def codes(lines: list[str]) -> list[str]:
    _, found = compile_with_findings("\n".join(['erase "z"', *lines]))
    return sorted({one.code for one in found if one.severity == "error"})


@pytest.mark.parametrize("sort", CHAINS)
@pytest.mark.parametrize("length", [MAX_REFERENCES, MAX_REFERENCES + 1, 2000])
def test_the_order_of_a_chain_does_not_matter(sort: str, length: int) -> None:
    first, rest = CHAINS[sort]
    lines = [first.format(), *(rest.format(i=i, j=i - 1) for i in range(1, length))]
    shuffled = lines[:]
    random.Random(length).shuffle(shuffled)
    for order in (lines, lines[::-1], shuffled):
        assert codes(order) == (["TL215"] if length > MAX_REFERENCES else [])


def test_a_chain_that_is_too_long_is_an_error_for_what_erases_its_end_too() -> None:
    first, rest = CHAINS["group"]
    lines = [first.format(), *(rest.format(i=i, j=i - 1) for i in range(1, 2000))]
    for order in (lines, lines[::-1]):
        assert codes([*order, "erase g1999", 'expect { shown("b3") <= 5% }']) == ["TL215"]


def test_a_broad_tree_is_not_deep() -> None:
    lines = [f'group g{i} = "a{i}"' for i in range(500)]
    everything = "group everything = " + ", ".join(f"g{i}" for i in range(500))
    assert codes([*lines, everything]) == codes([everything, *lines]) == []


def test_definitions_and_brackets_that_are_too_deep_together_are_an_error_with_a_place() -> None:
    brackets = MAX_REFERENCES - 4
    lines = ['group g0 = "a"', *(f"group g{i} = {'(' * brackets}g{i - 1}{')' * brackets}" for i in range(1, 60))]
    plan, found = compile_with_findings("\n".join(['erase "z"', *lines[::-1]]))
    assert plan is None and [one.code for one in found] == ["TL215"] and "recipe>:" in found[0].location
    assert MAX_SITES_DEPTH < MAX_REFERENCES
