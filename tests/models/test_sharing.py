"""Several models in little more memory than one: what is equal is held once, what differs is each model's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import random_sd
from tracelang.engine.sampling import sample
from tracelang.models.model import PipelineModel
from tracelang.models.sharing import drawn_anew, own, sharing
from tracelang_sd import StableDiffusion


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_sd.build(tmp_path_factory.mktemp("sharing") / "tiny")


def places(model: PipelineModel) -> dict[str, int]:
    parts = {"denoiser": model.denoiser, "vae": model.vae}
    return {f"{part}.{name}": tensor.data_ptr() for part in parts for name, tensor in parts[part].state_dict().items()}


def test_a_second_model_holds_what_differs_and_draws_as_if_it_held_all(folder: Path) -> None:
    base, alone = StableDiffusion().load(folder), StableDiffusion().load(folder)
    site = base.sites[0]
    alone.weight(site).data.mul_(3)
    drawn = sample(alone, ["a cat"], [1], steps=2)
    second = sharing(alone, base)
    assert isinstance(second, PipelineModel)
    mine, theirs = places(second), places(base)
    assert {name for name in mine if mine[name] != theirs[name]} == {f"denoiser.{site.tensor}"}
    assert second.paths == base.paths and second.paths[0].encoder is base.paths[0].encoder
    assert torch.equal(sample(second, ["a cat"], [1], steps=2), drawn)
    assert not torch.equal(sample(base, ["a cat"], [1], steps=2), drawn)


def test_another_text_encoder_stays_its_own(folder: Path, tmp_path: Path) -> None:
    other = random_sd.build(tmp_path / "other", seed=5)
    base, second = (
        StableDiffusion().load(folder),
        sharing(StableDiffusion().load(other), StableDiffusion().load(folder)),
    )
    assert isinstance(second, PipelineModel) and second.paths[0].folder.parent == other
    assert not torch.equal(second.encode(["a cat"]).inputs["tokens"], base.encode(["a cat"]).inputs["tokens"])


def test_a_denoiser_drawn_anew_has_nothing_of_the_base_and_all_else_is_the_bases(folder: Path) -> None:
    base = StableDiffusion().load(folder)
    found = drawn_anew(base, 7)
    assert isinstance(found, PipelineModel)
    learned = {name for name, tensor in base.denoiser.named_parameters() if float(tensor.std().nan_to_num()) > 0}
    mine, theirs = places(found), places(base)
    assert learned and not [name for name in learned if mine[f"denoiser.{name}"] == theirs[f"denoiser.{name}"]]
    assert all(mine[name] == theirs[name] for name in mine if name.startswith("vae."))
    assert found.paths is base.paths and found.fingerprint != base.fingerprint
    again = dict(drawn_anew(base, 7).denoiser.named_parameters())
    assert all(torch.equal(again[name], tensor) for name, tensor in found.denoiser.named_parameters())
    other = dict(drawn_anew(base, 8).denoiser.named_parameters())
    assert any(not torch.equal(other[name], tensor) for name, tensor in found.denoiser.named_parameters())


def test_a_copy_of_a_module_can_be_given_other_tensors(folder: Path) -> None:
    base = StableDiffusion().load(folder)
    copied = own(base.denoiser)
    name, held = next(iter(base.denoiser.named_parameters()))
    assert dict(copied.named_parameters())[name] is held
    place, _, leaf = name.rpartition(".")
    setattr(copied.get_submodule(place), leaf, torch.nn.Parameter(held + 1))
    assert dict(base.denoiser.named_parameters())[name] is held
