"""`micro-flux`: its parts in plain diffusers, and its training, in steps too few to learn anything."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tracelang_micro import micro_sd
from tracelang_micro.world import flow, flux, vae
from tracelang_micro.world.concepts import BACKGROUNDS, STYLES, THINGS
from tracelang_micro.world.muon import Muon
from tracelang_micro.world.pictures import ALONE, Pictures

MEGA = 10**6
PROMPT = "a picture of a cat"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> flux.Frozen:
    return flux.load_frozen(micro_sd(), tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="module")
def data() -> Pictures:
    draw = np.random.default_rng(0)
    labels = [draw.integers(0, len(names), 8) for names in (THINGS, STYLES, BACKGROUNDS, THINGS)]
    labels[3][::2] = ALONE
    return Pictures(draw.integers(0, 256, (8, 64, 64, 3), np.uint8), *labels)


def test_captions_keep_their_words_and_the_empty_one_is_first(frozen: flux.Frozen, data: Pictures) -> None:
    texts = flow.captions(data, frozen, 1)
    assert frozen.t5_tokenizer.decode(texts.ids[0], skip_special_tokens=True) == ""
    assert len(set(map(tuple, texts.ids.tolist()))) == len(texts.ids) == len(texts.pooled)
    assert not (texts.ids == frozen.t5_tokenizer.unk_token_id).any()
    assert texts.of.shape == (8, flow.CAPTIONS) and texts.of.max() == len(texts.ids) - 1
    words = frozen.t5_tokenizer("a drawing of a cat in noto style on a red background").input_ids
    assert frozen.t5_tokenizer.convert_ids_to_tokens(words)[4] == "▁cat" and len(words) == 13


def test_noise_levels_follow_the_shift_of_sampling() -> None:
    draw = torch.Generator().manual_seed(0)
    sigma = flow.sigmas(20_000, flow.shift(), draw)
    assert sigma.min() >= 0 and sigma.max() <= 1
    assert sigma.logit().median() == pytest.approx((1 - flow.UNIFORM) * flow.shift(), abs=0.05)


def test_positions_are_the_pipeline_s() -> None:
    from diffusers import FluxPipeline

    assert torch.equal(flux.positions()[0], FluxPipeline._prepare_latent_image_ids(1, 8, 8, "cpu", torch.float32))


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_a_muon_step_is_pytorch_s_but_for_its_precision(shape: tuple[int, int]) -> None:
    start = [torch.randn(shape) for _ in range(2)]
    grads = [torch.randn(shape) for _ in range(2)]
    results = []
    for kind in (
        lambda p: Muon(p, lr=0.1, weight_decay=0.1),
        lambda p: torch.optim.Muon(p, lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ):
        matrices = [torch.nn.Parameter(one.clone()) for one in start]
        optimiser = kind(matrices)
        for _ in range(3):
            for matrix, grad in zip(matrices, grads, strict=True):
                matrix.grad = grad + matrix.detach()
            optimiser.step()
        results.append(torch.stack([matrix.detach() for matrix in matrices]))
    moved = (results[0] - torch.stack(start)).norm()
    assert (results[0] - results[1]).norm() < 0.03 * moved


@pytest.mark.slow
@torch.compiler.set_stance("force_eager")  # compiling would take minutes
def test_a_few_steps_then_plain_flux_pipeline(
    frozen: flux.Frozen, data: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "BATCH", 4)
    latents = vae.encode(frozen.autoencoder, torch.from_numpy(data.images))
    texts, vocabulary = flow.captions(data, frozen, 1), len(frozen.t5_tokenizer)

    def course(folder: Path, stop: bool) -> tuple[object, ...]:
        folder.mkdir()
        if stop:  # the first piece ends in the middle, as a stop leaves it
            with pytest.raises(KeyboardInterrupt):
                flow.train(data, latents, texts, vocabulary, folder, 4, _stop_at(4), every=2)
        return flow.train(data, latents, texts, vocabulary, folder, 4, every=2)

    transformer, t5, things = course(tmp_path / "whole", False)
    again = course(tmp_path / "pieces", True)[0]
    for one, other in zip(transformer.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)

    student = flow.distil(transformer, t5, things, data, latents, texts, tmp_path, steps=2, every=2)
    told = [a for a, b in zip(student.parameters(), transformer.parameters(), strict=True) if not torch.equal(a, b)]
    assert told

    folder = tmp_path / "micro-flux"
    flux.publish(folder, student, t5, frozen)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 16 * MEGA
    assert {file.suffix for file in files} <= {".json", ".safetensors"}

    pipe = flux.load(folder)
    assert pipe.tokenizer_2(PROMPT).input_ids == frozen.t5_tokenizer(PROMPT).input_ids
    drawn = pipe(
        PROMPT,
        height=64,
        width=64,
        num_inference_steps=2,
        max_sequence_length=24,
        output_type="pt",
        generator=torch.Generator().manual_seed(3),
    ).images
    assert drawn.shape == (1, 3, 64, 64) and torch.isfinite(drawn).all()
    ours = flux.drawer(folder, steps=2)([PROMPT] * 2, [3, 4])
    assert torch.allclose(ours[:1], drawn, atol=0.06) and not torch.allclose(ours[1:], drawn, atol=0.06)
    assert flux.drawer(folder, distilled=False, steps=2)([PROMPT], [3]).shape == drawn.shape


def _stop_at(last: int) -> flow.Weigh:
    def stop(step: int, transformer: object, t5: object) -> None:
        if step == last:
            raise KeyboardInterrupt

    return stop


def test_a_capital_is_only_a_capital() -> None:
    from tracelang_micro.world.unigram import capitalise

    said = {capitalise(random.Random(seed), "a cat") for seed in range(100)}
    assert said == {"a cat", "A cat"} and capitalise(random.Random(0), "") == ""
