"""Small line charts as inline SVG. Colours are CSS classes and `currentColor`, so they follow light, dark and print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 280, 46, 92, 14, 44  # user units of the picture


class Point(NamedTuple):
    """A figure `y` at `x`, and the ends of its interval."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """A series; `tone` is a CSS class."""

    name: str
    tone: str
    points: Sequence[Point]


def chart(
    title: str,
    lines: Sequence[Line],
    x_name: str,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    y_top: float | None = None,
    x_ticks: Sequence[float] = (),
    y_step: float | None = None,
    marked: tuple[float, float] | None = None,
) -> Markup:
    """The lines with their intervals as bands, each named at its right end. `title` is what a screen reader says;
    `marked` a stretch of x that is shaded.
    """
    points = [point for line in lines for point in line.points]
    low, high = min(point.x for point in points), max(point.x for point in points)
    top = y_top or max(max(point.y, point.high) for point in points) * 1.05 or 1.0
    step = y_step or round_step(top / 4)

    def x(value: float) -> float:
        return LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - min(max(value, 0), top) / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(i * step):.1f}" y2="{y(i * step):.1f}"/>'
        + _text("tick", LEFT - 8, y(i * step) + 4, y_text(i * step), "end")
        for i in range(floor(top / step + 1e-9) + 1)
    ]
    if marked is not None:
        left, right = (x(min(max(end, low), high)) for end in marked)
        parts.insert(
            0,
            f'<rect class="marked" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>',
        )
    for tick in x_ticks or steps(low, high):
        parts.append(_text("tick", x(tick), HEIGHT - 24, x_text(tick), "middle"))
    parts.append(_text("axis", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, x_name, "middle"))
    for line, label_y in zip(lines, _apart([y(line.points[-1].y) for line in lines]), strict=True):
        upper = [f"{x(at):.1f},{y(most):.1f}" for at, _, _, most in line.points]
        lower = [f"{x(at):.1f},{y(least):.1f}" for at, _, least, _ in reversed(line.points)]
        if upper != lower[::-1]:
            parts.append(f'<polygon class="band {line.tone}" points="{" ".join(upper + lower)}"/>')
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value, _, _ in line.points)
        parts.append(f'<polyline class="line {line.tone}" points="{path}"/>')
        for at, value, least, most in line.points:
            told = y_text(value) + (f", {y_text(least)} to {y_text(most)}" if least != most else "")
            parts.append(
                f'<circle class="dot {line.tone}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="3.5">'
                f"<title>{escape(f'{line.name}, {x_text(at)}: {told}')}</title></circle>"
            )
        parts.append(_text(f"name {line.tone}", WIDTH - RIGHT + 10, label_y + 4, line.name, "start"))
    body = "".join(parts)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )


def round_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** floor(log10(rough))
    return next(power * lead for lead in (1, 2, 5, 10) if power * lead >= rough * (1 - 1e-9))


def steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about six of them."""
    if not high > low:
        return [low]
    step = round_step((high - low) / 5)
    return [i * step for i in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def whisker(low: float, high: float, share: float, tone: str, limit: float | None = None) -> Markup:
    """A share in 0..1 with its interval, and a bound as a tick: drawn beside the figures, so hidden from readers of
    the text.
    """
    at = None if limit is None else f"{100 * limit:.1f}"
    tick = f'<line class="limit" x1="{at}" x2="{at}" y1="0" y2="12"/>' if at else ""
    return Markup(
        f'<svg class="whisker {escape(tone)}" viewBox="-3 0 106 12" aria-hidden="true">'
        f'<line class="rail" x1="0" x2="100" y1="6" y2="6"/>'
        f'<line class="span" x1="{100 * low:.1f}" x2="{100 * high:.1f}" y1="6" y2="6"/>{tick}'
        f'<circle cx="{100 * share:.1f}" cy="6" r="2.8"/></svg>'
    )


def _text(tone: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{tone}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _apart(heights: Sequence[float], gap: float = 16) -> list[float]:
    """The heights of labels, moved so that none covers another."""
    placed = [0.0] * len(heights)
    last = TOP - gap
    for i in sorted(range(len(heights)), key=heights.__getitem__):
        last = placed[i] = max(heights[i], last + gap)
    return placed
