"""The plan: everything a recipe asks for, as frozen data with no default left to guess and no model in it.

A plan is what `tracec compile` writes and every later step reads. Two recipes that mean the same give plans with
the same `digest`: formatting, comments, the order of statements and the way a list was written do not reach it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FORMAT_VERSION: Literal[1] = 1
LANGUAGE_VERSION: Literal[1] = 1

Kind = Literal["object", "style", "identity", "explicit", "protected"]
Tokens = Literal["phrase", "last", "tail", "context", "all"]
Unit = Literal["progress", "sigma", "logsnr", "t"]
Role = Literal["key", "value", "query", "out", "text_in", "pooled", "feedforward"]
Place = Literal["down", "mid", "up", "double", "single"]
Reads = Literal["prompt", "text"]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

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
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    probes: tuple[str, ...]
    templates: tuple[str, ...]


class Erasure(Frozen):
    """`erase targets [toward anchor | away] degree p`. No anchor and not away: toward the neutral state."""

    targets: Annotated[Member, Field(min_length=1)]
    anchor: Member | None
    away: bool
    degree: Share


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

    kind: Literal["push", "hold", "blank", "keep"]
    label: str
    during: Window
    weight: Annotated[float, Field(ge=0)]
    strength: float | None


class RefinePass(Frozen):
    """Closed form: one shared map `T` for all layers that read the same text input (METHODS.md §1.2).

    `ridge` is relative to the mean eigenvalue of the erased Gram; `ridge_absolute`, where given, replaces it.
    """

    kind: Literal["refine"] = "refine"
    label: str
    on: Layers
    tokens: Tokens
    ridge: Positive
    ridge_absolute: Positive | None
    erase_weight: Positive


class SteerPass(Frozen):
    """Fine-tuning of adapters along cached trajectories. `guidance` None: the model's own; `gate` None: mergeable."""

    kind: Literal["steer"] = "steer"
    label: str
    on: Layers
    rank: Annotated[int, Field(ge=1, le=512)]
    steps: Annotated[int, Field(ge=1, le=1_000_000)]
    rate: Annotated[float, Field(gt=0, le=1)]
    batch: Annotated[int, Field(ge=1)]
    trajectories: Annotated[int, Field(ge=1)]
    sampler_steps: Annotated[int, Field(ge=2, le=1000)]
    guidance: Annotated[float, Field(ge=0)] | None
    refresh: Annotated[int, Field(ge=0)]
    gate: Window | None
    seed: Annotated[int, Field(ge=0)]
    terms: tuple[Term, ...]


class FusePass(Frozen):
    """Many adapters become one edit (METHODS.md §1.4). `ridge` as in `RefinePass`."""

    kind: Literal["fuse"] = "fuse"
    label: str
    ridge: Positive
    keep_weight: Annotated[float, Field(ge=0)]


Pass = Annotated[RefinePass | SteerPass | FusePass, Field(discriminator="kind")]


class Method(Frozen):
    """A named sequence of passes; a setting's address is `label.setting` or `label.term_label.setting`."""

    name: str
    passes: tuple[Pass, ...]


class Assertion(Frozen):
    """One expectation over a set, `samples` images per member; `attack` names the kind for the metric `attack`."""

    metric: str
    concepts: Annotated[tuple[Member, ...], Field(min_length=1)]
    attack: str | None
    comparison: Literal["<=", ">="]
    bound: float
    samples: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


class Source(Frozen):
    """A file that was read, relative to the recipe root, with the sha256 of its bytes. No part of the digest."""

    path: str
    sha256: str
    role: Literal["recipe", "list"]


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

    @field_validator("concepts")
    @classmethod
    def _distinct(cls, concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
        names = [concept.name for concept in concepts]
        if len(set(names)) != len(names):
            raise ValueError("two concepts of one name")
        return concepts

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
