"""Plots of a suite as SVG files that stand by themselves: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 60, 130, 30, 52
COLOURS = ("#0b62a4", "#b8500a", "#2e7d32", "#8e24aa", "#c2185b", "#00838f", "#6d4c41", "#5e35b1", "#827717", "#37474f")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.axis{font-size:13px}.tick{fill:#555}"
    ".grid{stroke:#ccc;stroke-width:.7}.span{stroke-width:1.2;opacity:.5}.line{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.tick{fill:#aaa}.grid{stroke:#555}}"
)


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure with the intervals of both: x, y, and (low, high) of each, in 0..1 for shares."""

    name: str
    x: float
    y: float
    x_span: tuple[float, float]
    y_span: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through (x, y, low, high), x ascending."""

    name: str
    points: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class _Axes:
    low: float
    high: float
    bottom: float
    top: float
    log: bool

    def x(self, value: float) -> float:
        at, low, high = (
            (log10(max(one, 1)) for one in (value, self.low, self.high)) if self.log else (value, self.low, self.high)
        )
        return LEFT + (at - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.bottom) / ((self.top - self.bottom) or 1) * (HEIGHT - TOP - BOTTOM)


def scatter(title: str, dots: Sequence[Dot], x_name: str, y_name: str) -> str:
    """Shares against shares, each with its two intervals and its name."""
    low, high = _ends([value for dot in dots for value in (dot.x, *dot.x_span)])
    bottom, top = _ends([value for dot in dots for value in (dot.y, *dot.y_span)])
    axes = _Axes(low, high, bottom, top, False)
    parts = _grid(axes, x_name, y_name, _percent, _percent)
    heights = _apart([axes.y(dot.y) for dot in dots])
    for i, (dot, height) in enumerate(zip(dots, heights, strict=True)):
        colour, x, y = COLOURS[i % len(COLOURS)], axes.x(dot.x), axes.y(dot.y)
        (x1, x2), (y1, y2) = map(axes.x, dot.x_span), map(axes.y, dot.y_span)
        told = f"{dot.name}: {_percent(dot.x)} {x_name}, {_percent(dot.y)} {y_name}"
        parts += [
            f'<line class="span" stroke="{colour}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<line class="span" stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>',
            f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(told)}</title></circle>',
            _text(WIDTH - RIGHT + 12, height + 4, dot.name, "start", fill=colour),
        ]
    return _svg(title, parts)


def curves(title: str, lines: Sequence[Curve], x_name: str, y_name: str) -> str:
    """Shares against counts on a logarithmic axis."""
    xs = [point[0] for line in lines for point in line.points]
    _, top = _ends([value for line in lines for point in line.points for value in point[1:]])
    axes = _Axes(min(xs), max(xs), 0.0, top, True)
    parts = _grid(axes, x_name, y_name, lambda value: f"{value:,.0f}", _percent)
    heights = _apart([axes.y(line.points[-1][1]) for line in lines])
    for i, (line, height) in enumerate(zip(lines, heights, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y, _, _ in line.points)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        for x, y, low, high in line.points:
            told = f"{line.name}, {x:,.0f}: {_percent(y)}"
            parts += [
                f'<line class="span" stroke="{colour}" x1="{axes.x(x):.1f}" x2="{axes.x(x):.1f}" '
                f'y1="{axes.y(low):.1f}" y2="{axes.y(high):.1f}"/>',
                f'<circle fill="{colour}" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="4">'
                f"<title>{escape(told)}</title></circle>",
            ]
        parts.append(_text(WIDTH - RIGHT + 12, height + 4, line.name, "start", fill=colour))
    return _svg(title, parts)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Round ends around shares, never beyond 0 and 1."""
    low, high = min(values), max(values)
    step = _step((high - low) or 0.05)
    return max(0.0, floor(low / step + 1e-9) * step), min(1.0, ceil(high / step - 1e-9) * step)


def _step(span: float) -> float:
    power = 10.0 ** floor(log10(span / 4))
    return next(power * lead for lead in (1, 2, 5, 10) if power * lead >= span / 4 * (1 - 1e-9))


def _grid(
    axes: _Axes, x_name: str, y_name: str, x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> list[str]:
    parts = []
    for value in _ticks(axes.bottom, axes.top):
        y = axes.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, y_text(value), "end", "tick"))
    for value in _powers(axes.low, axes.high) if axes.log else _ticks(axes.low, axes.high):
        x = axes.x(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 18, x_text(value), "middle", "tick"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, "middle", "axis"))
    parts.append(_text(LEFT - 40, TOP - 12, y_name, "start", "axis"))
    return parts


def _ticks(low: float, high: float) -> list[float]:
    if not high > low:
        return [low]
    step = _step(high - low)
    return [i * step for i in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from low to high, and the ends where there are none."""
    found = [
        lead * 10.0**power
        for power in range(floor(log10(max(low, 1))), ceil(log10(max(high, 1))) + 1)
        for lead in (1, 2, 5)
        if low <= lead * 10.0**power <= high
    ]
    return found or [low, high]


def _apart(heights: Sequence[float], gap: float = 16) -> list[float]:
    """The heights of labels, moved so that none covers another."""
    placed, last = [0.0] * len(heights), TOP - gap
    for i in sorted(range(len(heights)), key=heights.__getitem__):
        last = placed[i] = max(heights[i], last + gap)
    return placed


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _text(x: float, y: float, text: str, anchor: str, tone: str = "", fill: str = "") -> str:
    more = (f' class="{tone}"' if tone else "") + (f' style="fill:{fill}"' if fill else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    told = escape(title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
    return "\n".join([head, f"<title>{told}</title>", f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"
