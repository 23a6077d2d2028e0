"""The panel: which judges look, what decides their answers, and under which class each concept is looked for."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

from tracelang.evidence.artifact import going_on
from tracelang.evidence.judges import Asked, Class, Judge, Kind, Prepared, load, several
from tracelang.evidence.schema import JudgeCard
from tracelang.models import steady
from tracelang.models.weights import sha256
from tracelang.plan.types import Member, Plan
from tracelang.text import joined


class JudgeError(Exception):
    """A judge that was asked for and cannot look. `str()` is one line."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A concept as one judge knows it."""

    judge: str
    found: Class


@dataclass(frozen=True, slots=True)
class Panel:
    """`classes` of every member that a judge knows; `unknown` says of the others why nobody does.

    A member of several concepts (`A & B`) has a class for each, all of which have to be seen in one picture: two of one
    head only where that head names everything there is.
    """

    judges: tuple[Judge, ...]
    classes: Mapping[Member, tuple[Sought, ...]]
    unknown: Mapping[Member, str]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """What a judge was told after its name's `=`, by the judge's name."""
    also: Mapping[Member, tuple[Sought, ...]] = field(default_factory=dict)
    """Of a single concept, the classes of the other judges that know it: they decide nothing, and may disagree."""

    @property
    def cards(self) -> tuple[JudgeCard, ...]:
        """What each judge says of itself, with what it was told and the code that it is: all that decides answers."""
        return tuple(
            judge.card.model_copy(update={"setting": self.settings.get(judge.card.name, ""), "code": code(judge)})
            for judge in self.judges
        )


def panel(plan: Plan, judges: Sequence[str | Judge], embedded: str | None) -> Panel:
    """The judges given, by `NAME[=VALUE]` or as they are, else the installed ones that suit the model.

    `embedded` is the model's embedded name. Raises JudgeError for a judge that was asked for and cannot be loaded.
    """
    notes: list[str] = []
    chosen = [_load(one) if isinstance(one, str) else one for one in judges]
    if not judges:
        chosen = _default(embedded, notes)
    names = [judge.card.name for judge in chosen]
    if len(set(names)) != len(names):
        raise JudgeError("two judges of one name; give each once")
    concepts = [concept for concept in plan.concepts if concept.kind != "protected"]
    for judge in chosen:
        if isinstance(judge, Prepared):
            judge.prepare(concepts)
    classes: dict[Member, tuple[Sought, ...]] = {}
    unknown: dict[Member, str] = {}
    for member in members(plan):
        found = _classes(plan, member, chosen)
        if isinstance(found, str):
            unknown[member] = found
        else:
            classes[member] = found
    also = {
        member: others
        for member, (first, *rest) in classes.items()
        if not rest and (others := _others(plan, member, first, chosen))
    }
    values = {
        judge.card.name: setting(one.partition("=")[2])
        for judge, one in zip(chosen, judges, strict=False)
        if isinstance(one, str)
    }
    return Panel(tuple(chosen), classes, unknown, tuple(notes), values, also)


@dataclass(frozen=True, slots=True)
class Word:
    """A concept of one word, as a judge may be asked for it."""

    names: tuple[str, ...]
    kind: Kind


def alone(spec: str, concepts: Sequence[Asked], labels: Sequence[str]) -> tuple[Judge, JudgeCard]:
    """One judge, without a verification, and its whole card. Where its classes are a recipe's, they are these concepts;
    without any, the labels, which say their kind as in `style: noto`, else are objects.

    Raises JudgeError.
    """
    judge = _load(spec)
    if isinstance(judge, Prepared):
        judge.prepare(list(concepts) or [_word(label) for label in labels])
    value = setting(spec.partition("=")[2])
    return judge, judge.card.model_copy(update={"setting": value, "code": code(judge)})


def members(plan: Plan) -> tuple[Member, ...]:
    """Every member that a statement or an expectation names, each once."""
    found = [erasure.targets for erasure in plan.erase] + [one.concepts for one in plan.preserve]
    found += [member for one in plan.expect for member in one.concepts]
    return tuple(dict.fromkeys(found))


def digest(card: JudgeCard) -> str:
    """sha256 of all that decides what a judge answers: with the same one, the same pictures get the same answers."""
    return hashlib.sha256(
        card.model_dump_json(exclude={"pictures", "errors", "again", "accuracy"}).encode()
    ).hexdigest()


