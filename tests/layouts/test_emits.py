"""Every form of every family gives the edit back in the program that it is for: the edited weights, and the picture.

The folder is the measure: what plain diffusers loads from it minus the base is the edit that the others must hold.
"""

import json

import diffusers
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.layouts import bfl, folder, ldm, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.converters import in_torch
from tests.layouts.judge import RECIPE, changed, draw, run
from tests.layouts.tensors import Tensors, read

ROUNDING = {"F32": 1e-5, "F16": 3e-3, "BF16": 2e-2}
"""Of an adapter's factors, by the dtype that it is stored in, in the norm of the edit."""
CASES = [(kind, dtype) for kind in ("sd1", "sd2", "sdxl", "flux-dev") for dtype in ("F32", "F16")]
CASES += [("flux-schnell", "BF16")]


class Case:
    """A base and what `apply` made of it in every form, and plain diffusers' view of the folder."""

    def __init__(self, at, kind, dtype):
        self.at, self.kind, self.dtype = at, kind, dtype
        self.model = checkpoint(kind, dtype=dtype)
        self.base = folder.build(at / "base", self.model)
        self.denoiser = self.model.denoiser
        (at / "r.erase").write_text(RECIPE)
        self.out = self.apply("out", "folder,lora,lora-kohya,delta,map", "--model", self.base)
        self.before, self.after = self.stored(self.base), self.stored(self.out / "model")

    def apply(self, name, forms, *told):
        words = ["apply", str(self.at / "r.erase"), "--out", str(self.at / name), "--emit", forms, "--device", "cpu"]
        ran = run(*words, "--lora-error", "0%", *map(str, told))
        assert not ran.code, ran.said
        return self.at / name

    def stored(self, base):
        return {name: one.float() for name, one in in_torch(folder.load(base, self.denoiser)).items()}

    def pipe(self, at):
        return diffusers.DiffusionPipeline.from_pretrained(at, dtype=torch.float32)

    def hold(self, found):
        """The weights `found` are the edit's: each change within rounding, everything else as in the base."""
        moved = {name for name in self.before if not torch.equal(self.before[name], self.after[name])}
        assert len(moved) > 1
        for name, before in self.before.items():
            after, here = self.after[name], found[name].float()
            if name in moved:
                off = (here - after).norm() / (after - before).norm()
                assert off <= ROUNDING[self.dtype] + self.coarse(name), (name, float(off))
            else:
                assert torch.equal(here, before), name

    def coarse(self, name):
        """What the folder itself is off by: its weights are rounded to the base's dtype, an adapter's sum is not."""
        step = {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7}[self.dtype]
        return float(step * self.before[name].norm() / (self.after[name] - self.before[name]).norm())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: " ".join(case))
def case(request, tmp_path_factory):
    at = tmp_path_factory.mktemp("emits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACELANG_CACHE", str(at / "cache"))
        yield Case(at, *request.param)


@pytest.fixture(scope="module")
def pictures(case):
    """By plain diffusers: the base's and the edit's, which differ."""
    base, edit = draw(case.pipe(case.base)), draw(case.pipe(case.out / "model"))
    assert (base - edit).abs().max() > 1e-3
    return base, edit


def near(one, pictures, case):
    base, edit = pictures
    return (one - edit).abs().max() <= 0.05 * (base - edit).abs().max() + {"F32": 1e-4}.get(case.dtype, 5e-3)


def test_lora_in_diffusers(case, pictures):
    pipe = case.pipe(case.base)
    pipe.load_lora_weights(case.out, weight_name="lora.safetensors", use_safetensors=True)
    assert near(draw(pipe), pictures, case)
    pipe.fuse_lora(components=[case.denoiser])
    pipe.unload_lora_weights()
    case.hold(getattr(pipe, case.denoiser).state_dict())


def test_kohyas_names_where_comfyui_and_forge_look_for_them(case):
    """`lora_unet_` and a layer's name with underscores, of a UNet in diffusers too: nothing else is read."""
    table = original(case, case.model.parts[case.denoiser])
    before = original(case, folder.load(case.base, case.denoiser))
    after = original(case, folder.load(case.out / "model", case.denoiser))
    keys = {}
    for name in table:
        if name.endswith(".weight"):
            keys["lora_unet_" + name.removesuffix(".weight").replace(".", "_")] = name
    if case.denoiser == "unet":
        for ours in case.model.parts["unet"]:
            if ours.endswith(".weight") and "add_embedding" not in ours:  # which the hosts know by the original alone
                key = "lora_unet_" + ours.removesuffix(".weight").replace(".", "_")
                keys[key] = ldm.unet_name(ours, case.model.config("unet"))
    file = load_file(case.out / "lora-kohya.safetensors")
    with safe_open(case.out / "lora-kohya.safetensors", "pt") as opened:
        assert opened.metadata()["ss_network_dim"]
    layers = {key.split(".")[0] for key in file}
    assert layers <= keys.keys()
    changes = {}
    for layer in layers:
        down, up = file.pop(f"{layer}.lora_down.weight").double(), file.pop(f"{layer}.lora_up.weight").double()
        changes[keys[layer]] = up @ down * (float(file.pop(f"{layer}.alpha")) / len(down))
    assert not file
    step = {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7}[case.dtype]
    for name, old in in_torch(before).items():
        new = in_torch({name: after[name]})[name].double()
        if name in changes:
            expected = new - old.double()
            room = ROUNDING[case.dtype] * expected.norm() + step * old.double().norm()
            assert (changes.pop(name).reshape(expected.shape) - expected).norm() <= room, name
        else:
            assert torch.equal(new, old.double()), name
    assert not changes


def test_a_map_is_the_edit_of_every_matrix_that_it_names(case):
    """`W + (W[:, :d] @ left) @ right.T`, in the space of the states that the matrix reads."""
    path = case.out / "map.safetensors"
    factors = load_file(path)
    with safe_open(path, "pt") as opened:
        reads = json.loads(opened.metadata()["tracelang.map"])
    found = dict(case.before)
    for name, matrices in reads.items():
        left, right = factors[f"{name}.left"].double(), factors[f"{name}.right"].double()
        for matrix in matrices:
            tensor = matrix.removeprefix(f"{case.denoiser}.")
            W = case.before[tensor].double()
            W[:, : len(left)] += (W[:, : len(left)] @ left) @ right.T
            found[tensor] = W
    case.hold(found)


def original(case, tensors: Tensors):
    if case.denoiser == "transformer":
        return bfl.transformer(tensors)
    return ldm.unet(tensors, case.model.config("unet"))


def test_delta_gives_the_edit_and_the_base_again_bit_for_bit(case):
    delta = str(case.out / "delta.safetensors")
    edited, again = case.at / "patched", case.at / "reverted"
    for model, out, more in ((case.base, edited, []), (edited, again, ["--revert"])):
        ran = run("patch", delta, "--model", str(model), "--out", str(out), *more)
        assert not ran.code, ran.said
    assert not changed(case.out / "model", edited) and not changed(case.base, again)


def test_a_single_file_in_diffusers(case, pictures):
    file = single.build(case.at / "in" / "model.safetensors", case.model)
    config = folder.build(case.at / "config", case.model, only=())
    out = case.apply("file", "single-file", "--model", file, "--config", config) / file.name
    names = original(case, folder.load(case.out / "model", case.denoiser))
    found = read(out)
    for name, one in names.items():
        assert found[single.INSIDE + name].bits().tobytes() == one.bits().tobytes(), name
