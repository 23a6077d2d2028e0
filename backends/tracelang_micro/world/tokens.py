"""The tokenizer: CLIP's byte-level BPE with end-of-word marks, its merges learned on the world's phrases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .captions import TOKENS, vocabulary

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train(folder: Path) -> CLIPTokenizer:
    """Learn the merges and save a `CLIPTokenizer` into `folder`. The end token has the highest id, as in CLIP."""
    import json

    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    raw = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw.train_from_iterator(
        vocabulary(),
        trainers.BpeTrainer(vocab_size=1400, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False),
    )
    model = json.loads(raw.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    words = alphabet + [letter + "</w>" for letter in alphabet] + ["".join(merge) for merge in merges]
    table = {word: i for i, word in enumerate(dict.fromkeys(words))}
    table[START], table[END] = len(table), len(table) + 1
    tokenizer = CLIPTokenizer(vocab=table, merges=merges, model_max_length=TOKENS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def load_or_train(shipped: Path, folder: Path) -> CLIPTokenizer:
    """The shipped tokenizer, else a new one in `folder`.

    The trainer breaks ties between merges at random, so that only the kept file gives the same ids again.
    """
    import json

    from transformers import CLIPTokenizer

    file = shipped / "tokenizer.json"
    if not file.exists():
        return train(folder)
    model = json.loads(file.read_text())["model"]
    return CLIPTokenizer(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], model_max_length=TOKENS)
