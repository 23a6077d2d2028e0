"""`reproduce`: a verification drawn again, its records and pictures compared with those that were kept."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tracelang.evidence import budgets
from tracelang.evidence.artifact import EvidenceError, going_on, read
from tracelang.evidence.attacks import Budget
from tracelang.evidence.bench import Bench, Unit
from tracelang.evidence.controls import NEVER, RANDOM, Asked, kind_of
from tracelang.evidence.judges import Judge
from tracelang.evidence.labelled import SetError, picture
from tracelang.evidence.machine import differing, machine
from tracelang.evidence.prepare import prepare
from tracelang.evidence.registered import asked
from tracelang.evidence.registered import differing as otherwise
from tracelang.evidence.report.standing import standing
from tracelang.evidence.schema import JudgeCard
from tracelang.evidence.units import KINDS
from tracelang.evidence.work import KEPT_BY, Work, WorkError, alone, measured
from tracelang.models.locate import HUB_ID, embedded, title
from tracelang.models.weights import sha256
from tracelang.progress import Progress

OWN = ("run", "key", "digests")
"""What a record says of the run that it belongs to; its pictures are compared apart."""


@dataclass(frozen=True, slots=True)
class Differing:
    """One value of a record, or one picture, that came out otherwise. `far`: of numbers the difference, as a share of
    the larger; of pictures the mean over all pixels, 0..1; 1 of anything else.
    """

    where: str
    there: str
    here: str
    far: float


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A unit that was done again: how many values and pictures were compared, and those that differ."""

    key: str
    values: int
    pictures: int
    differing: tuple[Differing, ...]


