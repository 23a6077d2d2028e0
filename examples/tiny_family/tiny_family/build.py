"""A model of the family with random weights: `python -m tiny_family.build FOLDER`. It draws noise, of course."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tiny_family.model import TinyTextConfig, TinyTextModel, TinyTransformer

WORDS = ("<pad>", "<end>", "<unk>", "a", "photo", "picture", "of", "cat", "dog", "ship", "red", "the")


def build(folder: Path, seed: int = 0) -> Path:
    """Write the model into `folder`, as `save_pretrained` of each part does."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    ends = {"pad_token": "<pad>", "eos_token": "<end>", "unk_token": "<unk>"}
    blocks = {"block_out_channels": (8,), "norm_num_groups": 4, "mid_block_add_attention": False, "sample_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "tokenizer": PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=10, **ends),
            "text_encoder": TinyTextModel(TinyTextConfig(vocab_size=len(WORDS))),
            "transformer": TinyTransformer(side=8),
            "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
            "vae": AutoencoderKL(latent_channels=4, **blocks),
        }
        torch.nn.init.normal_(parts["text_encoder"].words.weight)
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    named = {name: ["tiny_family", type(parts[name]).__name__] for name in ("text_encoder", "transformer")}
    named |= {name: ["diffusers", type(parts[name]).__name__] for name in ("scheduler", "vae")}
    index = {"_class_name": "TinyPipeline", "tokenizer": ["transformers", "PreTrainedTokenizerFast"], **named}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


if __name__ == "__main__":
    build(Path(sys.argv[1]))
