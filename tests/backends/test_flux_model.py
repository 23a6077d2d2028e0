"""A loaded model does what a plain FluxPipeline does, and knows where its words are."""

import json
import shutil

import pytest
import torch
from diffusers import FluxPipeline
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from peft import LoraConfig
from random_flux import DEV_TRANSFORMER, LENGTH, build, dev_configs

from tracelang.engine.sampling import sample
from tracelang.models.latents import Packed
from tracelang.models.weights import fingerprint
from tracelang.plan.family import ModelError
from tracelang.plan.prompts import EMPTY, Prompt
from tracelang_flux import Flux
from tracelang_flux.attention import PlainAttention
from tracelang_flux.model import places

PROMPTS = ["a photo of a cat", "an dog on a red ship"]
STEPS, SEEDS = 7, [3, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture(scope="module")
def schnell(tmp_path_factory):
    return build(tmp_path_factory.mktemp("flux") / "schnell", layout="schnell", seed=1)


@pytest.fixture(scope="module")
def model(folder):
    return Flux().load(folder)


def plain(folder, prompts=PROMPTS, seeds=SEEDS, dtype=torch.float32, **settings):
    """What a user gets."""
    pipe = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(
        list(prompts),
        height=16,
        width=16,
        num_inference_steps=STEPS,
        generator=generators,
        max_sequence_length=LENGTH,
        output_type="pt",
        **settings,
    ).images.float()


@torch.no_grad()
def ours(model, prompts=PROMPTS, seeds=SEEDS):
    states, latents = model.encode(prompts), model.noise(seeds)
    for index, time in enumerate(model.clock.times(STEPS)):
        latents = model.step(model.predict(latents, torch.full((len(seeds),), time), states), index, STEPS, latents)
    return model.decode(latents)


@pytest.mark.parametrize("layout", ["folder", "schnell"])
def test_sampling_equals_a_plain_pipeline(layout, request):
    path = request.getfixturevalue(layout)
    expected, found = plain(path), ours(Flux().load(path))
    assert expected.std() > 0.05
    assert (found - expected).abs().max() < 2e-5


def test_the_embedded_guidance_is_what_the_folder_says(folder, tmp_path, schnell):
    other = tmp_path / "model"
    shutil.copytree(folder, other)
    (other / "tracelang.json").write_text('{"guidance": 1.5}')
    model = Flux().load(other)
    assert (model.guidance, model.conditions["embedded_guidance"]) == (1.0, 1.5)
    assert Flux().load(folder).conditions["embedded_guidance"] == 3.5
    assert "embedded_guidance" not in Flux().load(schnell).conditions
    told = plain(folder, guidance_scale=1.5)
    assert (ours(model) - told).abs().max() < 2e-5
    assert (plain(folder) - told).abs().max() > 1e-4


def test_plain_attention_is_the_fused_one(model):
    x, states, times = model.noise([0, 1]), model.encode(PROMPTS), torch.tensor([0.9, 0.2])
    processors = {type(one) for one in model.denoiser.attn_processors.values()}
    assert processors == {PlainAttention}
    found = model.predict(x, times, states)
    model.denoiser.set_attn_processor(FluxAttnProcessor())
    try:
        assert model.predict(x, times, states) == pytest.approx(found.numpy(), abs=2e-6)
    finally:
        model.denoiser.set_attn_processor(PlainAttention())


def test_true_guidance_equals_a_plain_pipelines(folder, model):
    scale = 2.5
    expected = plain(folder, true_cfg_scale=scale, negative_prompt=["", ""])
    found = sample(model, PROMPTS, SEEDS, steps=STEPS, guidance=scale)
    assert (found - expected).abs().max() < 5e-5
    assert (sample(model, PROMPTS, SEEDS, steps=STEPS) - plain(folder)).abs().max() < 2e-5


def test_one_picture_costs_one_forward_a_step(model, monkeypatch):
    rows = []
    predict = type(model).predict
    monkeypatch.setattr(type(model), "predict", lambda *told: (rows.append(len(told[1])), predict(*told))[1])
    sample(model, PROMPTS, SEEDS, steps=STEPS)
    assert rows == [2] * STEPS


def test_time_and_guidance_are_not_rounded_to_bfloat16(folder):
    model = Flux().load(folder, dtype="bfloat16")
    told = []
    embed = model.denoiser.time_text_embed.time_proj
    embed.register_forward_hook(lambda module, inputs, _: told.append(inputs[0].tolist()))
    x, states = model.noise([0, 1]), model.encode(PROMPTS)
    answer = model.predict(x, torch.tensor([0.9765, 0.1234]), states)
    assert answer.dtype == torch.bfloat16
    assert told == [pytest.approx([976.5, 123.4]), pytest.approx([3500, 3500])]
    exact = [module for module in model.denoiser.modules() if module._forward_pre_hooks]
    assert exact == []
    pipe = FluxPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.bfloat16)
    assert {p.dtype for p in model.denoiser.parameters()} == {p.dtype for p in pipe.transformer.parameters()}
    expected = plain(folder, dtype=torch.bfloat16, latents=model.noise(SEEDS))  # it would draw its noise in bfloat16
    assert (ours(model) - expected).abs().max() < 0.1


