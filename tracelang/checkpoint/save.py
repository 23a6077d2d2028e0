"""`save`: an edit becomes an artifact on disk (docs/commands.md, "Applying")."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tracelang.checkpoint import earlier, folder, forms, output, recipe
from tracelang.checkpoint.card import card
from tracelang.checkpoint.folder import Untouched
from tracelang.checkpoint.lora import Size
from tracelang.checkpoint.output import OutputError
from tracelang.engine.low_rank import Dense, LowRank
from tracelang.engine.text_map import TextMap
from tracelang.models import steady, weights
from tracelang.models.digests import recalled
from tracelang.models.family import Family
from tracelang.models.single import reference
from tracelang.plan.family import ModelError, Site
from tracelang.plan.types import Plan
from tracelang.semantics.passes.steer import Steer
from tracelang.version import versions

PACKAGES = ("tracelang", "torch", "diffusers", "transformers", "peft", "safetensors", "numpy")


def save(
    out: Path,
    base: Path,
    family: Family,
    deltas: Mapping[Site, LowRank | Dense],
    plan: Plan,
    sources: Mapping[str, bytes],
    emit: Sequence[str] | None = None,
    force: bool = False,
    extra: Mapping[str, Any] | None = None,
    untouched: Untouched = "copy",
    params: Mapping[str, str] | None = None,
    size: Size | None = None,
    maps: Mapping[Site, TextMap] | None = None,
    before: steady.Seen | None = None,
) -> tuple[str, ...]:
    """Write `out`: what `emit` asks for, by name (`forms`), with recipe, plan, lock, manifest and model card.

    `deltas` are changes of the base's matrices, `ΔW = up @ down` or whole; none at all makes checkpoints copies, bit
    for bit, and leaves adapters out. `sources` are the compiled files by path relative to the recipe root. `extra` is
    added to the lock (device, `base_model`: a hub id); JSON values. `untouched` as in `folder.copy`. `params` are those
    that the recipe was compiled with, `size` is that of LoRAs, `maps` as in `forms.Work`. `before` is what `base` was
    when the edit was begun, by default what it is now. `out` appears whole or not at all; finished work and reports of
    verification in an `out` that is replaced stay in it.

    What is not as in the base is returned in words. Raises what `refuse` and the forms do, and ModelError for an edit
    that does not fit the base, and for a base that somebody writes to before all is written.
    """
    out, base, extra = Path(out), Path(base), dict(extra or {})
    before = steady.checkpoint(base) if before is None else before
    steady.refuse(before)
    family.check(base)
    emit = forms.usual(base, plan) if emit is None else emit
    refuse(out, base, plan, sources, emit, force)
    sites = _fitting(family.sites(base), deltas, base)
    name = str(extra.get("base_model", (reference.origin(base) or base.resolve()).name))
    emitted = tuple(kind for kind in forms.known() if kind in emit and (deltas or forms.form(kind).EMPTY))
    fingerprint = weights.fingerprint(base, recalled)
    held = maps or {}
    work = forms.Work(out, base, family, sites, deltas, plan, untouched, name, fingerprint, size or Size(), held)
    told, written = list[str](), list[str]()
    with output.staged(out, force) as draft, steady.throughout(before):
        earlier.carry(out, draft)
        facts: dict[str, Any] = {"format_version": 2, "plan": plan.digest, "emit": emitted, "edited": len(deltas)}
        for kind in emitted:
            form = forms.form(kind)
            made = form.write(work, draft)
            facts[form.KEY] = made.facts
            told += made.remarks
            written += made.files
        facts["remarks"] = told
        for path, text in sources.items():
            _source(draft / "recipe", path, text)
        entry = recipe.settle(draft / "recipe", plan, params or {})
        sources = _sources(draft / "recipe")
        (draft / "plan.json").write_text(plan.to_json(), encoding="utf-8")
        lock = {
            "format_version": 1,
            "plan": plan.digest,
            "family": family.name(base),
            "model": {
                "name": name,
                "folder": (reference.origin(base) or base.resolve()).name,  # of a hub's model: the commit
                "fingerprint": fingerprint,
                "components": weights.fingerprints(base, recalled),
                "settings": weights.settings(base),
            },
            "seeds": {step.label: step.seed for step in plan.method.passes if isinstance(step, Steer)},
            "versions": versions(PACKAGES),
            "sources": {source.path: source.sha256 for source in plan.sources},
            "recipe": entry,
            **({"trained_against": plan.trained_against} if plan.trained_against else {}),
            **extra,
        }
        _json(draft / "lock.json", lock)
        about = card(
            plan,
            {path: text for path, text in sources.items() if path.endswith(".erase")},
            relation=forms.relation(emitted),
            base=name,
            fingerprint=fingerprint,
            edited=len(deltas),
            files=forms.cards(facts, draft),
            remarks=told,
        )
        (draft / "README.md").write_text(about, encoding="utf-8")
        names = ("README.md", "lock.json", "plan.json", *written, *(f"recipe/{path}" for path in sources))
        facts["files"] = {name: weights.sha256(draft / name) for name in names}
        _json(draft / output.MARK, facts)
    return tuple(told)


def refuse(out: Path, base: Path, plan: Plan, sources: Iterable[str], emit: Sequence[str], force: bool = False) -> None:
    """Raise what `save` would raise whatever the edit turns out to be: ask before long work.

    OutputError for `out`, what to emit, the paths of the sources, and a gated edit; ModelError for a base that keeps
    a part of itself elsewhere; and what each form raises.
    """
    unknown = [kind for kind in emit if kind not in forms.known()]
    if unknown or not emit:
        raise OutputError(f"cannot emit {unknown[0] if unknown else 'nothing'!r}; known: {', '.join(forms.known())}")
    output.refuse(out, force)
    if out.resolve().is_relative_to(base.resolve()):
        raise OutputError(f"{out}: lies inside the base model; choose a place outside of it")
    for kind in emit:
        forms.form(kind).refuse(base, plan)
    for path in sources:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.name or "\0" in path:
            raise OutputError(f"{path}: a source must lie below the recipe root")
    gated = [step.label for step in plan.method.passes if isinstance(step, Steer) and step.gate is not None]
    if gated and plan.active:
        raise OutputError(
            f"`{gated[0]}.gate` scales the edit by noise level, which no file can hold; remove the setting, "
            "or use the edit from Python with `applied()`"
        )
    folder.refuse(base)


def _fitting(sites: Sequence[Site], deltas: Mapping[Site, LowRank | Dense], base: Path) -> Sequence[Site]:
    known = set(sites)
    for site in deltas:
        if site not in known:
            raise ModelError(f"{base}: has no {site.tensor!r} of shape {list(site.shape)}; bind the plan to this model")
    return sites


def _source(root: Path, path: str, text: bytes) -> None:
    target = root / PurePosixPath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text)


def _sources(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")  # \udc… where no UTF-8
