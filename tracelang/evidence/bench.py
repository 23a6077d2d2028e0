"""What every kind of work is made of: a unit of it, its record, and the bench that it is done on, with two models and
their judges. Pictures are drawn and judged here, or the text of what went wrong is kept.
"""

from __future__ import annotations

import resource
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch
from pydantic import BaseModel, PlainSerializer
from torch import Tensor

from tracelang.engine import sampling
from tracelang.engine.batches import batch_size
from tracelang.engine.precision import bfloat16_pays
from tracelang.engine.sampling import ELEMENTS, MOST, precision, sample_latents
from tracelang.evidence.artifact import Artifact, Ended, going_on
from tracelang.evidence.attacks import Budget
from tracelang.evidence.controls import Control
from tracelang.evidence.judges import Answer, Class, Judge, Labels, Scoring, named, several
from tracelang.evidence.labelled import picture
from tracelang.evidence.panel import Panel, Sought, digest
from tracelang.evidence.pictures import Row, Sample, rows
from tracelang.evidence.schema import Frozen
from tracelang.evidence.sheet import scaled
from tracelang.evidence.shelf import Held, Shelf
from tracelang.evidence.shelf import digest as states_digest
from tracelang.files import whole
from tracelang.models.protocol import Model, TextStates
from tracelang.plan.types import Member, Plan
from tracelang.version import versions

SIDE = 384
"""Pixels a side of a picture that is kept for the report; a smaller one stays as it is."""

Keep = Literal["all", "shown"]
"""Which pictures of plain prompts stay in the work folder."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failed:
    """What went wrong, in a line."""

    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge said of one picture: labels by head, several where the head names all there is; of the classes
    sought, the probability where it gives one; whether any recognisable thing is there, None where it cannot tell. With
    an `error`, none of it. `again`: it failed on the picture beside others, and not when it was asked alone.
    """

    labels: Mapping[str, Labels] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    subject: bool | None = None
    error: str = ""
    again: bool = False


def to_json(judgements: Mapping[str, Judgement]) -> dict[str, Any]:
    return {name: {"error": one.error} if one.error else _said(one) for name, one in judgements.items()}


def _said(one: Judgement) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "again" or value}


Judgements = Annotated[Mapping[str, Judgement], PlainSerializer(to_json)]
"""By the judge's name."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What a picture says of one member: all of its concepts are in it, the least probability of them, a subject."""

    shows: bool
    chance: float | None = None
    subject: bool | None = None
    error: str = ""


def attempt(measure: Callable[[], T], *passing: type[Exception]) -> T | Failed:
    """The measurement, or why there is none; `passing` is for the caller."""
    try:
        return measure()
    except passing:
        raise
    except Ended:
        raise
    except Exception as error:  # the one place: a judge, an attack or a measurement that fails is an error row,
        # whatever it raises, and makes what it touches inconclusive; nothing else would keep it from counting as zero
        return Failed(" ".join(f"{type(error).__name__}: {error}".split())[:500])


def ask(judge: Judge, images: Tensor, sought: Sequence[Class]) -> list[Judgement]:
    """What the judge says of each image; where it fails on some, those alone carry the error."""
    with going_on(f"the judge {judge.card.name}"):
        answered = attempt(lambda: list(judge.look(images)))
    if isinstance(answered, Failed):
        if len(images) == 1:
            return [Judgement(error=answered.why)]
        alone = (one for i in range(len(images)) for one in ask(judge, images[i : i + 1], sought))
        return [one if one.error else replace(one, again=True) for one in alone]
    if len(answered) != len(images):
        return [Judgement(error=f"the judge answered {len(answered)} times for {len(images)} pictures")] * len(images)
    found = []
    for answer in answered:
        read = attempt(lambda answer=answer: _read(judge, answer, sought))  # type: ignore[misc]
        found.append(Judgement(error=read.why) if isinstance(read, Failed) else read)
    return found


