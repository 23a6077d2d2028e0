"""What `tracec apply` wrote, checked against its own manifest and lock, and the two models it speaks of; and what ends
its verification: judges, attacks and the libraries under them do not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from tracelang.checkpoint import earlier, forms, lora
from tracelang.checkpoint.merge import merged
from tracelang.checkpoint.recipe import compiled
from tracelang.diagnostics import CompileError
from tracelang.evidence.errors import EvidenceError as EvidenceError
from tracelang.models import variants, weights
from tracelang.models.locate import HUB_ID, embedded, family_of, locate
from tracelang.models.protocol import Model
from tracelang.models.sharing import sharing
from tracelang.models.single import prepare
from tracelang.plan.load import load_plan
from tracelang.plan.types import Plan
from tracelang.version import __version__


@dataclass(frozen=True, slots=True)
class Artifact:
    """An OUT whose files are what its manifest says."""

    out: Path
    plan: Plan
    lock: dict[str, Any]
    lock_text: str
    manifest: dict[str, Any]

    @property
    def report(self) -> Path:
        return self.out / "report"

    @property
    def model(self) -> Path | None:
        """The edited checkpoint, a folder or a single file; None where only an adapter was emitted."""
        if isinstance(held := self.manifest.get("single-file"), dict) and isinstance(held.get("file"), str):
            return self.out / Path(held["file"]).name
        return self.out / "model" if (self.out / "model").is_dir() else None

    @property
    def variant(self) -> str | None:
        """The variant of its weights that the base was run from, where one was asked for."""
        told = self.lock.get("variant")
        return told if isinstance(told, str) else None

    @property
    def root(self) -> Path:
        """What the paths of `account` are relative to."""
        return self.out if "single-file" in self.manifest else self.out / "model"

    @property
    def account(self) -> dict[str, Any]:
        """What the manifest says of the edited checkpoint: digests of its `files`, and of `tensors` in edited ones."""
        account: dict[str, Any] = self.manifest["single-file" if "single-file" in self.manifest else "model"]
        return account

    def folder(self, base: Path) -> Path | None:
        """The edited checkpoint as a folder; of a single file one that stands for it, whose configs are the base's.
        None as for `model`. Raises ModelError.
        """
        if self.model is None or "single-file" not in self.manifest:
            return self.model
        return prepare.again(base, self.model)

    @property
    def told(self) -> str:
        """The edited checkpoint by its name in OUT."""
        return "model/" if self.model is None or self.model.is_dir() else self.model.name

    @property
    def adapter(self) -> Path:
        return self.out / "lora.safetensors"

    @property
    def fingerprint(self) -> str:
        """The edited model's: of its folder, or of base and single file or adapter together."""
        if self.model is not None and self.model.is_dir():
            return weights.fingerprint(self.model)
        both = f"{self.lock['model']['fingerprint']} {weights.sha256(self.model or self.adapter)}"
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def left_out(self) -> float:
        """The share of a matrix's change that the adapter leaves out, at most, as the manifest says."""
        return float(self.manifest.get("lora", {}).get("error", 0.0))

    @property
    def adapter_digest(self) -> str:
        """sha256 of the adapter that lies beside a model, empty where there is none."""
        return weights.sha256(self.adapter) if self.model is not None and self.adapter.is_file() else ""

    @property
    def compiled(self) -> dict[str, str]:
        """The file of the recipe that gives the plan, as `file`, and the params that it was given, by name."""
        told = self.lock["recipe"]
        return {"file": told["path"], **{f"--set {name}": value for name, value in sorted(told["params"].items())}}

    def recipe(self) -> dict[str, str]:
        """The recipe's files by path, the one that gives the plan first; no suite, which is not ours to print."""
        root = self.out / "recipe"
        suites = {root / source.path for source in self.plan.sources if source.role == "suite"}
        files = sorted(path for path in root.rglob("*") if path.is_file() and path not in suites)
        files.sort(key=lambda path: path.relative_to(root).as_posix() != self.lock["recipe"]["path"])
        return {path.relative_to(root).as_posix(): path.read_text("utf-8", "replace") for path in files}

    def unmeasured(self) -> tuple[str, ...]:
        """What OUT holds that no picture is drawn with, each with what was done about it."""
        lines = []
        if self.model is not None and self.adapter.is_file():
            lines.append(
                "lora.safetensors: no picture was drawn with it; its matrices were compared with those of "
                f"{self.told} and are the same edit within {self.left_out:.2%} of each change"
            )
        lines += [
            f"{name}: no picture was drawn with this form; it was compared with the edit when it was written"
            for name in self.manifest["emit"]
            if name not in chain(*forms.USUAL.values())
        ]
        for component in weights.components(self.model) if self.model is not None and self.model.is_dir() else ():
            held = self.out / "model" / component
            files = sorted(held.glob("*.safetensors"))
            loaded = weights.find(held).files if files else ()
            lines += [
                f"model/{component}/{file.name}: other weights than the ones that were loaded; no picture was "
                "drawn with them"
                for file in files
                if file not in loaded
            ]
        return tuple(lines)

    def size(self) -> int:
        """Bytes of what `apply` wrote, without the model card, which verification writes anew."""
        files = (path for path in self.out.rglob("*") if path.is_file() and not path.is_relative_to(self.report))
        return sum(path.stat().st_size for path in files if path != self.out / "README.md")


