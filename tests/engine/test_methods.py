"""The shipped methods, from recipe to edit on small random models of both families: which matrices each one trains or
maps, as its paper has it, and that it changes them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import tracelang
from tests import random_flux, random_sd
from tracelang.engine.run import run
from tracelang.models.family import facts
from tracelang.plan.bind import BoundPlan, bind
from tracelang.plan.family import Site
from tracelang.semantics.passes.mask import Mask
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.standard import method_names
from tracelang_flux import Flux
from tracelang_sd import StableDiffusion

RECIPE = """
templates object = "a photo of a {{}}", "a {{}}"
concept feline {{ names "cat", "red cat" }}
erase feline toward "ship"
preserve "dog", "truck", "photo"
method {} {{ {} }}
"""
PROMPT = "context_embedder|time_text_embed.text_embedder.linear_1"
TEXT = r"transformer_blocks\.\d+\.attn\.add_[qkv]_proj"
BESIDE_CROSS = r"(?!.*\.attn2\.).*", rf"(?!({TEXT}|transformer_blocks\.\d+\.attn\.to_add_out)$).*"
EDITED = {  # of Stable Diffusion, of FLUX
    "uce": (r".*\.attn2\.to_[kv]", PROMPT),
    "rece": (r".*\.attn2\.to_[kv]", PROMPT),
    "dp": (r".*\.attn2\.to_[kv]", PROMPT),
    "speed": (r".*\.attn2\.to_v", PROMPT),
    "oce": (r".*\.attn2\.to_v", PROMPT),
    "mace": (r".*\.attn2\.to_[kv]", f"{PROMPT}|{TEXT}"),
    "esd": (r".*\.attn2\.to_[kv]", TEXT),
    "esd_u": BESIDE_CROSS,
    "ant": (r".*\.attn2\.to_[kv]", TEXT),
    "ant_single": (".*", ".*"),
    "eraseanything": (r".*\.attn2\.to_k", r"transformer_blocks\.\d+\.attn\.add_[qk]_proj"),
    "stereo": BESIDE_CROSS,
}
STILL = {("mace", "flux"): {f"transformer_blocks.1.attn.add_{part}_proj.weight" for part in "qv"}}
"""What a picture attends to in the last block depends on no query and no value of the text there."""
LOOSE = {"dp": "project.threshold = 0.3  project.least_angle = 0", "oce": "rotate.prior = 0"}
"""Where weights and words are random there is little to tell concepts apart by, and hardly a whole word."""
FAMILIES = {"sd": (StableDiffusion(), random_sd), "flux": (Flux(), random_flux)}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Path]:
    kind, random = FAMILIES[request.param]
    return request.param, kind, random.build(tmp_path_factory.mktemp("methods") / request.param)


def bound(method: str, kind: Any, folder: Path, changes: str = "") -> BoundPlan:
    """A method on a model, its trainings cut to a step or two."""
    short = [LOOSE.get(method, ""), changes]
    for step in tracelang.compile(RECIPE.format(method, "")).method.passes:
        if isinstance(step, Steer):
            short.append(f"{step.label}.steps = 2  {step.label}.trajectories = 2  {step.label}.sampler_steps = 8")
            if step.adversary:
                short.append(f"{step.label}.adversary_after = 1  {step.label}.adversary_steps = 1")
        if isinstance(step, Mask):
            short.append("mask.steps = 2  mask.seeds = 1  mask.sampler_steps = 8")
    return bind(tracelang.compile(RECIPE.format(method, "  ".join(short))), facts(kind, folder))


@pytest.mark.parametrize("method", EDITED)
def test_each_runs_on_both_families_and_edits_what_its_paper_does(method: str, family: tuple[str, Any, Path]) -> None:
    name, kind, folder = family
    plan, model = bound(method, kind, folder), kind.load(folder)
    wanted = re.compile(EDITED[method][name == "flux"])
    assert {site.module for site in plan.sites} == {s.module for s in model.sites if wanted.fullmatch(s.module)}
    edit = run(plan, model, cache=None, autocast=False)
    assert set(edit.sites) == set(plan.sites)

    def changed(site: Site) -> bool:
        W = model.weight(site).detach()
        new = edit.patched(site, W)
        assert new.shape == W.shape and new.isfinite().all(), site.tensor
        return not torch.equal(new, W)

    assert {site.tensor for site in plan.sites if not changed(site)} == STILL.get((method, name), set())


def test_the_wider_variant_of_esd_is_all_of_cross_attention(family: tuple[str, Any, Path]) -> None:
    name, kind, folder = family
    wanted = re.compile(rf"{TEXT}|.*\.to_add_out" if name == "flux" else r".*\.attn2\.to_(q|k|v|out\.0)")
    plan = bound("esd", kind, folder, "steer.on = cross")
    assert {site.module for site in plan.sites} == {s.module for s in plan.facts.sites if wanted.fullmatch(s.module)}


def test_every_rival_is_among_them() -> None:
    assert set(EDITED) == {name for name in method_names() if not name.startswith("trace")}