def _read(judge: Judge, answer: Answer, sought: Sequence[Class]) -> Judgement:
    """Raises ValueError for an answer that is none: no label, several of a head that names one, a label nobody knows, a
    score that is no probability.
    """
    labels = dict(answer.labels)
    scores: dict[str, dict[str, float]] = {}
    for one in sought:
        label, chances = labels.get(one.head), answer.scores.get(one.head, {})
        if isinstance(label, tuple) and one.head not in several(judge):
            raise ValueError(f"the judge gave {len(label)} labels for {one.head!r}, which names one thing")
        if not (isinstance(label, str) or (isinstance(label, tuple) and all(isinstance(each, str) for each in label))):
            raise ValueError(f"the judge gave no label for {one.head!r}")
        for each in named(label):
            if not {each, f"{one.head}: {each}"}.intersection(judge.card.classes):
                raise ValueError(f"the judge gave the label {each!r}, which is none of its classes")
        if not all(isfinite(chance) and -1e-6 <= chance <= 1 + 1e-6 for chance in chances.values()):
            raise ValueError(f"the judge gave a score for {one.head!r} that is no probability")
        if one.label in chances:
            scores.setdefault(one.head, {})[one.label] = round(float(chances[one.label]), 6)
    subject = judge.subject(answer)
    if subject is not None and not isinstance(subject, bool):
        raise ValueError(f"the judge answered {subject!r} when asked for a subject")
    return Judgement(labels, scores, subject)


def judged(panel: Panel, images: Tensor, also: Sequence[Sought] = ()) -> list[dict[str, Judgement]]:
    """Every judge's judgement of each image, for the panel's classes and those `also` sought. Pixels that are not
    finite are an error before any judge sees them.
    """
    rows: list[dict[str, Judgement]] = [{} for _ in images]
    finite = torch.isfinite(images).flatten(1).all(1).tolist()
    good = [i for i, is_ in enumerate(finite) if is_]
    for judge in panel.judges:
        name = judge.card.name
        wanted = [*(one for known in (panel.classes, panel.also) for some in known.values() for one in some), *also]
        classes = list(dict.fromkeys(one.found for one in wanted if one.judge == name))
        for i in range(len(images)):
            rows[i][name] = Judgement(error="the picture holds values that are not finite")
        for i, one in zip(good, ask(judge, images[good], classes) if good else (), strict=True):
            rows[i][name] = one
    return rows


def presence(judgements: Judgements, sought: Sequence[Sought]) -> Presence:
    """What the judgements of a picture say of a member; without a class, only whether a judge sees any subject."""
    involved = {one.judge: judgements[one.judge] for one in sought} if sought else judgements
    for name, one in involved.items():
        if one.error:
            return Presence(False, error=f"{name}: {one.error}")
    subjects = [one.subject for one in involved.values() if one.subject is not None]
    chances = [involved[one.judge].scores.get(one.found.head, {}).get(one.found.label) for one in sought]
    known = [chance for chance in chances if chance is not None]
    return Presence(
        bool(sought) and all(one.found.label in named(involved[one.judge].labels[one.found.head]) for one in sought),
        min(known) if known and len(known) == len(chances) else None,
        any(subjects) if subjects else None,
    )


def draw(model: Model, samples: Sequence[Sample], steps: int) -> Tensor:
    """Images `[n, 3, H, W]` in 0..1."""
    return sampling.sample(
        model,
        [sample.prompt for sample in samples],
        [sample.seed for sample in samples],
        steps=steps,
        fast=True,
    )


def prompts_and_seeds(samples: Sequence[Sample]) -> list[object]:
    return [[sample.prompt, sample.seed] for sample in samples]


def keep(folder: Path, name: str, image: Tensor) -> str:
    """Write the image as `folder/name.png`; its path below the folder's parent."""
    folder.mkdir(parents=True, exist_ok=True)
    side = min(SIDE, image.shape[-1])
    (picture,) = scaled(torch.nan_to_num(image[None]), side)
    with whole(folder / f"{name}.png") as draft:  # a process beside this one may draw the same unit
        picture.save(draft, format="PNG", optimize=True)
    return f"{folder.name}/{name}.png"


PACKAGES = ("tracelang", "tracelang-micro", "torch", "diffusers", "transformers", "scipy", "torchmetrics", "numpy")
"""Of whose numbers the results are made."""


