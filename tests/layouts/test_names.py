"""The generated single files are what diffusers takes for the original names, and hold the folder's tensors."""

import re
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from tests.layouts import single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.configs import KINDS
from tests.layouts.converters import converted, in_torch
from tests.layouts.rows import sites
from tracelang.models.header import Entry, Header
from tracelang.models.single import kinds
from tracelang.models.single.reference import LAYOUTS, NUMBERS

LAST = {
    "tiny": re.compile(r"text_model\.encoder\.layers\.1\.|text_projection"),
    "true": re.compile(r"text_model\.encoder\.layers\.23\.|text_projection"),
}
"""What OpenCLIP's encoder has and Stable Diffusion 2.x does not use."""
OUTSIDE = re.compile(r"position_ids$|^logit_scale$")
"""What diffusers' and the original files need not both have, and no model computes with."""


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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "refiner"])
def test_every_tensor_of_a_true_file_is_found_by_its_name_in_diffusers(kind):
    """The names that a file is edited by, against the generator's, which diffusers' converters judge above."""
    model = checkpoint(kind, "true")
    held = single.tensors(model, markers=("v_pred",) if kind == "sdxl-v" else ())
    ends = list(accumulate(tensor.size for tensor in held.values()))
    entries = {
        name: Entry(one.dtype, one.shape, end - one.size, end)
        for (name, one), end in zip(held.items(), ends, strict=True)
    }
    found = kinds.kind(Path(kind), Header(entries, {}))
    assert found.pipeline == model.kind.pipeline and found.parts.keys() == model.parts.keys() and not found.lacking
    for component, tensors in model.parts.items():
        layout, prefix = found.parts[component]
        number = NUMBERS[layout](model.config(component)) if layout in NUMBERS else 0
        pieces = [
            piece
            for name, entry in entries.items()
            if name.startswith(prefix)
            for piece in LAYOUTS[layout](name.removeprefix(prefix), entry, number)
        ]
        shapes = {piece.name: piece.entry.shape for piece in pieces}
        assert len(shapes) == len(pieces), "two tensors of a file under one name"
        wanted = {name: one.shape for name, one in tensors.items()}
        if kind == "sd2" and component == "text_encoder":
            shapes = {name: shape for name, shape in shapes.items() if not LAST["true"].search(name)}
        strange = {name for name in shapes.keys() ^ wanted.keys() if not OUTSIDE.search(name)}
        assert not strange, (component, sorted(strange)[:3])
        assert all(wanted[name] == shapes[name] for name in wanted.keys() & shapes.keys()), component
        turned = {piece.name for piece in pieces if piece.turn}
        assert not any(sites(component, name) for name in turned)


def test_another_seed_is_another_model_and_the_same_is_the_same():
    one, same, other = (in_torch(checkpoint("sdxl", seed=seed).parts["unet"]) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
