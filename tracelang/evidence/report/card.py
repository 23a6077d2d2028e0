"""The model card of a verified output: the card that `apply` wrote, with results in the hub's own format and limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from tracelang.checkpoint import forms
from tracelang.checkpoint.card import card, metadata
from tracelang.checkpoint.output import MARK
from tracelang.evidence.report import wording
from tracelang.evidence.report.readable import Mute, mute, strongest_read
from tracelang.evidence.schema import ConceptFinding, Outcome, Probed, Rate, Report
from tracelang.plan.types import Plan
from tracelang.text import joined, markdown, visible

UNDOING = (
    f"What undoing it from the weights takes. Each per cent is a {wording.KINDS['square']}: so much of what the edit "
    "does is undone. Each × is the length of the text states that undo it, beside the concept's own."
)


def model_card(report: Report, plan: Plan, out: Path) -> str:
    """The text of `OUT/README.md` after verification. The manifest in `out` says what that holds."""
    manifest = json.loads((out / MARK).read_text(encoding="utf-8"))
    relation = forms.relation(manifest["emit"])
    told, base = report.provenance, visible(report.provenance.base)
    title = visible(plan.recipe.name or base) or "tracelang edit"
    data = ModelCardData(model_name=title, eval_results=list(results(report)) or None, **metadata(base, relation))
    limits = [_limit(text) for text in report.untested]
    limits += [f"- Failed while measuring: {_told(text)}" for text in report.errors]
    return card(
        plan,
        {path: text.encode(errors="replace") for path, text in told.recipe.items() if path.endswith(".erase")},
        base=base,
        fingerprint=told.base_fingerprint,
        edited=manifest["edited"],
        relation=relation,
        files=forms.cards(manifest, out),
        front=data.to_yaml().strip(),
        results=_section(report),
        remarks=manifest["remarks"],
        limits="\n".join(limits) or "- Nobody wrote down what was left out; that does not mean that nothing was.",
    )


def results(report: Report) -> Iterator[EvalResult]:
    """Every measured rate as the hub's EvalResult: `metric_value` is the share, `metric_args` count and interval."""
    for one in report.concepts:
        metric = {"erased": "shown", "preserved": "accuracy"}[one.role]
        still = "still showing it" if one.role == "erased" else "showing it"
        for when, rate in (("before the edit", one.base), ("after the edit", one.after)):
            if rate and rate.n:
                kind = metric if rate is one.after else f"base_{metric}"
                yield _result(one.member, kind, f"pictures of its names {still}, {when}", rate)
        if one.probes and one.probes.n:
            yield _result(one.member, "probed", "pictures of its probes showing it, after the edit", one.probes)
    for found in report.attacks:
        for way, rate in (("adaptive", found.adaptive), ("static", found.static)):
            if rate and rate.n:
                attack = visible(found.attack)
                yield _result(
                    found.member,
                    f"attack_{attack}_{way}",
                    f"pictures under {attack} showing it ({way})",
                    rate,
                    access=found.access,
                    budget={visible(key): value for key, value in found.budget.items()},
                    **({} if found.held_out else {"held_out": False}),
                )


def _result(member: tuple[str, ...], metric: str, name: str, rate: Rate, **more: Any) -> EvalResult:
    concept = visible(joined(member))
    return EvalResult(
        task_type="text-to-image",
        dataset_type="tracelang",
        dataset_name=f"prompts of {concept}",
        dataset_config=concept,  # the hub groups results by it
        metric_type=metric,
        metric_name=name,
        metric_value=round(rate.share, 6),
        metric_args={"hits": rate.hits, "n": rate.n, "low": round(rate.low, 6), "high": round(rate.high, 6), **more},
    )


