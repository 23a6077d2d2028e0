"""The windows that the model chose for each erased concept, read from the lock, and the curve they were read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from tracelang.evidence.report import wording
from tracelang.evidence.report.plots import Line, Point, chart
from tracelang.evidence.schema import Chosen, ChosenWindow

DRAWN = 6
"""Concepts whose curve is drawn; the table has all."""


def chosen(lock: Mapping[str, Any]) -> Iterator[Chosen]:
    """One a concept and pass that had a window to choose."""
    for figures in lock.get("figures", {}).values():
        for one in figures if isinstance(figures, list) else ():
            if (found := one.get("auto")) is not None:
                windows = tuple(ChosenWindow(label=label, **told) for label, told in found["windows"].items())
                curve = {name: found[name] for name in ("logsnr", "told", "low", "high")}
                yield Chosen(concept=one["concept"], windows=windows, **curve)


def drawn(found: Chosen) -> Markup:
    """The curve with its intervals, behind it the first window that was chosen."""
    points = [Point(*one) for one in zip(found.logsnr, found.told, found.low, found.high, strict=True)]
    window = next((one.logsnr for one in found.windows if one.logsnr and one.written.startswith("auto")), None)
    return chart(
        f"How well the model tells {found.concept} from its anchor, with 95 % intervals, by noise level; the chosen "
        "window is shaded.",
        [Line("told apart", "erased", points)],
        "log-SNR: pure noise to finished picture",
        wording.level,
        wording.ticked,
        marked=window,
    )
