"""A prior on the embedded models: what is left out, what it weighs, what it costs, and where its states are kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import tracelang
from tests.engine.plans import erasure, fuse, plan
from tracelang import api
from tracelang.engine import prior as priors
from tracelang.engine.errors import EngineError
from tracelang.engine.options import Options
from tracelang.engine.passes.fuse import _beside_priors, measure
from tracelang.engine.prior import digest, held, nearness, reduced
from tracelang.engine.run import run
from tracelang.engine.text_map import collateral
from tracelang.models.prompt_side import PromptSide
from tracelang.models.protocol import TextStates
from tracelang.plan.types import Plan
from tracelang.semantics.prior import WORDS, Prior

SYNONYMS = {"cat": ("feline", "kitty", "housecat"), "bomb": ("explosive", "grenade")}
NONE = Options()


@cache
def text(model: str = "micro-sd") -> Any:
    bound = api.bind(tracelang.compile('erase "cat"'), model)
    return bound.family.text(bound.folder)


def recipe(statement: str, erased: str = '"cat" toward "deer"') -> Plan:
    return tracelang.compile(f'tracelang 1\nerase {erased}\npreserve "dog"\n{statement}\nmethod uce')


def edit(statement: str, erased: str = '"cat" toward "deer"') -> Any:
    return run(api.bind(recipe(statement, erased), "micro-sd").on_model, text(), cache=None)


@pytest.mark.parametrize("thing", SYNONYMS)
def test_the_name_its_inflections_and_what_lies_near_it_are_left_out(thing: str) -> None:
    """Words of the tuning side alone: the default was chosen on them. Without them the rest stays."""
    whole = set(text().vocabulary())
    near = {thing, *SYNONYMS[thing]}
    assert near <= whole and {"dog", "apple"} <= whole and all(len(word) > 2 for word in whole)
    (told,) = held(recipe("preserve prior", f'"{thing}"'), text(), NONE)[1]
    assert told["digest"] == digest(sorted(whole - near)) and told["left_out"] == len(near)
    (open_,) = held(recipe("preserve prior { cosine = 1 }", f'"{thing}"'), text(), NONE)[1]
    assert open_["left_out"] == 1, "the name itself is found by its letters"


def test_a_tokenizer_without_whole_words_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PromptSide, "vocabulary", lambda self: ())
    with pytest.raises(EngineError, match="preserve prior: the tokenizer has no whole words; name prompts"):
        held(recipe("preserve prior"), text(), NONE)


def test_the_name_is_found_inflected_and_inside_a_prompt() -> None:
    given = '"cats", "a cat on a roof", "a catalogue", "two dogs" { cosine = 1 }'
    (told,) = held(recipe(f"preserve prior {given}"), text(), NONE)[1]
    assert told == {"prompts": 2, "left_out": 2, "digest": digest(["a catalogue", "two dogs"])}


def test_nearness_tells_synonyms_from_other_words_where_single_states_do_not() -> None:
    words = [word for word in text().vocabulary() if word not in SYNONYMS["cat"] and word != "cat"]
    found = reduced(text(), [*words, *SYNONYMS["cat"]])
    near = nearness(found, reduced(text(), ["cat"]))
    others, synonyms = near[: len(words)], near[len(words) :]
    assert synonyms.min() > 0.9 > Prior().cosine > others.max()


def test_its_weight_does_not_depend_on_how_many_prompts_there_are() -> None:
    for sample in (50, 200):
        columns, (told,) = held(recipe(f"preserve prior weight 0.5 {{ sample = {sample} }}"), text(), NONE)
        assert told["prompts"] + told["left_out"] == sample
        length = text().layout(priors.Prompt("dog", "")).length
        assert float(columns["tokens"].weights.sum()) == pytest.approx(0.5 * WORDS * (length - 1), rel=0.02)


def test_it_holds_what_nobody_named_and_costs_residual() -> None:
    unnamed = text().encode(["a photo of a ship", "a picture of a ghost", "an apple"], keep=False)
    moved, residuals, leaks = [], [], []
    for weight in ("", "preserve prior weight 0.03", "preserve prior", "preserve prior weight 1"):
        made = edit(weight)
        figures = made.figures["refine"]["tokens"]
        moved.append(float(collateral(made.text_maps, unnamed).mean()))
        residuals.append(figures["residual"])
        leaks.append(figures["prior"]["leak"] if weight else 1.0)
    assert moved == sorted(moved, reverse=True) and moved[2] < 0.5 * moved[0]
    assert residuals == sorted(residuals) and residuals[2] < 2.5 * residuals[0]
    assert leaks == sorted(leaks, reverse=True)
    assert 1 <= figures["prior"]["effective_rank"] <= 128 and figures["prior"]["trace"] > 0


def test_without_a_prior_the_figures_are_what_they_were() -> None:
    figures = edit("").figures
    assert figures.keys() == {"refine"} and "prior" not in figures["refine"]["tokens"]


def test_every_encoder_has_its_own_states() -> None:
    columns, (told,) = held(recipe("preserve prior"), text("micro-flux"), NONE)
    assert columns.keys() == {"tokens", "pooled"} and len(columns["pooled"].rows) == told["prompts"]
    assert float(columns["pooled"].weights.sum()) == pytest.approx(0.1 * WORDS)


def test_states_are_kept_and_what_an_interruption_left_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priors, "BATCH", 100)
    asked: list[int] = []
    encode = PromptSide.encode

    def counted(side: PromptSide, prompts: list[str], keep: bool = True) -> TextStates:
        if len(prompts) > 5:
            if len(asked) == 2 and stop:
                raise KeyboardInterrupt
            asked.append(len(prompts))
        return encode(side, prompts, keep)

    monkeypatch.setattr(PromptSide, "encode", counted)
    stop = True
    options = Options(cache=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        held(recipe("preserve prior"), text(), options)
    assert len(list(tmp_path.iterdir())) == 2
    stop = False
    first = held(recipe("preserve prior"), text(), options)
    words = len(text().vocabulary())
    assert sum(asked) == words, "nothing twice"
    again = held(recipe("preserve prior weight 0.2", '"ghost"'), text(), options)
    assert sum(asked) == words and again[1] != first[1], "another recipe asks for the same states"
    damaged = next(tmp_path.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    whole = held(recipe("preserve prior"), text(), options)
    assert sum(asked) > words and torch.equal(whole[0]["tokens"].rows, first[0]["tokens"].rows)
    assert torch.equal(whole[0]["tokens"].weights, first[0]["tokens"].weights) and whole[1] == first[1]
    assert not list(tmp_path.glob(".*"))


def test_two_priors_add_up() -> None:
    both, told = held(recipe('preserve prior\npreserve prior "a house" weight 0.3'), text(), NONE)
    one, _ = held(recipe("preserve prior"), text(), NONE)
    other, _ = held(recipe('preserve prior "a house" weight 0.3'), text(), NONE)
    assert torch.allclose(both["tokens"].gram(), one["tokens"].gram() + other["tokens"].gram())
    assert len(told) == 2


def test_fusion_counts_it_among_the_preserved() -> None:
    asked = plan((erasure("cat"), erasure("ship")), fuse(), preserve={"dog": 1.0}).model_copy(
        update={"prior": (Prior(weight=0.3),)}
    )
    grams = measure(asked, text(), ["tokens"])
    fused = _beside_priors(asked, text(), grams, NONE)["tokens"]
    expected = grams["tokens"].P + held(asked, text(), NONE)[0]["tokens"].gram()
    assert torch.equal(fused.P, expected) and fused.S is grams["tokens"].S
    assert float((fused.P - grams["tokens"].P).trace()) > 0


def test_a_prior_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(EngineError, match="none of its 2 prompts lies far enough"):
        held(recipe('preserve prior "a cat", "cats"'), text(), NONE)
