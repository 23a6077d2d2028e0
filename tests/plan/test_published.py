"""The rivals' recipes beside what their papers and releases say: settings, windows, and a release's quirks by name."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.engine import plans
from tests.engine.toy import Toy
from tracelang.plan.bind import BindError
from tracelang.plan.compile import compile
from tracelang.semantics.fields import settings as settings_of
from tracelang.semantics.kinds import Term
from tracelang.semantics.passes.steer import Steer
from tracelang.semantics.standard import method_names
from tracelang.semantics.values import Window

ROOT = Path(__file__).parents[2]


def passes(method: str, changes: str = "") -> dict[str, Any]:
    text = f'concept x {{ names "x", "y" }} erase x toward "z" preserve "k", "l", "m" method {method} {{ {changes} }}'
    return {step.label: step for step in compile(text).method.passes}


def terms(step: Any) -> dict[str, Term]:
    assert isinstance(step, Steer)
    return {term.label: term for term in step.terms}


@pytest.mark.parametrize(
    ("method", "label", "settings"),
    [
        # 2308.14761, its script: λ 0.5, the states from the last content token through the padding.
        ("uce", "refine", {"tokens": "tail", "ridge_absolute": 0.5, "erase_weight": 1, "prior": 0}),
        # 2407.12383: begins at UCE with λ 0.1; one round, λ₁ = λ₂ = 0.1, every state, the preserved at 0.1.
        ("rece", "refine", {"tokens": "tail", "ridge_absolute": 0.1}),
        (
            "rece",
            "harden",
            {"tokens": "all", "rounds": 1, "penalty_absolute": 0.1, "ridge_absolute": 0.1, "keep_weight": 0.1},
        ),
        # 2503.07392: eigenvalues below 0.1 are free, ρ 1, α 1, ten copies, three centres; one state of each prompt.
        (
            "speed",
            "project",
            {
                "tokens": "last",
                "preserved_tokens": "last",
                "threshold_absolute": 0.1,
                "ridge_absolute": 1,
                "filter": 1,
                "augment": 10,
                "invariants": 3,
            },
        ),
        # 2605.28902: one state of each prompt, a of the order of 20 times what it is against; no quirk of the release.
        ("oce", "rotate", {"tokens": "last", "preserved_tokens": "last", "erase_weight": 20, "compat": ()}),
        # 2403.06135: what stands around the phrase; then rank 1, 50 steps of one row, eight pictures, and fusion.
        ("mace", "refine", {"tokens": "context"}),
        ("mace", "steer", {"rank": 1, "steps": 50, "rate": 1e-4, "batch": 1, "trajectories": 8, "sampler_steps": 50}),
        # 2303.07345: trajectories of 50 steps at guidance 3.
        ("esd", "steer", {"sampler_steps": 50, "guidance": 3, "refresh": 0}),
        ("esd_u", "steer", {"train": "weights", "steps": 1000, "batch": 1, "sampler_steps": 50, "guidance": 3}),
        # 2504.12782, Table 6: people; and explicit content, a single concept.
        ("ant", "steer", {"rank": 64, "steps": 400, "rate": 5e-4, "batch": 2, "sampler_steps": 50, "guidance": 7.5}),
        ("ant_single", "steer", {"train": "weights", "steps": 250, "rate": 5e-4, "sampler_steps": 50, "guidance": 3}),
        ("ant_single", "mask", {"share": 0.5, "keep": "largest", "seeds": 5, "steps": 10}),
        # 2412.20413: rank 8, 300 steps of one row at 1e-3, 28 sampler steps.
        ("eraseanything", "steer", {"rank": 8, "steps": 300, "rate": 1e-3, "batch": 1, "sampler_steps": 28}),
        # 2408.16807: words of 3000 rows; the last stage from the original, one of the concept and three words a row.
        ("stereo", "search", {"train": "weights", "adversary": ("word",), "guidance": 3, "sampler_steps": 50}),
        ("stereo", "last", {"train": "weights", "from_": "base", "steps": 200, "adversary_share": 3 / 4}),
    ],
)
def test_settings(method: str, label: str, settings: dict[str, Any]) -> None:
    step = passes(method)[label]
    assert {name: getattr(step, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("method", "label", "weights"),
    [
        ("esd", "steer", {"push": 1}),
        ("esd_u", "steer", {"push": 1}),
        ("mace", "steer", {"suppress": 1}),
        ("ant", "steer", {"push": 1, "hold": 0.4, "blank_late": 0.5, "blank_early": 0.2}),
        ("ant_single", "steer", {"push": 1, "hold": 1, "blank_late": 0.5, "blank_early": 0.5}),
        ("eraseanything", "steer", {"push": 1, "suppress": 0.036, "keep": 0.1, "contrast": 0.1}),
        ("stereo", "search", {"push": 1}),
        ("stereo", "last", {"push": 1}),
    ],
)
def test_terms_and_their_weights(method: str, label: str, weights: dict[str, float]) -> None:
    """Of ANT λ₁ is `hold`'s, λ₂ and λ₃ the empty prompt's, late and early; λ₃ = λ₁ λ₂ in all its Table 6."""
    found = terms(passes(method)[label])
    assert {name: one.weight for name, one in found.items()} == weights
    if "hold" in weights:
        assert weights["blank_early"] == pytest.approx(weights["hold"] * weights["blank_late"])


def test_strengths() -> None:
    """η is 1 of ESD, ANT and EraseAnything, which goes from the anchor; of STEREO 0 in the search, then +1 and −3."""
    pushes = {
        (method, label): (step.terms[0].strength, step.terms[0].from_)
        for method in ("esd", "esd_u", "ant", "ant_single", "eraseanything", "stereo")
        for label, step in passes(method).items()
        if isinstance(step, Steer)
    }
    assert pushes == {
        ("esd", "steer"): (1, "blank"),
        ("esd_u", "steer"): (1, "blank"),
        ("ant", "steer"): (1, "blank"),
        ("ant_single", "steer"): (1, "blank"),
        ("eraseanything", "steer"): (1, "anchor"),
        ("stereo", "search"): (0, "blank"),
        ("stereo", "last"): (3, "blank"),
    }


@pytest.mark.parametrize(("method", "kept"), [("ant", 10), ("ant_single", 7)])
def test_ant_is_early_for_the_first_steps_and_pushes_after_them(method: str, kept: int) -> None:
    """t' = 40 of 50 for people, 43 for explicit content: the first 10 steps, or 7, stay; a row of each term a step."""
    early, late = range(kept), range(kept, 50)
    (part,) = (one for one in plans.bound(compile(f'erase "x" method {method}'), Toy()).passes if one.kind == "steer")
    assert {one.term.label: (one.rows, one.steps) for one in part.met.shares} == {
        "push": (1, tuple(late)),
        "hold": (1, tuple(early)),
        "blank_late": (1, tuple(late)),
        "blank_early": (1, tuple(early)),
    }


