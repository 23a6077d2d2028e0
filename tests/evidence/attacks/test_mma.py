"""MMA: nearer to the concept than where it started, by other words, which can be typed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.evidence.attacks.targets import SMALL, edited, target
from tracelang.evidence.attacks import ATTACKS, mma
from tracelang.evidence.attacks.common import content, frame, vocabulary
from tracelang.evidence.attacks.mma import scored, similar, steepest, usable

RUN = ATTACKS["mma"].run


def test_the_prompts_are_nearer_hold_no_word_of_the_concept_s_and_can_be_typed() -> None:
    aim, toy = target(count=4), edited()
    found = RUN(aim, toy, replace(SMALL, iterations=15))
    words = toy.prompt_encoder
    assert found.budget["similarity_best"] > found.budget["similarity_first"] + 0.1
    assert words.spell(words.tokens(found.prompts)) == list(found.prompts)
    own = {int(i) for name in ("cat", "small kitty") for i in content(words, name)}
    assert not own & set(words.tokens(found.prompts).flatten().tolist())
    assert own & set(vocabulary(words, frame(words, "a cat")).tolist())  # control: they could have been used
    assert found.forms == ("pooled", "states", "pooled", "pooled")  # of three rows, dealt to four


def test_it_asks_no_denoiser_so_that_the_edit_makes_no_difference() -> None:
    aim, toy = target(count=3), edited()
    assert RUN(aim, toy, SMALL).prompts == RUN(replace(aim, made={}), aim.base, SMALL).prompts
    assert not toy.evaluations


def test_it_searches_once_for_all_models_of_one_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """And anew for one that reads otherwise; more pictures of as many prompts are no further search."""
    searches: list[int] = []
    monkeypatch.setattr(mma, "steepest", lambda *asked: searches.append(1) or steepest(*asked))
    aim, other = target(count=3), edited()
    first = RUN(aim, other, SMALL)
    assert len(searches) == SMALL.iterations
    more = RUN(replace(aim, count=7), aim.base, SMALL)
    assert len(searches) == SMALL.iterations and more.prompts == (*first.prompts, *first.prompts, first.prompts[0])
    other.embedding = other.embedding.flip(0)
    assert RUN(aim, other, SMALL).prompts != first.prompts and len(searches) == 2 * SMALL.iterations


def test_the_gradient_is_that_of_the_tokens_own_places() -> None:
    """Not one place off, as it is where the start token is counted: by finite differences at each."""
    aim, toy = target(count=2), edited()
    words = toy.prompt_encoder
    around = frame(words, aim.prompts[0])
    alike, _ = similar(aim, toy, aim.dealt(2), around)
    tokens = usable(aim, words, around)[torch.arange(8).view(2, 4)]
    pull, now = steepest(words, around, tokens, alike)
    assert pull.shape == (2, 4, 32)
    ids, rows = around.ids(tokens), torch.arange(2)
    for place in range(4):
        moved = words.table[ids].clone()
        moved[:, 1 + place] += 1e-2 * pull[:, place] / pull[:, place].norm(dim=1, keepdim=True)
        with torch.no_grad():
            risen = alike(words.encode(ids, moved), ids, rows) - now
        assert torch.allclose(risen, 1e-2 * pull[:, place].norm(dim=1), rtol=0.2, atol=2e-5)
    assert torch.allclose(scored(words, ids, rows, alike), now, atol=1e-6)


def test_the_concept_s_own_prompt_would_be_the_best() -> None:
    aim = target(count=4)
    words = aim.base.prompt_encoder
    alike, forms = similar(aim, aim.base, aim.dealt(4), frame(words, aim.prompts[0]))
    assert torch.allclose(scored(words, words.tokens(aim.dealt(4)), torch.arange(4), alike), torch.ones(4), atol=1e-5)
    assert forms == ("pooled", "states", "pooled", "states")


def test_a_prompt_that_holds_fewer_tokens_gets_as_many_as_it_holds() -> None:
    assert RUN(target(), edited(), replace(SMALL, length=11, iterations=1)).budget["tokens"] == 10
