"""`tracec certify`: the certificate of `verify`, made again from files; of what is protected nothing is ever drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import tracelang
from tests.evidence import sample
from tests.evidence.edits import RECIPE, change, closed_form, nothing, rehash
from tracelang.cli import main
from tracelang.cli.certify import figures
from tracelang.engine import rollout, sampling
from tracelang.evidence.certificate import texts
from tracelang.evidence.certify import certify, differences
from tracelang.evidence.report.wording import KINDS
from tracelang.evidence.schema import Certificate
from tracelang.evidence.units import drift, noise
from tracelang.models.prompt_side import PromptSide
from tracelang.plan.protected import guard
from tracelang.plan.types import Plan
from tracelang_sd.model import StableDiffusionModel

EXPECT = "expect { residual(dog) <= 90% leak(cat) <= 50% }"
PROTECTED = RECIPE.replace("concept dog {", "concept dog kind protected {")
FAST = {"samples": 2, "steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An edit that erases a protected dog; nobody writes into it."""
    return closed_form(tracelang.compile(PROTECTED + EXPECT), tmp_path_factory.mktemp("fresh") / "out")


@pytest.fixture
def out(fresh: Path, tmp_path: Path) -> Path:
    shutil.copytree(fresh, tmp_path / "out")
    return tmp_path / "out"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["certify", *map(str, words), "--device", "cpu"])


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every prompt whose states any denoiser was given, sampler or engine, whoever asked. States are known by content,
    so that none can be handed on unseen.
    """
    known: dict[bytes, str] = {}
    given = list[str]()
    encode, predict = PromptSide.encode, StableDiffusionModel.predict

    def encoded(self: PromptSide, prompts: Sequence[str], keep: bool = True) -> Any:
        states = encode(self, prompts, keep)
        for prompt, row in zip(prompts, states.inputs["tokens"], strict=True):
            known[row.float().numpy().tobytes()] = prompt
        return states

    def asked(self: StableDiffusionModel, latents: Any, times: Any, states: Any) -> Any:
        for row in states.inputs["tokens"]:
            given.append(known.get(row.detach().float().numpy().tobytes(), "<states that nobody encoded>"))
        return predict(self, latents, times, states)

    monkeypatch.setattr(PromptSide, "encode", encoded)
    monkeypatch.setattr(StableDiffusionModel, "predict", asked)
    return given


def never(what: str) -> Callable[..., Any]:
    def fails(*_: Any, **__: Any) -> None:
        pytest.fail(what)

    return fails


def speaking(plan: Plan, given: Sequence[str]) -> list[str]:
    wall = guard(plan)
    assert wall is not None
    return [prompt for prompt in given if wall.of(prompt)]


def test_verify_gives_no_word_of_what_is_protected_to_sampler_or_engine(
    out: Path, drawing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((drift, "DRIFTS"), (noise, "TRAJECTORIES")):
        monkeypatch.setattr(module, name, 1)
    plan = tracelang.compile(PROTECTED + EXPECT)
    report = tracelang.verify(out, **FAST)
    assert report is not None and report.certificate is not None
    assert {"a picture of a cat", ""} <= set(drawing)  # the spy sees what is drawn, and what is followed
    assert "<states that nobody encoded>" not in drawing
    assert speaking(plan, drawing) == []
    assert report.outcomes[0].verdict != "inconclusive"  # and yet there is evidence of it
    open_ = tracelang.compile(RECIPE + "expect over 2 samples { accuracy(dog) >= 0% }")  # the control: not protected
    drawing.clear()
    tracelang.verify(closed_form(open_, out.parent / "open"), **{**FAST, "samples": 0})
    assert speaking(plan, drawing)


def test_apply_and_certify_load_no_denoiser_and_draw_nothing(
    tmp_path: Path, drawing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracelang_sd import StableDiffusion

    monkeypatch.setattr(StableDiffusion, "load", never("a denoiser was loaded"))
    for place in (sampling, rollout):
        for name in ("sample", "sample_latents", "record", "predictions"):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, never(f"{name} was called"))
    plan = tracelang.compile(PROTECTED + EXPECT)
    edited = closed_form(plan, tmp_path / "edited")
    found = certify(edited)
    assert found.verdict == "pass" and drawing == []
    assert found.encoded == len(texts(plan)) and found.protected == 2  # "a picture of a dog", "a dog"


def test_every_share_that_is_printed_says_whether_it_is_of_lengths_or_of_squares() -> None:
    found = sample.full().certificate
    assert found is not None
    shares = [line for line in figures(found) if "%" in line]
    assert len(shares) == 5 and all(KINDS["length"] in line or KINDS["square"] in line for line in shares)


def test_what_is_encoded_is_the_recipes_own_texts_and_no_other(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set[str]()
    encode = PromptSide.encode

    def encoded(self: PromptSide, prompts: Sequence[str], keep: bool = True) -> Any:
        asked.update(prompts)
        return encode(self, prompts, keep)

    monkeypatch.setattr(PromptSide, "encode", encoded)
    certify(out)
    plan = tracelang.compile(PROTECTED + EXPECT)
    assert asked == set(texts(plan)) == {"", "a picture of a dog", "a dog", "a picture of a cat", "a cat"}


def test_no_word_of_what_is_protected_is_printed(out: Path) -> None:
    for words in ([], ["--json"]):
        told = run(out, *words)
        assert told.exit_code == 0, told.output
        printed = told.stdout.replace("(dog)", "").replace("'dog'", "")
        assert "a dog" not in printed and "canine" not in printed
    assert "encoded 5 texts of the recipe, 2 of what is protected; drawn: none" in run(out).stdout


def test_the_report_is_held_to_the_same_figures(out: Path) -> None:
    assert "report.json: there is none" in run(out).stdout
    tracelang.verify(out, **{**FAST, "samples": 0})
    same = run(out)
    assert same.exit_code == 0 and "report.json: the same figures" in same.stdout
    file = out / "report" / "report.json"
    report = json.loads(file.read_text())
    (gone,) = (one for one in report["certificate"]["reaches"] if one["residual"] is not None)
    gone["residual"] /= 2
    report["certificate"]["encoders"]["text_encoder"] = "0" * 64
    file.write_text(json.dumps(report))
    other = run(out)
    assert other.exit_code == 1
    lines = [line for line in other.stdout.splitlines() if line.startswith("differs: ")]
    assert len(lines) == 2 and lines[0].startswith("differs: dog residual: ")
    assert lines[1].startswith(f"differs: encoders text_encoder: {'0' * 64} there, ")
    file.write_text("{}")
    assert run(out).exit_code == 2 and "cannot be read as a report" in run(out).stderr


def test_figures_that_differ_in_their_last_digits_are_the_same(out: Path) -> None:
    found = certify(out).certificate
    near = found.model_copy(update={"map_share": found.map_share * (1 - 1e-9)})
    far = found.model_copy(update={"map_share": found.map_share * (1 - 1e-3)})
    assert [*differences(found, near)] == [] and len([*differences(found, far)]) == 1
    elsewhere = found.model_copy(update={"states": "cuda, bfloat16"})
    assert [*differences(found, elsewhere)] == ["text states: computed on cuda, bfloat16 there, on cpu, float32 here"]


def test_exit_codes_are_of_what_the_weights_decide(tmp_path: Path) -> None:
    bound = {"<= 90%": 0, "<= 0.01%": 1}
    for written, code in bound.items():
        plan = tracelang.compile(PROTECTED + f"expect {{ residual(dog) {written} }}")
        assert run(closed_form(plan, tmp_path / f"out{code}")).exit_code == code
    unedited = nothing(tracelang.compile(PROTECTED + "expect { residual(dog) <= 100% }"), tmp_path / "same")
    told = run(unedited)
    assert told.exit_code == 3 and "the base model meets the bound too" in told.stdout
    silent = run(closed_form(tracelang.compile(PROTECTED), tmp_path / "silent"))
    assert silent.exit_code == 3 and "the recipe expects nothing of the weights" in silent.stdout
    assert run(tmp_path / "nowhere").exit_code == 2


def test_a_lora_alone_is_certified_as_what_is_loaded_from_it(out: Path) -> None:
    whole = certify(out).certificate
    shutil.rmtree(out / "model")
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["model"]
    manifest["emit"].remove("folder")
    (out / "manifest.json").write_text(json.dumps(manifest))
    found = certify(out).certificate
    assert 0 < found.left_out <= 0.01 and whole.left_out == 0
    pairs = [(one.residual, other.residual) for one, other in zip(found.reaches, whole.reaches, strict=True)]
    assert all(one is other is None or one == pytest.approx(other, abs=0.02) for one, other in pairs)
    assert "leaves out up to" in run(out).stdout


def test_another_text_encoder_is_seen(out: Path) -> None:
    assert certify(out).certificate.same_encoder
    from safetensors.torch import load_file, save_file

    file = out / "model" / "text_encoder" / "model.safetensors"
    held = load_file(file)
    held = {name: value + 0.01 if value.is_floating_point() else value for name, value in held.items()}
    save_file(held, file, {"format": "pt"})
    rehash(out)
    told = run(out)  # a manifest that was made to fit does not fit the base
    assert told.exit_code == 2 and "text_encoder" in told.stderr


def test_a_changed_file_is_no_certificate(out: Path) -> None:
    change(out / "plan.json", digest="0" * 64)
    told = run(out)
    assert told.exit_code == 2 and "Traceback" not in told.stderr


def test_one_matrix_is_in_memory_at_a_time(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was read, no more than one pair of matrices lives when the next is asked for."""
    import weakref

    from tracelang.evidence import sides

    alive = list[Any]()
    most = 0
    read = sides.stored

    def reading(*rest: Any) -> torch.Tensor:
        nonlocal most
        found = read(*rest)
        alive.append(weakref.ref(found))
        most = max(most, sum(one() is not None for one in alive))
        return found

    monkeypatch.setattr(sides, "stored", reading)
    found = certify(out).certificate
    assert isinstance(found, Certificate) and len(alive) > 40 and most <= 4
