"""Stable Diffusion 2.x goes by its own name, and a loaded model does what its plain pipeline does."""

import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from random_sd import SECOND_TEXT

import tracelang
from tracelang.engine.sampling import sample_latents
from tracelang.models.locate import family_of
from tracelang.plan.family import ModelError
from tracelang.plan.prompts import EMPTY, Prompt
from tracelang_sd import StableDiffusion

PROMPTS = ["a photo of a cat", "an dog on a red ship"]
PREDICTS = {"noise": {}, "v": {"prediction_type": "v_prediction"}}


def changed(base, tmp_path, name, **values):
    """A copy in which a file of settings says something else."""
    folder = tmp_path / "changed"
    shutil.copytree(base, folder, dirs_exist_ok=True)
    path = folder / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | values))
    return folder


def plain(folder):
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe


@pytest.mark.parametrize("predicts", PREDICTS)
def test_supports_means_what_it_says(predicts, tiny, tiny_sd2, tmp_path):
    folder = changed(tiny_sd2, tmp_path, "scheduler/scheduler_config.json", **PREDICTS[predicts])
    wants = {name: tracelang.compile(f'recipe "r" {{ supports = {name} }} erase "cat"') for name in ("sd1", "sd2")}
    assert tracelang.bind(wants["sd2"], folder).family.name(folder) == "sd2"
    with pytest.raises(ModelError, match="this is a sd2 model; the recipe supports sd1"):
        tracelang.bind(wants["sd1"], folder)
    with pytest.raises(ModelError, match="this is a sd1 model; the recipe supports sd2"):
        tracelang.bind(wants["sd2"], tiny)


@pytest.mark.parametrize("change", [{"cross_attention_dim": 1024}, {"use_linear_projection": True}])
def test_either_mark_of_the_unet_makes_it_2x(change, tiny, tmp_path):
    assert StableDiffusion().name(tiny) == "sd1"
    assert StableDiffusion().name(changed(tiny, tmp_path, "unet/config.json", **change)) == "sd2"


def test_messages_name_the_family(tiny, tiny_sd2, tmp_path):
    for base, title in ((tiny, "Stable Diffusion 1.x"), (tiny_sd2, "Stable Diffusion 2.x")):
        folder = changed(base, tmp_path, "unet/config.json", class_embed_type="timestep", num_class_embeds=3)
        with pytest.raises(ModelError, match=f"is no {title} UNet"):
            StableDiffusion().check(folder)
        shutil.rmtree(folder)


def test_states_are_the_pipelines_bit_for_bit(tiny_sd2):
    model, pipe = StableDiffusion().load(tiny_sd2), plain(tiny_sd2)
    prompts = [*PROMPTS, "", "red " * 30]
    found = model.encode(prompts).inputs["tokens"]
    for prompt, states in zip(prompts, found, strict=True):
        with torch.no_grad():
            told, empty = pipe.encode_prompt(prompt, "cpu", 1, True)
        assert states.equal(told[0]) and model.unconditional().inputs["tokens"].equal(empty)
    assert found.shape[-1] == SECOND_TEXT["hidden_size"] and not found[0].equal(found[1])
    ids = torch.tensor(pipe.tokenizer(PROMPTS[0], padding="max_length").input_ids)
    with torch.no_grad():  # control: without the final norm they would be others
        below = pipe.text_encoder(ids[None], output_hidden_states=True).hidden_states[-1]
    assert not below[0].equal(found[0])


def test_the_text_is_padded_with_exclamation_marks(tiny_sd2):
    text = StableDiffusion().text(tiny_sd2)
    found, tokenizer = text.layout(Prompt("a photo of a cat", "cat")), text.paths[0].tokenizer
    ids = text.paths[0].ids(["a photo of a cat"])[0].tolist()
    assert ids[found.end] == tokenizer.eos_token_id and set(ids[found.end + 1 :]) == {tokenizer.vocab["!"]}
    assert tokenizer.convert_ids_to_tokens([ids[i] for i in found.phrase]) == ["cat</w>"]
    assert text.layout(EMPTY).end == 1


@pytest.mark.parametrize("predicts", PREDICTS)
def test_latents_are_the_pipelines(predicts, tiny_sd2, tmp_path):
    folder = changed(tiny_sd2, tmp_path, "scheduler/scheduler_config.json", **PREDICTS[predicts])
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    told = {"num_inference_steps": 4, "guidance_scale": 7.5, "output_type": "latent"}
    expected = plain(folder)(PROMPTS, generator=generators, **told).images
    model = StableDiffusion().load(folder)
    found = sample_latents(model, model.encode(PROMPTS), [3, 4], steps=4)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    swap = {"noise": "v_prediction", "v": "epsilon"}[predicts]  # control
    changed(tiny_sd2, tmp_path, "scheduler/scheduler_config.json", prediction_type=swap)
    wrong = StableDiffusion().load(folder)
    assert (sample_latents(wrong, wrong.encode(PROMPTS), [3, 4], steps=4) - expected).abs().max() > 0.01


def test_a_turbo_model_is_drawn_without_guidance_where_its_file_says_so(tiny_sd2, tmp_path, monkeypatch):
    folder = changed(tiny_sd2, tmp_path, "scheduler/scheduler_config.json", timestep_spacing="trailing")
    (folder / "tracelang.json").write_text('{"guidance": 1}')
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    told = {"num_inference_steps": 4, "guidance_scale": 0.0, "output_type": "latent"}
    expected = plain(folder)(PROMPTS, generator=generators, **told).images
    model = StableDiffusion().load(folder)
    assert model.clock.times(4) == (999, 749, 499, 249) and model.guidance == 1
    found = sample_latents(model, model.encode(PROMPTS), [3, 4], steps=4)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    (folder / "tracelang.json").write_text('{"guidance": 0.0}')  # as its card has it: nothing of the prompt
    with pytest.raises(ModelError, match="0 would be the unconditional picture"):
        StableDiffusion().check(folder)


def test_what_2x_was_made_into_is_refused_with_what_it_does(tiny_sd2, tmp_path):
    for kind, does in StableDiffusion.refused.items():
        folder = changed(tiny_sd2, tmp_path, "model_index.json", _class_name=kind)
        with pytest.raises(ModelError, match=f"is a {kind}, which {does[:20]}"):
            tracelang.bind(tracelang.compile('erase "cat"'), folder)
        assert isinstance(family_of(folder), StableDiffusion)