def _classes(plan: Plan, member: Member, judges: Sequence[Judge]) -> tuple[Sought, ...] | str:
    found = []
    for name in member:
        concept = plan.concept(name)
        if concept.kind == "protected":
            return f"{name} is protected: no picture of it is ever drawn"
        sought = next(
            (Sought(judge.card.name, known) for judge in judges if (known := judge.find(concept.names, concept.kind))),
            None,
        )
        if sought is None:
            return f"no judge has a class for {concept.names[0]!r} ({concept.kind}); name one that has with --judge"
        found.append(sought)
    many = {(judge.card.name, head) for judge in judges for head in several(judge)}
    for i, one in enumerate(found):
        beside = [other for other in found[:i] if (other.judge, other.found.head) == (one.judge, one.found.head)]
        if beside and (one.judge, one.found.head) not in many:
            return f"the judge {one.judge} names one {one.found.head} a picture and cannot see {joined(member)}"
        if one in beside:
            return f"to the judge {one.judge} two of {joined(member)} are one: {one.found.label}"
    return tuple(found)


def _others(plan: Plan, member: Member, first: Sought, judges: Sequence[Judge]) -> tuple[Sought, ...]:
    concept = plan.concept(member[0])
    return tuple(
        Sought(judge.card.name, known)
        for judge in judges
        if judge.card.name != first.judge and (known := judge.find(concept.names, concept.kind))
    )


def _word(label: str) -> Word:
    kind, _, rest = label.partition(": ")
    return next((Word((rest,), known) for known in get_args(Kind) if rest and kind == known), Word((label,), "object"))


def _load(spec: str) -> Judge:
    try:
        files = given(spec.partition("=")[2]) or {}
        with going_on(f"the judge {spec!r}"), steady.throughout(steady.seen(files.values())):
            return load(spec)  # its card has the digest of what it read
    except (LookupError, ValueError, TypeError, ImportError, OSError) as error:
        raise JudgeError(" ".join(f"the judge {spec!r} cannot be used: {error}".split())) from error


def _default(embedded: str | None, notes: list[str]) -> list[Judge]:
    """The judges that come with an embedded model; for any other model, all that do not come with one."""
    models = {point.name: _home(point) for point in entry_points(group="tracelang.models")}
    found = []
    for point in sorted(entry_points(group="tracelang.judges"), key=lambda point: point.name):
        own = _home(point)
        if own != models[embedded] if embedded else own in models.values():
            continue
        try:
            with going_on(f"the judge {point.name}"):
                found.append(load(point.name))
        except (LookupError, ValueError, TypeError, ImportError, OSError) as error:
            notes.append(" ".join(f"the judge {point.name} did not look: {error}".split()))
    return found


def _home(point: object) -> str:
    """The distribution that an entry point comes with."""
    distribution = getattr(point, "dist", None)
    return str(distribution.name) if distribution else ""


def setting(value: str) -> str:
    """A `--judge NAME=VALUE`'s value; of a file or a folder, wherever it lies, a digest of what is in it."""
    files = given(value)
    if files is None:
        return value
    lines = "".join(f"{name} {sha256(file)}\n" for name, file in files.items())
    return f"files sha256:{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def given(value: str) -> dict[str, Path] | None:
    """The files that a value means, by path inside it; None for one that is no path."""
    path = Path(value)
    try:
        there = bool(value) and path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        return None
    below = sorted(file for file in path.rglob("*") if _held(file.relative_to(path), file))
    return {file.relative_to(path).as_posix(): file for file in ([path] if path.is_file() else below)}


def code(judge: Judge) -> str:
    """The package that a judge comes from, its version, and a digest of the file that its class is in. Of several that
    name it, as an embedded model's further distributions do, it is the first.
    """
    kind = type(judge)
    package = kind.__module__.partition(".")[0]
    found = [
        f"{point.dist.name} {point.dist.version}"
        for point in entry_points(group="tracelang.judges")
        if point.dist is not None and point.module.partition(".")[0] == package
    ]
    try:
        own = sha256(Path(inspect.getfile(kind)))[:16]
    except (TypeError, OSError):
        own = "unknown"
    return f"{min(found, default=kind.__module__)}, {kind.__qualname__}, source sha256:{own}"


def _held(inside: Path, file: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in inside.parts)