def test_the_quirks_of_ants_release_are_settings() -> None:
    """Its windows and the gradients of its mask the other way round, and no gradient for the empty prompt."""
    quirks = """
      mask.keep = smallest  steer.push.during = 0%..86%  steer.hold.during = 86%..100%
      steer.blank_late.weight = 0  steer.blank_early.weight = 0
    """
    bound = plans.bound(compile(f'erase "x" method ant_single {{ {quirks} }}'), Toy())
    mask, steer = (part.settings for part in bound.passes)
    assert mask.keep == "smallest" and isinstance(steer, Steer)
    assert {one.term.label: one.steps for one in bound.passes[1].met.shares} == {
        "push": tuple(range(43)),
        "hold": tuple(range(43, 50)),
    }


def test_the_window_of_mace_is_where_its_timesteps_are_drawn() -> None:
    """`ξ(t) ∝ σ(γ(t − t₁)) − σ(γ(t − t₂))` with γ = 0.05, t₁ = 200, t₂ = 400, on the noise schedule of SD 1.x."""

    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    ξ = [logistic(0.05 * (t - 200)) - logistic(0.05 * (t - 400)) for t in range(1000)]
    assert sum(ξ[200:401]) / sum(ξ) == pytest.approx(0.86, abs=0.005)
    ᾱ = [1.0]
    for i in range(1000):
        β = (0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * i / 999) ** 2
        ᾱ.append(ᾱ[-1] * (1 - β))
    logsnr = [math.log(ᾱ[t + 1] / (1 - ᾱ[t + 1])) for t in (400, 200)]
    during = terms(passes("mace")["steer"])["suppress"].during
    assert isinstance(during, Window) and during.unit == "logsnr"
    assert [during.low, during.high] == pytest.approx(logsnr, abs=0.01)


