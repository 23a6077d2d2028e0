"""Pictures of every prompt through both models, in batches of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from tracelang.evidence.bench import Bench, Failed, Judgements, Record, SampleRow, Unit, Wanted, attempt, kept, presence
from tracelang.evidence.judges import Featured
from tracelang.evidence.pictures import Sample, roles, samples_of
from tracelang.evidence.schema import Frozen
from tracelang.plan.types import Member

SHOTS = 50
"""Pictures of each model in a unit."""
FIRST = 3
"""So many pictures of each row the report shows whatever is in them."""
KEPT = 20
"""At most so many pairs of pictures of a unit the report may show besides."""

T = TypeVar("T")
Features = tuple[float, ...]


class ShotsRow(SampleRow):
    """`clip`: the scores before and after, where a judge gives them. `files`: the pictures, where they are kept;
    `aside` where they are kept only for who judges them again, and the report shows none of them.
    """

    base: Judgements
    after: Judgements
    clip: tuple[float, float] | None = None
    files: tuple[str, str] | None = None
    aside: bool = False


class FeaturesRecord(Frozen):
    """The features of the base's and the edited pictures in the rows' order, and what made them; or an error."""

    name: str = ""
    digest: str = ""
    base: tuple[Features, ...] = ()
    after: tuple[Features, ...] = ()
    error: str = ""

    @property
    def extractor(self) -> str:
        return f"{self.name} ({self.digest[:12]})" if self.name else ""


class ShotsRecord(Record):
    """`features` are None where no judge gives any."""

    rows: tuple[ShotsRow, ...]
    features: FeaturesRecord | None

    @property
    def failures(self) -> tuple[str, ...]:
        failed = self.features is not None and self.features.error
        return (*self.errors, *([f"features: {failed}"] if failed else []))

    def pairs_of_features(self) -> dict[Sample, tuple[Features, Features]]:
        """By sample, before and after; empty where there are none."""
        if self.features is None or self.features.error:
            return {}
        pairs = zip(self.features.base, self.features.after, strict=True)
        return dict(zip((row.sample for row in self.rows), pairs, strict=True))


@dataclass(frozen=True)
class ShotsUnit(Unit):
    """`members` says of each sample what is looked for in it; `shown` are those that the report shows whatever is in
    them.
    """

    samples: tuple[Sample, ...]
    members: tuple[tuple[Member, ...], ...]
    shown: frozenset[Sample]

    kind = "shots"
    title = "pictures"
    record = ShotsRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[ShotsUnit]:
        """No (prompt, seed) is drawn twice, whoever asks for it."""
        asked: dict[Sample, list[Member]] = {}
        shown: set[Sample] = set()
        for row in wanted.rows:
            for i, sample in enumerate(samples_of(wanted.plan, row)):
                members = asked.setdefault(sample, [])
                if row.member not in members:
                    members.append(row.member)
                if i < FIRST:
                    shown.add(sample)
        for key, part in batches("shots", {sample: tuple(members) for sample, members in asked.items()}):
            yield cls(key, tuple(part), tuple(part.values()), frozenset(shown.intersection(part)))

    def done(self, bench: Bench, folder: Path) -> ShotsRecord:
        base, after = bench.both(self.samples)
        before, now = bench.judged(base), bench.judged(after)
        clips = attempt(
            lambda: list(zip(bench.scores(base, self.samples), bench.scores(after, self.samples), strict=True))
        )
        rows, left = [], KEPT
        for i, sample in enumerate(self.samples):
            more: dict[str, Any] = {}
            if clips and not isinstance(clips, Failed):
                more["clip"] = clips[i]
            if sample in self.shown or (left and telling(bench, self.members[i], before[i], now[i])):
                left -= sample not in self.shown
                more["files"] = kept(folder, f"{i:03d}", base[i], after[i])
            elif bench.keep == "all":
                more.update(files=kept(folder, f"{i:03d}", base[i], after[i]), aside=True)
            rows.append(ShotsRow(prompt=sample.prompt, seed=sample.seed, base=before[i], after=now[i], **more))
        return ShotsRecord(
            rows=tuple(rows),
            pictures=0 if bench.has(self.samples) else 2 * len(self.samples),
            features=features(bench, base, after),
            errors=(f"CLIP score: {clips.why}",) if isinstance(clips, Failed) else (),
        )


def batches(name: str, asked: Mapping[Sample, T]) -> Iterator[tuple[str, dict[Sample, T]]]:
    """What is asked for in parts of `SHOTS`, each with its unit's key."""
    samples = list(asked)
    for begin in range(0, len(samples), SHOTS):
        yield f"{name}-{begin // SHOTS:04d}", {sample: asked[sample] for sample in samples[begin : begin + SHOTS]}


def telling(bench: Bench, members: Iterable[Member], before: Judgements, now: Judgements) -> bool:
    """Is it a residual hit, or a kept thing that was lost?"""
    role = roles(bench.plan)
    for member in members:
        sought = bench.panel.classes.get(member)
        if sought is None:
            continue
        base, after = presence(before, sought), presence(now, sought)
        if after.shows if role.get(member) == "erased" else base.shows and not after.shows:
            return True
    return False


def features(bench: Bench, base: Tensor, after: Tensor) -> FeaturesRecord | None:
    """The features of both, by the first judge that gives them, for distances between sets of pictures."""
    judge = next((judge for judge in bench.panel.judges if isinstance(judge, Featured)), None)
    if judge is None:
        return None

    def extracted() -> FeaturesRecord:
        extractor = judge.extractor()
        rows = [
            tuple(tuple(round(value, 5) for value in row) for row in extractor(images).tolist())
            for images in (base, after)
        ]
        return FeaturesRecord(name=extractor.name, digest=extractor.digest, base=rows[0], after=rows[1])

    found = attempt(extracted)
    return FeaturesRecord(error=found.why) if isinstance(found, Failed) else found
