"""A loaded model does what a plain diffusers pipeline does, and knows where its words are."""

import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from peft import LoraConfig
from random_sd import SCHEDULER

from tracelang.models.weights import fingerprint
from tracelang.plan.family import ModelError
from tracelang.plan.prompts import EMPTY, Prompt
from tracelang_sd import StableDiffusion

PROMPTS = ["a photo of a cat", "an dog on a red ship"]


@pytest.fixture(scope="module")
def model(tiny):
    return StableDiffusion().load(tiny)


@pytest.mark.parametrize("scheduler", [{}, {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}])
def test_sampling_equals_a_plain_pipeline(scheduler, tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER | scheduler))
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    seeds, steps, scale = [3, 4], 7, 4.0
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    expected = pipe(PROMPTS, num_inference_steps=steps, guidance_scale=scale, generator=generators, output_type="pt")

    model = StableDiffusion().load(folder)
    states, empty = model.encode(PROMPTS), model.encode(["", ""])
    latents = model.noise(seeds)
    with torch.no_grad():
        for index, time in enumerate(model.clock.times(steps)):
            times = torch.full((2,), time)
            free, bound = model.predict(latents, times, empty), model.predict(latents, times, states)
            latents = model.step(free + scale * (bound - free), index, steps, latents)
    assert model.decode(latents) == pytest.approx(expected.images.numpy(), abs=2e-4)


def test_everything_is_frozen_and_gradients_still_flow_through(model):
    assert not any(p.requires_grad for p in model.denoiser.parameters())
    states = model.encode(PROMPTS)
    states.inputs["tokens"].requires_grad_()
    model.predict(model.noise([0, 1]), torch.tensor([10.0, 900.0]), states).sum().backward()
    assert states.inputs["tokens"].grad.abs().max() > 0


def test_noise_of_a_seed_does_not_depend_on_its_batch(model):
    assert model.noise([5, 6])[1].equal(model.noise([6])[0])
    assert not model.noise([5])[0].equal(model.noise([6])[0])


def test_weights_are_the_sites_also_under_an_adapter(tiny):
    model = StableDiffusion().load(tiny)
    before = {site: model.weight(site) for site in model.sites}
    assert all(weight.flatten(1).shape == site.shape for site, weight in before.items())
    model.denoiser.add_adapter(LoraConfig(r=2, target_modules=[site.module for site in model.sites if site.text]))
    assert all(model.weight(site) is weight for site, weight in before.items())


def test_encoding_in_batches_changes_nothing(model):
    prompts = [f"a photo of {i} cat" for i in range(70)] + [""]
    together = model.encode(prompts).inputs["tokens"]
    assert together.shape == (71, 16, 16)
    assert together[69:] == pytest.approx(model.encode(prompts[69:]).inputs["tokens"].numpy(), abs=1e-5)
    assert len(model.encode([])) == 0


@pytest.mark.parametrize(
    ("text", "phrase", "words"),
    [
        ("a photo of a cat", "cat", ["cat</w>"]),
        ("cat", "cat", ["cat</w>"]),
        ("A PHOTO of a Red  Cat, ship", "red cat", ["red</w>", "cat</w>"]),
        ("a dog and a cat", "dog and a cat", ["dog</w>", "a", "n", "d</w>", "a</w>", "cat</w>"]),
        ("cats, a cat", "cat", ["cat</w>"]),
        ("a red-cat's ship", "cat", ["cat</w>"]),
        ("cat or cat", "cat", ["cat</w>", "cat</w>"]),
        ("a photo of café", "café", None),
    ],
)
def test_the_phrase_is_found_wherever_it_stands(model, text, phrase, words):
    found = model.layout(Prompt(text, phrase))
    ids = model.paths[0].tokenizer(text, padding="max_length", max_length=found.length, truncation=True).input_ids
    assert (
        ids[found.end] == model.paths[0].tokenizer.eos_token_id
        and model.paths[0].tokenizer.eos_token_id not in ids[1 : found.end]
    )
    assert (found.start, found.length) == (1, 16) and len(ids) == 16
    tokens = model.paths[0].tokenizer.convert_ids_to_tokens([ids[i] for i in found.phrase])
    if words is None:
        assert model.paths[0].tokenizer.convert_tokens_to_string(tokens).removesuffix("</w>") == phrase
    else:
        assert tokens == words


def test_layout_of_the_empty_the_long_and_the_wrong_prompt(model):
    empty = model.layout(EMPTY)
    assert (empty.start, empty.end, empty.phrase) == (1, 1, ())
    long = model.layout(Prompt("red " * 30 + "cat", "cat"))
    assert (long.end, long.phrase) == (15, ())
    with pytest.raises(ValueError, match="ship"):
        model.layout(Prompt("a cat", "ship"))


def test_guidance_and_dtype_and_device(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    assert StableDiffusion().load(folder).guidance == 7.5
    (folder / "tracelang.json").write_text('{"guidance": 4}')
    model = StableDiffusion().load(folder, dtype="bfloat16")
    assert model.guidance == 4.0
    assert {p.dtype for part in (model.denoiser, model.paths[0].encoder, model.vae) for p in part.parameters()} == {
        torch.bfloat16
    }
    assert model.decode(model.noise([1])).dtype == torch.float32
    (folder / "tracelang.json").write_text('{"guidance": "high"}')
    with pytest.raises(ModelError, match="guidance"):
        StableDiffusion().check(folder)
    with pytest.raises(ModelError, match="device"):
        StableDiffusion().load(tiny, device="abacus")
    with pytest.raises(ModelError, match="dtype"):
        StableDiffusion().load(tiny, dtype="int4")


def test_a_tokenizer_is_held_to_its_text_encoder(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    path = folder / "tokenizer/tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["model_max_length"]
    path.write_text(json.dumps(settings))
    assert StableDiffusion().load(folder).encode(["cat"]).inputs["tokens"].shape == (1, 16, 16)
    path = folder / "tokenizer/tokenizer.json"
    table = json.loads(path.read_text())
    table["model"]["vocab"]["never seen"] = len(table["model"]["vocab"])
    path.write_text(json.dumps(table))
    with pytest.raises(ModelError, match="tokenizer"):
        StableDiffusion().load(folder)


CHANGES = {
    "weights": ("vae/diffusion_pytorch_model.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "schedule": ("scheduler/scheduler_config.json", lambda data: data.replace(b"0.012", b"0.013")),
    "tokenizer": ("tokenizer/tokenizer_config.json", lambda data: data.replace(b"16", b"15")),
    "config": ("unet/config.json", lambda data: data.replace(b"silu", b"gelu")),
    "guidance": ("tracelang.json", lambda data: b'{"guidance": 3}'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_is_of_all_that_decides_a_picture(change, tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    (folder / "notes.json").write_text("{}")
    assert fingerprint(folder) == fingerprint(tiny) == StableDiffusion().load(folder).fingerprint
    name, edit = CHANGES[change]
    path = folder / name
    path.write_bytes(edit(path.read_bytes() if path.exists() else b""))
    assert fingerprint(folder) != fingerprint(tiny)
