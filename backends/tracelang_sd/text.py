"""Where a phrase stands among a prompt's tokens."""

from __future__ import annotations

import re
from typing import Any

from tracelang.engine.protocol import TokenLayout
from tracelang.plan.prompts import Prompt


def layout(tokenizer: Any, prompt: Prompt) -> TokenLayout:
    """The layout of a prompt padded to the tokenizer's length, from the fast tokenizer's character offsets.

    Every occurrence of the phrase counts, case aside and as whole words where there is one such. A prompt too long
    loses its tail, and the phrase its tokens there. Raises ValueError where the text does not hold the phrase.
    """
    length = tokenizer.model_max_length
    encoded = tokenizer(
        prompt.text, padding="max_length", truncation=True, max_length=length, return_offsets_mapping=True
    )
    end = sum(encoded["attention_mask"]) - 1
    spans = _spans(prompt)
    phrase = tuple(
        i
        for i, (begin, stop) in enumerate(encoded["offset_mapping"][:end])
        if i and any(begin < last and first < stop for first, last in spans)
    )
    return TokenLayout(1, end, length, phrase)


def _spans(prompt: Prompt) -> list[tuple[int, int]]:
    """Character ranges of the phrase in the text."""
    words = prompt.phrase.split()
    if not words:
        return []
    pattern = r"\s+".join(map(re.escape, words))
    for wrapped in (rf"(?<!\w){pattern}(?!\w)", pattern):
        if found := [match.span() for match in re.finditer(wrapped, prompt.text, re.IGNORECASE)]:
            return found
    raise ValueError(f"the prompt {prompt.text!r} does not hold the phrase {prompt.phrase!r}")
