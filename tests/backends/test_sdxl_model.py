"""A loaded SDXL model does what a plain StableDiffusionXLPipeline does, and knows where its words are."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from random_sdxl import INDEX, PROJECTED, SCHEDULER, V_SCHEDULER, build

from tracelang.engine.sampling import sample, sample_latents
from tracelang.plan.prompts import EMPTY, Prompt
from tracelang_sd import StableDiffusionXL

PROMPTS = ["a photo of a cat", "an dog on a red ship"]
SEEDS = [3, 4]


@pytest.fixture(scope="module")
def model(tiny_sdxl):
    return StableDiffusionXL().load(tiny_sdxl)


def scheduled(base, folder, scheduler, **index):
    shutil.copytree(base, folder)
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(INDEX | index))
    return folder


def plain(folder, dtype=torch.float32):
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe, prompts=PROMPTS, output="latent", **told):
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    return pipe(list(prompts), num_inference_steps=4, generator=generators, output_type=output, **told).images


def test_states_are_the_pipelines_bit_for_bit(tiny_sdxl, model):
    pipe, prompts = plain(tiny_sdxl), [*PROMPTS, "", "red " * 30, "a cat! red!!"]
    found = model.encode(prompts).inputs
    for i, prompt in enumerate(prompts):
        with torch.no_grad():
            tokens, _, pooled, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False)
        assert found["tokens"][i].equal(tokens[0]) and found["pooled"][i].equal(pooled)
    assert found["pooled"].shape == (5, 1, PROJECTED) and found["tokens"].shape == (5, 16, 40)
    assert list(found) == ["tokens", "pooled"]
    ids = pipe.tokenizer(prompts[0], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():  # control: with the final norm, or another layer, they would be others
        last = pipe.text_encoder(ids).last_hidden_state
    assert not last[0].equal(found["tokens"][0][:, :16])


def test_beside_a_prompt_stand_zeros_or_the_empty_prompt_as_the_index_says(tiny_sdxl, model, tmp_path):
    other = scheduled(tiny_sdxl, tmp_path / "model", SCHEDULER, force_zeros_for_empty_prompt=False)
    for folder, ours in ((tiny_sdxl, model), (other, StableDiffusionXL().load(other))):
        with torch.no_grad():
            _, tokens, _, pooled = plain(folder).encode_prompt("a cat", do_classifier_free_guidance=True)
        found = ours.unconditional().inputs
        assert found["tokens"].equal(tokens) and found["pooled"][:, 0].equal(pooled)
        assert bool(found["tokens"].any()) == bool(found["pooled"].any()) == (folder is other)
    assert model.encode([""]).inputs["tokens"].norm() > 1  # which the closed form still holds as nothing


LIGHTNING = SCHEDULER | {"timestep_spacing": "trailing"}
KINDS = {
    "base": (SCHEDULER, {}),
    "the empty prompt": (SCHEDULER, {"force_zeros_for_empty_prompt": False}),
    "v": (V_SCHEDULER, {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_the_pipelines(kind, tiny_sdxl, tmp_path):
    folder = scheduled(tiny_sdxl, tmp_path / "model", KINDS[kind][0], **KINDS[kind][1])
    expected, model = drawn(plain(folder)), StableDiffusionXL().load(folder)
    found = sample_latents(model, model.encode(PROMPTS), SEEDS, steps=4)
    # Euler begins at a noise of σ = 4096 there, in float32, and loses the last digits of what it steps down to
    room = 1e-4 if kind == "v" else 1e-5
    assert (found - expected).abs().max() < room * expected.abs().max()


def test_each_of_its_ways_matters(tiny_sdxl, model, monkeypatch):
    """Controls of the comparison above: what would be wrong is seen."""
    expected, states = drawn(plain(tiny_sdxl)), model.encode(PROMPTS)

    def off(model, states=states):
        found = sample_latents(model, states, SEEDS, steps=4)
        return float((found - expected).abs().max() / expected.abs().max())

    assert off(model) < 1e-5
    turned = type(states)({**states.inputs, "pooled": states.inputs["pooled"].flip(0)})
    assert off(model, turned) > 1e-4
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "unconditional", lambda model: model.encode([""]))
        assert off(model) > 1e-3
    assert off(replace(model, conditions={**model.conditions, "crop_left": 700.0})) > 1e-4
    assert off(replace(model, clock=replace(model.clock, euler=False, final=model.clock.alphas[0]))) > 1e-3


def test_a_distillate_is_drawn_without_guidance_where_its_file_says_so(tiny_sdxl, tmp_path):
    folder = scheduled(tiny_sdxl, tmp_path / "model", LIGHTNING)
    (folder / "tracelang.json").write_text('{"guidance": 1}')
    model, pipe = StableDiffusionXL().load(folder), plain(folder)
    assert model.clock.times(4) == (999, 749, 499, 249) and model.guidance == 1
    # Euler's noise has the level of the first time, 0.2 % below one where steps are counted from the end
    begin = float(model.clock.span(0, 4)[0][1])
    expected = drawn(pipe, guidance_scale=0.0, latents=model.noise(SEEDS) / begin)
    found = sample_latents(model, model.encode(PROMPTS), SEEDS, steps=4)
    assert 0.997 < begin < 0.998 and (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_pictures_are_the_pipelines(tiny_sdxl, model):
    expected = drawn(plain(tiny_sdxl), output="pt")
    found = sample(model, PROMPTS, SEEDS, steps=4)
    assert expected.std() > 0.05 and (found - expected).abs().max() < 2e-4


def test_the_autoencoder_stays_in_float32_where_it_would_overflow(tiny_sdxl, tmp_path):
    model = StableDiffusionXL().load(tiny_sdxl, dtype="float16")
    assert {p.dtype for part in (model.denoiser, model.paths[0].encoder_2) for p in part.parameters()} == {
        torch.float16
    }
    assert {p.dtype for p in model.vae.parameters()} == {torch.float32}
    latents = model.noise([1]) * 0.13025
    assert latents.dtype == torch.float16 and model.decode(latents).isfinite().all()
    folder = tmp_path / "model"
    shutil.copytree(tiny_sdxl, folder)
    path = folder / "vae/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"force_upcast": False}))
    assert {p.dtype for p in StableDiffusionXL().load(folder, dtype="float16").vae.parameters()} == {torch.float16}
    assert {p.dtype for p in StableDiffusionXL().load(tiny_sdxl, dtype="bfloat16").vae.parameters()} == {torch.bfloat16}


def test_the_phrase_stands_where_both_encoders_read_it(model):
    found, (path,) = model.layout(Prompt("a photo of a red cat", "red cat")), model.paths
    ids = path.ids(["a photo of a red cat"])
    words = path.tokenizer.convert_ids_to_tokens([int(ids[0, i]) for i in found.phrase])
    assert words == ["red</w>", "cat</w>"] and model.layout(EMPTY).end == 1
    before, after = (model.encode([prompt]).inputs for prompt in ("a photo of a red cat", "a photo of a big cat"))
    moved = (before["tokens"] != after["tokens"]).any(-1)[0].tolist()
    first = found.phrase[0]
    assert not any(moved[:first]) and all(moved[first:])  # each reads what stands before it, and padding reads all
    for part in (slice(0, 16), slice(16, 40)):
        assert not before["tokens"][0, first, part].equal(after["tokens"][0, first, part])
    assert not before["pooled"].equal(after["pooled"])


def test_padding_is_each_encoders_own_and_is_seen(model):
    (path,), states = model.paths, model.encode(PROMPTS)
    ids = path.ids(["a cat", "cat " * 40])
    seen = []
    handle = path.encoder_2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    path.inputs(ids)
    handle.remove()
    end, pad = path.tokenizer.eos_token_id, path.second.tokenizer.pad_token_id
    assert ids[0, 3:].tolist() == [end] * 13 and seen[0][0, 3:].tolist() == [end] + [pad] * 12 and pad != end
    assert seen[0][1].equal(ids[1])
    x, times = model.noise([0, 1]), torch.tensor([500.0, 500.0])
    noisy = states.inputs["tokens"].clone()
    noisy[:, -1] += 1
    with torch.no_grad():
        found = [model.predict(x, times, type(states)({**states.inputs, "tokens": one})) for one in (noisy, noisy - 0)]
        plainly = model.predict(x, times, states)
    assert found[0].equal(found[1]) and (found[0] - plainly).abs().max() > 1e-5


def test_words_and_embeddings_lead_to_all_states(model):
    words, plainly = model.prompt_encoder, model.encode(PROMPTS).inputs
    ids = words.tokens(PROMPTS)
    assert words.spell(ids) == PROMPTS and words.table.shape == (len(model.paths[0].tokenizer), 40)
    found = words.encode(ids).inputs
    assert all(found[name] == pytest.approx(plainly[name].numpy(), abs=1e-6) for name in plainly)
    embeddings = words.table[ids].clone().requires_grad_()
    states = words.encode(ids, embeddings).inputs
    for name in plainly:
        assert states[name].detach() == pytest.approx(plainly[name].numpy(), abs=1e-6)
        (gradient,) = torch.autograd.grad(states[name].square().sum(), embeddings, retain_graph=True)
        reads = gradient[0, 2].ne(0)
        assert reads[16:].all() and reads[:16].all() == (name == "tokens")  # pooled is the second encoder's


def test_gradients_flow_through_both_inputs_and_checkpointing_changes_nothing(model):
    assert not any(p.requires_grad for p in model.denoiser.parameters())
    found = []
    for checkpointed in (False, True):
        states = model.encode(PROMPTS)
        for value in states.inputs.values():
            value.requires_grad_()
        told = model.noise([0, 1]), torch.tensor([10.0, 900.0]), states
        if checkpointed:
            with model.checkpointed():
                model.predict(*told).square().sum().backward()
        else:
            model.predict(*told).square().sum().backward()
        found.append([value.grad for value in states.inputs.values()])
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 0 and other == pytest.approx(one.numpy(), abs=1e-5)


def test_a_half_store_is_run_as_the_pipeline_runs_it(tmp_path):
    for dtype, room in ((torch.float16, 0.05), (torch.bfloat16, 0.3)):
        folder = build(tmp_path / str(dtype), dtype=dtype)
        model = StableDiffusionXL().load(folder)
        expected, found = drawn(plain(folder)), sample_latents(model, model.encode(PROMPTS), SEEDS, steps=4)
        assert model.dtype == torch.float32 and (found - expected).abs().max() < 1e-5 * expected.abs().max()
        low = StableDiffusionXL().load(folder, dtype=str(dtype).removeprefix("torch."))
        states = low.encode(PROMPTS)
        assert {value.dtype for value in states.inputs.values()} == {dtype}
        near = sample_latents(low, states, SEEDS, steps=4).float()
        assert (near - expected).abs().max() < room * expected.abs().max()