def test_autocast_keeps_times_residual_stream_and_answer_in_float32(model):
    x, states = model.noise([0, 1]), model.encode(PROMPTS)
    times = torch.tensor([0.9765, 0.1234])
    exact = model.predict(x, times, states)
    with torch.autocast("cpu", torch.bfloat16):
        fast = model.predict(x, times, states)
    assert fast.dtype == torch.float32 and not fast.equal(exact)
    assert (fast - exact).norm() < 0.02 * exact.norm()


def test_everything_is_frozen_and_gradients_still_flow_through_both_texts(model):
    parts = (model.denoiser, *(path.encoder for path in model.paths), model.vae)
    assert not any(p.requires_grad for part in parts for p in part.parameters())
    states = model.encode(PROMPTS)
    for value in states.inputs.values():
        value.requires_grad_()
    model.predict(model.noise([0, 1]), torch.tensor([0.1, 0.9]), states).square().sum().backward()
    assert all(value.grad.abs().max() > 0 for value in states.inputs.values())


def test_noise_of_a_seed_does_not_depend_on_its_batch(model):
    assert model.noise([5, 6])[1].equal(model.noise([6])[0])
    assert model.noise([5]).shape == (1, 16, 16)
    assert not model.noise([5])[0].equal(model.noise([6])[0])


def test_packing_is_diffusers_own():
    latents = torch.randn(2, 4, 8, 8)
    packed = FluxPipeline._pack_latents(latents, 2, 4, 8, 8)
    assert Packed((4, 8, 8)).pack(latents).equal(packed) and Packed((4, 8, 8)).unpack(packed).equal(latents)
    assert FluxPipeline._prepare_latent_image_ids(1, 4, 4, "cpu", torch.float32).equal(places(4))


def test_the_forward_process_and_the_sampler_are_inverse(model):
    clean, noise = model.noise([1, 2]), model.noise([3, 4])
    noisy, velocity = model.diffuse(clean, noise, torch.tensor([1.0, 0.3]))
    assert noisy[0].equal(noise[0]) and velocity == pytest.approx((noise - clean).numpy())
    assert noisy[1] == pytest.approx((0.7 * clean[1] + 0.3 * noise[1]).numpy(), abs=1e-6)
    x = noise
    for index in range(STEPS):  # the true velocity is constant along the path
        x = model.step(noise - clean, index, STEPS, x)
    assert x == pytest.approx(clean.numpy(), abs=1e-5)


def test_weights_are_the_sites_also_under_an_adapter(folder):
    model = Flux().load(folder)
    before = {site: model.weight(site) for site in model.sites}
    assert all(weight.shape == site.shape for site, weight in before.items())
    model.denoiser.add_adapter(LoraConfig(r=2, target_modules=[site.module for site in model.sites if site.text]))
    assert all(model.weight(site) is weight for site, weight in before.items())


def test_encoding_in_batches_changes_nothing(model):
    prompts = [f"a photo of {i} cat" for i in range(70)] + [""]
    together, last = model.encode(prompts).inputs, model.encode(prompts[69:]).inputs
    assert together["tokens"].shape == (71, LENGTH, 24) and together["pooled"].shape == (71, 1, 16)
    for name in together:
        assert together[name][69:] == pytest.approx(last[name].numpy(), abs=1e-5)
    assert {name: value.shape[1:] for name, value in model.encode([]).inputs.items()} == {
        "tokens": (LENGTH, 24),
        "pooled": (1, 16),
    }