@dataclass(frozen=True, eq=False)
class Bench:
    """`folder` is the base's. `clean` are latents of each concept that attacks were made on so far, as the base draws
    it. `others` are the controls by name, of which the one in memory is in `held`.
    """

    artifact: Artifact
    base: Model
    edited: Model
    panel: Panel
    budget: Budget
    steps: int
    folder: Path = Path()
    clean: dict[Member, Tensor] = field(default_factory=dict)
    made: dict[Member, dict[tuple[str, int], object]] = field(default_factory=dict)
    others: Mapping[str, Control] = field(default_factory=dict)
    held: dict[str, Model] = field(default_factory=dict)
    keep: Keep = "shown"
    kept: Mapping[Sample, tuple[Path, Path]] = field(default_factory=dict)
    """Pairs that need not be drawn, for they were: their files."""
    shelf: Shelf | None = None
    """Where what the base and controls draw is kept for other edits' sake."""
    spared: dict[str, int] = field(default_factory=dict)
    """How many `pictures` of the unit in work lay there already."""

    @property
    def controls(self) -> tuple[str, ...]:
        """`never-1`, `never-2`, … and `random`, as far as there are any."""
        return tuple(self.others)

    def model(self, name: str) -> Model:
        """`base`, `edited`, or a control, which is loaded when it is first asked for and takes the place of the one
        before. They share tensors: who trains one trains a copy. Raises KeyError, ModelError.
        """
        if name == "base":
            return self.base
        if name == "edited":
            return self.edited
        if name not in self.held:
            control = self.others[name]
            self.held.clear()
            self.held[name] = control.load()
        return self.held[name]

    @property
    def plan(self) -> Plan:
        return self.artifact.plan

    def facts(self, samples: int) -> dict[str, Any]:
        """All that the results depend on."""
        dtype = str(self.base.dtype).removeprefix("torch.")
        return {
            "plan": self.plan.digest,
            "base": self.base.fingerprint,
            "edited": self.artifact.fingerprint,
            "adapter": self.artifact.adapter_digest,
            "judges": [digest(card) for card in self.panel.cards],
            "sampler": self._sampler,
            "budget": {name: str(value) for name, value in asdict(self.budget).items()},
            "controls": {name: [one.model, one.fingerprint] for name, one in self.others.items()},
            "samples": samples,
            "device": self.base.device.type,
            "dtype": dtype,
            "versions": versions(PACKAGES),
        }

    @property
    def _sampler(self) -> dict[str, Any]:
        dtype = str(self.base.dtype).removeprefix("torch.")
        return {
            "steps": self.steps,
            "guidance": self.base.guidance,
            "batch": batch_size(self.base.latent_shape, ELEMENTS, MOST),
            "precision": "bfloat16 autocast" if bfloat16_pays(self.base) else dtype,
        }

    def shared(self, model: Model, kind: str, asked: Sequence[object]) -> list[object] | None:
        """All that decides what `model` gives where `asked`; None where an edit does, or nothing is kept."""
        if self.shelf is None or not (model is self.base or any(model is one for one in self.held.values())):
            return None
        gpu = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else ""
        machine = [model.device.type, gpu, str(model.dtype), versions(PACKAGES)]
        return [kind, self.base.fingerprint, model.fingerprint, self._sampler, machine, *asked]

    @property
    def plainly(self) -> list[object]:
        """What a model that no edit touches is asked by: the same whatever method edits, and with what prior."""
        how = {"sources", "recipe", "method", "prior", "digest"}
        return [self.plan.model_dump(mode="json", exclude=how), asdict(self.budget)]

    def once(self, facts: list[object] | None, make: Callable[[], Held], pictures: int = 0) -> Held:
        """`make()`, or what came of it for another edit."""
        if self.shelf is None or facts is None:
            return make()
        found, there = self.shelf.once(facts, make)
        self.spared["pictures"] = self.spared.get("pictures", 0) + (pictures if there else 0)
        return found

    def draw(self, model: Model, samples: Sequence[Sample], states: TextStates | None = None) -> Tensor:
        """Images `[n, 3, H, W]` in 0..1 of the samples; with `states`, of those in place of their prompts'."""
        if not samples:
            return torch.empty(0, 3, 1, 1)
        facts = self._pictures(model, samples, states)
        images = self.once(facts, lambda: ({"images": self._drawn(model, samples, states)}, {}), len(samples))
        return images[0]["images"].to(model.device)

    def _pictures(self, model: Model, samples: Sequence[Sample], states: TextStates | None = None) -> Any:
        return self.shared(model, "pictures", [prompts_and_seeds(samples), states_digest(states)])

    def _drawn(self, model: Model, samples: Sequence[Sample], states: TextStates | None) -> Tensor:
        if states is None:
            return draw(model, samples, self.steps)
        latents = self.latents(model, samples, states)
        with torch.no_grad(), precision(model, True):
            return model.decode(latents).float()

    def both(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        """The images of the base and of the edited model, drawn unless all of them are kept."""
        if self.has(samples):
            files = [self.kept[sample] for sample in samples]
            base, after = (torch.stack([picture(pair[side]) for pair in files]) for side in (0, 1))
            return base, after
        facts = self._pictures(self.base, samples)
        if self.shelf is not None and facts is not None and self.shelf.busy(facts):
            after = self.draw(self.edited, samples)  # the base's are there when these are
            return self.draw(self.base, samples), after
        return self.draw(self.base, samples), self.draw(self.edited, samples)

    def has(self, samples: Sequence[Sample]) -> bool:
        """Are all of these kept?"""
        return bool(samples) and self.kept.keys() >= set(samples)

    def latents(self, model: Model, samples: Sequence[Sample], states: TextStates | None = None) -> Tensor:
        """Clean latents `[n, …]` of the samples."""

        def made() -> Held:
            with torch.no_grad(), precision(model, True):
                told = model.encode([sample.prompt for sample in samples]) if states is None else states
            seeds = [sample.seed for sample in samples]
            return {"latents": sample_latents(model, told, seeds, steps=self.steps, fast=True)}, {}

        facts = self.shared(model, "latents", [prompts_and_seeds(samples)]) if states is None else None
        return self.once(facts, made)[0]["latents"].to(model.device)

    def judged(self, images: Tensor) -> list[dict[str, Judgement]]:
        """Every judge's judgement of each image."""
        return judged(self.panel, images)

    def scores(self, images: Tensor, samples: Sequence[Sample]) -> list[float]:
        """How well each picture fits its prompt, by the first judge that can tell; none without such a judge."""
        judge = next((judge for judge in self.panel.judges if isinstance(judge, Scoring)), None)
        prompts = [sample.prompt for sample in samples]
        scores: list[float] = [] if judge is None else judge.scores(images, prompts).tolist()
        if not all(isfinite(score) for score in scores):
            raise ValueError("a score is no number")
        return scores

    def memory(self) -> int:
        """The most bytes held at once so far: of the GPU where there is one, else of the process."""
        if self.base.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.base.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True)