@dataclass(frozen=True, slots=True)
class Reproduced:
    """`of`: units of the run. `circumstances`: a line for each thing in which this run or machine is not the first."""

    of: int
    units: tuple[Redrawn, ...]
    circumstances: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Did everything that was drawn again come out bit for bit?"""
        return not any(unit.differing for unit in self.units)


@going_on("a judge, an attack or a library under them")
def reproduce(
    out: str | Path,
    into: Path,
    judges: Sequence[str | Judge] = (),
    device: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
    *,
    controls: Sequence[Asked] = (),
    share: float = 1.0,
    seed: int = 0,
    config: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Reproduced:
    """Draw the run again that OUT's report is of, or a `share` of its units, picked by `seed`, and compare. OUT itself
    stays as it is: the new work goes into the folder `into`, from where the same call goes on after an interruption.

    Without `judges` those of the run, with what they were told; a judge that was told a folder has to be given again,
    and so have `controls` that are folders and stand in no recipe.
    The precision is the run's, and so is the device where none is named. Raises as `verify` does.
    """
    _, then = standing(read(Path(out)))
    if KEPT_BY in then.run.facts:
        drew = str(then.run.facts[KEPT_BY])[:16]
        raise EvidenceError(f"{out}: run {drew} drew these pictures, and others judged them; merge that one, then this")
    ready = prepare(
        Path(out),
        judges or [_again(card) for card in then.run.cards],
        model=model,
        config=config,
        say=say,
        **told(then, device, controls),
    )
    plan, run = ready.artifact.plan, ready.run
    changes = otherwise(asked(plan, then.run), asked(plan, run), ("then", "now"))
    if run.units != then.run.units:
        why = "; ".join(changes[:3]) or "their units differ"
        raise EvidenceError(f"{out}: other pictures would be drawn than were ({why}); give what the run was given")
    here = machine()
    circumstances = [*changes, *(line for one in then.machines for line in differing(one, here))]
    chosen = _chosen(ready.units, share, seed)
    with alone(into, run):
        work = Work(into / run.folder, run)
        work.begin()
        work.note(here)
        done = tuple(_redrawn(unit, ready.bench, then, work, i, len(chosen), progress) for i, unit in enumerate(chosen))
    return Reproduced(len(ready.units), done, tuple(dict.fromkeys(circumstances)))


def told(then: Work, device: str | None, controls: Sequence[Asked]) -> dict[str, Any]:
    """What the run was told, as `prepare` takes it."""
    facts = then.run.facts
    try:
        return {
            "device": device or str(facts["device"]),
            "dtype": str(facts["dtype"]),
            "budget": _budget(facts["budget"]),
            "samples": int(facts["samples"]),
            "steps": int(facts["sampler"]["steps"]),
            "controls": [*_controls(facts["controls"], controls)],
            "thorough": bool(facts["thorough"]),
            "keep": facts["kept"],
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WorkError(f"{then.folder}: does not say what the run was told; verify OUT again") from error


def _chosen(units: Sequence[Unit], share: float, seed: int) -> list[Unit]:
    number = max(1, math.ceil(share * len(units)))
    picked = set(random.Random(seed).sample(range(len(units)), min(number, len(units))))
    return [unit for i, unit in enumerate(units) if i in picked]


def _redrawn(unit: Unit, bench: Bench, then: Work, work: Work, i: int, of: int, progress: Progress | None) -> Redrawn:
    if work.record(unit.key) is None:
        work.finish(unit.key, unit.done(bench, work.folder / unit.key).model_copy(update={"kind": unit.kind}).to_json())
    if progress:
        progress(f"again: {KINDS[unit.kind].title}", i + 1, of)
    old, new = then.record(unit.key), work.record(unit.key)
    if old is None or new is None:
        raise EvidenceError(f"{then.folder / unit.key}.json: is missing; verify OUT again")
    values, differences = 0, list[Differing]()
    for one in _values(_said(old), _said(new), ""):
        values += 1
        if isinstance(one, Differing):
            differences.append(one)
    pictures = sorted({*old["digests"], *new["digests"]})
    for name in pictures:
        if old["digests"].get(name) != new["digests"].get(name):
            differences.append(_picture(then.folder, work.folder, name))
    return Redrawn(unit.key, values, len(pictures), tuple(differences))


def _said(record: Mapping[str, Any]) -> object:
    return measured({name: value for name, value in record.items() if name not in OWN})


def _values(there: object, here: object, path: str) -> Iterator[Differing | None]:
    """Every value of two records side by side, None where it is the same."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in sorted({*there, *here}):
            yield from _values(there.get(name), here.get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for i, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _values(one, other, f"{path}.{i}")
    elif there == here and type(there) is type(here):
        yield None
    else:
        yield Differing(path, str(there)[:80], str(here)[:80], _far(there, here))


def _far(there: object, here: object) -> float:
    numbers = [one for one in (there, here) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < 2:
        return 1.0
    largest = max(map(abs, numbers))
    return abs(numbers[0] - numbers[1]) / largest if largest else 0.0


def _picture(there: Path, here: Path, name: str) -> Differing:
    files = [folder / name for folder in (there, here)]
    if not all(file.is_file() for file in files):
        old, new = ("a picture" if file.is_file() else "none" for file in files)
        return Differing(name, old, new, 1.0)
    try:
        one, other = (picture(file).float() for file in files)
        far = float((one - other).abs().mean()) if one.shape == other.shape else 1.0
    except SetError:  # OUT's was drawn by nobody, whatever its record says
        far = 1.0
    return Differing(name, sha256(files[0])[:12], sha256(files[1])[:12], far)


def _again(card: JudgeCard) -> str:
    if card.setting.startswith("files sha256:"):
        raise EvidenceError(
            f"the judge {card.name} was told a file or a folder, which is known by its digest alone; give it with "
            f"--judge {card.name}=PLACE, and every other judge of the run beside it"
        )
    return f"{card.name}={card.setting}" if card.setting else card.name


def _budget(told: Mapping[str, str]) -> Budget:
    known = {field.name for field in fields(Budget)}
    given = [f"{name}={value}" for name, value in told.items() if name in known and value != "None"]
    return budgets.read(",".join(given))


def _controls(told: Mapping[str, Sequence[str]], given: Sequence[Asked]) -> Iterator[Asked]:
    """Those of the run, in its order: as they are `given`, which only folders have to be, else by their name, which is
    all of one that is installed or on the hub.
    """
    known = {title(model): model for kind, models in given if kind == NEVER for model in models}
    for name, (called, _) in told.items():
        if kind_of(name) == RANDOM:
            yield RANDOM, ()
        elif called in known or called in embedded() or HUB_ID.fullmatch(called):
            yield NEVER, (known.get(called, called),)
    yield from given
