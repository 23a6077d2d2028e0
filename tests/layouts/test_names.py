"""The generated single files are what diffusers takes for the original names, and hold the folder's tensors."""

import re

import pytest
import torch

from tests.layouts import single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.configs import KINDS
from tests.layouts.converters import converted, in_torch

LAST = {
    "tiny": re.compile(r"text_model\.encoder\.layers\.1\.|text_projection"),
    "true": re.compile(r"text_model\.encoder\.layers\.23\.|text_projection"),
}
"""What OpenCLIP's encoder has and Stable Diffusion 2.x does not use."""


@pytest.mark.parametrize("kind", KINDS)
def test_converting_the_file_gives_the_folders_tensors(kind):
    model = checkpoint(kind)
    made = converted(model, in_torch(single.tensors(model, ema=model.denoiser == "unet")))
    assert made.keys() == model.parts.keys()
    for component, tensors in model.parts.items():
        expected, found = in_torch(tensors), made[component]
        if kind == "sd2" and component == "text_encoder":
            found = {name: tensor for name, tensor in found.items() if not LAST["tiny"].search(name)}
        absent = {name for name in expected if name.endswith("position_ids") and kind.startswith("flux")}
        assert found.keys() == expected.keys() - absent
        different = {name for name in found if not torch.equal(found[name], expected[name])}
        assert not different, (component, sorted(different)[:3])


COUNTS = {"sd1": 1143, "flux-dev": 780, "flux-schnell": 776}
"""Tensors of published files: SD 1.5 with its schedule's buffers, BFL's transformers alone."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sdxl-v"])
def test_true_files_have_the_published_names_and_shapes(kind):
    model = checkpoint(kind, "true")
    whole = single.tensors(model)
    made = converted(model, in_torch(whole, values=False))
    for component, tensors in model.parts.items():
        expected = {name: one.shape for name, one in tensors.items() if "position_ids" not in name}
        found = {name: tuple(one.shape) for name, one in made[component].items() if "position_ids" not in name}
        if kind == "sd2" and component == "text_encoder":
            found = {name: shape for name, shape in found.items() if not LAST["true"].search(name)}
        assert found == expected, component
    alone = kind.startswith("flux")
    held = single.tensors(model, prefix="", vae=False, encoders=False) if alone else whole
    assert len(held) == COUNTS.get(kind, len(held))


def test_another_seed_is_another_model_and_the_same_is_the_same():
    one, same, other = (in_torch(checkpoint("sdxl", seed=seed).parts["unet"]) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
