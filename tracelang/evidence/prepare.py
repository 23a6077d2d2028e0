"""From an OUT and what is asked of it to a run: its models, its judges, its units, and all that the results depend on.

Nothing is drawn here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracelang.evidence import artifact as artifacts
from tracelang.evidence import attacks, compared
from tracelang.evidence.artifact import Artifact
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Bench, Keep, Unit, Wanted
from tracelang.evidence.controls import Asked, asked_of, find
from tracelang.evidence.decidable import undecided
from tracelang.evidence.expectations import hopeless
from tracelang.evidence.judges import Judge
from tracelang.evidence.known import Known, accuracies
from tracelang.evidence.notes import notes
from tracelang.evidence.panel import panel
from tracelang.evidence.pictures import SAMPLES
from tracelang.evidence.units import units
from tracelang.evidence.units.everyday import digest as everyday_digest
from tracelang.evidence.units.everyday import everyday
from tracelang.evidence.work import Run

STEPS = 20
"""Sampler steps of every picture."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin: what is measured, on what, and every unit of the work."""

    artifact: Artifact
    bench: Bench
    units: tuple[Unit, ...]
    run: Run


def prepare(
    out: Path,
    judges: Sequence[str | Judge] = (),
    device: str | None = None,
    dtype: str | None = None,
    model: str | None = None,
    budget: Budget | None = None,
    *,
    samples: int = SAMPLES,
    steps: int = STEPS,
    config: str | None = None,
    known: Sequence[Known] = (),
    controls: Sequence[Asked] = (),
    thorough: bool = False,
    keep: Keep | None = None,
    say: Callable[[str], None] = warnings.warn,
) -> Prepared:
    """The run that `verify` would begin with the same arguments. OUT and base are compared with manifest and lock.

    Raises EvidenceError, JudgeError, ModelError, CompileError; KnownError for what is `known` of another judge.
    """
    artifact = artifacts.read(out)
    for line in hopeless(artifact.plan):
        say(line)
    folder = artifacts.find_base(artifact, model, config)
    compared.with_base(artifact, folder)
    compared.adapter(artifact, folder)
    own = artifacts.embedded_name(folder)
    chosen = panel(artifact.plan, judges, own)
    for line in undecided(artifact.plan, chosen, accuracies(chosen.cards, known)):
        say(line)
    base, edited = artifacts.load(artifact, folder, device or "cpu", dtype)
    artifacts.unchanged(artifact, folder)  # what was compared is what was loaded
    beside = find([*asked_of(artifact.plan), *controls], folder, base, edited, artifact.fingerprint)
    bench = Bench(
        artifact,
        base,
        edited,
        chosen,
        budget or Budget(),
        steps,
        folder,
        others=beside,
        keep=keep or ("all" if own else "shown"),
    )
    daily = everyday(artifact.plan, chosen.judges)
    wanted = Wanted(
        artifact.plan, chosen.classes, tuple(attacks.ATTACKS), samples, daily, bench.controls, thorough=thorough
    )
    todo = units(wanted)
    chosen = replace(chosen, notes=(*chosen.notes, *notes(artifact.plan, base, steps)))
    access = {name: attack.access for name, attack in attacks.ATTACKS.items()}
    facts = {**bench.facts(samples), "everyday": everyday_digest(daily), "thorough": thorough, "kept": bench.keep}
    return Prepared(artifact, bench, todo, Run.of(chosen, facts, [unit.key for unit in todo], access))
