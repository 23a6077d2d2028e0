"""A family that no backend knows, in a package of its own, goes the whole way: compile, plan, apply, sample, verify."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import tracelang
from tests.evidence.attacks.targets import SMALL
from tracelang.cli import main
from tracelang.engine.sampling import sample
from tracelang.evidence.attacks import ATTACKS
from tracelang.evidence.judges import Answer, Class
from tracelang.evidence.schema import JudgeCard
from tracelang.evidence.units import drift, noise
from tracelang.models.family import facts
from tracelang.models.locate import family_of
from tracelang.plan.bind import bind
from tracelang.plan.family import ModelError

EXAMPLE = Path(__file__).parents[2] / "examples" / "tiny_family"
RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
preserve "dog"
method %s
expect over 2 samples { shown("cat") <= 99%% }
"""
TRAINED = "trace { steer.steps = 2  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 8 }"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example is installed, as its `pyproject.toml` says, and a model of it lies in a folder."""
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "site" / "tiny_family-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-family\nVersion: 1\n")
    lines = (
        f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in held.items()) for group, held in points.items()
    )
    (info / "entry_points.txt").write_text("".join(lines))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(EXAMPLE), *sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    from tiny_family.build import build

    return build(tmp_path / "model")


def ran(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


class Bright:
    """A judge that sees whatever it is asked for in bright pictures."""

    card = JudgeCard(name="bright", digest="0", classes=("bright", "dark"))

    def find(self, words: Any, kind: Any) -> Class:
        return Class("light", "bright")

    def subject(self, seen: Answer) -> bool:
        return True

    def look(self, images: Tensor) -> list[Answer]:
        return [Answer({"light": "bright" if image.mean() > 0.5 else "dark"}) for image in images]


@pytest.mark.parametrize("method", ["uce", TRAINED])
def test_the_whole_way(method: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tiny" in json.loads(ran("models", "--json"))["families"]
    Path("r.erase").write_text(RECIPE % method)
    ran("compile", "r.erase", "-o", "r.plan.json")
    facts = json.loads(ran("plan", "r.plan.json", "--model", str(base), "--device", "cpu", "--json"))
    assert facts["family"] == "tiny" and "blocks.0.to_v.weight" in facts["tensors"]
    assert facts["collateral"]["erased"]["cat"] > facts["collateral"]["preserved"]["dog"]

    refused = CliRunner().invoke(main, ["apply", "r.erase", "--model", str(base), "--out", "out", "--emit", "lora"])
    assert refused.exit_code == 1 and "TinyPipeline reads no LoRA" in refused.stderr
    ran("apply", "r.plan.json", "--model", str(base), "--out", "out", "--device", "cpu")
    assert not Path("out/lora.safetensors").exists()
    family = family_of(base)
    before, after = family.load(base), family.load(Path("out/model"))
    changed = {site.role for site in before.sites if not before.weight(site).equal(after.weight(site))}
    reads = {"key", "value"}  # what reads the prompt; the training takes what draws besides
    assert changed == (reads if method == "uce" else {site.role for site in before.sites}) >= reads
    assert all(value.equal(after.vae.state_dict()[name]) for name, value in before.vae.state_dict().items())
    assert json.loads(Path("out/lock.json").read_text())["family"] == "tiny"

    ran("sample", "out", "--against", str(base), "--prompt", "a cat", "--count", "1", "--steps", "2", "--device", "cpu")
    assert Path("samples.png").exists()
    pictures = [sample(model, ["a photo of a cat"], [0], steps=4) for model in (before, after)]
    assert pictures[0].shape == (1, 3, 8, 8) and not pictures[0].equal(pictures[1])

    monkeypatch.setattr(drift, "DRIFTS", 1)
    monkeypatch.setattr(noise, "TRAJECTORIES", 1)
    small = replace(SMALL, rows=2, iterations=2, views=1, population=4, generations=2, tuning=2)
    report = tracelang.verify("out", judges=[Bright()], device="cpu", model=str(base), samples=2, steps=2, budget=small)
    assert not report.errors and {one.attack for one in report.attacks} == set(ATTACKS)
    assert Path("out/report/report.html").exists()
    assert report.verdict == "inconclusive"  # the judge knows no cat


def test_its_facts_come_from_configs_and_its_unconditional_input_is_its_own(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = family_of(base)
    bound = bind(tracelang.compile('erase "cat" method uce'), facts(family, base))
    assert {site.reads for site in bound.sites} == {"tokens"}
    model = family.load(base)
    assert model.vocabulary() == ("cat", "dog", "photo", "picture", "red", "ship", "the")  # its entries bear no mark
    states = model.encode(["a photo of a cat", ""])
    assert not model.unconditional().inputs["tokens"].any() and states.inputs["tokens"][1].any()
    with_zeros = sample(model, ["a photo of a cat"], [0], steps=4)
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "unconditional", lambda self: self.encode([""]))
        assert not sample(model, ["a photo of a cat"], [0], steps=4).equal(with_zeros)
    every = bind(tracelang.compile('erase "cat" method trace { steer.on = denoiser }'), facts(family, base))
    assert set(every.sites) == set(model.sites) and {site.role for site in every.sites} > {"query", "out"}
    with pytest.raises(ModelError, match="no gradient checkpointing; leave it off"), model.checkpointed():
        pass
    x, times = model.noise([0, 1]), torch.tensor([0.9, 0.2])
    assert x.shape == (2, *model.latent_shape)
    _, velocity = model.diffuse(x, x.flip(0), times)
    assert velocity == pytest.approx((x.flip(0) - x).numpy())
    with pytest.raises(ModelError, match="guidance"):
        (base / "tracelang.json").write_text('{"guidance": 0}')
        family.check(base)