def read(out: Path, *, whole: bool = True) -> Artifact:
    """The artifact in a folder; `whole` compares the digest of every file of it with the manifest, and the plan with
    the recipe, which is compiled again.

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
    if not isinstance(lock.get("model"), dict) or not isinstance(lock["model"].get("fingerprint"), str):
        raise EvidenceError(f"{out / 'lock.json'}: does not say which model was edited; apply the recipe again")
    artifact = Artifact(out, plan, lock, lock_text, manifest)
    if artifact.model is not None and artifact.model.is_dir():
        variants.choose(artifact.model, artifact.variant)
    if not (artifact.model or artifact.adapter).exists():
        raise EvidenceError(
            f"{out}: holds neither a checkpoint nor lora.safetensors to draw with; apply with --emit folder, lora or "
            "single-file"
        )
    if whole:
        try:
            _check(artifact)
        except (AttributeError, KeyError, TypeError) as error:
            raise EvidenceError(f"{out / 'manifest.json'}: is not what `tracec apply` writes; apply again") from error
        _check_recipe(artifact)
    return artifact


def unchanged(artifact: Artifact, base: Path | None = None) -> None:
    """Raise EvidenceError where OUT, or the base, is no longer what it was when OUT was read: what was measured would
    go under the name of something else. Only what was written to since is hashed again.
    """
    out = artifact.out
    if _json(out / "manifest.json") != artifact.manifest:
        raise EvidenceError(f"{out}: another edit was written there since this command began; run it again")
    _check(artifact)
    if base is not None and _mismatch(base, str(artifact.lock["model"]["fingerprint"])) is not None:
        raise EvidenceError(f"{base}: was written to since this command began; run it again")


def find_base(artifact: Artifact, model: str | None, config: str | None = None) -> Path:
    """The base model's folder: the lock's name where it is embedded or on the hub, else `model`. For a single file one
    that stands for it, with `config` or what OUT keeps of the one that was given to `apply`.

    Raises EvidenceError where it is not the model that was edited, ModelError where there is none.
    """
    facts = artifact.lock["model"]
    name = str(artifact.lock.get("base_model", facts.get("name", "")))
    if model is None:
        if name not in embedded() and not HUB_ID.fullmatch(name):
            raise EvidenceError(
                f"{artifact.out}: its base {name!r} was a folder or a file; say where it is with --model PATH"
            )
        commit = str(facts.get("folder", ""))
        pinned = name not in embedded() and "@" not in name and re.fullmatch(r"[0-9a-f]{40}", commit)
        model = f"{name}@{commit}" if pinned else name
    if config is None and Path(model).is_file():
        told = str(artifact.lock.get("config", ""))
        config = told if HUB_ID.fullmatch(told) else None
        if config is None and (artifact.out / "config").is_dir() and not artifact.account.get("lacking"):
            config = str(artifact.out / "config")
    lacking = " and ".join(_lacking(artifact))
    known = all(name in facts.get("components", {}) for name in _lacking(artifact))
    if lacking and known and config is None and Path(model).is_file():
        raise EvidenceError(f"{model}: holds no {lacking}; pass --config FOLDER|ID, the one that it was applied with")
    folder = locate(model, config, artifact.variant)
    if any(name not in facts.get("components", {}) for name in _lacking(artifact)):
        raise EvidenceError(
            f"{artifact.out}: was made of a file without {lacking}, so its lock names "
            "nothing that draws; apply again with --config FOLDER|ID, and verify that"
        )
    if (why := _mismatch(folder, str(facts["fingerprint"]))) is not None:
        raise EvidenceError(why.format(out=artifact.out, model=model, name=name))
    return folder


def _lacking(artifact: Artifact) -> Sequence[str]:
    """The components that a base's single file lacks."""
    held = artifact.manifest.get("single-file")
    return held.get("lacking", ()) if isinstance(held, dict) else ()


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
    """Base and edited model; the second holds of its own only what the edit changed. Raises ModelError."""
    family = family_of(base)
    family.check(base)
    before = family.load(base, device, dtype)
    if (edited := artifact.folder(base)) is not None:
        family.check(edited)
        return before, sharing(family.load(edited, device, dtype), before)
    after = family.load(base, device, dtype)
    _adapt(after, artifact.adapter)
    return before, sharing(after, before)


@torch.no_grad()
def _adapt(model: Model, file: Path) -> None:
    """Add the adapter to a loaded model's weights."""
    for site, factors in lora.read(file, model.sites).items():
        weight = model.weight(site)
        weight.data.copy_(merged(weight.data.cpu(), factors, site.tensor))


