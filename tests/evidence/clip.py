"""A tiny random CLIP in the layout of the released checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from tests.random_sd import END, START, _json, _words

WORDS = ("photo", "image", "style", "of", "the", "in", "a", "cat", "dog", "ship", "noto", "ink")
SIZE = 16


def build(folder: Path, seed: int = 0) -> Path:
    """Write it into `folder` and return that."""
    words, merges = _words(WORDS)
    ends = {"bos_token_id": words[START], "eos_token_id": words[END], "pad_token_id": words[END]}
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**tower, "vocab_size": len(words), "max_position_embeddings": 16, "projection_dim": 16, **ends},
        vision_config={**tower, "image_size": SIZE, "patch_size": 8, "projection_dim": 16},
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPModel(config)
        with torch.no_grad():
            for parameter in model.parameters():  # the library's 0.02 would make everything look alike
                parameter.mul_(5.0 if parameter.ndim > 1 else 1.0)
        model.save_pretrained(folder)
    CLIPTokenizer(vocab=words, merges=merges, model_max_length=16).save_pretrained(folder)
    _json(folder / "preprocessor_config.json", {
        "crop_size": SIZE, "do_center_crop": True, "do_normalize": True, "do_resize": True, "size": SIZE,
        "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    })  # fmt: skip
    return folder
