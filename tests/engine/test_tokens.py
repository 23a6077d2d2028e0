"""Which states an edit maps, and onto which."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from tracelang.engine.tokens import align, positions
from tracelang.models.protocol import TokenLayout
from tracelang.plan.types import Tokens

CAT = TokenLayout(1, 6, 10, (3, 4))  # BOS a photo small cat here EOS pad pad pad
DOG = TokenLayout(1, 5, 10, (3,))
PERSON = TokenLayout(1, 8, 10, (3, 4, 5, 6))
NOTHING = TokenLayout(1, 1, 10, ())


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        ("phrase", (3, 4)),
        ("last", (4,)),
        ("tail", (4, 5, 6, 7, 8, 9)),
        ("context", (1, 2, 5, 6, 7, 8, 9)),
        ("all", (1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ],
)
def test_a_choice_selects_its_rows_and_maps_them_to_nothing_in_place(choice: Tokens, rows: tuple[int, ...]) -> None:
    assert positions(choice, CAT) == rows
    assert align(choice, CAT, NOTHING) == tuple((row, row) for row in rows)


@pytest.mark.parametrize(
    ("choice", "anchor", "pairs"),
    [
        ("phrase", DOG, ((3, 3), (4, 3))),
        ("phrase", PERSON, ((3, 5), (4, 6))),
        ("last", PERSON, ((4, 6),)),
        ("tail", DOG, ((4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8))),
        ("tail", PERSON, ((4, 6), (5, 7), (6, 8), (7, 9))),
        ("context", DOG, ((1, 1), (2, 2), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8))),
        ("all", DOG, ((1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8))),
    ],
)
def test_alignment_with_an_anchor(choice: Tokens, anchor: TokenLayout, pairs: tuple[tuple[int, int], ...]) -> None:
    assert align(choice, CAT, anchor) == pairs


def test_where_a_text_encoder_reads_both_ways_every_state_is_the_phrase_s_tail() -> None:
    both = replace(CAT, causal=False)
    assert positions("tail", both) == positions("all", CAT) != positions("tail", CAT)
    assert align("tail", both, replace(DOG, causal=False)) == align("all", CAT, DOG)
    assert align("last", both, DOG) == align("last", CAT, DOG)


def test_the_start_token_is_never_mapped_and_no_row_twice() -> None:
    for choice, target, anchor in product(get_args(Tokens), (CAT, DOG, PERSON), (CAT, DOG, PERSON, NOTHING)):
        rows = [row for row, _ in align(choice, target, anchor)]
        assert rows == sorted(set(rows)) and 0 not in rows
        assert all(0 < to < anchor.length for _, to in align(choice, target, anchor))
