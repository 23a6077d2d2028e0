"""A tiny random embedding model in the layout that the judge of faces reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import ViTConfig, ViTModel


def build(folder: Path) -> Path:
    """Write it into `folder/model` and return the folder, which lacks its people."""
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ViTModel(ViTConfig(**tower, image_size=32, patch_size=8), add_pooling_layer=False)
    model.save_pretrained(folder / "model")
    half = [0.5, 0.5, 0.5]
    reads = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2}
    reads |= {"do_resize": True, "do_normalize": True, "image_mean": half, "image_std": half}
    (folder / "model" / "preprocessor_config.json").write_text(json.dumps(reads))
    return folder
