"""T5's tokenizer: a Unigram model (SentencePiece's) whose pieces are learned on the world's captions.

T5 distinguishes capitals, and so does this one: some captions begin with a capital letter.
"""

from __future__ import annotations

import math
import random
import string
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .captions import TOKENS, caption, pair_caption, vocabulary
from .concepts import BACKGROUNDS, STYLES, THINGS

if TYPE_CHECKING:
    from transformers import T5TokenizerFast

LINES, PIECES, OFTEN = 20_000, 640, 40
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # ids 0, 1 and 2, as T5 has them
CAPITALS = 0.1  # share of the captions that begin with a capital letter


def capitalise(draw: random.Random, text: str) -> str:
    """The caption as a user may type it: now and then with a capital at its beginning."""
    return text[:1].upper() + text[1:] if draw.random() < CAPITALS else text


def make(vocab: list[tuple[str, float]]) -> T5TokenizerFast:
    """The tokenizer with these pieces and scores."""
    from transformers import T5TokenizerFast

    return T5TokenizerFast(
        vocab=vocab, extra_ids=0, model_max_length=TOKENS, pad_token=PAD, eos_token=END, unk_token=UNKNOWN
    )


def train(folder: Path) -> T5TokenizerFast:
    """Learn the pieces and their scores, and save the tokenizer into `folder`.

    The trainer proposes pieces that occur in several different words; words that occur `OFTEN` become pieces here.
    """
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    draw = random.Random(6)
    grounds = list(BACKGROUNDS)
    lines = (
        vocabulary()
        + [
            capitalise(draw, caption(draw, draw.choice(THINGS).name, draw.choice(STYLES).name, draw.choice(grounds)))
            for _ in range(LINES)
        ]
        + [
            capitalise(
                draw,
                pair_caption(
                    draw,
                    *(thing.name for thing in draw.sample(THINGS, 2)),
                    draw.choice(STYLES).name,
                    draw.choice(grounds),
                ),
            )
            for _ in range(LINES // 3)
        ]
    )
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    raw.train_from_iterator(
        lines,
        trainers.UnigramTrainer(
            vocab_size=PIECES,
            special_tokens=[PAD, END, UNKNOWN],
            unk_token=UNKNOWN,
            show_progress=False,
            initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation],
        ),
    )
    pieces = {piece: score for piece, score in json.loads(raw.to_str())["model"]["vocab"]}
    words = Counter(word for line in lines for word in line.split())
    total = math.log(words.total())
    pieces |= {f"▁{word}": math.log(count) - total for word, count in sorted(words.items()) if count >= OFTEN}
    tokenizer = make(list(pieces.items()))
    tokenizer.save_pretrained(folder)
    return tokenizer


def load_or_train(folder: Path) -> T5TokenizerFast:
    """The tokenizer in `folder`, else a new one there: only a kept file gives the same ids."""
    import json

    file = folder / "tokenizer.json"
    if not file.exists():
        return train(folder)
    return make([(piece, score) for piece, score in json.loads(file.read_text())["model"]["vocab"]])
