"""Edits of `micro-sd` to verify, made in seconds: the closed form, nothing at all, and one that destroys everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import tracelang
from tracelang.checkpoint.recipe import settle
from tracelang.checkpoint.save import save
from tracelang.engine.low_rank import LowRank
from tracelang.models.weights import sha256
from tracelang.plan.family import Site
from tracelang.plan.types import Plan
from tracelang_micro import micro_sd
from tracelang_sd import StableDiffusion

RECIPE = """tracelang 1
templates object = "a picture of a {}", "a {}"
concept dog { names "dog" probes "canine" templates object }
concept cat { names "cat" templates object }
erase dog toward cat
preserve cat
method uce {}
"""


def closed_form(plan: Plan, out: Path) -> Path:
    """What `tracec apply` writes for a recipe with no training in it."""
    tracelang.apply(tracelang.bind(plan, "micro-sd"), device="cpu").save(out)
    return out


def nothing(plan: Plan, out: Path) -> Path:
    """An OUT whose model is the base, bit for bit."""
    return _saved(plan, out, {})


def ruin(plan: Plan, out: Path) -> Path:
    """An OUT whose model shows nothing: every value matrix replaced by noise many times as large."""
    generator = torch.Generator().manual_seed(0)
    family = StableDiffusion()
    sites = [site for site in family.sites(micro_sd()) if site.role in ("value", "out")]
    deltas = {
        site: LowRank(
            torch.randn(site.shape[0], 8, generator=generator, dtype=torch.float64) * 3,
            torch.randn(8, site.shape[1], generator=generator, dtype=torch.float64) * 3,
        )
        for site in sites
    }
    return _saved(plan, out, deltas)


def expecting(out: Path, expect: str) -> Path:
    """The same edit under another recipe, as if that one had been applied: recipe, plan, lock and manifest say so."""
    plan = tracelang.compile(RECIPE + expect)
    (out / "plan.json").write_text(plan.to_json())
    told = settle(out / "recipe", plan, {})
    sources = {source.path: source.sha256 for source in plan.sources}
    change(out / "lock.json", plan=plan.digest, recipe=told, sources=sources)
    change(out / "manifest.json", plan=plan.digest)
    return rehash(out)


def change(file: Path, **facts: Any) -> None:
    """Some facts of a JSON file, written anew."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


def rehash(out: Path) -> Path:
    """The manifest says of every file what is there now: what somebody does who changes OUT and hides it."""
    manifest = json.loads((out / "manifest.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = sha256(out / name)
    for name, file in manifest.get("model", {}).get("files", {}).items():
        file["after"] = sha256(out / "model" / name)
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def _saved(plan: Plan, out: Path, deltas: dict[Site, LowRank]) -> Path:
    save(out, micro_sd(), StableDiffusion(), deltas, plan, {}, extra={"base_model": "micro-sd"})
    return out
