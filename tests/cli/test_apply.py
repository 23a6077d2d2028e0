"""`plan`, `apply`, `sample`, `models` as a user meets them, on a small random model in the real layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import tracelang
from tests.random_sd import build
from tracelang.cli import main
from tracelang.engine import steer

RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat"
preserve "dog", "horse"
method trace { steer.steps = 6  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 10  steer.rank = 2 }
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    build(folder, config="tiny")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    Path("r.erase").write_text(RECIPE, "utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_whole_path(base: Path) -> None:
    assert run("compile", "r.erase").exit_code == 0
    result = run("apply", "r.plan.json", "--model", str(base), "--out", "out")
    assert result.exit_code == 0, result.stderr
    held = {path.name for path in Path("out").iterdir()}
    assert held == {"model", "lora.safetensors", "recipe", "plan.json", "lock.json", "manifest.json", "README.md"}
    assert tracelang.load_plan("out/plan.json").digest == tracelang.load_plan("r.plan.json").digest
    assert Path("out/recipe/r.erase").read_text("utf-8") == RECIPE
    assert not list(Path().glob(".out*"))
    drawn = run("sample", "out", "--against", str(base), "--prompt", "a cat", "--count", "2", "--steps", "3")
    assert drawn.exit_code == 0 and Path("samples.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_bytes(base: Path) -> None:
    for out in ("one", "two"):
        assert run("apply", "r.erase", "--model", str(base), "--out", out).exit_code == 0
    for file in ("model/unet/diffusion_pytorch_model.safetensors", "lora.safetensors"):
        assert (Path("one") / file).read_bytes() == (Path("two") / file).read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_bytes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("apply", "r.erase", "--model", str(base), "--out", "whole").exit_code == 0
    real, calls = steer.draw, []

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(steer, "draw", interrupted)
    result = run("apply", "r.erase", "--model", str(base), "--out", "out")
    assert result.exit_code == 130 and "Go on with: tracec apply r.erase" in result.stderr
    assert not Path("out").exists()
    again = run("apply", "r.erase", "--model", str(base), "--out", "out")
    assert again.exit_code == 0 and len(calls) == 7  # four before, and steps 4, 5 and 6 after
    file = "model/unet/diffusion_pytorch_model.safetensors"
    assert (Path("out") / file).read_bytes() == (Path("whole") / file).read_bytes()
    assert not list(Path().glob(".out*"))


def test_an_existing_out_is_refused_before_any_work(base: Path) -> None:
    Path("out").mkdir()
    (Path("out") / "mine.txt").write_text("precious")
    result = run("apply", "r.erase", "--model", str(base), "--out", "out")
    assert result.exit_code == 1 and result.stderr.startswith("error: out") and "\n" not in result.stderr.strip()
    assert (Path("out") / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("damage", ["no index", "component gone", "truncated", "lying header", "foreign"])
def test_a_bad_model_is_one_line_and_no_output(base: Path, here: Path, damage: str) -> None:
    folder = here / "bad"
    shutil.copytree(base, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "no index":
        (folder / "model_index.json").unlink()
    elif damage == "component gone":
        shutil.rmtree(folder / "text_encoder")
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "lying header":
        data = bytearray(weights.read_bytes())
        data[:8] = (2**40).to_bytes(8, "little")
        weights.write_bytes(bytes(data))
    else:
        (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    result = run("apply", "r.erase", "--model", str(folder), "--out", "out")
    assert result.exit_code == 1 and result.stderr.count("error:") == 1 and result.stderr.count("\n") == 1
    assert "bad" in result.stderr and not Path("out").exists()


def test_plan_names_tensors_windows_and_collateral(base: Path) -> None:
    result = run("plan", "r.erase", "--model", str(base), "--json", "--detailed-exitcode")
    facts = json.loads(result.stdout)
    assert result.exit_code == 2
    assert facts["parameters"]["edited"] > 0 and all(name.endswith(".weight") for name in facts["tensors"])
    steer_pass = next(step for step in facts["passes"] if step["kind"] == "steer")
    push, hold = (next(w for w in steer_pass["windows"] if w["label"] == label) for label in ("push", "hold"))
    assert hold["logsnr"][1] == push["logsnr"][0]  # the shipped windows partition sampling
    assert facts["collateral"]["cat"] > facts["collateral"]["dog"]
    text = run("plan", "r.erase", "--model", str(base))
    assert text.exit_code == 0 and "log-SNR" in text.stdout


def test_nothing_to_do_is_a_copy(base: Path) -> None:
    Path("zero.erase").write_text('erase "cat" degree 0%\npreserve "dog"\n', "utf-8")
    assert run("plan", "zero.erase", "--model", str(base), "--detailed-exitcode").exit_code == 0
    assert run("apply", "zero.erase", "--model", str(base), "--out", "out").exit_code == 0
    file = "unet/diffusion_pytorch_model.safetensors"
    assert (Path("out/model") / file).read_bytes() == (base / file).read_bytes()


def test_python_is_the_same_five_steps(base: Path) -> None:
    from diffusers import StableDiffusionPipeline

    plan = tracelang.compile("r.erase")
    applied = tracelang.apply(tracelang.bind(plan, base))
    applied.save("out", root=".")
    pipe = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    patch = applied.to(pipe)
    edited = StableDiffusionPipeline.from_pretrained("out/model", safety_checker=None)
    for name, weight in edited.unet.named_parameters():
        torch.testing.assert_close(pipe.unet.get_parameter(name), weight, rtol=0, atol=2e-3)
    patch.undo()


def test_an_unknown_model_says_what_works() -> None:
    result = run("apply", "r.erase", "--model", "nowhere", "--out", "out")
    assert result.exit_code == 1 and "diffusers" in result.stderr
