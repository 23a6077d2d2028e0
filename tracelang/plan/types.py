"""The plan: everything a recipe asks for, as frozen data with no default left to guess and no model in it.

A plan is what `tracec compile` writes and every later step reads. Two recipes that mean the same give plans with
the same `digest`: formatting, comments, the order of statements and the way a list was written do not reach it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from tracelang.semantics.fields import Field as Setting
from tracelang.semantics.fields import attributes, settings
from tracelang.semantics.kinds import PASSES, TERMS, Pass, Term, declared, takes_terms
from tracelang.semantics.prior import Prior, sampled
from tracelang.semantics.tables import ATTACKS, MAX_CONTROLS, MAX_MODEL_NAME, MAX_SEED, METRICS, ROUNDINGS, SUITES, Kind
from tracelang.semantics.values import (
    Auto,
    Difference,
    GlobSites,
    InPlaces,
    Layers,
    Place,
    ReadsSites,
    Role,
    RoleSites,
    Tokens,
    Union,
    Unit,
    Window,
    ordered,
)
from tracelang.syntax.text import quote
from tracelang.syntax.tree import LANGUAGE_VERSION

__all__ = [
    "After",
    "Assertion",
    "Auto",
    "Concept",
    "Control",
    "Difference",
    "Erasure",
    "GlobSites",
    "InPlaces",
    "Kind",
    "Layers",
    "Member",
    "Method",
    "Place",
    "Plan",
    "Preservation",
    "Prior",
    "ReadsSites",
    "RecipeInfo",
    "Role",
    "RoleSites",
    "Source",
    "Suite",
    "SuiteRow",
    "Tokens",
    "Union",
    "Unit",
    "Window",
]

FORMAT_VERSION: Literal[2] = 2
NAME = r"[a-z][a-z0-9_]*"

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Label = Annotated[str, Field(pattern=f"^{NAME}$")]
"""A name of the language. Labels name files of a training run."""
Words = Annotated[str, Field(pattern=r"\S")]


def _one_hole(text: str) -> str:
    if not text.count("{}") == text.count("{") == text.count("}") == 1:
        raise ValueError(f"a template has one {{}}: {text[:60]!r} has not")
    return text


def _inside(path: str) -> str:
    """Below the recipe root, on whatever system reads the plan."""
    if not path or "\0" in path or re.match(r"[/\\]|[A-Za-z]:[/\\]", path) or ".." in re.split(r"[/\\]", path):
        raise ValueError(f"a source lies inside the recipe root: {path[:60]!r} does not")
    return path


def _distinct(names: Iterable[Hashable], what: str) -> None:
    seen = list(names)
    if len(set(seen)) != len(seen):
        raise ValueError(f"two {what}")


Template = Annotated[str, AfterValidator(_one_hole)]

Member = tuple[str, ...]
"""One member of a set, by concept name. More than one name: all of them in one picture (`A & B`), names sorted."""


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RecipeInfo(Frozen):
    """The header of the recipe. Empty where the author stated nothing."""

    name: str = ""
    version: str = ""
    summary: str = ""
    owner: str = ""
    review_by: str = ""
    supports: tuple[str, ...] = ()
    threat: str = ""


class Concept(Frozen):
    """A concept that some statement uses: its words (the first is the canonical one) and how prompts are made of it."""

    name: str
    kind: Kind
    names: Annotated[tuple[Words, ...], Field(min_length=1)]
    probes: tuple[Words, ...]
    templates: Annotated[tuple[Template, ...], Field(min_length=1)]


class Erasure(Frozen):
    """`erase targets [toward anchor | away] degree p`. No anchor and not away: toward the neutral state."""

    targets: Annotated[Member, Field(min_length=1)]
    anchor: Annotated[Member, Field(min_length=1)] | None
    away: bool
    degree: Share

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.away and self.anchor is not None:
            raise ValueError("an erasure with an anchor and away")
        return self


class Preservation(Frozen):
    """`preserve concepts weight w`."""

    concepts: Annotated[Member, Field(min_length=1)]
    weight: Positive


class _Value(Frozen):
    """What a setting of one of these types holds, as a plan file states it."""

    value: Window | Auto | Layers


def _setting(field: Setting, value: Any) -> Any:
    if value is None and field.absent and field.type != "choices":
        return None
    if field.type in ("window", "sites"):
        found = _Value.model_validate_json(json.dumps({"value": value}), strict=True).value
        window = found if isinstance(found, Window | Auto) else None
        if (window is not None) != (field.type == "window") or (window is not None and not ordered(window)):
            raise ValueError(f"no {field.type} is {value}")
        return found
    value = tuple(value) if isinstance(value, list) else value
    if not field.fits(value):
        raise ValueError(f"{value!r:.60} does not fit")
    return int(value) if field.type == "integer" else float(value) if field.type == "number" else value


def _step(package: str) -> Callable[[Any], Any]:
    """What reads a pass or a term: as the compiler made it, or as a plan file states it, each of its settings there."""

    def read(stated: Any) -> Any:
        if isinstance(stated, Pass | Term):
            return stated
        kind = stated.get("kind") if isinstance(stated, dict) else None
        declaration = declared(package, kind) if isinstance(kind, str) else None
        if declaration is None:
            raise ValueError(f"{package.rpartition('.')[2]} of no known kind")
        fields = settings(declaration)
        parts = {"terms": tuple(map(_step(TERMS), _several(stated, "terms")))} if takes_terms(declaration) else {}
        later = {name for name, field in fields.items() if field.later} - stated.keys()
        if stated.keys() | later != {"kind", "label", *fields, *parts}:
            raise ValueError(f"`{kind}` has other settings")
        if not isinstance(stated["label"], str) or not re.fullmatch(NAME, stated["label"]):
            raise ValueError(f"`{kind}` has no label of the language")
        _distinct((one.label for one in parts.get("terms", ())), "terms of one label")
        values = {name: _setting(field, stated[name]) for name, field in fields.items() if name in stated}
        return declaration(label=stated["label"], **attributes(values), **parts)

    return read


def _several(stated: dict[str, Any], name: str) -> list[Any]:
    """A list of a plan file."""
    found = stated.get(name)
    if not isinstance(found, list):
        raise ValueError(f"`{name}` is no list")
    return found


def _stated(step: Pass | Term) -> dict[str, Any]:
    """A pass or a term as a plan states it: each of its settings, a later one only where it is not the default."""
    usual = type(step)()  # type: ignore[call-arg]
    values = {name: getattr(step, name) for name, field in settings(step).items() if not field.later}
    later = {name: getattr(step, name) for name, field in settings(step).items() if field.later}
    values |= {name: value for name, value in later.items() if value != getattr(usual, name)}
    parts = {"terms": tuple(map(_stated, step.terms))} if isinstance(step, Pass) and takes_terms(step) else {}
    return {"kind": step.kind, "label": step.label, **values, **parts}


def _prior(stated: Any) -> Prior:
    """A prior: as the compiler made it, or as a plan file states it."""
    if isinstance(stated, Prior):
        return stated
    fields = settings(Prior)
    if not isinstance(stated, dict) or stated.keys() != {"kind", "prompts", *fields}:
        raise ValueError("a prior has other settings")
    values = {name: _setting(field, stated[name]) for name, field in fields.items()}
    kind, prompts = stated["kind"], tuple(_several(stated, "prompts"))
    if not all(isinstance(text, str) and text.strip() for text in prompts):
        raise ValueError("a prior's prompts are texts")
    if kind != ("given" if prompts else "vocabulary") or prompts != sampled(prompts, values["sample"], values["seed"]):
        raise ValueError("a prior's prompts do not fit it")
    return Prior(kind, prompts, **values)


class Method(Frozen):
    """A named sequence of passes; a setting's address is `label.setting` or `label.term_label.setting`."""

    name: Label
    passes: tuple[Annotated[Any, PlainValidator(_step(PASSES)), PlainSerializer(_stated)], ...]

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        _distinct((one.label for one in self.passes), "passes of one label")
        return self


