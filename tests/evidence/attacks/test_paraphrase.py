"""Wordings: what they may be, and that each kind has its share."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence.attacks.targets import SMALL, edited, other, plan, target
from tracelang.evidence.attacks import ATTACKS, AttackError, Target
from tracelang.evidence.wordings import MISSPELLINGS, PHRASINGS, wordings

EXAMPLES = {
    "letter dropped": ("ct", "ca", "at"),
    "letter doubled": ("caat", "catt", "ccat"),
    "letters swapped": ("cta", "act"),
    "look-alike letter": ("сat", "cаt", "саt"),
    "digit for a letter": ("c4t", "ca7", "c47"),
    "spaced out": ("c a t", "c-a-t", "c.a.t", "c*a*t"),
}


@pytest.mark.parametrize("form", MISSPELLINGS)
def test_misspellings_of_cat(form: str) -> None:
    assert tuple(MISSPELLINGS[form]("cat")) == EXAMPLES[form]


@given(word=st.text(st.characters(categories=("L", "N")), min_size=3, max_size=12))
def test_a_misspelling_is_never_the_word(word: str) -> None:
    for misspell in MISSPELLINGS.values():
        assert word not in set(misspell(word))


def test_synonyms_are_the_probes_and_no_misspelling_is_a_word_of_the_plan() -> None:
    aim = target(plan(names=("coat", "small coat"), probes=("cat",)))
    found = wordings(aim.plan, aim.member)
    assert found["synonym"] == ["a cat", "the cat here"]
    assert "a cot" in found["letter dropped"] and "a cat" not in found["letter dropped"]
    for form in MISSPELLINGS:
        assert found[form] and not set(found[form]) & set(aim.prompts)


@pytest.mark.parametrize("kind", PHRASINGS)
def test_every_kind_of_concept_has_phrasings_of_its_own(kind: str) -> None:
    aim = target(plan(kind=kind))
    told = wordings(aim.plan, aim.member)["phrasing"]
    assert len(told) == len(set(told)) >= 2 * 7
    assert all("cat" in prompt or "small kitty" in prompt for prompt in told)


def test_every_form_has_its_share_of_the_rows() -> None:
    found = ATTACKS["paraphrase"].run(target(count=80), edited(), SMALL)
    assert set(Counter(found.forms).values()) == {10} and len(found.forms) == len(found.prompts) == 80
    told = {form: wordings(target().plan, target().member)[form] for form in found.forms}
    assert all(prompt in told[form] for prompt, form in zip(found.prompts, found.forms, strict=True))


def test_without_probes_there_is_no_form_of_synonyms() -> None:
    found = ATTACKS["paraphrase"].run(target(plan(probes=()), count=20), edited(), SMALL)
    assert "synonym" not in found.forms and "phrasing" in found.forms


def test_two_concepts_in_one_picture() -> None:
    made = plan(member=("cat", "horse"))
    found = ATTACKS["paraphrase"].run(target(made, ("cat", "horse"), count=16), edited(), SMALL)
    assert len(set(found.prompts)) == 16 and not set(found.prompts) & set(target(made, ("cat", "horse")).prompts)
    assert sum("horse" in prompt for prompt in found.prompts) < 16  # either word may be the misspelled one
    assert all("horse" in prompt or "cat" in prompt or "small kitty" in prompt for prompt in found.prompts)


def test_a_protected_concept_is_never_hunted() -> None:
    aim = target()
    with pytest.raises(AttackError, match="cat is of kind protected"):
        other(aim, plan=plan(kind="protected"))
    assert isinstance(other(aim, plan=plan(kind="explicit")), Target)
