"""A plan that is all closed form needs text states and single matrices: no denoiser, and known states no encoder."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from random_flux import build as build_flux
from random_sd import build as build_sd
from random_sdxl import build as build_sdxl
from test_flux_check import shard

import tracelang
from tests.engine.plans import erasure, plan, run, steer
from tracelang.checkpoint.save import save
from tracelang.engine.run import needs_no_model
from tracelang.models import parts, text_cache, weights
from tracelang.plan.family import ModelError

RECIPE = """
templates object = "a photo of a {}", "a {}"
erase "cat" toward "ship"
erase "red" degree 60%%
preserve "dog", "truck"
method %s
"""
BUILD = {"flux": build_flux, "sd": build_sd, "sdxl": build_sdxl}
PIPELINE = {"flux": FluxPipeline, "sd": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
LOADERS = ("tracelang.models.parts", "tracelang.models.streamed", "tracelang.models.model")
DENOISER = {"flux": "transformer", "sd": "unet", "sdxl": "unet"}


@pytest.fixture(scope="module", params=list(BUILD))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def base(family, tmp_path_factory):
    folder = BUILD[family](tmp_path_factory.mktemp("models") / family)
    shard(folder / DENOISER[family] / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACELANG_CACHE", str(tmp_path / "cache"))
    Path("r.erase").write_text(RECIPE % "uce")


@pytest.fixture
def loads(monkeypatch):
    """The components that are loaded, in order."""
    found = []
    real = parts.component
    for module in LOADERS:
        monkeypatch.setattr(
            f"{module}.component",
            lambda kind, folder, **options: (found.append(folder.name), real(kind, folder, **options))[1],
        )
    return found


def bound(base):
    return tracelang.bind(tracelang.compile("r.erase"), base)


def test_no_denoiser_is_loaded_and_with_known_states_no_encoder(base, loads, monkeypatch):
    made = tracelang.apply(bound(base), device="cpu")
    made.save("first")
    assert set(loads) == {path.name for path in base.glob("text_encoder*")}
    del loads[:]

    def refuse(*told, **options):
        raise ModelError("loaded")

    monkeypatch.setattr(parts, "component", refuse)
    tracelang.apply(bound(base), device="cpu").save("second")
    assert loads == [] and files("first") == files("second")
    shutil.rmtree("cache")  # control
    with pytest.raises(ModelError, match="loaded"):
        tracelang.apply(bound(base), device="cpu")


def test_an_edit_is_of_one_base_from_its_states_to_what_is_written(base, monkeypatch):
    file = next(iter(base.glob("text_encoder/*.safetensors")))

    def written():
        data = file.read_bytes()
        file.write_bytes(data)
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))  # whatever the clock's step

    real = parts.component

    def loaded(kind, folder, **options):
        found = real(kind, folder, **options)
        written()
        return found

    with monkeypatch.context() as patch, pytest.raises(ModelError, match=f"{file}: was written to"):
        for module in LOADERS:
            patch.setattr(f"{module}.component", loaded)
        tracelang.apply(bound(base), device="cpu")
    assert not list(Path("cache").rglob("states/*"))  # of an encoder that its key may not name
    made = tracelang.apply(bound(base), device="cpu")
    assert list(Path("cache").rglob("states/*"))  # control
    written()
    with pytest.raises(ModelError, match=f"{file}: was written to"):
        made.save("out")
    assert not Path("out").exists()


def test_the_bytes_are_those_of_the_path_through_a_loaded_model(base):
    plan, where = tracelang.compile("r.erase"), bound(base)
    tracelang.apply(where, device="cpu").save("alone")
    tracelang.apply(where, device="cpu").save("known")
    model = where.family.load(base)
    edit = run(plan, model, cache=None)
    lock = json.loads(Path("alone/lock.json").read_text())
    extra = {name: lock[name] for name in ("base_model", "device", "dtype", "conditions")}
    assert extra["conditions"] == dict(model.conditions)
    save(
        Path("loaded"),
        base,
        where.family,
        edit.deltas(model),
        plan,
        {"r.erase": Path("r.erase").read_bytes()},
        extra=extra | {"figures": edit.figures},
    )
    assert files("alone") == files("known") == files("loaded")


def test_the_model_is_loaded_where_it_is_asked_for(base, family, loads):
    made = tracelang.apply(bound(base), device="cpu")
    assert DENOISER[family] not in loads
    x, states = made.model.noise([0]), made.model.encode(["a cat"])
    time = torch.tensor([made.model.clock.times(4)[1]])
    with torch.no_grad():
        before = made.model.predict(x, time, states)
        with made.applied() as edited:
            assert not edited.predict(x, time, states).equal(before)
        assert made.model.predict(x, time, states).equal(before)
    pipe = PIPELINE[family].from_pretrained(base, local_files_only=True)
    site = made.edit.sites[0]
    old = getattr(pipe, site.component).get_parameter(site.tensor).clone()
    patch = made.to(pipe)
    assert not getattr(pipe, site.component).get_parameter(site.tensor).equal(old)
    patch.undo()
    assert getattr(pipe, site.component).get_parameter(site.tensor).equal(old)


def test_a_plan_that_trains_loads_the_model_and_not_its_encoders_where_states_are_known(base, family, loads):
    few = "steer.steps = 2  steer.batch = 2  steer.trajectories = 2  steer.sampler_steps = 8"
    one = RECIPE.replace('erase "red"', '# "red"')  # one adapter, nothing to fuse: quicker
    Path("r.erase").write_text(one % f"trace {{ {few} }}")
    assert not needs_no_model(bound(base).on_model)
    tracelang.apply(bound(base), device="cpu").save("first")
    assert DENOISER[family] in loads and "text_encoder" in loads
    del loads[:]
    tracelang.apply(bound(base), device="cpu").save("second")
    assert set(loads) == {DENOISER[family], "vae"}
    assert files("first") == files("second")


def test_a_plan_of_nothing_needs_nothing(base, loads):
    Path("r.erase").write_text('erase "cat" degree 0%\npreserve "dog"\n')
    made = tracelang.apply(bound(base), device="cpu")
    made.save("out")
    assert loads == [] and made.edit.sites == ()


@pytest.mark.parametrize("change", ["weights", "tokenizer", "config", "dtype", "length"])
def test_states_belong_to_all_that_decides_them(change, base, family, tmp_path):
    folder = Path(shutil.copytree(base, tmp_path / "model"))
    own = bound(folder).family
    text = own.text(folder, cache=text_cache.folder())
    text.encode(["a cat"])
    (known,) = text_cache.folder().iterdir()
    dtype = None
    if change == "weights":
        path = folder / "text_encoder/model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    elif change == "tokenizer":
        path = folder / "tokenizer/tokenizer_config.json"
        path.write_text(path.read_text() + "\n")
    elif change == "config":
        path = folder / "text_encoder/config.json"
        path.write_text(path.read_text() + "\n")
    elif change == "dtype":
        dtype = "bfloat16"
    elif family == "flux":
        (folder / "tracelang.json").write_text('{"tokens": 9}')
    else:
        for path in folder.glob("tokenizer*/tokenizer_config.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 9}))
    weights._sha256.cache_clear()
    own.text(folder, dtype=dtype, cache=text_cache.folder()).encode(["a cat"])
    assert len(list(text_cache.folder().iterdir())) == 2
    shutil.copytree(base, tmp_path / "elsewhere")  # control: a place decides nothing, nor does another component
    (tmp_path / "elsewhere/vae/config.json").write_text((base / "vae/config.json").read_text() + "\n")
    own.text(tmp_path / "elsewhere", cache=text_cache.folder()).encode(["a cat"])
    assert len(list(text_cache.folder().iterdir())) == 2 and known.exists()


def test_closed_form_refuses_what_it_cannot_do(base):
    from tracelang.engine.errors import EngineError

    with pytest.raises(EngineError, match="steer"):
        run(plan((erasure("cat"),), steer()), bound(base).family.text(base))


def files(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