class Control(Frozen):
    """What measurements are read against: `never`, models that never knew what is erased, in order, each a name or a
    folder; `random`, the base with a denoiser of random weights, which names none.
    """

    kind: Literal["never", "random"]
    models: Annotated[
        tuple[Annotated[Words, Field(max_length=MAX_MODEL_NAME)], ...], Field(max_length=MAX_CONTROLS)
    ] = ()

    @model_validator(mode="after")
    def _named(self) -> Self:
        _distinct(self.models, "models of one name in a control")
        if bool(self.models) != (self.kind == "never"):
            raise ValueError("a control `never` names its models, and `random` has none")
        return self


class After(Frozen):
    """What is done to the edited weights first: `round` to a number format, `merge` with a share of the base, or an
    `adapter` of others added at that strength.
    """

    how: Literal["round", "merge", "adapter"]
    to: str = ""
    share: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        rounds = self.how == "round"
        if (self.to in ROUNDINGS) != rounds or (self.share is None) != rounds or bool(self.to) != rounds:
            raise ValueError(
                "weights are rounded to a number format, or merged with a share, or an adapter added at one"
            )
        return self


class SuiteRow(Frozen):
    """A prompt of a suite, and the concept that it asks about; its own seed and guidance, where it has them."""

    concept: str
    prompt: Words
    seed: Seed | None = None
    guidance: float | None = None


