"""`plan`, `apply`, `sample`, `models` as a user meets them, on a small random model in the real layout."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import tracelang
import tracelang.api
from tests.random_sd import build
from tracelang.checkpoint.output import OutputError
from tracelang.cli import main
from tracelang.cli.apply import LESS
from tracelang.cli.progress import progress
from tracelang.cli.sample import labels
from tracelang.engine import training
from tracelang.engine.predicted import roles

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
    Path("a folder").mkdir()
    Path("r.erase").rename("a folder/r.erase")
    real, calls = training.draw_batch, []

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "draw_batch", interrupted)
    words = ["apply", "a folder/r.erase", "--model", str(base), "--out", "out", "--root", ".", "--dtype", "float32"]
    result = run(*words)
    assert result.exit_code == 130 and ".out.state" in result.stderr
    command = result.stderr.partition("Go on with: ")[2].strip()
    assert shlex.split(command) == ["tracec", *words]
    assert not Path("out").exists()
    again = run(*shlex.split(command)[1:])
    assert again.exit_code == 0 and len(calls) == 7  # four before, and steps 4, 5 and 6 after
    file = "model/unet/diffusion_pytorch_model.safetensors"
    assert (Path("out") / file).read_bytes() == (Path("whole") / file).read_bytes()
    assert not list(Path().glob(".out*"))


def test_an_interruption_before_any_step_promises_no_state(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracelang.api, "apply", interrupted)
    result = run("apply", "r.erase", "--model", str(base), "--out", "out", "--force")
    assert result.exit_code == 130 and "no step is done yet" in result.stderr
    assert ".state" not in result.stderr and "--out out --force" in result.stderr


GATED = RECIPE.replace("steer.rank = 2", "steer.rank = 2  steer.gate = 60%..100%")


@pytest.mark.parametrize("mistake", ["gate", "emit", "inside the base", "parent is a file"])
def test_what_can_be_known_is_said_before_training(base: Path, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    Path("gated.erase").write_text(GATED, "utf-8")
    monkeypatch.setattr(tracelang.api, "apply", None)
    recipe, out, emit, word = {
        "gate": ("gated.erase", "out", "lora", "steer.gate"),
        "emit": ("r.erase", "out", "folder,onnx", "'onnx'"),
        "inside the base": ("r.erase", str(base / "out"), "folder", "inside the base"),
        "parent is a file": ("r.erase", "r.erase/out", "folder", "not a folder"),
    }[mistake]
    result = run("apply", recipe, "--model", str(base), "--out", out, "--emit", emit)
    assert result.exit_code in (1, 2) and word in result.stderr and not Path("out").exists()


def test_training_in_float16_is_refused_before_a_model_is_loaded(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracelang_sd.StableDiffusion.load", None)
    result = run("apply", "r.erase", "--model", str(base), "--out", "out", "--dtype", "float16")
    assert result.exit_code == 1 and "float16's range; choose float32 or bfloat16" in result.stderr
    assert result.stderr.count("\n") == 1 and not Path("out").exists()


@pytest.mark.parametrize("out", [".", "r.erase/a.png"])
def test_sample_looks_at_its_output_before_it_draws(base: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.setattr("tracelang.engine.sampling.sample", None)
    result = run("sample", str(base), "--prompt", "a cat", "--out", out)
    assert result.exit_code in (1, 2) and result.stderr.count("\n") < 5 and "rror: " in result.stderr


def test_sample_says_what_the_model_never_gets_of_a_prompt(base: Path) -> None:
    long = "a cat" + " on a beach" * 20
    result = run("sample", str(base), "--prompt", long, "--prompt", "a cat", "--count", "1", "--steps", "2")
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert result.exit_code == 0 and len(warnings) == 1, result.stderr
    assert f"{long[:60]!r} and loses " in warnings[0] and "shorten it" in warnings[0]


def test_a_gated_edit_is_used_from_python(base: Path) -> None:
    applied = tracelang.apply(tracelang.bind(tracelang.compile(GATED), base))
    with pytest.raises(OutputError, match="gate"):
        applied.save("out")
    states, x = applied.model.encode(["a cat"]), applied.model.noise([0])
    late = torch.tensor([applied.model.clock.times(20)[-1]])
    with torch.no_grad():
        before = applied.model.predict(x, late, states)
        with applied.applied() as model:
            assert not model.predict(x, late, states).equal(before)
        assert applied.model.predict(x, late, states).equal(before)


def test_folders_above_out_are_made(base: Path) -> None:
    assert run("apply", "zero.erase", "--model", str(base), "--out", "a/b/out").exit_code == 1
    Path("zero.erase").write_text('erase "cat" degree 0%\npreserve "dog"\n', "utf-8")
    assert run("apply", "zero.erase", "--model", str(base), "--out", "a/b/out").exit_code == 0
    assert Path("a/b/out/model/model_index.json").is_file()


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
    assert facts["model"] == "tiny"
    change = facts["collateral"]
    assert change.keys() == {"erased", "anchors", "preserved", "neighbours"}
    assert change["erased"]["cat"] > change["preserved"]["dog"] and change["preserved"].keys() == {"dog", "horse"}
    text = run("plan", "r.erase", "--model", str(base))
    assert text.exit_code == 0 and "log-SNR" in text.stdout
    assert text.stdout.index("  erased\n") < text.stdout.index("  preserved\n") and "neighbours" not in text.stdout


def test_collateral_by_role(base: Path) -> None:
    Path("pair.erase").write_text(
        'templates object = "a {}"\nerase "cat" & "dog" toward "ship"\npreserve "truck"\n'
        'expect over 10 samples seed 0 { kept("horse") >= 10% }\n',
        "utf-8",
    )
    plan = tracelang.compile("pair.erase")
    parts = roles(plan)
    assert parts["erased"] == [("cat", "dog")] and parts["anchors"] == [("ship",)]
    assert ("truck",) in parts["preserved"]
    together = [member for members in parts.values() for member in members]
    assert {("cat",), ("dog",)} <= set(together) and {name for one in together for name in one} == {
        concept.name for concept in plan.concepts
    }


def test_a_method_without_a_closed_form_says_so(base: Path) -> None:
    method = "define method plain { steer on text { push { strength = 1.0 } } }\n"
    Path("s.erase").write_text(method + 'erase "cat"\npreserve "dog"\nmethod plain {}\n', "utf-8")
    arguments = ("plan", "s.erase", "--model", str(base))
    assert "no closed form in this method" in run(*arguments).stdout
    told = json.loads(run(*arguments, "--json").stdout)
    assert told["collateral"] is told["residual"] is None


@pytest.mark.parametrize(
    "words",
    [
        ("r.erase", "--no-such"),
        ("r.erase", "--dtype", "int3"),
        (),
        ("r.erase", "--set", "x"),
        ("x.json", "--set", "a=1"),
        ("none.erase", "--config-only"),
    ],
)
def test_a_detailed_exit_code_of_2_always_means_changes(base: Path, words: tuple[str, ...]) -> None:
    result = run("plan", "--model", str(base), "--detailed-exitcode", *words)
    assert result.exit_code == 1 and result.stderr


def test_models_of_one_name_keep_their_rows(base: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracelang.evidence import sheet

    assert labels(["micro-sd", "out"]) == ["micro-sd", "out"]
    assert labels(["a/x/out", "b/x/out"]) == ["a/x/out", "b/x/out"] and labels(["a/out", "out"]) == ["a/out", "out"]
    assert labels(["out", "./out"]) == ["out", "./out"]
    shutil.copytree(base, here / base.name)
    drawn: list[list[str]] = []
    real = sheet.sheet
    monkeypatch.setattr(
        sheet,
        "sheet",
        lambda columns: drawn.extend(list(strip.rows) for _, column in columns for strip in column) or real(columns),
    )
    models = (base.name, "--against", str(base))
    assert run("sample", *models, "--prompt", "a cat", "--count", "1", "--steps", "2").exit_code == 0
    assert len(drawn) == 1 and len(drawn[0]) == 2


def test_labels_are_never_painted_over() -> None:
    from tracelang.evidence.sheet import GAP, Strip, sheet

    def page(label: str, value: float) -> np.ndarray:
        rows = {label: torch.full((1, 3, 8, 8), value), "b": torch.ones(1, 3, 8, 8)}
        return np.asarray(sheet([("", [Strip("p", rows)])]))

    label = "a/rather/long/path/to/a/model"
    black, white = page(label, 0), page(label, 1)
    left = int(np.flatnonzero((black != white).any((0, 2)))[0])
    text = np.flatnonzero((white[:, :left] < 200).any((0, 2)))
    assert text[-1] < left - GAP and black.shape[1] > page("b", 0).shape[1]


BLOCKED = "import sys; sys.modules['torch'] = None; from tracelang.cli import main; main()"


def blocked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where torch is not installed."""
    return subprocess.run([sys.executable, "-c", BLOCKED, *arguments], capture_output=True, text=True, check=False)


