"""The plan: everything a recipe asks for, as frozen data with no default left to guess and no model in it.

A plan is what `tracec compile` writes and every later step reads. Two recipes that mean the same give plans with
the same `digest`: formatting, comments, the order of statements and the way a list was written do not reach it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from tracelang.semantics.tables import MAX_SEED, METRICS

FORMAT_VERSION: Literal[1] = 1
LANGUAGE_VERSION: Literal[1] = 1

Kind = Literal["object", "style", "identity", "explicit", "protected"]
Tokens = Literal["phrase", "last", "tail", "context", "all"]
Loss = Literal["prediction", "velocity"]
Unit = Literal["progress", "sigma", "logsnr", "t"]
Role = Literal["key", "value", "query", "out", "text_in", "pooled", "feedforward"]
Place = Literal["down", "mid", "up", "double", "single"]
Reads = Literal["prompt", "text"]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
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


class Window(Frozen):
    """A stretch of sampling, low < high in its unit; it includes the noisier end and excludes the cleaner one.

    Units: `progress` 0 = pure noise, 1 = finished image; `sigma`, `logsnr` and `t` (training timesteps) as written.
    """

    unit: Unit
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"an empty window {self.low}..{self.high}")
        if (self.unit != "logsnr" and self.low < 0) or (self.unit == "progress" and self.high > 1):
            raise ValueError(f"{self.unit} does not reach {self.low}..{self.high}")
        return self


class ReadsSites(Frozen):
    """Sites by what they read: `prompt` states alone, or the `text` stream's projections."""

    kind: Literal["reads"] = "reads"
    reads: Reads


class RoleSites(Frozen):
    """Sites by their role in a block."""

    kind: Literal["role"] = "role"
    role: Role


class GlobSites(Frozen):
    """Sites whose raw tensor name matches a glob."""

    kind: Literal["glob"] = "glob"
    pattern: str


class InPlaces(Frozen):
    """The sites of `of` that lie in one of the places."""

    kind: Literal["in"] = "in"
    of: Layers
    places: tuple[Place, ...]


class Difference(Frozen):
    """The sites of `left` that are not in `right`."""

    kind: Literal["difference"] = "difference"
    left: Layers
    right: Layers


class Union(Frozen):
    """The sites of any member."""

    kind: Literal["union"] = "union"
    members: Annotated[tuple[Layers, ...], Field(min_length=1)]


Layers = Annotated[ReadsSites | RoleSites | GlobSites | InPlaces | Difference | Union, Field(discriminator="kind")]


class Term(Frozen):
    """One windowed loss term of a steer pass. `strength` belongs to `push`; elsewhere it is None."""

    kind: Literal["push", "hold", "blank", "keep", "suppress", "contrast"]
    label: Label
    during: Window
    weight: Annotated[float, Field(ge=0)]
    strength: float | None


class RefinePass(Frozen):
    """Closed form: one shared map `T` for all layers that read the same text input (METHODS.md §1.2).

    `ridge` is relative to the mean eigenvalue of the erased Gram; `ridge_absolute`, where given, replaces it.
    """

    kind: Literal["refine"] = "refine"
    label: Label
    on: Layers
    tokens: Tokens
    ridge: Positive
    ridge_absolute: Positive | None
    erase_weight: Positive


