"""The everyday panel through both models: what every judge says of its pictures, and what their pixels say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tracelang.evidence.artifact import EvidenceError
from tracelang.evidence.bench import (
    Bench,
    Failed,
    Judgements,
    Record,
    SampleRow,
    Unit,
    Wanted,
    attempt,
    judged,
    kept,
    presence,
)
from tracelang.evidence.integrity import EverydayPair, pixels
from tracelang.evidence.judges import Class, Matching
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.plan.protected import refuse


class EverydayRow(SampleRow):
    """A pair of the panel. `sought`: judge, head and label of the class that it should show, where a world says so.
    `match`: before and after, does its own prompt fit best? None where no judge can tell. `whole` and `like` are
    `integrity.pixels`'.
    """

    base: Judgements
    after: Judgements
    sought: tuple[tuple[str, str, str], ...]
    match: tuple[bool, bool] | None
    whole: tuple[bool, bool]
    like: bool
    files: tuple[str, str]

    @property
    def pair(self) -> EverydayPair:
        """A judge that fails on a picture that is none is no error: there was nothing to see."""
        sought = [Sought(judge, Class(head, label)) for judge, head, label in self.sought]
        before, now = presence(self.base, sought), presence(self.after, sought)
        right: tuple[bool, bool] | None = None
        if sought:
            right = before.shows, now.shows
        elif self.match is not None:
            right = self.match
        elif before.subject is not None and now.subject is not None:
            right = before.subject, now.subject
        error = next((one.error for one, is_ in zip((before, now), self.whole, strict=True) if is_ and one.error), "")
        return EverydayPair(right, self.whole, self.like, error)


class EverydayRecord(Record):
    """`apart`: the edited pictures still differ from each other. `by`: the judge that says what is right, if any."""

    rows: tuple[EverydayRow, ...]
    apart: bool
    by: str


@dataclass(frozen=True)
class EverydayUnit(Unit):
    """`sought` says of each sample what it should show, where a judge's world does."""

    samples: tuple[Sample, ...]
    sought: tuple[Sought | None, ...]

    kind = "everyday"
    title = "everyday pictures"
    record = EverydayRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[EverydayUnit]:
        refuse(wanted.plan, [sample.prompt for sample in wanted.everyday], EvidenceError)
        if wanted.everyday:
            yield cls("everyday", tuple(wanted.everyday), tuple(wanted.everyday.values()))

    def done(self, bench: Bench, folder: Path) -> EverydayRecord:
        base, after = bench.both(self.samples)
        prompts = [sample.prompt for sample in self.samples]
        also = [sought for sought in self.sought if sought is not None]
        before, now = judged(bench.panel, base, also), judged(bench.panel, after, also)
        whole, like, apart = pixels(base, after, prompts)
        judge = None if also else next((one for one in bench.panel.judges if isinstance(one, Matching)), None)
        match = None if judge is None else attempt(lambda: matches(judge, (base, after), prompts))
        rows = tuple(
            EverydayRow(
                prompt=sample.prompt,
                seed=sample.seed,
                base=before[i],
                after=now[i],
                sought=() if sought is None else ((sought.judge, sought.found.head, sought.found.label),),
                match=None if match is None or isinstance(match, Failed) else match[i],
                whole=whole[i],
                like=like[i],
                files=kept(folder, f"{i:03d}", base[i], after[i]),
            )
            for i, (sample, sought) in enumerate(zip(self.samples, self.sought, strict=True))
        )
        return EverydayRecord(
            rows=rows,
            apart=apart,
            by=also[0].judge if also else judge.card.name if judge else "",
            errors=(f"which prompt a picture fits: {match.why}",) if isinstance(match, Failed) else (),
            pictures=2 * len(rows),
        )


def matches(judge: Matching, sides: Sequence[Tensor], prompts: Sequence[str]) -> list[tuple[bool, bool]]:
    """Of each pair of pictures, does its own prompt fit best among all?"""
    texts = list(dict.fromkeys(prompts))
    before, now = (
        [texts[k] == prompt for k, prompt in zip(judge.nearest(images, texts), prompts, strict=True)]
        for images in sides
    )
    return list(zip(before, now, strict=True))
