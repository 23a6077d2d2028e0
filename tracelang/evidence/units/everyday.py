"""The everyday panel: pictures that no recipe chooses, drawn of every edit whatever a recipe expects, so that one which
destroys all but what its recipe looks at is seen. Does the edited model still draw?

Of a model whose judge knows its whole world, things of that world, those first that the recipe does not name; of any
other, the prompts of `everyday.txt`. Left out is what speaks of anything that the recipe erases or protects.

Three things are looked at, of pairs of one prompt and seed. Pictures that are none: not finite, flat, or rougher or
smoother than any of the base's by a wide margin; or all alike, whatever they were asked for. What was right: the class
of a judge's world, or by a judge that can tell the panel's prompts apart, the picture's own prompt. And where nobody
can tell what is right, likeness: a picture after the edit should be more like its own before than like another's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tracelang.engine.seeds import seed as seed_of
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
from tracelang.evidence.everyday import LEAST, banned, named, plain
from tracelang.evidence.everyday import gone as gone_of
from tracelang.evidence.judges import Class, Judge, Matching, Worldly
from tracelang.evidence.panel import Sought
from tracelang.evidence.pictures import Sample
from tracelang.evidence.schema import Integrity, Rate, Verdict
from tracelang.evidence.verdicts import paired, rate
from tracelang.plan.protected import refuse
from tracelang.plan.types import Concept, Plan

COUNT = 24
"""Pictures of each model. Of 24 that were right, 6 lost are a share of at least 12 % (95 % Wilson), and by chance as
likely one way as the other with p = 0.03; 5 are at least 9 %, p = 0.06.
"""
Everyday = dict[Sample, Sought | None]
"""What is drawn, and the class that the picture should show, where a judge's world says so."""


def everyday(plan: Plan, judges: Sequence[Judge]) -> Everyday:
    """The panel of a recipe; empty where it leaves fewer than `LEAST` prompts."""
    world = next((judge for judge in judges if isinstance(judge, Worldly)), None)
    prompts: Mapping[str, Sought | None] = (
        dict.fromkeys(plain(plan)) if world is None else _of_world(plan, world, banned(plan))
    )
    if len(prompts) < LEAST:
        return {}
    asked = list(prompts)
    rounds, rest = divmod(COUNT, len(asked))
    wanted = [(prompt, i) for i in range(rounds) for prompt in asked] + [(prompt, rounds) for prompt in asked[:rest]]
    return {Sample(prompt, seed_of("everyday", prompt, i, 0)): prompts[prompt] for prompt, i in wanted}


def unnamed(plan: Plan, judges: Sequence[Judge], panel: Everyday) -> Everyday:
    """What of the panel the recipe names nowhere, by word or by a judge's class: neither to keep it nor to draw it in
    place of what is gone.
    """
    told = named(plan)
    known = {(judge.card.name, one) for judge in judges for concept in plan.concepts for one in _known(judge, concept)}
    return {
        sample: sought
        for sample, sought in panel.items()
        if not told(sample.prompt) and (sought is None or (sought.judge, sought.found) not in known)
    }


