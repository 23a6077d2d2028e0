"""What a family tells of attention is what its layers compute, by whatever kernel; and terms on it train everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import random_flux
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor

from tests.engine.plans import LATE, erasure, plan, run, steer, term
from tracelang.engine.attention import columns
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion, StableDiffusionXL

FAMILIES = ("tiny", "tiny_sd2", "tiny_sdxl", "flux")
PROMPTS = ["a photo of cat", "a dog"]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "flux":
        return random_flux.build(tmp_path_factory.mktemp("attended") / "flux")
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    family: Any = (
        Flux() if folder.name == "flux" else StableDiffusionXL() if folder.name == "tiny-xl" else StableDiffusion()
    )
    return family.load(folder)


def asked(model: Any, autocast: bool = False) -> Any:
    x, states = model.noise([0, 1]), model.encode(PROMPTS)
    times = torch.full((2,), model.clock.times(4)[1])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        return model.predict(x, times, states)


@pytest.mark.parametrize("fused", [False, True])
def test_every_column_together_gives_what_the_layer_gives(model: Any, fused: bool) -> None:
    seen: dict[str, list[torch.Tensor]] = {"v": [], "text": [], "out": []}

    def keep(name: str, of: Callable[..., torch.Tensor]) -> Any:
        return lambda module, inputs, output: seen[name].append(of(inputs, output))

    handles = []
    for name, module in model.denoiser.named_modules():
        if name.endswith(".attn2") or (name.startswith("transformer_blocks.") and name.endswith(".attn")):
            handles.append(module.to_v.register_forward_hook(keep("v", lambda inputs, output: output)))
            handles.append(module.to_out[0].register_forward_hook(keep("out", lambda inputs, output: inputs[0])))
            if getattr(module, "add_v_proj", None) is not None:
                handles.append(module.add_v_proj.register_forward_hook(keep("text", lambda inputs, output: output)))
    flux = "Flux" in type(model).__name__
    before = model.denoiser.attn_processors
    if fused:
        model.denoiser.set_attn_processor(FluxAttnProcessor() if flux else AttnProcessor2_0())
    try:
        with torch.no_grad(), model.attended() as layers:
            asked(model)
    finally:
        model.denoiser.set_attn_processor(before)
        [handle.remove() for handle in handles]
    assert len(layers) == len(seen["out"])
    for i, one in enumerate(layers):
        v = torch.cat([seen["text"][i], seen["v"][i]], 1) if flux else seen["v"][i]
        for row in range(2):
            A = columns(one, row, range(one.keys.shape[2]))
            assert torch.allclose(A.sum(-1), torch.ones(()), atol=1e-5)
            values = v[row].view(len(v[row]), A.shape[0], -1).transpose(0, 1)
            assert torch.allclose((A @ values).transpose(0, 1).flatten(1), seen["out"][i][row], atol=1e-5)
        assert one.rows * one.columns == one.queries.shape[2]


def test_in_bfloat16_columns_agree_to_a_thousandth_in_the_mean(model: Any) -> None:
    with torch.no_grad():
        with model.attended() as exact:
            asked(model)
        with model.attended() as rounded:
            asked(model, autocast=True)
    for one, other in zip(exact[:1], rounded[:1], strict=True):
        assert float((columns(one, 0, (2, 3)) - columns(other, 0, (2, 3))).abs().mean()) < 1e-3


TERMS = (term("push", LATE), term("suppress"), term("contrast", weight=0.1), term("keep"))


def test_terms_on_attention_train_whole_in_passes_and_checkpointed(model: Any) -> None:
    step = steer(steps=2, batch=3, trajectories=2, sampler_steps=4, terms=TERMS)
    p = plan((erasure("cat"),), step, preserve={"dog": 1.0, "ship": 1.0, "truck": 1.0})
    before = {name: value.clone() for name, value in model.denoiser.state_dict().items()}
    edits = [
        run(p, model, cache=None, autocast=False, micro_batch=rows, checkpointing=again)
        for rows, again in ((None, False), (1, False), (2, True))
    ]
    for other in edits[1:]:
        for site, change in edits[0].adapters[0].factors.items():
            found = other.adapters[0].factors[site]
            assert torch.allclose(change.up @ change.down, found.up @ found.down, atol=1e-5)
    after = model.denoiser.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    without = plan((erasure("cat"),), steer(steps=2, batch=3, trajectories=2, sampler_steps=4, terms=(TERMS[0],)))
    plain = run(without, model, cache=None, autocast=False).adapters[0].factors
    assert any(not torch.equal(plain[site].up, one.up) for site, one in edits[0].adapters[0].factors.items())
