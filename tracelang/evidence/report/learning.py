"""How fast models learn a concept again, as a picture."""

from __future__ import annotations

from markupsafe import Markup

from tracelang.evidence.report import wording
from tracelang.evidence.report.plots import Line, Point, chart
from tracelang.evidence.schema import Relearning

TONES = {"edited": "erased", "base": "kept"}
"""All others, which never knew the concept, are drawn plainly."""


def learning(found: Relearning) -> Markup | None:
    """The share of pictures that show it, by training steps, a line for each model; None without any."""
    lines = [
        Line(one.model, TONES.get(one.model, "plain"), [Point(step, r.share, r.low, r.high) for step, r in points])
        for one in found.curves
        if (points := [(step, rate) for step, rate in zip(one.steps, one.shown, strict=True) if rate.n])
    ]
    if not lines:
        return None
    return chart(
        "Share of pictures that show the concept, with 95 % intervals, by the number of training steps, of each model. "
        "The table beside it holds the same figures.",
        lines,
        "training steps",
        wording.number,
        wording.ticked,
        y_top=1.0,
        x_ticks=found.curves[0].steps,
        y_step=0.25,
    )
