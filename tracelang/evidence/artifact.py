"""What `tracec apply` wrote, checked against its own manifest and lock, and the two models it speaks of."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tracelang.checkpoint import lora, weights
from tracelang.checkpoint.locate import HUB_ID, embedded, family_of, locate
from tracelang.checkpoint.merge import merged
from tracelang.engine.protocol import Model
from tracelang.plan.load import load_plan
from tracelang.plan.types import Plan


class EvidenceError(Exception):
    """A verification that cannot run. `str()` is one line: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An OUT whose files are what its manifest says."""

    out: Path
    plan: Plan
    lock: dict[str, Any]
    lock_text: str

    @property
    def report(self) -> Path:
        return self.out / "report"

    @property
    def model(self) -> Path | None:
        """The edited checkpoint, None where only an adapter was emitted."""
        return self.out / "model" if (self.out / "model").is_dir() else None

    @property
    def adapter(self) -> Path:
        return self.out / "lora.safetensors"

    @property
    def fingerprint(self) -> str:
        """The edited model's: of its folder, or of base and adapter together."""
        if self.model is not None:
            return weights.fingerprint(self.model)
        both = f"{self.lock['model']['fingerprint']} {weights.sha256(self.adapter)}"
        return hashlib.sha256(both.encode()).hexdigest()

    def recipe(self) -> dict[str, str]:
        """The recipe's files by path."""
        root = self.out / "recipe"
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_text("utf-8", "replace") for path in files}

    def size(self) -> int:
        """Bytes of OUT without its report."""
        files = (path for path in self.out.rglob("*") if path.is_file() and not path.is_relative_to(self.report))
        return sum(path.stat().st_size for path in files)


def read(out: Path, *, whole: bool = True) -> Artifact:
    """The artifact in a folder; `whole` compares the digest of every file of it with the manifest.

    Raises EvidenceError, and CompileError for a plan that is damaged.
    """
    for name in ("plan.json", "lock.json", "manifest.json"):
        if not (out / name).is_file():
            raise EvidenceError(f"{out}: has no {name}; pass the folder that `tracec apply` wrote")
    plan = load_plan(out / "plan.json")
    lock_text = (out / "lock.json").read_text("utf-8", "replace")
    lock, manifest = _json(out / "lock.json"), _json(out / "manifest.json")
    for name, facts in (("lock.json", lock), ("manifest.json", manifest)):
        if facts.get("plan") != plan.digest:
            raise EvidenceError(f"{out / name}: is of another plan than plan.json; apply the recipe again")
    if not isinstance(lock.get("model"), dict) or "fingerprint" not in lock["model"]:
        raise EvidenceError(f"{out / 'lock.json'}: does not say which model was edited; apply the recipe again")
    artifact = Artifact(out, plan, lock, lock_text)
    if artifact.model is None and not artifact.adapter.is_file():
        raise EvidenceError(f"{out}: holds neither model/ nor lora.safetensors; apply the recipe again")
    if whole:
        _check(artifact, manifest)
    return artifact


def find_base(artifact: Artifact, model: str | None) -> Path:
    """The base model's folder: the lock's name where it is embedded or on the hub, else `model`.

    Raises EvidenceError where it is not the model that was edited, ModelError where there is none.
    """
    facts = artifact.lock["model"]
    name = str(artifact.lock.get("base_model", facts.get("name", "")))
    if model is None:
        if name not in embedded() and not HUB_ID.fullmatch(name):
            raise EvidenceError(f"{artifact.out}: its base {name!r} was a folder; say where it is with --model FOLDER")
        commit = str(facts.get("folder", ""))
        pinned = name not in embedded() and "@" not in name and re.fullmatch(r"[0-9a-f]{40}", commit)
        model = f"{name}@{commit}" if pinned else name
    folder = locate(model)
    if (why := _mismatch(folder, str(facts["fingerprint"]))) is not None:
        raise EvidenceError(why.format(out=artifact.out, model=model, name=name))
    return folder


def _mismatch(folder: Path, stated: str) -> str | None:
    """What keeps a lock's fingerprint from vouching for a base, with `{out}`, `{model}`, `{name}`; None: nothing."""
    return {
        "same": None,
        "older": "{out}: its lock names the base by an older fingerprint, which did not see model_index.json or chat "
        "templates; {model} is that model as far as it can tell. Apply the recipe again with --force, and verify that",
        "other": "{model}: is not the model that was edited ({name}): its fingerprint is another",
        "unknown": "{out}: its lock names the base by a fingerprint of another version of tracelang; update tracelang",
    }[weights.compare(folder, stated)]


def embedded_name(folder: Path) -> str | None:
    """The embedded name of a folder, None for any other model."""
    for name, point in embedded().items():
        if Path(point.load()()).resolve() == folder.resolve():
            return name
    return None


def load(artifact: Artifact, base: Path, device: str, dtype: str | None) -> tuple[Model, Model]:
    """Base and edited model, each with weights of its own. Raises ModelError."""
    family = family_of(base)
    family.check(base)
    before = family.load(base, device, dtype)
    if artifact.model is not None:
        family.check(artifact.model)
        return before, family.load(artifact.model, device, dtype)
    after = family.load(base, device, dtype)
    _adapt(after, artifact.adapter)
    return before, after


@torch.no_grad()
def _adapt(model: Model, file: Path) -> None:
    """Add the adapter to a loaded model's weights."""
    for site, factors in lora.read(file, model.sites).items():
        weight = model.weight(site)
        weight.data.copy_(merged(weight.data.cpu(), factors, site.tensor))


def _check(artifact: Artifact, manifest: dict[str, Any]) -> None:
    out = artifact.out
    if artifact.model is not None:
        stated = {path: file["after"] for path, file in manifest.get("model", {}).get("files", {}).items()}
        found = {path.relative_to(artifact.model).as_posix(): path
                 for path in sorted(artifact.model.rglob("*")) if path.is_file()}
        for path in stated.keys() - found.keys():
            raise EvidenceError(f"{out / 'model' / path}: is in the manifest and not there; apply the recipe again")
        for path, file in found.items():
            if path not in stated:
                raise EvidenceError(f"{file}: is not in the manifest; remove it or apply the recipe again")
            if weights.sha256(file) != stated[path]:
                raise EvidenceError(f"{file}: is not what `tracec apply` wrote (see manifest.json); apply it again")
    if artifact.adapter.is_file() and weights.sha256(artifact.adapter) != manifest.get("lora", {}).get("sha256"):
        raise EvidenceError(f"{artifact.adapter}: is not what `tracec apply` wrote (see manifest.json); apply it again")


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise EvidenceError(f"{file}: cannot be read as JSON; apply the recipe again")
    return data
