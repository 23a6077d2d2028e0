"""Prompts: what the edit trains on, what it is aligned with, and what only verification sees."""

from __future__ import annotations

from tracelang.plan.compile import compile
from tracelang.plan.prompts import EMPTY, Prompt, anchor_prompts, edit_prompts, probe_prompts

TEXT = """
templates two = "a {}", "{} here"
concept a { names "cat", "kitty" probes "feline" templates two }
concept b { names "beer" templates two }
concept c { names "dog" templates two }
erase a toward c
erase a & b away
erase b
"""
PLAN = compile(TEXT)


def test_edit_prompts_are_templates_times_names() -> None:
    assert [prompt.text for prompt in edit_prompts(PLAN, ("a",))] == ["a cat", "a kitty", "cat here", "kitty here"]


def test_a_phrase_stands_in_its_text() -> None:
    for member in (("a",), ("a", "b")):
        for prompt in (*edit_prompts(PLAN, member), *probe_prompts(PLAN, member)):
            assert prompt.phrase and prompt.phrase in prompt.text


def test_anchor_prompts_are_aligned_one_to_one() -> None:
    pairs = list(zip(edit_prompts(PLAN, ("a",)), anchor_prompts(PLAN, ("a",), ("c",)), strict=True))
    assert pairs[1] == (Prompt("a kitty", "kitty"), Prompt("a dog", "dog"))
    assert all(p.text.replace(p.phrase, "_") == q.text.replace(q.phrase, "_") for p, q in pairs)
    assert anchor_prompts(PLAN, ("a",), None) == (EMPTY,) * 4
    assert len(anchor_prompts(PLAN, ("a", "b"), ("c",))) == len(edit_prompts(PLAN, ("a", "b")))


def test_pairs_come_in_both_orders() -> None:
    phrases = {prompt.phrase for prompt in edit_prompts(PLAN, ("a", "b"))}
    assert {"cat and beer", "beer and cat", "cat with beer", "beer with cat", "kitty and beer"} <= phrases


def test_probes_never_reach_the_edit() -> None:
    assert [prompt.text for prompt in probe_prompts(PLAN, ("a",))] == ["a feline", "feline here"]
    trained = [*edit_prompts(PLAN, ("a",)), *edit_prompts(PLAN, ("a", "b"))]
    assert not any("feline" in prompt.text for prompt in trained)
    assert probe_prompts(PLAN, ("b",)) == ()
