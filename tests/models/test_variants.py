"""A model with several variants of its weights is run from the one that is asked for; all of them are edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.layouts import folder
from tests.layouts.checkpoint import checkpoint
from tests.models.test_hub import PATTERNS, SD15, SMALL, STEM
from tests.pages.reading import COMMANDS_PAGE, says
from tracelang.cli import main
from tracelang.evidence import artifact as artifacts
from tracelang.models import hub, variants, weights
from tracelang.models.locate import locate
from tracelang.plan.family import ModelError

RECIPE = 'erase "cat" toward "dog"\npreserve "ship"\nmethod uce\n'
BOTH = {None: "F32", "fp16": "F16"}


@pytest.fixture(autouse=True)
def base(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path_factory.getbasetemp() / "variants"))
    Path("r.erase").write_text(RECIPE)
    return folder.build(Path("base"), checkpoint("sd1"), BOTH)


def run(*words: str):
    result = CliRunner().invoke(main, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@says(
    COMMANDS_PAGE,
    "`--variant NAME` has it run from another one: the text states, the plan's figures, the pictures of `sample`. "
    "`apply` edits every variant all the same, and OUT remembers the name, for `sample OUT` and `verify OUT`.",
)
def test_a_model_is_run_from_the_variant_that_is_asked_for_and_every_variant_is_edited(base):
    result = run("apply", "r.erase", "--model", "base", "--out", "out", "--variant", "fp16", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert weights.find(base / "unet").variant == weights.find(base / "vae").variant == "fp16"
    tensors = json.loads(Path("out/manifest.json").read_text())["model"]["tensors"]
    assert {path for path in tensors} == {f"unet/{STEM}.safetensors", f"unet/{STEM}.fp16.safetensors"}
    assert 'variant="fp16"' in Path("out/README.md").read_text()
    assert json.loads(Path("out/manifest.json").read_text())["lora"]["dtype"] == "F16"
    variants.choose(base, None)
    assert weights.find(base / "unet").variant is None  # and what stands in OUT has to say it
    found = artifacts.read(Path("out"))
    again = artifacts.find_base(found, "base")
    assert weights.find(again / "unet").variant == weights.find(found.model / "unet").variant == "fp16"
    variants.choose(found.model, None)
    assert run("sample", "out", "--prompt", "a ship", "--count", "1", "--steps", "2").exit_code == 0
    assert weights.find(found.model / "unet").variant == "fp16"


def test_without_it_the_plain_files_are_run_and_a_second_command_forgets_the_first(base):
    assert locate("base", variant="fp16") == base and weights.find(base / "unet").variant == "fp16"
    assert locate("base") == base and weights.find(base / "unet").variant is None


def test_a_name_of_makers_own_counts_and_a_component_without_it_is_run_from_its_plain_files(base):
    (base / f"unet/{STEM}.fp16.safetensors").rename(base / f"unet/{STEM}.non_ema.safetensors")
    locate("base", variant="non_ema")
    assert weights.find(base / "unet").variant == "non_ema" and weights.find(base / "vae").variant is None


@says(COMMANDS_PAGE, "A name that is not there is refused with those that are.")
def test_what_is_not_there_is_refused_with_what_is(base):
    for command in (("plan", "r.erase", "--model", "base"), ("apply", "r.erase", "--model", "base", "--out", "out"),
                    ("sample", "base", "--prompt", "a")):  # fmt: skip
        result = run(*command, "--variant", "bf16")
        assert result.exit_code == 1 and result.stderr.count("\n") == 1
        assert "--variant bf16: no component has it; there are the plain files and fp16" in result.stderr
    with pytest.raises(ModelError, match="no component"):
        locate("base", variant="../../x")


def test_a_single_file_has_none():
    Path("a.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is one file"):
        locate("a.safetensors", variant="fp16")


def test_of_a_hub_the_variant_is_fetched_or_refused_with_those_that_are_there(monkeypatch, tmp_path):
    import huggingface_hub

    assert hub.chosen(SD15, PATTERNS, "non_ema") == sorted(
        [
            *SMALL,
            f"unet/{STEM}.non_ema.safetensors",
            "text_encoder/model.safetensors",
            "safety_checker/model.safetensors",
            f"vae/{STEM}.safetensors",
        ]
    )
    asked = []
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, name, revision=None: SD15)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **told: asked.append(told) or "x")
    hub.fetch("ow/ner", None, PATTERNS, "fp16")
    assert all("fp16" in file for file in asked[0]["allow_patterns"] if file.endswith(".safetensors"))
    with pytest.raises(ModelError, match=r"ow/ner: --variant int8: .* there are the plain files, fp16 and non_ema"):
        hub.fetch("ow/ner", None, PATTERNS, "int8")
