"""Controls: models that an edit is read beside, with the same targets, prompts, seeds and budgets (docs/methods.md
§5.7). `never`: models that were trained without what is erased; what an attack gets out of them was not left in, it was
learned. `random`: the base with a denoiser that has learned nothing; what an attack gets out of that, it brought along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from tracelang.checkpoint.merge import stored
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence.errors import EvidenceError
from tracelang.models import weights
from tracelang.models.locate import HUB_ID, embedded, family_of, locate, title
from tracelang.models.protocol import Model
from tracelang.models.sharing import drawn_anew, sharing
from tracelang.plan.family import ModelError
from tracelang.plan.types import Plan

NEVER, RANDOM = "never", "random"
ALIKE = ("vae", "tokenizer", "scheduler", "tracelang.json")
"""What a control has to have of the base: what draws its latents, reads its prompts, and says how it samples."""
Asked = tuple[str, tuple[str, ...]]
"""The kind of a control, and its models: embedded names, folders or hub ids; none of `random`."""


@dataclass(frozen=True, slots=True)
class Control:
    """`name`: `never-1`, `never-2`, … in the order of their models, or `random`. `model`: what it is called.
    `fingerprint` names all that decides its pictures.
    """

    name: str
    model: str
    fingerprint: str
    load: Callable[[], Model]

    @property
    def kind(self) -> str:
        return kind_of(self.name)


def kind_of(name: str) -> str:
    """The kind of a control, by its name."""
    return name.partition("-")[0]


def asked_of(plan: Plan) -> list[Asked]:
    """The controls that a recipe names."""
    return [(one.kind, one.models) for one in plan.controls]


def find(asked: Sequence[Asked], folder: Path, base: Model, edited: Model, fingerprint: str) -> dict[str, Control]:
    """The controls asked for, each once, by name; nothing is loaded yet. `folder` is the base's, `fingerprint` that of
    the edited model's folder.

    Raises EvidenceError for one that is not there, or that is no control of this base: what it is and what to do.
    """
    known = {base.fingerprint: "the base itself", fingerprint: "the edited model itself"}
    models = {"the base itself": base, "the edited model itself": edited}
    found: dict[str, Control] = {}
    for model in dict.fromkeys(name for kind, models in asked if kind == NEVER for one in models for name in _all(one)):
        place = _located(model)
        own, told = weights.fingerprint(place), title(model)
        if own in known:
            raise EvidenceError(f"control {NEVER}: {told} is {known[own]}; name a model that never knew it")
        if why := next(_unlike(place, folder), ""):
            raise EvidenceError(f"control {NEVER}: {told} {why}; name a model that was trained as the base was")
        if which := next((which for which, one in models.items() if _same(place, one)), ""):
            raise EvidenceError(
                f"control {NEVER}: {told} is {which}, stored otherwise; name a model that never knew it"
            )
        name = f"{NEVER}-{len(found) + 1}"
        known[own] = f"{name} already"
        found[name] = Control(name, told, own, partial(_loaded, place, base, own))
    if any(kind == RANDOM for kind, _ in asked):
        start = seed_of("control", RANDOM, 0, 0)
        own = f"{base.fingerprint} drawn anew from {start}"
        found[RANDOM] = Control(RANDOM, "the denoiser drawn anew", own, lambda: drawn_anew(base, start))
    return found


def _all(model: str) -> Sequence[str]:
    """The installed models that a name means: itself, or all that are numbered after it."""
    names = embedded()
    if model in names or Path(model).expanduser().exists() or HUB_ID.fullmatch(model):
        return [model]
    several = [(int(one[1]), name) for name in names if (one := re.fullmatch(rf"{re.escape(model)}-(\d+)", name))]
    if not several:
        raise EvidenceError(
            f"control {NEVER}: {model} is no folder, no hub id, and no installed model or twins of it; run "
            "`make twins` for those of the embedded models (pip install tracelang-micro-twins), or correct the name"
        )
    return [name for _, name in sorted(several)]


def _located(model: str) -> Path:
    try:
        return locate(model)
    except ModelError as error:
        raise EvidenceError(f"control {NEVER}: {error}") from error


def _unlike(place: Path, folder: Path) -> Iterator[str]:
    """What keeps a model from being a control of the base's."""
    try:
        family, own = family_of(folder), family_of(place)
        own.check(place)
        names = family.name(folder), own.name(place)
        if names[0] != names[1]:
            yield f"is of the family {names[1]}, the base of {names[0]}"
        if family.sites(folder) != own.sites(place):
            yield "has other matrices than the base"
        parts = [{**weights.fingerprints(one), **weights.settings(one)} for one in (folder, place)]
    except ModelError as error:
        yield f"cannot be used ({error})"
        return
    for what in ALIKE:
        mine, theirs = (_of(what, part) for part in parts)
        if mine != theirs:
            yield f"has another {what} than the base"


def _same(place: Path, model: Model) -> bool:
    """Does the checkpoint hold the matrices that the model has, in this or another precision? Of a model that
    was trained apart the first already differs.
    """
    for site in model.sites:
        theirs, mine = stored(place, site), model.weight(site).detach().cpu().flatten(1)
        if not (torch.equal(theirs.to(mine.dtype), mine) or torch.equal(mine.to(theirs.dtype), theirs)):
            return False
    return True


def _of(what: str, part: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in part.items() if name.split("/")[0].startswith(what)}


def _loaded(place: Path, base: Model, fingerprint: str) -> Model:
    """The control, which was found hours ago perhaps."""
    dtype = str(base.dtype).removeprefix("torch.")
    model = family_of(place).load(place, str(base.device), dtype)
    if model.fingerprint != fingerprint:
        raise EvidenceError(f"{place}: was written to since this command began; run it again")
    return sharing(model, base)
