"""`OUT/report/registered.json`: what was registered before anything was drawn, which runs began, and what came of them.

The log is only ever appended to, and `tracec apply --force` carries it over. So a verdict that somebody did not like,
and a run that was stopped and begun with other options, stay visible in every later report. Each entry holds the sha256
of the one before: whoever takes one out has to write all that follow anew, and there is no key in it. An attestation
covers it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from tracelang.clock import utc
from tracelang.evidence.known import Known, fixed
from tracelang.evidence.schema import EarlierRun, Frozen, Registered
from tracelang.evidence.work import Run, Work, WorkError, held, opened, runs
from tracelang.files import write_text
from tracelang.plan.explain import said
from tracelang.plan.types import Plan

LOG = "registered.json"
KNOWN = {"digest", "threshold", "setting", "code"}
"""What a registration fixes of a judge."""
FEW = 12
"""So many differences from a registration are told; the rest is counted."""


class Entry(Frozen):
    """`asked` is what a registration holds; `verdict` what was published of a run; `before` the entry before it."""

    what: Literal["registered", "begun", "verdict"]
    at: str
    run: str
    plan: str
    asked: dict[str, JsonValue] = {}
    verdict: str = ""
    before: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Log(Frozen):
    """The whole file."""

    format_version: Literal[1] = 1
    entries: tuple[Entry, ...] = ()


def asked(plan: Plan, run: Run, known: Sequence[Known] = ()) -> dict[str, JsonValue]:
    """All that a registration fixes: what is expected, of how many pictures, from which seeds, by which judges, with
    which budgets and controls; what is `known` of the judges besides their cards; and the units that follow.
    """
    facts: dict[str, JsonValue] = json.loads(json.dumps(dict(run.facts)))
    files = json.loads(json.dumps(fixed(run.cards, known, run.classes.values())))
    return {
        **facts,
        **({"judges_known": files} if files else {}),
        "expectations": [f"{said(one)} over {one.samples} samples from seed {one.seed}" for one in plan.expect],
        "judges": {card.name: card.model_dump(mode="json", include=KNOWN) for card in run.cards},
        "attacks": [*run.attacks],
        "units": {"number": len(run.units), "sha256": hashlib.sha256("\n".join(run.units).encode()).hexdigest()},
    }


def read(report: Path) -> Log:
    """The log of a report's folder. Raises WorkError where it is none, or an entry does not follow the one before."""
    file = report / LOG
    try:
        log = Log.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Log()
    except (OSError, ValidationError) as error:
        raise WorkError(
            f"{file}: cannot be read as the log of runs; take it away, which every report will show"
        ) from error
    for number, (one, other) in enumerate(pairwise([None, *log.entries])):
        assert other is not None
        if other.before != (one.digest if one else ""):
            raise WorkError(
                f"{file}: entry {number + 1} does not follow the one before: the log of runs was changed; put back "
                "what was there"
            )
    return log


def register(report: Path, plan: Plan, run: Run, known: Sequence[Known] = ()) -> Entry:
    """Write down what is about to be asked, and return the entry."""
    with _appending(report) as log:
        log.append(Entry(what="registered", at=utc(), run=run.digest, plan=plan.digest, asked=asked(plan, run, known)))
    return log[-1]


def begun(report: Path, work: Work) -> None:
    """Write down that a run began, once."""
    with _appending(report) as log:
        if not any(one.what == "begun" and one.run == work.run.digest for one in log):
            log.append(Entry(what="begun", at=work.begun, run=work.run.digest, plan=str(work.run.facts["plan"])))


def published(report: Path, run: Run, verdict: str) -> None:
    """Write down what came of a run, each verdict once."""
    with _appending(report) as log:
        if not any(one.what == "verdict" and (one.run, one.verdict) == (run.digest, verdict) for one in log):
            plan = str(run.facts["plan"])
            log.append(Entry(what="verdict", at=utc(), run=run.digest, plan=plan, verdict=verdict))


def told(report: Path, plan: Plan, work: Work, known: Sequence[Known] = ()) -> Registered:
    """What the log says of a run, as far as it was written before the run began: later entries change nothing."""
    log, run = list(read(report).entries), work.run.digest
    at = next((i for i, one in enumerate(log) if one.what == "begun" and one.run == run), len(log))
    earlier = log[:at]
    own = next((one for one in reversed(earlier) if one.what == "registered" and one.at <= work.begun), None)
    lines = differing(own.asked, asked(plan, work.run, known)) if own else []
    return Registered(
        run=work.run.folder,
        begun=work.begun,
        registered=own.at if own else "",
        digest=own.digest if own else "",
        differs=(*lines[:FEW], *([f"and {len(lines) - FEW} more"] if len(lines) > FEW else [])),
        before=tuple(_before(report, earlier, log, plan, work)),
    )


def _before(report: Path, earlier: list[Entry], log: list[Entry], plan: Plan, work: Work) -> Iterator[EarlierRun]:
    for one in earlier:
        if one.what == "begun":
            came = [other.verdict for other in earlier if other.what == "verdict" and other.run == one.run]
            yield EarlierRun(begun=one.at, run=one.run[:16], same_plan=one.plan == plan.digest, verdicts=tuple(came))
    logged = {one.run for one in log}
    for folder in runs(report / "work"):
        other = opened(folder)
        if other.run.digest not in logged and other.run.digest != work.run.digest and other.begun < work.begun:
            same = other.run.facts.get("plan") == plan.digest
            yield EarlierRun(begun=other.begun, run=other.run.digest[:16], same_plan=same, logged=False)


def differing(
    registered: Mapping[str, JsonValue],
    ran: Mapping[str, JsonValue],
    words: tuple[str, str] = ("was registered", "was run"),
) -> list[str]:
    """A line for each field in which a run is not what was registered, by its path: `sampler.steps`."""
    one, other = dict(_flat(registered)), dict(_flat(ran))
    lines = []
    for name in sorted({*one, *other}):
        if name == "plan" or one.get(name) == other.get(name):
            continue
        lines.append(f"{name}: {_short(one.get(name))} {words[0]}, {_short(other.get(name))} {words[1]}")
    if registered.get("plan") != ran.get("plan"):
        lines.append(f"plan: another recipe {words[0]}")
    return lines


def _flat(value: JsonValue | Mapping[str, JsonValue], path: str = "") -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and path == "expectations":
        for one in value:
            yield f"{path}: {one}", "it"
    else:
        yield path, value


def _short(value: JsonValue) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text[:60] or "nothing"


@contextmanager
def _appending(report: Path) -> Iterator[list[Entry]]:
    """The log's entries. What the block appends is chained and written, whole or not at all."""
    report.mkdir(parents=True, exist_ok=True)
    with held(report):
        entries = [*read(report).entries]
        had = len(entries)
        yield entries
        for i in range(had, len(entries)):
            before = entries[i - 1].digest if i else ""
            entries[i] = entries[i].model_copy(update={"before": before})
        if len(entries) > had:
            write_text(report / LOG, Log(entries=tuple(entries)).model_dump_json(indent=1) + "\n")
