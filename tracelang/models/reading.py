"""What a tokenizer does not let through of a prompt: what lies beyond its limit, and what it has no token for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tracelang.models.protocol import Lost
from tracelang.plan.prompts import Prompt, spans

if TYPE_CHECKING:
    from tracelang.models.paths import TextPath

BATCH = 1024
MARKS = " \u2581"
"""What of a token is no letter of the text: SentencePiece's sign of a space."""


def lost(path: TextPath, prompts: Sequence[Prompt]) -> Iterator[Lost]:
    """Of each prompt that the path's tokenizer does not give to its encoder whole, what it loses, in their order."""
    words = path.tokenizer
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        made = words(
            [prompt.text for prompt in some],
            truncation=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        rows = zip(some, made["input_ids"], made["offset_mapping"], made["special_tokens_mask"], strict=True)
        for prompt, ids, places, special in rows:
            unknown = [i for i, one in enumerate(ids) if one == words.unk_token_id and not special[i]]
            if len(ids) > path.length or unknown:
                yield _lost(path, prompt, ids, places, special, set(unknown))


def _lost(
    path: TextPath, prompt: Prompt, ids: list[int], places: list[tuple[int, int]], special: list[int], unknown: set[int]
) -> Lost:
    after = len(special) - 1 - max((i for i, one in enumerate(special) if not one), default=len(special) - 1)
    kept = path.length - after  # the end token comes after what is kept
    wanted = spans(prompt)
    phrase = [
        i
        for i, (begin, stop) in enumerate(places)
        if not special[i]
        and path.tokenizer.convert_ids_to_tokens(ids[i]).strip(MARKS)
        and any(begin < last and first < stop for first, last in wanted)
    ]

    def said(rows: list[int]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(prompt.text[slice(*places[i])].strip() for i in rows))

    whole = len(special) <= path.length
    cut = [] if whole else [i for i in phrase if i >= kept]
    return Lost(
        prompt,
        path.reads,
        len(special),
        path.length,
        said(cut),
        said([i for i in phrase if i in unknown]),
        bool(phrase) and all(i in unknown or i in cut for i in phrase),
    )
