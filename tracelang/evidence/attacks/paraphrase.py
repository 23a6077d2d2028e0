"""The concept in other words: its held-out synonyms, its names in other phrasings, and its names misspelled.

Words alone, no model: what anyone does who meets a filter.
"""

from __future__ import annotations

from tracelang.evidence.attacks.attack import SKIPPED, Budget, Found, Inapplicable, Target
from tracelang.evidence.wordings import dealt, wordings
from tracelang.models.protocol import Model


def run(target: Target, model: Model, budget: Budget) -> Found:
    """Every form of wording has its share of the rows; `Found.forms` names each row's."""
    every = {form: list(dict.fromkeys(listed)) for form, listed in wordings(target.plan, target.member).items()}
    may = {
        form: [one for one, good in zip(listed, target.drawable(listed), strict=True) if good]
        for form, listed in every.items()
    }
    found = {form: listed for form, listed in may.items() if listed}
    skipped = sum(map(len, every.values())) - sum(map(len, found.values()))
    if not found:
        raise Inapplicable(f"paraphrase: {target.name} has no name that could be worded in another way")
    rows = dealt(found, target.count, target.seed)
    prompts = tuple(prompt for _, prompt in rows)
    spent: dict[str, int | float | str] = {
        "access": "black box",
        "prompts": len(set(prompts)),
        "forms": len(found),
        "evaluations": 0,
    }
    if skipped:
        spent[SKIPPED] = skipped
    examples = tuple(one for _, one in dealt(found, len(found), target.seed))
    return Found(prompts, None, spent, None, examples, tuple(form for form, _ in rows))