class SteerPass(Frozen):
    """Fine-tuning of adapters along cached trajectories. `guidance` None: the model's own; `gate` None: mergeable.

    `loss`: squared errors of the denoiser's own `prediction`, or of the `velocity` that it stands for, which weighs the
    noise levels alike in every family.
    """

    kind: Literal["steer"] = "steer"
    label: Label
    on: Layers
    rank: Annotated[int, Field(ge=1, le=512)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    rate: Annotated[float, Field(gt=0, le=1)]
    loss: Loss
    batch: Annotated[int, Field(ge=1, le=65_536)]
    trajectories: Annotated[int, Field(ge=1, le=1_000_000)]
    sampler_steps: Annotated[int, Field(ge=2, le=1000)]
    guidance: Annotated[float, Field(ge=0)] | None
    refresh: Annotated[int, Field(ge=0, le=1_000_000)]
    gate: Window | None
    seed: Seed
    terms: tuple[Term, ...]

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        _distinct((term.label for term in self.terms), "terms of one label")
        return self


class FusePass(Frozen):
    """Many adapters become one edit (METHODS.md §1.4). `ridge` as in `RefinePass`."""

    kind: Literal["fuse"] = "fuse"
    label: Label
    ridge: Positive
    keep_weight: Annotated[float, Field(ge=0)]


class ProjectPass(Frozen):
    """Closed form where the preserved Gram's eigenvalues are below `threshold` (METHODS.md §7b)."""

    kind: Literal["project"] = "project"
    label: Label
    on: Layers
    tokens: Tokens
    threshold: Positive
    ridge_absolute: Positive


class HardenPass(Frozen):
    """Adversarial rounds (METHODS.md §4): find the states that still give the concept, erase those too."""

    kind: Literal["harden"] = "harden"
    label: Label
    on: Layers
    rounds: Annotated[int, Field(ge=1, le=1000)]
    penalty: Positive
    ridge_absolute: Positive
    keep_weight: Annotated[float, Field(ge=0)]


class MaskPass(Frozen):
    """Saliency masks (METHODS.md §6.3): only the weights that matter over `seeds` runs are trained afterwards."""

    kind: Literal["mask"] = "mask"
    label: Label
    on: Layers
    share: Annotated[float, Field(gt=0, le=1)]
    seeds: Annotated[int, Field(ge=1, le=1000)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]


Pass = Annotated[RefinePass | SteerPass | FusePass | ProjectPass | HardenPass | MaskPass, Field(discriminator="kind")]


class Method(Frozen):
    """A named sequence of passes; a setting's address is `label.setting` or `label.term_label.setting`."""

    name: Label
    passes: tuple[Pass, ...]

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        _distinct((one.label for one in self.passes), "passes of one label")
        return self


class Assertion(Frozen):
    """One expectation over a set, `samples` images per member; `attack` names the kind for the metric `attack`."""

    metric: str
    concepts: Annotated[tuple[Member, ...], Field(min_length=1)]
    attack: Label | None
    comparison: Literal["<=", ">="]
    bound: float
    samples: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"no metric is called {metric[:60]!r}")
        return metric


class Source(Frozen):
    """A file that was read, relative to the recipe root, with the sha256 of its bytes. No part of the digest."""

    path: Annotated[str, AfterValidator(_inside)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Literal["recipe", "include", "import", "list"]


class Plan(Frozen):
    """A compiled recipe. Concepts, erasures, preservations and assertions are sorted: their order has no meaning."""

    format_version: Literal[1] = FORMAT_VERSION
    language: Literal[1] = LANGUAGE_VERSION
    recipe: RecipeInfo
    concepts: tuple[Concept, ...]
    erase: tuple[Erasure, ...]
    preserve: tuple[Preservation, ...]
    method: Method
    expect: tuple[Assertion, ...]
    sources: tuple[Source, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        _distinct((concept.name for concept in self.concepts), "concepts of one name")
        _distinct((erasure.targets for erasure in self.erase), "erasures of the same targets")
        _distinct((one.concepts for one in self.preserve), "preservations of the same concepts")
        return self

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

    @cached_property
    def _by_name(self) -> dict[str, Concept]:
        return {concept.name: concept for concept in self.concepts}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; what was worked out from the old ones does not come along."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("digest", "_by_name"):
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

    def to_json(self) -> str:
        """The text of a plan file: the plan and its `digest`, indented, keys sorted, one final newline."""
        data: dict[str, Any] = {"digest": self.digest, **self.model_dump(mode="json")}
        return json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