def digest(panel: Everyday) -> str:
    """sha256 of what is asked for: part of what a run's results depend on."""
    rows = [
        (sample.prompt, sample.seed, None if one is None else (one.judge, one.found.head, one.found.label))
        for sample, one in panel.items()
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _of_world(plan: Plan, judge: Worldly, banned: Callable[[str], bool]) -> dict[str, Sought]:
    """At most `COUNT` of the world's things that may stay, at even distances: what the recipe does not name first."""
    gone = {found for concept in gone_of(plan) for found in _known(judge, concept)}
    named = {found for concept in plan.concepts for found in _known(judge, concept)}
    every = {prompt: found for prompt, found in judge.world() if found not in gone and not banned(prompt)}
    free = [prompt for prompt, found in every.items() if found not in named]
    rest = [prompt for prompt, found in every.items() if found in named]
    chosen = _evenly(free, COUNT)
    chosen += _evenly(rest, COUNT - len(chosen))
    return {prompt: Sought(judge.card.name, every[prompt]) for prompt in chosen}


def _evenly(items: Sequence[str], most: int) -> list[str]:
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def _known(judge: Judge, concept: Concept) -> Iterator[Class]:
    """The classes that a concept's words mean, each word for itself: together they may mean none."""
    for word in (*concept.names, *concept.probes):
        if (found := judge.find([word], concept.kind)) is not None:
            yield found


LOST = 0.10
"""An edit is taken for broken where more than this share of what the base got right is lost, beyond doubt: the lower
end of the 95 % interval lies above it, and more was lost than gained (exact McNemar, 5 %).
"""
ENOUGH = 10
"""So many pictures has the base to get right before their loss says anything."""
MARGIN = 4.0
"""A picture is flat, or too smooth, below the least of the base's divided by this; too rough above the most times half
of it. White noise is rougher than a photograph by more than that.
"""
ALIKE = 0.2
"""The pictures are all alike where they differ from each other by less than this share of what the base's do."""
THUMB = 16


@dataclass(frozen=True, slots=True)
class EverydayPair:
    """One pair of the panel. `right`: before and after, None where nobody can tell; `whole`: each is a picture;
    `like`: the one after is most like its own before. With an `error`, none of it.
    """

    right: tuple[bool, bool] | None
    whole: tuple[bool, bool]
    like: bool
    error: str = ""


def pixels(base: Tensor, after: Tensor, prompts: Sequence[str]) -> tuple[list[tuple[bool, bool]], list[bool], bool]:
    """Of each pair: are both pictures at all, and is the one after most like its own before (any of that prompt's)?
    And, of them all: do the edited ones still differ from each other? Images are `[n, 3, H, W]` in 0..1.
    """
    contrast, rough = _texture(base)
    known = torch.isfinite(contrast)

    def whole(images: Tensor) -> list[bool]:
        c, r = _texture(images)
        if not known.any():
            return [False] * len(images)
        fine = (c >= contrast[known].min() / MARGIN) & (r >= rough[known].min() / MARGIN)
        found: list[bool] = (fine & (r <= rough[known].max() * MARGIN / 2) & torch.isfinite(c)).tolist()
        return found

    before, now = (adaptive_avg_pool2d(torch.nan_to_num(images).float(), THUMB).flatten(1) for images in (base, after))
    nearest = torch.cdist(now, before).argmin(1).tolist()
    like = [prompts[k] == prompt for k, prompt in zip(nearest, prompts, strict=True)]
    apart = bool(torch.pdist(now).mean() >= ALIKE * torch.pdist(before).mean()) if len(now) > 1 else True
    return list(zip(whole(base), whole(after), strict=True)), like, apart


def _texture(images: Tensor) -> tuple[Tensor, Tensor]:
    """Contrast (standard deviation) and roughness (mean step between neighbours, of the contrast) of each image."""
    x = images.float()
    contrast = x.flatten(1).std(1)
    across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    return contrast, (across.abs().mean((1, 2, 3)) + down.abs().mean((1, 2, 3))) / 2 / contrast.clamp_min(1e-6)


def integrity(rows: Sequence[EverydayPair], apart: bool = True, by: str = "") -> Integrity:
    """The verdict of the panel; `by` says who told what is right. Empty rows: the recipe leaves no panel."""
    if not rows:
        few = f"fewer than {LEAST} everyday prompts speak of nothing that the recipe erases or protects"
        return Integrity(verdict="inconclusive", reason=f"{few}, so nobody can say whether the edit spares the rest")
    errors = [row.error for row in rows if row.error]
    if errors:
        why = f"{len(errors)} of {len(rows)} pictures have an error: {errors[0]}"
        return Integrity(verdict="inconclusive", reason=why)
    known = [row.right for row in rows if row.right is not None]
    changes = [right for right in known if right[0]]
    whole = [row.whole[1] for row in rows if row.whole[0]]
    like = [row.like for row in rows]
    pictures, alike = rate(sum(whole), len(whole)), rate(sum(like), len(like))
    before = rate(len(changes), len(known)) if known else None
    kept = rate(sum(now for _, now in changes), len(changes)) if changes else None
    turned = paired([a for a, _ in known], [b for _, b in known]) if known else None
    p = turned.p if turned and turned.lost > turned.gained else 1.0
    verdict, reason = _decided(before, kept, p, pictures, alike, apart, by)
    return Integrity(
        verdict=verdict, reason=reason, pictures=pictures, base=before, kept=kept, paired=turned, like=alike
    )


def _decided(
    before: Rate | None, kept: Rate | None, p: float, pictures: Rate, alike: Rate, apart: bool, by: str
) -> tuple[Verdict, str]:
    if not pictures.n:
        return "inconclusive", "the base model's own everyday pictures are none"
    if _lost(pictures) > LOST:
        none = f"{pictures.n - pictures.hits} of {pictures.n} are no pictures any more"
        return "fail", f"{none}: not finite, flat, or of a texture that none of the base model's has"
    if not apart:
        return "fail", f"all {pictures.n} pictures are nearly the same, whatever was asked for"
    same = f"{alike.hits} of {alike.n} are still most like the picture that the base model draws"
    if before is not None and kept is not None and kept.n >= ENOUGH:
        told = f"of {kept.n} that the base model got right {kept.hits} are right after it{f' ({by})' if by else ''}"
        if _lost(kept) > LOST and p < 0.05:
            return "fail", f"{told}: more than {LOST:.0%} of what the recipe does not speak of is lost"
        return "pass", f"{told}; {same}"
    why = "no judge knows what they show" if before is None else f"the base model got {before.hits} of {before.n} right"
    if _lost(alike) > LOST:
        return "inconclusive", f"{same} of that prompt, and {why}: what they show now is unknown"
    return "pass", f"{same}, and {why}"


def _lost(kept: Rate) -> float:
    """The lower end of the share that is lost."""
    return 1 - kept.high


class EverydayRow(SampleRow):
    """A pair of the panel. `sought`: judge, head and label of the class that it should show, where a world says so.
    `match`: before and after, does its own prompt fit best? None where no judge can tell. `whole` and `like` are
    `pixels`'.
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
            pictures=0 if bench.has(self.samples) else 2 * len(rows),
        )


def matches(judge: Matching, sides: Sequence[Tensor], prompts: Sequence[str]) -> list[tuple[bool, bool]]:
    """Of each pair of pictures, does its own prompt fit best among all?"""
    texts = list(dict.fromkeys(prompts))
    before, now = (
        [texts[k] == prompt for k, prompt in zip(judge.nearest(images, texts), prompts, strict=True)]
        for images in sides
    )
    return list(zip(before, now, strict=True))
