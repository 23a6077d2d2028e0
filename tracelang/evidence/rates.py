"""Paired rates: the same prompts and seeds through the base and the edited model, each picture judged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tracelang.evidence.judges import Answer, Judge
from tracelang.evidence.report import Rate

Draw = Callable[[Sequence[str], Sequence[int]], Tensor]
"""prompts, seeds → images `[n, 3, H, W]` in 0..1."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to be drawn: `row` is the line of the table it counts for; `head` and `wanted` what is looked for."""

    row: tuple[str, str]
    prompt: str
    head: str
    wanted: str
    seed: int


def rate(hits: int, n: int) -> Rate:
    """`hits` of `n`, with its 95 % Wilson interval; of nothing, everything is possible."""
    from scipy.stats import binomtest

    if not n:
        return Rate(hits=0, n=0, low=0.0, high=1.0)
    found = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Rate(hits=hits, n=n, low=float(found.low), high=float(found.high))


def judge_all(
    draw: Draw, judge: Judge, asked: Sequence[Shot], kept: Path | None = None, chunk: int = 200
) -> list[Answer]:
    """What the judge sees in every shot, in order. `kept` is a file of finished chunks, so that a run may continue.

    The caller names `kept` after everything the pictures depend on (model, edit, sampler).
    """
    done = _read(kept) if kept else {}
    keys = [f"{shot.seed}:{shot.prompt}" for shot in asked]
    missing = [i for i, key in enumerate(keys) if key not in done]
    for begin in range(0, len(missing), chunk):
        part = missing[begin : begin + chunk]
        seen = judge.look(draw([asked[i].prompt for i in part], [asked[i].seed for i in part]))
        if len(seen) != len(part):
            raise ValueError(f"the judge {judge.card.name} answered {len(seen)} times for {len(part)} pictures")
        done |= {keys[i]: one for i, one in zip(part, seen, strict=True)}
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a") as file:
                for i in part:
                    file.write(json.dumps({"key": keys[i], "seen": dict(done[keys[i]].labels)}) + "\n")
    return [done[key] for key in keys]


def tally(asked: Sequence[Shot], seen: Sequence[Answer]) -> dict[tuple[str, str], Rate]:
    """Per row: in how many pictures the judge found what was looked for."""
    counts: dict[tuple[str, str], list[bool]] = {}
    for shot, one in zip(asked, seen, strict=True):
        counts.setdefault(shot.row, []).append(one.labels[shot.head] == shot.wanted)
    return {row: rate(sum(hits), len(hits)) for row, hits in counts.items()}


def pooled(rates: Iterable[Rate]) -> Rate:
    """Several rates as one."""
    parts = list(rates)
    return rate(sum(part.hits for part in parts), sum(part.n for part in parts))


def _read(kept: Path) -> dict[str, Answer]:
    """The finished shots of a file. A line that a stop cut short, and all after it, is dropped from the file."""
    done: dict[str, Answer] = {}
    if kept.exists():
        good = 0
        lines = kept.read_bytes().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                done[entry["key"]] = Answer(entry["seen"])
            except (ValueError, KeyError, TypeError):
                break
            good += len(line)
        if good < kept.stat().st_size:
            os.truncate(kept, good)
    return done