def _section(report: Report) -> str:
    silent = mute(report)
    lines = [
        "## Results",
        "",
        f"**{report.verdict.upper()}.** {_told(wording.sentences(report.summary))}",
        "",
        f"{wording.VERDICTS[report.verdict]} The pictures and the arithmetic are in `report/report.html`. "
        "The figures are in `report/report.json`.",
        "",
    ]
    if report.outcomes:
        rows = [(wording.formula(one), one.verdict, _measured(one)) for one in report.outcomes]
        lines += _table(("expected", "came out", "measured, or why it is undecided"), rows)
    if report.integrity:
        told = _told(wording.sentences(report.integrity.reason))
        lines += [f"Everyday pictures, which the recipe did not choose: {report.integrity.verdict}. {told}", ""]
    if prices := [f"- {_told(line)}" for line in _prices(report)]:
        lines += [UNDOING, "", *prices, ""]
    if report.controls:
        title = "Beside models that never knew it, with the same targets, prompts, seeds and budgets:"
        heads = ("probe", "after the edit", "never knew it", "difference", "so")
        lines += [title, "", *_table(heads, map(_beside, report.controls.probes))]
    if report.concepts:
        shown = [_row(report, one, silent) for one in report.concepts]
        lines += _table(("concept", "before", "after", "strongest attack"), shown)
        lines += ["Pictures in which the judge finds it. “At most” and “at least” are ends of 95 % intervals.", ""]
        if names := sorted({one.attack for one in report.attacks if (one.member, one.attack) in silent}):
            listed = _told(wording.listed(names))
            lines += [f"Never called the strongest, for their figures say little by themselves: {listed}.", ""]
    return "\n".join(lines)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(f"| {' | '.join(map(_told, row))} |" for row in rows),
        "",
    ]


def _measured(one: Outcome) -> str:
    """Of what is undecided why, of anything else its figure."""
    if one.because:
        return one.because
    if not one.measures or (len(one.measures) > 1 and not (one.rate and one.rate.n)):
        return one.reason
    found = one.measures[0]
    rate = one.rate if one.rate and one.rate.n else found.rate
    if rate and rate.n:
        worst = next((it.rate for it in one.measures if it.member == one.worst and len(one.measures) > 1), None)
        lowest = f"; the worst: {joined(one.worst)}, {wording.counted(worst)}" if worst else ""
        return f"{wording.counted(rate)}, {wording.between(rate)}{lowest}"
    return one.reason if found.value is None else wording.measured(one, found)


def _beside(one: Probed) -> tuple[str, ...]:
    after, never, apart = (figure or "—" for figure in wording.beside(one))
    begin = f"{joined(one.member)}, {wording.probe(one)}"
    return begin, after, never, apart, f"{wording.verdict(one)}. {wording.sentences(wording.so(one))}"


def _prices(report: Report) -> Iterator[str]:
    for one in report.certificate.reaches if report.certificate else ():
        if one.price is not None and one.undone is not None:
            prices = [*one.cheaper, (one.undone, one.price)]
            told = ", ".join(f"{wording.percent(share)} at {wording.number(price)} ×" for share, price in prices)
            yield f"{joined(one.member)}: {told}"


def _row(report: Report, one: ConceptFinding, silent: Mute) -> tuple[str, ...]:
    tell = wording.at_most if one.role == "erased" else wording.at_least
    attacked = "—"
    if one.role == "erased":
        own = [found for found in report.attacks if found.member == one.member]
        worst = strongest_read(own, silent)
        attacked = "none whose figure says anything" if wording.strongest(own) else "not measured"
        if worst and worst.adaptive:
            attacked = f"{wording.called(worst)}: {wording.counted(worst.adaptive)}, {wording.still(worst.adaptive)}"
    return f"{joined(one.member)} ({one.role})", tell(one.base), tell(one.after), attacked


def _limit(text: str) -> str:
    """`- Not tested: …`, in short sentences."""
    begin, rest = ("Not measured", text[14:]) if text.startswith("not measured: ") else ("Not tested", text)
    first, *more = rest.split("; ", 1)
    return f"- {begin}: {_told(first)}." + (f" {_told(wording.sentences(more[0]))}" if more else "")


def _told(text: str) -> str:
    return markdown(visible(text))