class Suite(Frozen):
    """The prompts of a published suite that an assertion asks about: its file or folder below the recipe root, who
    reads it, and the rows, each once, in the suite's order.
    """

    path: Annotated[str, AfterValidator(_inside)]
    reader: str
    rows: Annotated[tuple[SuiteRow, ...], Field(min_length=1)]

    @field_validator("reader")
    @classmethod
    def _known(cls, reader: str) -> str:
        if reader not in SUITES:
            raise ValueError(f"no suite is called {reader[:60]!r}")
        return reader

    @model_validator(mode="after")
    def _once(self) -> Self:
        _distinct(self.rows, "rows of a suite that are the same")
        return self

    def of(self, concept: str) -> tuple[SuiteRow, ...]:
        """The rows that ask about a concept."""
        return tuple(row for row in self.rows if row.concept == concept)


class Assertion(Frozen):
    """One expectation over a set, `samples` images per member; `attack` is the kind, where the metric takes one; with a
    `suite` the prompts are its own; `after` is what is done to the edited weights first.
    """

    metric: str
    concepts: Annotated[tuple[Member, ...], Field(min_length=1)]
    attack: Label | None
    suite: Suite | None = None
    after: After | None = None
    comparison: Literal["<=", ">="]
    bound: float
    samples: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed

    @property
    def on(self) -> str:
        """Whose prompts are asked, where they are a suite's, as a recipe says it."""
        return f"on suite {quote(self.suite.path)} as {self.suite.reader}" if self.suite else ""

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"no metric is called {metric[:60]!r}")
        return metric

    @model_validator(mode="after")
    def _asked(self) -> Self:
        metric = METRICS[self.metric]
        if (metric.attack is None and self.attack) or (metric.attack == "must" and not self.attack):
            raise ValueError(f"`{self.metric}` {'needs an' if metric.attack else 'takes no'} attack")
        if self.after is not None and not metric.after:
            raise ValueError(f"`{self.metric}` cannot be asked of changed weights")
        if self.suite is not None:
            rows = {row.concept for row in self.suite.rows}
            if not metric.suite or self.attack or {(name,) for name in rows} != set(self.concepts):
                raise ValueError(f"`{self.metric}` and its suite are not of the same concepts")
        return self

    @model_serializer(mode="wrap")
    def _said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of weights as they are, and of prompts that are the concept's own, nothing is said: what was compiled before
        there was another way keeps its digest.
        """
        data: dict[str, Any] = write(self)
        for name in ("suite", "after"):
            if getattr(self, name) is None:
                data.pop(name, None)
        return data


class Source(Frozen):
    """A file that was read, relative to the recipe root, with the sha256 of its bytes. No part of the digest."""

    path: Annotated[str, AfterValidator(_inside)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Literal["recipe", "include", "import", "list", "suite"]


class Plan(Frozen):
    """A compiled recipe. Concepts, statements and assertions are sorted: their order has no meaning."""

    format_version: Literal[2] = FORMAT_VERSION
    language: Literal[1] = LANGUAGE_VERSION
    recipe: RecipeInfo
    concepts: tuple[Concept, ...]
    erase: tuple[Erasure, ...]
    preserve: tuple[Preservation, ...]
    prior: tuple[Annotated[Any, PlainValidator(_prior)], ...] = ()
    method: Method
    controls: tuple[Control, ...] = ()
    expect: tuple[Assertion, ...]
    sources: tuple[Source, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        _distinct((concept.name for concept in self.concepts), "concepts of one name")
        _distinct((erasure.targets for erasure in self.erase), "erasures of the same targets")
        _distinct((one.concepts for one in self.preserve), "preservations of the same concepts")
        _distinct((one.prompts for one in self.prior), "priors of the same prompts")
        _distinct((one.kind for one in self.controls), "controls of one kind")
        return self

    @model_serializer(mode="wrap")
    def _said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of priors and controls, where there are none, nothing is said: what was compiled before there were any keeps
        its digest.
        """
        data: dict[str, Any] = write(self)
        for name in ("prior", "controls"):
            if not getattr(self, name):
                data.pop(name, None)
        return data

    @model_validator(mode="after")
    def _closed(self) -> Self:
        known = {concept.name for concept in self.concepts}
        members: list[Member] = [erasure.targets for erasure in self.erase]
        members += [erasure.anchor for erasure in self.erase if erasure.anchor is not None]
        members += [preservation.concepts for preservation in self.preserve]
        members += [member for assertion in self.expect for member in assertion.concepts]
        missing = sorted({name for member in members for name in member} - known)
        if missing:
            raise ValueError(f"a statement names the concept {missing[0]!r}, which the plan does not hold")
        return self

    @property
    def active(self) -> tuple[Erasure, ...]:
        """The erasures that take part: a degree of 0 is none."""
        return tuple(erasure for erasure in self.erase if erasure.degree > 0)

    @property
    def trained_against(self) -> tuple[str, ...]:
        """The attacks that are not held out: some pass erases inputs such as they find."""
        passes = self.method.passes if self.active else ()
        named = {attack for step in passes for attack in step.trained_against}
        return tuple(attack for attack in ATTACKS if attack in named)

    @cached_property
    def _by_name(self) -> dict[str, Concept]:
        return {concept.name: concept for concept in self.concepts}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; what was worked out from the old ones does not come along."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("digest", "edit_digest", "_by_name"):
            copied.__dict__.pop(name, None)
        return copied

    def concept(self, name: str) -> Concept:
        """The concept of that name. Raises KeyError."""
        return self._by_name[name]

    def canonical_json(self) -> str:
        """The meaning of the plan as compact JSON with sorted keys: what `digest` is taken over. Without sources."""
        data = self.model_dump(mode="json", exclude={"sources"})
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @cached_property
    def digest(self) -> str:
        """sha256 of `canonical_json()`, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @cached_property
    def edit_digest(self) -> str:
        """sha256 of what decides the edit, as 64 hexadecimal digits: the same where one edit is called otherwise, or
        other things are asked of it.
        """
        said = [one.targets for one in self.erase] + [one.anchor or () for one in self.erase]
        said += [one.concepts for one in self.preserve]
        used = {name for member in said for name in member}
        concepts = tuple(one.model_copy(update={"probes": ()}) for one in self.concepts if one.name in used)
        asked = {"recipe": RecipeInfo(), "concepts": concepts, "controls": (), "expect": ()}
        return hashlib.sha256(self.model_copy(update=asked).canonical_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The text of a plan file: the plan and its `digest`, indented, keys sorted, one final newline."""
        data: dict[str, Any] = {"digest": self.digest, **self.model_dump(mode="json")}
        return json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