def test_words_lead_to_both_texts(model):
    words, plainly = model.prompt_encoder, model.encode(PROMPTS).inputs
    ids = words.tokens(PROMPTS)
    assert words.spell(ids) == PROMPTS
    found = words.encode(ids).inputs
    assert all(found[name].equal(plainly[name]) for name in plainly)
    embeddings = words.table[ids].clone().requires_grad_()
    states = words.encode(ids, embeddings).inputs
    assert states["tokens"].detach() == pytest.approx(plainly["tokens"].numpy(), abs=1e-6)
    assert states["pooled"].equal(plainly["pooled"])
    states["tokens"].square().sum().backward()
    assert embeddings.grad.abs().max() > 0
    other = torch.where(ids == ids[0, 4], ids[1, 1], ids)  # cat becomes dog
    assert words.spell(other)[0] == "a photo of a dog"
    assert words.encode(other).inputs["pooled"][:1] == pytest.approx(
        model.encode(["a photo of a dog"]).inputs["pooled"].numpy(), abs=1e-6
    )
    free = words.free.nonzero().flatten().tolist()
    assert len(words.table) == len(words.free) == len(model.paths[0].tokenizer) + 3
    assert set(free) == set(range(3, len(model.paths[0].tokenizer)))


@pytest.mark.parametrize(
    ("text", "phrase", "words"),
    [
        ("a photo of a cat", "cat", ["▁cat"]),
        ("cat", "cat", ["▁cat"]),
        ("a red  cat, ship", "red cat", ["▁red", "▁cat"]),
        ("cat or cat", "cat", ["▁cat", "▁cat"]),
        ("a photo of Cat", "cat", ["▁", "C", "a", "t"]),
        ("a dog and cats", "dog", ["▁dog"]),
        ("an owl", "owl", ["▁", "o", "w", "l"]),
    ],
)
def test_the_phrase_is_found_wherever_it_stands(model, text, phrase, words):
    found = model.layout(Prompt(text, phrase))
    ids = model.prompt_encoder.tokens([text])[0].tolist()
    assert ids[found.end] == model.paths[0].tokenizer.eos_token_id and 1 not in ids[: found.end]
    assert (found.start, found.length) == (0, LENGTH) and len(ids) == LENGTH
    assert set(ids[found.end + 1 :]) <= {model.paths[0].tokenizer.pad_token_id}
    tokens = model.paths[0].tokenizer.convert_ids_to_tokens([ids[i] for i in found.phrase])
    assert tokens in (words, words[1:])  # a bare ▁ may count as the space before the word


def test_layout_of_the_empty_the_long_and_the_wrong_prompt(model):
    empty = model.layout(EMPTY)
    assert (empty.start, empty.end, empty.phrase) == (0, 0, ())
    long = model.layout(Prompt("red " * 30 + "cat", "cat"))
    assert (long.end, long.phrase) == (LENGTH - 1, ())
    with pytest.raises(ValueError, match="ship"):
        model.layout(Prompt("a cat", "ship"))


def test_dtype_and_device(folder):
    model = Flux().load(folder, dtype="bfloat16")
    assert model.decode(model.noise([1])).dtype == torch.float32
    with pytest.raises(ModelError, match="device"):
        Flux().load(folder, device="abacus")
    with pytest.raises(ModelError, match="dtype"):
        Flux().load(folder, dtype="int4")


def test_the_length_of_t5s_states_is_the_models(dev_folder, schnell):
    assert Flux().conditions(dev_folder)["tokens"] == 512
    (dev_folder / "transformer/config.json").write_text(json.dumps(DEV_TRANSFORMER | {"guidance_embeds": False}))
    assert Flux().conditions(dev_folder)["tokens"] == 256
    (dev_folder / "tracelang.json").write_text('{"tokens": 77}')
    assert Flux().conditions(dev_folder)["tokens"] == 77
    assert Flux().conditions(schnell)["tokens"] == LENGTH


def test_a_sentencepiece_model_is_part_of_what_a_fingerprint_stands_for(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "model")
    found = {fingerprint(other)}
    for content in (b"one", b"another"):
        (other / "tokenizer_2/spiece.model").write_bytes(content)
        found.add(fingerprint(other))
    assert len(found) == 3


@pytest.fixture
def dev_folder(tmp_path):
    return dev_configs(tmp_path / "dev")