def _check(artifact: Artifact) -> None:
    """Every file of OUT is in the manifest and what it says there, the report aside and the card, which `verify`
    writes anew.
    """
    out, manifest = artifact.out, artifact.manifest
    if manifest.get("format_version") != 2:
        raise EvidenceError(
            f"{out / 'manifest.json'}: does not say all that is checked here: it was written by an earlier version of "
            "tracelang; apply the recipe again"
        )
    if set(manifest["emit"]) - set(forms.known()) or not isinstance(manifest["edited"], int):
        raise KeyError
    stated: dict[str, str] = dict(manifest["files"])
    if "model" in manifest:
        stated |= {f"model/{path}": file["after"] for path, file in manifest["model"]["files"].items()}
    found = {path.relative_to(out).as_posix(): path for path in _held(out)}
    for name in sorted(stated.keys() - found.keys() - {"README.md"}):
        raise EvidenceError(f"{out / name}: is in the manifest and not there; apply the recipe again")
    for name, file in found.items():
        if name not in stated and name != "manifest.json":
            raise EvidenceError(f"{file}: is not in the manifest; remove it or apply the recipe again")
        if name in stated and name != "README.md" and weights.sha256(file) != stated[name]:
            raise EvidenceError(f"{file}: is not what `tracec apply` wrote (see manifest.json); apply it again")


def _held(out: Path) -> Iterator[Path]:
    """Every file of OUT but its report and what is hidden beside it (`.git`). A link to a folder counts as a file."""
    for root, folders, names in os.walk(out):
        here = Path(root)
        if here == out:
            folders[:] = [name for name in folders if name != earlier.REPORT and not name.startswith(".")]
            names = [name for name in names if not name.startswith(".")]
        yield from (here / name for name in sorted(names))
        yield from (here / name for name in sorted(folders) if (here / name).is_symlink())


def _check_recipe(artifact: Artifact) -> None:
    """The recipe that is shown is the one that was applied: its files are the lock's, and it compiles to the plan."""
    out, lock, plan = artifact.out, artifact.lock, artifact.plan
    sources = {source.path: source.sha256 for source in plan.sources}
    if lock.get("sources") != sources:
        raise EvidenceError(f"{out / 'lock.json'}: has other sources than plan.json; apply the recipe again")
    told = lock.get("recipe")
    if told is None:
        raise EvidenceError(
            f"{out / 'recipe'}: no recipe gives this plan, so no report could show what was applied; "
            "write it as a recipe and apply that"
        )
    try:
        path, params = str(told["path"]), {str(name): str(value) for name, value in told["params"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise EvidenceError(f"{out / 'lock.json'}: does not say which recipe was applied; apply it again") from error
    for file in sorted(file for file in (out / "recipe").rglob("*") if file.is_file()):
        name = file.relative_to(out / "recipe").as_posix()
        if name not in sources and name != path:
            raise EvidenceError(f"{file}: is no source of this plan (see lock.json); remove it")
        if name in sources and weights.sha256(file) != sources[name]:
            raise EvidenceError(f"{file}: is not the file that was compiled (see lock.json); apply the recipe again")
    if ".." in Path(path).parts or Path(path).is_absolute() or not (out / "recipe" / path).is_file():
        raise EvidenceError(f"{out / 'recipe' / path}: is the recipe (see lock.json) and not there; apply it again")
    _check_plan(artifact, path, params)


def _check_plan(artifact: Artifact, path: str, params: Mapping[str, str]) -> None:
    file, plan = artifact.out / "recipe" / path, artifact.plan
    then = artifact.lock.get("versions")
    version = str(then.get("tracelang", "")) if isinstance(then, dict) else ""
    other = f"tracelang {__version__} reads it otherwise than {version}, which applied it: verify with that one, or "
    remedy = f"{other if version and version != __version__ else ''}apply the recipe again"
    try:
        again = compiled(artifact.out / "recipe", path, params)
    except CompileError as error:
        first = error.diagnostics[0]
        raise EvidenceError(f"{file}: does not compile ({first.code}: {first.message}); {remedy}") from error
    for source in again.sources if path in {source.path for source in plan.sources} else ():
        if source not in plan.sources:
            kind = "of this installation" if source.path.startswith("std/") else "of recipe/"
            raise EvidenceError(f"{file}: reads {source.path}, and that {kind} is not what was compiled; {remedy}")
    if again.digest != plan.digest:
        raise EvidenceError(f"{file}: gives another plan than plan.json, which was applied; {remedy}")


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise EvidenceError(f"{file}: cannot be read as JSON; apply the recipe again")
    return data


class Ended(EvidenceError):
    """Somebody would have ended the program. `str()` is one line: who, how."""


@contextmanager
def going_on(who: str) -> Iterator[None]:
    """Raises Ended where the code inside exits: its exit code would be read as a verdict."""
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit and its like
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise Ended(f"{who} ended the program ({told}); nothing was decided") from error
