"""What `tracec plan` shows of a bound plan: as data, and in words."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from tracelang.plan.explain import prior
from tracelang.text import safe

if TYPE_CHECKING:
    from tracelang.api import Bound
    from tracelang.plan.types import Prior
    from tracelang.semantics.values import Auto, Window


HIGH = 0.2
"""Above it one map of text states does only part of what was asked while it keeps what is preserved. How much of the
concept a picture then shows, it does not say.
"""
UNREACHED = ": one map of text states does not get there and keep what is preserved"


def facts_of(bound: Bound) -> dict[str, Any]:
    from tracelang.models.weights import find

    edited = sum(site.size for site in bound.sites)
    components = {site.component for site in bound.sites}
    total = sum(prod(entry.shape) for name in components for _, entry in find(bound.folder / name).tensors.values())
    return {
        "format_version": 1,
        "plan": bound.plan.digest,
        "model": bound.name,
        "family": bound.family.name(bound.folder),
        "tensors": [site.tensor for site in bound.sites],
        "parameters": {"edited": edited, "of": total},
        "passes": [
            {
                "label": step.label,
                "kind": step.kind,
                "tensors": len(step.sites),
                "windows": [
                    {
                        "label": w.label,
                        "written": _written(w.window),
                        "logsnr": w.logsnr and [_finite(w.logsnr.low), _finite(w.logsnr.high)],
                        "progress": w.progress and list(w.progress),
                        "times": w.times and list(w.times),
                    }
                    for w in step.windows
                ],
                "rows": {"frozen": step.cost.frozen, "trained": step.cost.trained},
                **({"bytes": {"memory": step.cost.memory, "disk": step.cost.disk}} if step.cost.memory else {}),
            }
            for step in bound.passes
        ],
        **({"priors": [_prior_of(one) for one in bound.plan.prior]} if bound.plan.prior else {}),
    }


def _written(window: Window | Auto) -> str:
    from tracelang.plan.explain import window as explained
    from tracelang.semantics.values import Auto

    return explained(window) if isinstance(window, Auto) else f"{window.unit} {window.low:g}..{window.high:g}"


def _prior_of(one: Prior) -> dict[str, Any]:
    """What is known of a prior before a text encoder is asked: its weight, and how many prompts it has at most."""
    return {"prior": prior(one), "weight": one.weight, "at_most": len(one.prompts) or one.sample}


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None


def text_of(facts: dict[str, Any]) -> str:
    share = facts["parameters"]["edited"] / max(1, facts["parameters"]["of"])
    lines = [
        f"plan {facts['plan'][:12]} on {facts['model']} ({facts['family']})",
        f"{len(facts['tensors'])} tensors, {facts['parameters']['edited']:,} parameters ({share:.2%} of the component)",
    ]
    for step in facts["passes"]:
        rows = step["rows"]
        cost = f", about {rows['frozen']:,} rows sampled and {rows['trained']:,} trained" if rows["trained"] else ""
        lines.append(f"  {step['label']}: {step['tensors'] or 'no'} tensors of its own{cost}")
        if room := step.get("bytes"):
            memory, disk = (f"{room[where] / 1e9:.3g} GB" for where in ("memory", "disk"))
            lines.append(f"    weights themselves: {memory} of memory beside the model, {disk} of disk meanwhile")
        for window in step["windows"]:
            if window["logsnr"] is None:
                lines.append(f"    {window['label']:8} {window['written']:22} chosen for each concept when applied")
                continue
            low, high = (
                ("-inf" if i == 0 else "inf") if v is None else f"{v:.2f}" for i, v in enumerate(window["logsnr"])
            )
            times = "..".join(f"{time:.0f}" if time > 1 else f"{time:.3g}" for time in window["times"])
            progress = "..".join(f"{100 * part:.4g}%" for part in window["progress"])
            lines.append(
                f"    {window['label']:8} {window['written']:22} "
                f"progress {progress}  log-SNR {low}..{high}  time {times}"
            )
    for one in facts.get("priors", []):
        held = f"at most {one['at_most']:,} prompts to encode, once for each text encoder"
        if "prompts" in one:
            held = f"{one['prompts']:,} prompts, {one['left_out']:,} left out near the erased ({one['digest'][:12]})"
        lines.append(f"  preserve {one['prior']} weight {one['weight']:g}: {held}")
    if "collateral" in facts:
        lines.append("predicted change of text states, from the closed form alone (largest first):")
        if facts["collateral"] is None:
            lines.append("  no closed form in this method")
        for role, changes in (facts["collateral"] or {}).items():
            ranked = sorted(changes.items(), key=lambda item: -item[1])
            lines += [f"  {role}", *(f"    {change:7.2%}  {name}" for name, change in ranked)] if ranked else []
    if facts.get("residual"):
        lines.append("residual of the closed form (0%: as asked; 100%: not at all):")
        ranked = sorted(facts["residual"].items(), key=lambda item: -item[1])
        lines += [f"    {left:7.2%}  {name}{UNREACHED if left > HIGH else ''}" for name, left in ranked]
    for one in facts.get("free", []):
        lines.append(
            f"{one['pass']}: {one['free']:,} of {one['dimension']:,} directions of the text states ({one['reads']}) "
            "are free of what is preserved; erased concepts lie in them by a sine of:"
        )
        lines += [f"    {sine:7.3f}  {name}" for name, sine in sorted(one["angle"].items(), key=lambda item: item[1])]
    for one in facts.get("turned", []):
        own, anchors, leaks, ranks, others = (
            "..".join(dict.fromkeys(f"{end:.3g}" for end in one[key]))
            for key in ("cosine", "anchor_cosine", "worst_leak", "rank", "anchor_rank")
        )
        lines.append(
            f"{one['pass']}: {one['matrices']} matrices turned, erased of rank {ranks}, anchors {others}; what they "
            f"make of the erased has a cosine of {own} with what it was, {anchors} with the anchors'; the worst "
            f"preserved state moves by {leaks}"
        )
    return "\n".join(map(safe, lines))