def test_a_light_installation_compiles_and_says_what_the_rest_needs(base: Path) -> None:
    assert blocked("compile", "r.erase").returncode == 0
    assert blocked("plan", "r.erase", "--config-only", "--model", str(base)).returncode == 0
    listed = blocked("models")
    assert listed.returncode == 0 and "sd1" in listed.stdout and not listed.stderr
    for arguments in (
        ("apply", "r.plan.json", "--model", str(base), "--out", "out"),
        ("plan", "r.erase", "--model", str(base)),
        ("sample", str(base), "--prompt", "a cat"),
    ):
        found = blocked(*arguments)
        assert found.returncode == 1 and found.stderr.count("\n") == 1, found.stderr
        assert "needs torch" in found.stderr and "pip install 'tracelang[run]'" in found.stderr


def test_a_bug_of_ours_is_no_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tracelang.models.locate", None)
    result = CliRunner().invoke(main, ["models"])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_a_broken_embedded_model_is_listed_with_its_reason(
    base: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = here / "site" / "some_models-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-models\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tracelang.models]\nsome-sd = models_of_the_command_test:good\ntorn-sd = models_of_the_command_test:bad\n"
        "gone-sd = some_models_of_no_one:path\n"
    )
    (here / "bad").mkdir()
    (here / "site" / "models_of_the_command_test.py").write_text(
        f"def good(): return {str(base)!r}\ndef bad(): return {str(here / 'bad')!r}\n"
    )
    monkeypatch.setattr(sys, "path", [str(here / "site"), *sys.path])
    result = run("models")
    assert result.exit_code == 0 and "some-sd  (sd1, embedded)" in result.stdout
    assert "torn-sd  (embedded, cannot be used:" in result.stdout and "some_models_of_no_one" in result.stdout
    data = json.loads(run("models", "--json").stdout)
    assert data["embedded"]["some-sd"] == "sd1" and "model_index.json" in data["broken"]["torn-sd"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_too_little_memory_is_one_line(base: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(tracelang.api, "apply", fails)
    result = run("apply", "r.erase", "--model", str(base), "--out", "out")
    assert (result.exit_code, result.stderr) == (1, f"error: out of memory; {LESS} or use --dtype\n")


def test_the_words_of_a_recipe_steer_no_terminal(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "[/b] [red]\x1b[2J"
    Path("odd.erase").write_text(f'templates object = "a {{}}"\nerase "{words}"\npreserve "dog"\n', "utf-8")
    shown = run("plan", "odd.erase", "--model", str(base))
    assert "\x1b" not in shown.stdout + shown.stderr
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress() as report:
        report(f"steering {words}", 1, 2)
    assert "[/b] [red]" in sys.stderr.getvalue() and "\x1b[2J" not in sys.stderr.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_hub_model_keeps_its_name(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(base))
    Path("zero.erase").write_text('erase "cat" degree 0%\npreserve "dog"\n', "utf-8")
    assert run("apply", "zero.erase", "--model", "owner/name@v1", "--out", "out").exit_code == 0
    lock = json.loads(Path("out/lock.json").read_text("utf-8"))
    assert lock["base_model"] == lock["model"]["name"] == "owner/name"
    assert lock["seeds"] == {"steer": 0}
    card = Path("out/README.md").read_text("utf-8")
    assert card.startswith('---\nbase_model: "owner/name"\n') and "An edit of `owner/name`" in card


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
