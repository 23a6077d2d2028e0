"""What the statements of the language do to a model that was really trained: pictures, judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import tracelang
from tests.engine.plans import run
from tracelang.models.locate import locate
from tracelang.plan.types import Plan
from tracelang_micro import measure, table

N = 12
KEPT = ("dog", "deer", "apple", "house")
HEAD = """
templates plain = "a picture of a {}", "a drawing of a {}", "a {}"
concept cat { names "cat"  templates plain }
"""


MODELS = ("micro-sd", "micro-flux")


@pytest.fixture(scope="module", params=MODELS)
def on(request: pytest.FixtureRequest) -> measure.Bench:
    return measure.bench(request.param)


def plan(statement: str, method: str = "method uce { refine.ridge = 0.01 }") -> Plan:
    return tracelang.compile(f'{HEAD}{statement}\npreserve "dog", "deer", "house"\n{method}\n')


def shares(on: measure.Bench, plan: Plan | None, things: tuple[str, ...] = ("cat", *KEPT)) -> dict[str, float]:
    """How often each thing is recognised when it is asked for."""
    asked = [
        question
        for name in things
        for question in table.ask(table.BY_NAME[name], N, 0, 0, seed=77)
        if question.row == ("erased", name)
    ]
    seen = (on.base if plan is None else lambda asked: on.after(run(plan, on.model), asked))(asked)
    return {row: rate.share for (_, row), rate in seen.rates.items()}


def unasked(on: measure.Bench) -> float:
    """How often the empty prompt, toward which a concept without an anchor goes, draws a cat from the same noise."""
    asked = [question for question in table.ask(table.BY_NAME["cat"], N, 0, 0, seed=77) if question.row[0] == "erased"]
    blank = [replace(question, sample=replace(question.sample, prompt="")) for question in asked]
    return on.base(blank).rates["erased", "cat"].share


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["erase cat", 'erase cat toward "dog"', "erase cat away"])
def test_each_way_of_erasing_erases_and_keeps(on: measure.Bench, statement: str) -> None:
    before, after = shares(on, None), shares(on, plan(statement))
    chance = 0.0 if "toward" in statement else unasked(on)
    assert before["cat"] >= 0.9 and after["cat"] <= 0.1 + chance
    assert all(after[name] >= before[name] - 0.1 for name in KEPT)


@pytest.mark.slow
def test_a_degree_is_monotone_between_everything_and_nothing(on: measure.Bench) -> None:
    found = [
        shares(on, plan(f'erase cat toward "dog" degree {degree}%'), ("cat",))["cat"] for degree in (0, 40, 60, 100)
    ]
    assert found == sorted(found, reverse=True) and found[0] >= 0.9 and found[-1] <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_folder_and_adapter_draw_the_same_pictures_in_plain_diffusers(name: str, tmp_path: Path) -> None:
    from diffusers import DiffusionPipeline

    short = "method trace { steer.steps = 12  steer.trajectories = 8 }"
    text = plan('erase cat toward "dog"', short)
    tracelang.apply(tracelang.bind(text, name)).save(tmp_path / "out", lora_error=0)
    size = {"height": 64, "width": 64, "max_sequence_length": 24} if name == "micro-flux" else {}

    def draw(folder: Path, adapter: Path | None = None) -> Tensor:
        pipe = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        if adapter:
            pipe.load_lora_weights(adapter.parent, weight_name=adapter.name)
        noise = [torch.Generator().manual_seed(seed) for seed in range(3)]
        prompts = ["a picture of a cat", "a drawing of a cat", "a picture of a house"]
        images: Tensor = pipe(prompts, generator=noise, num_inference_steps=10, output_type="pt", **size).images
        return images

    base = locate(name)
    before, edited = draw(base), draw(tmp_path / "out" / "model")
    adapted = draw(base, tmp_path / "out" / "lora.safetensors")
    far = (edited - before).abs().mean()
    assert (edited - adapted).abs().mean() < 0.02 * far
    assert far > 0.02
