"""A model on a GPU predicts and trains as on the CPU, and repeats itself bit for bit. Skipped where there is no GPU."""

import pytest
import random_flux
import random_sd
import torch
from diffusers import FluxPipeline, StableDiffusionPipeline

from tests.engine.plans import EARLY, LATE, erasure, fuse, plan, refine, run, steer, term
from tracelang.engine.edit import applied
from tracelang.engine.sampling import sample
from tracelang.models.parts import placed
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")

FAMILIES = {
    "sd": (StableDiffusion(), random_sd.build, StableDiffusionPipeline),
    "flux": (Flux(), random_flux.build, FluxPipeline),
}
PROMPTS = ["a photo of a cat", "an dog on a red ship"]
STEPS = 6
TERMS = (term("push", LATE), term("hold", EARLY, 0.5), term("blank"), term("keep", weight=3.0))
TRACE = plan(
    (erasure("cat"), erasure("ship", anchor=("truck",), degree=0.5)),
    refine(),
    steer(steps=STEPS, refresh=4, loss="velocity", terms=TERMS),
    fuse(),
    preserve={"dog": 1.0},
)


@pytest.fixture(autouse=True)
def exact():
    """Products in float32: what is compared is the code, not the precision."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="module", params=list(FAMILIES))
def made(request, tmp_path_factory):
    """The family's pipeline class, a random folder, and the model on both devices."""
    family, build, pipeline = FAMILIES[request.param]
    folder = build(tmp_path_factory.mktemp(request.param) / "model")
    return pipeline, folder, family.load(folder), family.load(folder, "cuda")


def predicted(model):
    times = torch.tensor([model.clock.time(0.1), model.clock.time(0.9)])
    with torch.no_grad():
        return model.predict(model.noise([0, 1]), times, model.encode(PROMPTS)).cpu()


def same(a, b):
    one, other = ([x for d in edit.deltas(made).values() for x in (d.up, d.down)] for edit, made in (a, b))
    return all(x.equal(y) for x, y in zip(one, other, strict=True))


def test_it_predicts_and_draws_the_same(made):
    _, _, cpu, cuda = made
    assert cuda.device.type == "cuda" and cuda.dtype == torch.float32
    assert cuda.noise([3]).cpu().equal(cpu.noise([3]))
    assert predicted(cuda) == pytest.approx(predicted(cpu).numpy(), abs=1e-4)
    one, other = (sample(model, PROMPTS, [3, 4], steps=5) for model in (cpu, cuda))
    assert (one - other).abs().max() < 1e-3


def test_it_makes_the_same_edit(made):
    _, _, cpu, cuda = made
    base, here, there = predicted(cpu), run(TRACE, cpu, cache=None), run(TRACE, cuda, cache=None)
    with applied(cpu, here) as one, applied(cuda, there) as other:
        mine, theirs = predicted(one), predicted(other)
    # What the edits do, not their factors: those may differ where hardly any state points. An H200 was 4 % of the edit
    # apart for `sd`, under 2 % for `flux`; attention's two ways of computing are not the cause (equal on the CPU).
    assert (mine - theirs).abs().max() < 0.1 * (mine - base).abs().max()


def test_it_repeats_bit_for_bit_and_goes_on_after_a_stop(made, tmp_path):
    _, _, _, cuda = made
    whole, again = run(TRACE, cuda, cache=None), run(TRACE, cuda, cache=tmp_path / "cache")
    assert same((whole, cuda), (again, cuda))

    def stop(what, done, of):
        if what == "steering ship" and done == STEPS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(TRACE, cuda, stop, tmp_path / "state", tmp_path / "cache")
    assert same((run(TRACE, cuda, None, tmp_path / "state", tmp_path / "cache"), cuda), (whole, cuda))


def test_a_gate_and_a_pipeline_work_there_too(made):
    pipeline, folder, _, cuda = made
    gated = run(plan((erasure("cat"),), steer(steps=4, gate=LATE, rate=0.1)), cuda, cache=None)
    before = predicted(cuda)
    with applied(cuda, gated) as edited:
        change = (predicted(edited) - before).flatten(1).norm(dim=1)
    assert change[0] < 0.05 * change[1] and predicted(cuda).equal(before)
    edit = run(TRACE, cuda, cache=None)
    pipe = pipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32).to("cuda")
    part = getattr(pipe, edit.sites[0].component)
    patch = edit.to(pipe)
    with applied(cuda, edit):
        assert all(cuda.weight(site).equal(part.get_parameter(site.tensor)) for site in edit.sites)
    patch.undo()
    assert all(cuda.weight(site).equal(part.get_parameter(site.tensor)) for site in edit.sites)


@pytest.mark.parametrize("stored, chosen", [("F16", "float32"), ("F32", "float32"), ("BF16", "bfloat16")])
def test_what_it_runs_in_by_default(stored, chosen):
    assert str(placed("cuda", None, stored)[1]) == f"torch.{chosen}"
