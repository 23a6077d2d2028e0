"""`verify`: what a recipe expects of an edit, and what an auditor asks besides, measured and written down."""

from __future__ import annotations

import resource
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracelang.checkpoint import weights
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.sampling import precision, sample_latents
from tracelang.engine.seeds import seed as seed_of
from tracelang.evidence import artifact as artifacts
from tracelang.evidence import compared
from tracelang.evidence.against import earlier
from tracelang.evidence.artifact import Artifact, EvidenceError
from tracelang.evidence.attacks import ATTACKS, Budget, Found, Inapplicable, Target
from tracelang.evidence.certificate import certify
from tracelang.evidence.compose import publish
from tracelang.evidence.drift import drift, levels
from tracelang.evidence.ending import going_on
from tracelang.evidence.everyday import digest as everyday_digest
from tracelang.evidence.everyday import everyday
from tracelang.evidence.expectations import hopeless
from tracelang.evidence.integrity import look_at
from tracelang.evidence.judges import Judge
from tracelang.evidence.metrics import Extractor
from tracelang.evidence.panel import Panel, digest, panel
from tracelang.evidence.questions import Sample, Unit, drawable, roles, share, spread, units
from tracelang.evidence.report import Report
from tracelang.evidence.shots import Failed, attempt, batch_of, draw, judged, keep, presence, to_json
from tracelang.evidence.work import Run, Work, alone, gather
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.prompts import edit_prompts
from tracelang.plan.protected import refuse
from tracelang.plan.types import Member

Progress = Callable[[str, int, int], None]
"""`(what, done, all)`."""

STEPS = 20
"""Sampler steps of every picture."""
SAMPLES = 50
"""Pictures of each concept and attack of which the recipe expects nothing."""
PACKAGES = ("tracelang", "tracelang-micro", "torch", "diffusers", "transformers", "scipy", "torchmetrics", "numpy")
CLEAN = 16
"""Clean pictures of a concept that an attacker has."""
NOISE_SAMPLES = 4
KEPT = {"shots": 20, "attack": 5}
"""At most so many pairs of pictures of a unit are kept for the report."""
NAMES = {
    "certificate": "certificate",
    "noise": "noise levels",
    "shots": "pictures",
    "degree": "degrees",
    "attack": "attacks",
    "drift": "drift",
    "everyday": "everyday pictures",
}


@going_on("a judge, an attack or a library under them")
def verify(
    out: str | Path,
    judges: Sequence[str | Judge] = (),
    device: str | None = None,
    dtype: str | None = None,
    shard: tuple[int, int] | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
    *,
    samples: int = SAMPLES,
    steps: int = STEPS,
    against: str | Path | None = None,
    say: Callable[[str], None] = warnings.warn,
) -> Report | None:
    """Measure the edit in OUT, write its report, and return it; with a `shard` (i of n, from 1) only do that share of
    the work, for `merge`, and return None.

    What is finished is kept in OUT/report/work, so that the same call goes on after an interruption. `judges` are
    `NAME[=VALUE]` or judges themselves; none: the installed ones that suit. `samples` is the number of pictures of
    each concept and attack of which the recipe expects nothing; 0 leaves out all that it does not ask for. `against` is
    another verified OUT, with which the report compares every rate. `say` is told, before anything is drawn, of every
    bound that cannot pass with so few pictures, and of an earlier report that was changed or is set aside.

    What other runs finished stays, and so does every earlier report. Raises EvidenceError, JudgeError, ModelError,
    CompileError; WorkError where another run is at work in OUT, or a finished unit was changed.
    """
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise EvidenceError(f"shard {shard[0]}/{shard[1]}: shards are counted from 1 to their number")
    artifact = artifacts.read(Path(out))
    for line in hopeless(artifact.plan):
        say(line)
    folder = artifacts.find_base(artifact, model)
    compared.with_base(artifact, folder)
    compared.adapter(artifact, folder)
    chosen = panel(artifact.plan, judges, artifacts.embedded_name(folder))
    base, edited = artifacts.load(artifact, folder, device or "cpu", dtype)
    bench = Bench(artifact, base, edited, chosen, budget or Budget(), steps)
    daily = everyday(artifact.plan, chosen.judges)
    todo = units(artifact.plan, chosen.classes, tuple(ATTACKS), samples, tuple(daily))
    access = {name: attack.access for name, attack in ATTACKS.items()}
    facts = {**bench.facts(samples), "everyday": everyday_digest(daily)}
    run = Run.of(chosen, facts, [unit.key for unit in todo], access)
    other = None if against is None else earlier(Path(against), run)
    root = artifact.report / "work"
    with alone(root, run):
        work = Work(root / run.folder, run)
        work.begin()
        own = share(todo, shard)
        for kind in dict.fromkeys(unit.kind for unit in own):
            part = [unit for unit in own if unit.kind == kind]
            for i, unit in enumerate(part):
                if work.record(unit.key) is None:
                    work.finish(unit.key, bench.done(unit, work.folder))
                if progress:
                    progress(NAMES[kind], i + 1, len(part))
        return publish(artifact, work, other, say) if shard is None else None


