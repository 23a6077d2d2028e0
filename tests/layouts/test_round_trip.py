"""Single file in, single file out: the same, tensor by tensor, as converting, editing the folder, converting back.

diffusers converts the file to a folder; back to the original names it is the generator's renaming, which diffusers'
converter judges (test_names). Moving averages are a model of their own.
"""

from dataclasses import replace

import pytest
from safetensors.torch import save_file

from tests.layouts import folder, ldm, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.converters import converted, in_torch
from tests.layouts.judge import RECIPE, run
from tests.layouts.tensors import read, write
from tracelang.evidence import artifact as artifacts
from tracelang.evidence import compared

VARIANT = "diffusion_pytorch_model.non_ema.safetensors"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "r.erase").write_text(RECIPE)


def apply(at, name, form, *told):
    words = ["apply", str(at / "r.erase"), "--device", "cpu", "--out", str(at / name), "--emit", form]
    ran = run(*words, *map(str, told))
    assert not ran.code, ran.line
    return at / name


def same(one, other):
    """Names of the tensors whose bytes differ, or that only one of them has."""
    return {
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or one[name].bits().tobytes() != other[name].bits().tobytes()
    }


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "sdxl-v", "flux-dev", "flux-schnell"])
@pytest.mark.parametrize("dtype", [None, "F32"])
def test_editing_the_file_is_converting_editing_the_folder_and_converting_back(kind, dtype, tmp_path):
    model = checkpoint(kind, dtype=dtype)
    averaged = model.denoiser == "unet"
    file = single.build(tmp_path / "in" / "model.safetensors", model, ema=averaged)
    config = folder.build(tmp_path / "config", model, only=())
    made = apply(tmp_path, "out", "single-file", "--model", file, "--config", config) / file.name

    base = folder.build(tmp_path / "base", model)  # what the conversion lacks, as positions, is the base's own
    for component, tensors in converted(model, in_torch(read(file))).items():
        (path,) = (base / component).glob("*.safetensors")
        held = {name: tensor.contiguous() for name, tensor in tensors.items() if name in model.parts[component]}
        save_file(in_torch(model.parts[component]) | held, path, {"format": "pt"})
    edited = apply(tmp_path, "edited", "folder", "--model", base) / "model"
    parts = {component: folder.load(edited, component) for component in model.parts}
    back = single.tensors(replace(model, parts=parts))
    found = {name: one for name, one in read(made).items() if not name.startswith("model_ema.")}
    assert not same(found, back)
    assert same(found, {name: tensor for name, tensor in read(file).items() if not name.startswith("model_ema.")})


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_an_average_over_training_is_edited_as_a_model_of_its_own(kind, tmp_path):
    model = checkpoint(kind)
    file = single.build(tmp_path / "in" / "model.safetensors", model, ema=True)
    config = folder.build(tmp_path / "config", model, only=())
    made = apply(tmp_path, "out", "single-file", "--model", file, "--config", config) / file.name
    second = replace(model, parts={**model.parts, "unet": single.averaged(model.parts["unet"])})
    base = folder.build(tmp_path / "averaged", second)
    edited = apply(tmp_path, "edited", "folder", "--model", base) / "model"
    names = ldm.unet(folder.load(edited, "unet"), model.config("unet"))
    expected = ldm.ema({single.INSIDE + name: tensor for name, tensor in names.items()})
    found = {name: one for name, one in read(made).items() if name in expected}
    assert not same(found, expected)


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_a_variant_is_edited_as_a_model_of_its_own(dtype, tmp_path):
    model = checkpoint("sd1", dtype=dtype)
    other = {name: one.cast("F16") for name, one in single.averaged(model.parts["unet"]).items()}
    base = folder.build(tmp_path / "base", model)
    write(base / "unet" / VARIANT, other, {"format": "pt"})
    made = apply(tmp_path, "out", "folder,lora,delta", "--model", base)
    artifact = artifacts.read(made)
    compared.with_base(artifact, base)
    compared.adapter(artifact, base)
    alone = folder.build(tmp_path / "alone", replace(model, parts={**model.parts, "unet": other}))
    expected = folder.load(apply(tmp_path, "edited", "folder", "--model", alone) / "model", "unet")
    assert not same(read(made / "model" / "unet" / VARIANT), expected)
    ran = run("patch", str(made / "delta.safetensors"), "--model", str(base), "--out", str(tmp_path / "patched"))
    assert not ran.code, ran.line
    assert not same(read(tmp_path / "patched" / "unet" / VARIANT), expected)
    assert same(expected, other)
