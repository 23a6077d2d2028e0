"""Generated folders and files load in plain diffusers and draw; holes take no place."""

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open

from tests.layouts import folder, odd, single
from tests.layouts.checkpoint import checkpoint
from tests.layouts.converters import in_torch
from tests.layouts.judge import draw

KINDS = ("sd1", "sd2", "sdxl", "sdxl-v", "flux-dev", "flux-schnell")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_runs_in_plain_diffusers(kind, tmp_path):
    model = checkpoint(kind)
    at = folder.build(tmp_path / "model", model)
    pipe = DiffusionPipeline.from_pretrained(at, dtype=torch.float32)
    for component, tensors in model.parts.items():
        held = getattr(pipe, component).state_dict()
        for name, tensor in in_torch(tensors).items():
            if "position_ids" not in name:
                key = name if name in held else name.removeprefix("text_model.")
                assert torch.equal(held[key], tensor.float()), (component, name)
    one, other = draw(pipe), draw(pipe, "red truck")
    assert one.isfinite().all() and not torch.equal(one, other)


@pytest.mark.parametrize(
    ("kind", "pipeline"),
    [("sd1", StableDiffusionPipeline), ("sd2", StableDiffusionPipeline), ("sdxl", StableDiffusionXLPipeline)],
)
def test_a_single_file_draws_what_its_folder_draws(kind, pipeline, tmp_path):
    model = checkpoint(kind)
    at = folder.build(tmp_path / "model", model)
    file = single.build(tmp_path / "model.safetensors", model, ema=True, markers=("v_pred",))
    loaded = pipeline.from_single_file(file, config=str(at), local_files_only=True, dtype=torch.float32)
    expected = DiffusionPipeline.from_pretrained(at, dtype=torch.float32)
    assert torch.equal(draw(loaded), draw(expected))


@pytest.mark.parametrize("naming", ["plain", "variant", "legacy", "arbitrary"])
def test_every_naming_of_shards_loads(naming, tmp_path):
    model = checkpoint("sd1")
    variant = None if naming in ("plain", "arbitrary") else "fp16"
    at = folder.build(tmp_path / "model", model, {variant: None}, naming)
    assert len(list((at / "unet").glob("*.safetensors"))) == 3
    pipe = DiffusionPipeline.from_pretrained(at, variant=variant, dtype=torch.float16)
    unet = pipe.unet.state_dict()
    assert all(torch.equal(unet[name], tensor) for name, tensor in in_torch(model.parts["unet"]).items())


def test_variants_of_other_dtypes_hold_the_same_numbers_rounded(tmp_path):
    model = checkpoint("sd1", dtype="F32")
    at = folder.build(tmp_path / "model", model, {None: None, "fp16": "F16", "bf16": "BF16"})
    name = "conv_in.weight"
    with safe_open(at / "unet/diffusion_pytorch_model.safetensors", "pt") as plain:
        expected = plain.get_tensor(name)
    for variant, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        with safe_open(at / f"unet/diffusion_pytorch_model.{variant}.safetensors", "pt") as file:
            assert torch.equal(file.get_tensor(name), expected.to(dtype))


def test_the_hubs_cache_and_links_out_lead_to_the_same_bytes(tmp_path):
    at = folder.build(tmp_path / "model", checkpoint("sd1"))
    file = "unet/diffusion_pytorch_model.safetensors"
    bytes_ = (at / file).read_bytes()
    snapshot = folder.hub(tmp_path / "cache", at)
    assert (snapshot / file).is_symlink() and (snapshot / file).read_bytes() == bytes_
    folder.links_out(at, tmp_path / "elsewhere")
    assert (at / file).is_symlink() and (at / file).read_bytes() == bytes_


@pytest.mark.parametrize("name", odd.ODD)
def test_an_odd_one_is_what_it_says_and_small_on_disk(name, tmp_path):
    at = odd.ODD[name](tmp_path)
    files = [at] if at.is_file() else list(at.rglob("*.safetensors"))
    assert sum(512 * path.stat().st_blocks for path in files) < 30e6
    for path in files:
        if path.suffix == ".safetensors" and name != "truncated":
            with safe_open(path, "pt") as held:
                assert list(held.keys())