def merge(
    out: str | Path,
    shards: Sequence[str | Path] = (),
    against: str | Path | None = None,
    *,
    say: Callable[[str], None] = warnings.warn,
) -> Report:
    """Compose the report from finished shards: the latest run in OUT's own work folder, and those of other machines.
    `against` and `say` as for `verify`.

    Raises EvidenceError, WorkError where units are missing, changed or of another run.
    """
    artifact = artifacts.read(Path(out))
    root = artifact.report / "work"
    same = (artifact.plan.digest, artifact.fingerprint, artifact.adapter_digest, artifact.lock["model"]["fingerprint"])

    def fits(run: Run) -> None:
        if weights.outdated(str(run.facts["base"])):
            raise EvidenceError(f"{root}: {run.folder} names the base by an older fingerprint; verify {out} again")
        if tuple(run.facts.get(name) for name in ("plan", "edited", "adapter", "base")) != same:
            raise EvidenceError(f"{root}: {run.folder} is a verification of another edit than {out}; verify it again")

    work = gather(root, [Path(shard) for shard in shards], fits)
    other = None if against is None else earlier(Path(against), work.run)
    with alone(root, work.run):
        return publish(artifact, work, other, say)


@dataclass(frozen=True, eq=False)
class Bench:
    """Two models, their judges, and how each kind of unit is done."""

    artifact: Artifact
    base: Model
    edited: Model
    panel: Panel
    budget: Budget
    steps: int

    def facts(self, samples: int) -> dict[str, Any]:
        """All that the results depend on."""
        dtype = str(self.base.dtype).removeprefix("torch.")
        return {
            "plan": self.artifact.plan.digest,
            "base": self.base.fingerprint,
            "edited": self.artifact.fingerprint,
            "adapter": self.artifact.adapter_digest,
            "judges": [digest(card) for card in self.panel.cards],
            "sampler": {
                "steps": self.steps,
                "guidance": self.base.guidance,
                "batch": batch_of(self.base),
                "precision": "bfloat16 autocast" if bfloat16_pays(self.base) else dtype,
            },
            "budget": {name: str(value) for name, value in asdict(self.budget).items()},
            "samples": samples,
            "device": self.base.device.type,
            "dtype": dtype,
            "versions": _versions(),
        }

    def done(self, unit: Unit, folder: Path) -> dict[str, Any]:
        """The unit's record. A measurement that fails leaves its error in it."""
        begin = time.monotonic()
        does: Mapping[str, Callable[[Unit, Path], dict[str, Any]]] = {
            "shots": self._shots,
            "degree": self._degree,
            "attack": self._attack,
            "drift": self._drift,
            "noise": self._noise,
            "certificate": self._certificate,
            "everyday": self._everyday,
        }
        found = does[unit.kind](unit, folder / unit.key)
        return {**found, "kind": unit.kind, "seconds": time.monotonic() - begin, "memory": self._memory()}

    def _shots(self, unit: Unit, folder: Path) -> dict[str, Any]:
        base, after = draw(self.base, unit.shots, self.steps), draw(self.edited, unit.shots, self.steps)
        before, now = judged(self.panel, base), judged(self.panel, after)
        clips = attempt(lambda: list(zip(self._clip(base, unit.shots), self._clip(after, unit.shots), strict=True)))
        rows: list[dict[str, Any]] = []
        left = KEPT["shots"]
        for i, sample in enumerate(unit.shots):
            row: dict[str, Any] = {
                "prompt": sample.prompt,
                "seed": sample.seed,
                "base": to_json(before[i]),
                "after": to_json(now[i]),
            }
            if clips and not isinstance(clips, Failed):
                row["clip"] = clips[i]
            if sample in unit.shown or (left and self._telling(unit.members[i], before[i], now[i])):
                left -= sample not in unit.shown
                row["files"] = [keep(folder, f"{i:03d}-base", base[i]), keep(folder, f"{i:03d}-after", after[i])]
            rows.append(row)
        errors = [f"CLIP score: {clips.why}"] if isinstance(clips, Failed) else []
        features = self._features(base, after)
        return {"rows": rows, "pictures": 2 * len(unit.shots), "features": features, "errors": errors}

    def _everyday(self, unit: Unit, folder: Path) -> dict[str, Any]:
        base, after = draw(self.base, unit.shots, self.steps), draw(self.edited, unit.shots, self.steps)
        record = look_at(everyday(self.artifact.plan, self.panel.judges), unit.shots, self.panel, base, after)
        for i, row in enumerate(record["rows"]):
            row["files"] = [keep(folder, f"{i:03d}-base", base[i]), keep(folder, f"{i:03d}-after", after[i])]
        return record

    def _degree(self, unit: Unit, folder: Path) -> dict[str, Any]:
        with at_degree(self.base, self.edited, unit.degree) as model:
            judgements = judged(self.panel, draw(model, unit.shots, self.steps))
        rows = [
            {"prompt": sample.prompt, "seed": sample.seed, "after": to_json(one)}
            for sample, one in zip(unit.shots, judgements, strict=True)
        ]
        return {"degree": unit.degree, "rows": rows, "pictures": len(unit.shots)}

    def _attack(self, unit: Unit, folder: Path) -> dict[str, Any]:
        sides: dict[str, Any] = {}
        made: dict[str, tuple[Found, float]] = {}
        for side, target in (("static", self.base), ("adaptive", self.edited)):
            begin = time.monotonic()
            try:
                found = attempt(lambda target=target: self._found(unit, target), Inapplicable)  # type: ignore[misc]
            except Inapplicable as why:
                sides[side] = {"error": "", "inapplicable": str(why)}
                continue
            if isinstance(found, Failed):
                sides[side] = {"error": found.why}
                continue
            made[side] = found, time.monotonic() - begin
        searched = {found.prompts for found, _ in made.values() if found.prompts}
        both = len(made) == 2 and len(searched) == 1  # it never asked the model: one set of pictures is both
        for side, (found, seconds) in made.items():
            begin = time.monotonic()
            if both and side == "adaptive" and "rows" in sides["static"]:
                drawn: Any = {**sides["static"], "pictures": 0}
            else:
                how = "both" if both else side
                drawn = attempt(lambda found=found, how=how: self._struck(unit, found, folder, how))  # type: ignore[misc]
            if isinstance(drawn, Failed):
                sides[side] = {"error": drawn.why}
                continue
            sides[side] = {
                **drawn,
                "budget": found.budget,
                "price": found.price,
                "examples": list(found.examples),
                "seconds": seconds + time.monotonic() - begin,
            }
        return {
            "member": list(unit.member),
            "attack": unit.attack,
            "samples": unit.samples,
            "seed": unit.seed,
            **sides,
            "pictures": sum(side.get("pictures", 0) for side in sides.values()),
        }

    def _found(self, unit: Unit, target: Model) -> Found:
        """What the attack finds against `target`. Raises ValueError where a figure of its own is no number."""
        found = ATTACKS[unit.attack].run(self._target(unit), target, self.budget)
        for name, value in {"price": found.price, **found.budget}.items():
            if isinstance(value, float) and not isfinite(value):
                raise ValueError(f"the attack's {name} is no number ({value})")
        return found

    def _struck(self, unit: Unit, found: Found, folder: Path, side: str) -> dict[str, Any]:
        """Draw what an attack found on the edited model, and judge it."""
        refuse(self.artifact.plan, found.prompts or (), EvidenceError)
        what = f"{unit.attack} {' & '.join(unit.member)}"
        shots = [
            Sample(prompt, seed_of("attacked", what, i, unit.seed))
            for i, prompt in enumerate(found.prompts or [""] * unit.samples)
        ]
        states = found.states
        count = len(shots) if states is None else len(states)
        if count != unit.samples:
            raise ValueError(f"the attack gave {count} rows where {unit.samples} were asked for")
        images = self._draw(self.edited, shots, states)
        judgements = judged(self.panel, images)
        sought = self.panel.classes[unit.member]
        hits = [i for i, one in enumerate(judgements) if presence(one, sought).shows][: KEPT["attack"]]
        # All of what counts on the base model, too: what an attack brings is held against what it brings of no edit.
        whole = side != "static"
        again = list(range(count)) if whole else hits
        shown = None if states is None or not again else states.rows(again)
        base = dict(zip(again, self._draw(self.base, [shots[i] for i in again], shown), strict=True))
        rows: list[dict[str, Any]] = [
            {"prompt": sample.prompt, "seed": sample.seed, "after": to_json(one)}
            for sample, one in zip(shots, judgements, strict=True)
        ]
        if whole:
            for row, one in zip(rows, judged(self.panel, torch.stack([base[i] for i in again])), strict=True):
                row["base"] = to_json(one)
        for i in hits:
            name = f"{side}-{i:03d}"
            rows[i]["files"] = [keep(folder, f"{name}-base", base[i]), keep(folder, f"{name}-after", images[i])]
        for row, form in zip(rows, found.forms, strict=False):
            row["form"] = form
        return {"rows": rows, "soft": states is not None, "pictures": len(shots) + len(again)}

    def _drift(self, unit: Unit, folder: Path) -> dict[str, Any]:
        rows: list[dict[str, Any]] = [
            {"member": list(member), **({"error": found.why} if isinstance(found, Failed) else {"value": found})}
            for member, found in zip(unit.group, self._drifts(unit.group, unit), strict=True)
        ]
        errors = [f"{' & '.join(row['member'])}: {row['error']}" for row in rows if "error" in row]
        return {"samples": unit.samples, "seed": unit.seed, "rows": rows, "errors": errors}

    def _drifts(self, group: Sequence[Member], unit: Unit) -> list[float | Failed]:
        """The drift of each; where they fail together each is asked alone, so that not all fail for one."""
        plan = self.artifact.plan
        found = attempt(lambda: drift(plan, group, self.base, self.edited, unit.samples, unit.seed))
        if isinstance(found, Failed):
            return [found] if len(group) == 1 else [one for member in group for one in self._drifts([member], unit)]
        return [value if isfinite(value) else Failed("the drift is no number") for value in found]

    def _noise(self, unit: Unit, folder: Path) -> dict[str, Any]:
        plan = self.artifact.plan
        found = attempt(lambda: levels(plan, self.base, self.edited, unit.seed, NOISE_SAMPLES))
        return {"error": found.why} if isinstance(found, Failed) else {"value": found.model_dump(mode="json")}

    def _certificate(self, unit: Unit, folder: Path) -> dict[str, Any]:
        found = attempt(lambda: certify(self.artifact.plan, self.base, self.edited))
        return {"error": found.why} if isinstance(found, Failed) else {"value": found.model_dump(mode="json")}

    def _target(self, unit: Unit) -> Target:
        prompts = tuple(prompt.text for prompt in edit_prompts(self.artifact.plan, unit.member))
        return Target(
            plan=self.artifact.plan,
            member=unit.member,
            seed=unit.seed,
            clean=self._clean(unit.member),
            prompts=prompts,
            base=self.base,
            count=unit.samples,
        )

    @cache  # noqa: B019  a bench lives as long as its run
    def _clean(self, member: Member) -> Tensor:
        """Latents of the concept as the base draws it, from seeds that no picture of the report has."""
        if not drawable(self.artifact.plan, member):
            raise EvidenceError(f"{' & '.join(member)} is protected: no picture of it is ever drawn")
        prompts = [prompt.text for prompt in edit_prompts(self.artifact.plan, member)]
        refuse(self.artifact.plan, prompts, EvidenceError)
        shots = [
            Sample(sample.prompt, seed_of("quarry", sample.prompt, i, 0))
            for i, sample in enumerate(spread(prompts, CLEAN, 0))
        ]
        return self._latents(self.base, shots, None)

    def _latents(self, model: Model, shots: Sequence[Sample], states: TextStates | None) -> Tensor:
        with torch.no_grad(), precision(model, True):
            told = model.encode([sample.prompt for sample in shots]) if states is None else states
        seeds = [sample.seed for sample in shots]
        return sample_latents(model, told, seeds, steps=self.steps, batch=batch_of(model), fast=True)

    def _draw(self, model: Model, shots: Sequence[Sample], states: TextStates | None) -> Tensor:
        if not shots:
            return torch.empty(0, 3, 1, 1)
        if states is None:
            return draw(model, shots, self.steps)
        latents = self._latents(model, shots, states)
        with torch.no_grad(), precision(model, True):
            return model.decode(latents).float()

    def _telling(self, members: Sequence[Member], before: Any, now: Any) -> bool:
        """Is it a residual hit, or a kept thing that was lost?"""
        role = roles(self.artifact.plan)
        for member in members:
            sought = self.panel.classes.get(member)
            if sought is None:
                continue
            base, after = presence(before, sought), presence(now, sought)
            if after.shows if role.get(member) == "erased" else base.shows and not after.shows:
                return True
        return False

    def _clip(self, images: Tensor, shots: Sequence[Sample]) -> list[float]:
        """CLIP scores, by the first judge that gives them; none without such a judge."""
        judge: Any = next((judge for judge in self.panel.judges if hasattr(judge, "scores")), None)
        scores = judge.scores(images, [sample.prompt for sample in shots]).tolist() if judge is not None else []
        if not all(isfinite(score) for score in scores):
            raise ValueError("a score is no number")
        return scores

    def _features(self, base: Tensor, after: Tensor) -> dict[str, Any] | None:
        """The features of both, by the first judge that gives them, for distances between sets of pictures."""
        judge: Any = next((judge for judge in self.panel.judges if hasattr(judge, "extractor")), None)
        if judge is None:
            return None

        def extracted() -> dict[str, Any]:
            extractor: Extractor = judge.extractor()
            rows = [
                [[round(value, 5) for value in row] for row in extractor(images).tolist()] for images in (base, after)
            ]
            return {"name": extractor.name, "digest": extractor.digest, "base": rows[0], "after": rows[1]}

        found = attempt(extracted)
        return {"error": found.why} if isinstance(found, Failed) else found

    def _memory(self) -> int:
        """The most bytes held at once so far: of the GPU where there is one, else of the process."""
        if self.base.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.base.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def at_degree(base: Model, edited: Model, degree: float) -> Iterator[Model]:
    """The edited model with weights `base + degree · (edited − base)`, afterwards what it was."""
    before: dict[str, Tensor] = {}
    try:
        for site in edited.sites:
            old, new = base.weight(site).data, edited.weight(site).data
            if not torch.equal(old, new):
                before[site.tensor] = new.clone()
                wide = torch.promote_types(new.dtype, torch.float32)
                new.copy_(old.to(wide) + degree * (new.to(wide) - old.to(wide)))
        yield edited
    finally:
        for site in edited.sites:
            if site.tensor in before:
                edited.weight(site).data.copy_(before[site.tensor])


def _versions() -> dict[str, str]:
    """Of every package whose numbers go into the results, as far as it is here."""
    return {name: version for name in PACKAGES if (version := _version(name))}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
