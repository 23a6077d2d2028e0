"""The model card of a verified output: the card that `apply` wrote, with results in the hub's own format and limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from tracelang.checkpoint import forms
from tracelang.checkpoint.card import card, metadata
from tracelang.checkpoint.output import MARK
from tracelang.evidence.report import wording
from tracelang.evidence.schema import ConceptFinding, Rate, Report
from tracelang.plan.types import Plan
from tracelang.text import joined, markdown, visible


def model_card(report: Report, plan: Plan, out: Path) -> str:
    """The text of `OUT/README.md` after verification. The manifest in `out` says what that holds."""
    manifest = json.loads((out / MARK).read_text(encoding="utf-8"))
    relation = forms.relation(manifest["emit"])
    told, base = report.provenance, visible(report.provenance.base)
    title = visible(plan.recipe.name or base) or "tracelang edit"
    data = ModelCardData(model_name=title, eval_results=list(results(report)) or None, **metadata(base, relation))
    limits = [f"- Not tested: {_told(text)}" for text in report.untested]
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
    lines = [
        "## Results",
        "",
        f"**{report.verdict.upper()}.** {_told(report.summary)}",
        "",
        f"{wording.VERDICTS[report.verdict]} `report/report.html` holds the pictures and the arithmetic, "
        "`report/report.json` the figures.",
        "",
    ]
    if report.outcomes:
        lines += ["| expected | came out |", "|---|---|"]
        lines += [f"| {_told(wording.formula(one))} | {one.verdict}: {_told(one.reason)} |" for one in report.outcomes]
        lines += [""]
    if report.integrity:
        told = _told(f"{report.integrity.verdict}: {report.integrity.reason}.")
        lines += [f"Everyday pictures, which the recipe did not choose: {told}", ""]
    prices = [f"- {_told(line)}" for line in _prices(report)]
    if prices:
        title = "Undoing it from the weights, by the length of the text states, 1 being the concept's own:"
        lines += [title, "", *prices, ""]
    if report.controls:
        title = "Beside models that never knew it, with the same targets, prompts, seeds and budgets:"
        beside = [f"- {one.verdict}: {_told(wording.said_beside(one))}" for one in report.controls.probes]
        lines += [title, "", *beside, ""]
    if report.concepts:
        lines += ["| concept | before | after | strongest attack |", "|---|---|---|---|"]
        lines += [_row(report, one) for one in report.concepts]
        lines += ["", "Pictures in which the judge finds it; “at most” and “at least” are ends of 95 % intervals.", ""]
    return "\n".join(lines)


def _prices(report: Report) -> Iterator[str]:
    for one in report.certificate.reaches if report.certificate else ():
        if one.price is not None and one.undone is not None:
            prices = [*one.cheaper, (one.undone, one.price)]
            told = ", ".join(f"{wording.percent(share)} at {wording.number(price)} ×" for share, price in prices)
            yield f"{joined(one.member)}: {told}"


def _row(report: Report, one: ConceptFinding) -> str:
    tell = wording.at_most if one.role == "erased" else wording.at_least
    worst = wording.strongest([found for found in report.attacks if found.member == one.member])
    attacked = f"{_told(wording.called(worst))}: {wording.at_most(worst.adaptive)}" if worst else "not measured"
    last = attacked if one.role == "erased" else "—"
    return f"| {_told(joined(one.member))} ({one.role}) | {tell(one.base)} | {tell(one.after)} | {last} |"


def _told(text: str) -> str:
    return markdown(visible(text))