def test_one_norm_weighs_what_a_sum_of_norms_did_in_eraseanything() -> None:
    """`Σ_q ‖A_q‖` over 24 heads at 0.001, where 1,280 places look alike at one token, and `‖A‖` over all of them."""
    places, heads, a = 1280, 24, 0.01
    released = 0.001 * places * math.sqrt(heads) * a
    term: Any = terms(passes("eraseanything")["steer"])["suppress"]
    assert term.weight * math.sqrt(places * heads) * a == pytest.approx(released, rel=0.01)
    assert (term.reduce, term.mask, term.blocks) == ("norm", "none", "last")


def test_a_word_of_stereo_is_searched_in_as_many_rows_as_published() -> None:
    search = passes("stereo")["search"]
    assert search.adversary_steps * search.batch == 3000
    after, every = search.adversary_after, search.adversary_every
    assert list(range(after, search.steps, every)) == [200, 400, 600]  # three, and the concept: 3/4 of the rows


def test_what_eraseanything_needs_is_asked_for() -> None:
    for text, lacks in (
        ('erase "x" preserve "k", "l", "m" method eraseanything', "`from = anchor` needs an anchor"),
        ('erase "x" toward "z" preserve "k", "l", "m" method eraseanything', "it needs a synonym"),
        (
            'concept x { names "x", "y" } erase x toward "z" preserve "k" method eraseanything',
            "it compares with 3 preserved members, and there are 1",
        ),
    ):
        with pytest.raises(BindError, match=lacks):
            plans.bound(compile(text), Toy())


def test_every_trial_of_tuning_changes_a_setting_that_counts() -> None:
    """A published number (`ridge_absolute`) takes the place of the relative one, and to try others changes nothing."""
    with (ROOT / "benchmarks" / "world.toml").open("rb") as file:
        trials = tomllib.load(file)["tuning"]["trials"]
    for name, trial in trials.items():
        if trial["of"] not in method_names():
            continue
        counting = {repr(_counting(passes(trial["of"], one))) for one in trial["settings"]}
        assert len(counting) == len(trial["settings"]), name
    assert _counting(passes("speed")) == _counting(passes("speed", "project.threshold = 0.3"))  # control
    assert _counting(passes("speed")) != _counting(passes("speed", "project.threshold_absolute = 0.3"))


def _counting(steps: dict[str, Any]) -> dict[str, str]:
    """The settings of each pass but those that an absolute one replaces."""
    found = {}
    for label, step in steps.items():
        values = {name: getattr(step, name) for name in settings_of(step)}
        replaced = {name.removesuffix("_absolute") for name, value in values.items() if "_absolute" in name and value}
        kept = {name: value for name, value in values.items() if name not in replaced}
        found[label] = repr((kept, getattr(step, "terms", ())))
    return found


RECIPES = [path for path in sorted((ROOT / "recipes" / "methods").glob("*.erase")) if not path.stem.startswith("trace")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_settings_that_a_recipes_comment_names_are_settings_of_it(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    words = " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
    named = [code for code in re.findall(r"`([^`]*)`", words) if " = " in code]
    for change in named:
        assert passes(path.stem, change) != passes(path.stem), change
    if "guidance" in "".join(line for line in lines if not line.startswith("#")):
        assert any("guidance = model" in change for change in named), "of a model that is told its guidance"