class Wanted:
    """All that is to be measured of a plan. `judged` are the members that a judge knows, `attacks` those there are,
    `samples` the pictures of each concept and attack of which the recipe expects nothing: without any, only what it
    expects, and the certificate and the `everyday` panel, which are never left out.
    """

    plan: Plan
    judged: Mapping[Member, object]
    attacks: tuple[str, ...]
    samples: int
    everyday: Mapping[Sample, Sought | None]
    controls: tuple[str, ...] = ()
    """Their names, in the order in which they are loaded."""
    thorough: bool = False
    """Are more targets asked for than a small machine has time for?"""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return rows(self.plan, self.judged, self.samples)


class Record(Frozen):
    """What a finished unit says. Its file holds what was set, and nothing that was left at its default."""

    kind: str = ""
    seconds: float = 0.0
    processor: float = 0.0
    """Seconds of the process, whatever else the machine did; of a GPU's work, as `seconds`."""
    memory: int = 0
    """Bytes, the most that was held at once up to then."""
    pictures: int = 0
    """How many were drawn."""
    error: str = ""
    """What kept it from anything."""
    errors: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed in it, a line each, as far as no picture or attack carries it."""
        return (self.error, *self.errors) if self.error else self.errors

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


R = TypeVar("R", bound=Record)


def select(records: Mapping[str, Record], kind: type[R]) -> dict[str, R]:
    """The records of one kind, by their units' keys."""
    return {key: record for key, record in records.items() if isinstance(record, kind)}


class SampleRow(Frozen):
    """A line of a record: a sample, and what came of it."""

    prompt: str
    seed: int

    @property
    def sample(self) -> Sample:
        return Sample(self.prompt, self.seed)


@dataclass(frozen=True)
class Unit(ABC):
    """A piece of work: done as a whole or not at all. It does not know how many machines share the work, so the
    pictures of one batch, and with them every last bit of the results, do not depend on it either.
    """

    key: str
    control: str = field(default="", kw_only=True)
    """The control that it asks for, if it asks for one: units of one control are done together, after all others."""
    kind: ClassVar[str]
    title: ClassVar[str]
    """How its progress is told."""
    record: ClassVar[type[Record]]

    @classmethod
    @abstractmethod
    def wanted(cls, wanted: Wanted) -> Iterable[Unit]:
        """Every unit of this kind, in a fixed order. Raises EvidenceError where one would draw what is protected."""

    @abstractmethod
    def done(self, bench: Bench, folder: Path) -> Record:
        """Do it; pictures that are kept go into `folder`. A measurement that fails leaves its error in the record."""


def kept(folder: Path, name: str, base: Tensor, after: Tensor) -> tuple[str, str]:
    """Keep a pair of pictures for the report: their files."""
    return keep(folder, f"{name}-base", base), keep(folder, f"{name}-after", after)


def all_fields(figures: BaseModel) -> dict[str, Any]:
    """Every field of a part of the report, those at their default too."""
    return figures.model_dump(mode="json")
