"""How the figures of a table are written."""

from __future__ import annotations

from tracelang.bench.figures import ATTACK, Column, Figure


def title(column: Column) -> str:
    """A column's head."""
    return f"`{column.title.removeprefix(ATTACK)}`" if column.title.startswith(ATTACK) else column.title


def cell(column: Column, figure: Figure | None) -> str:
    """A figure with its interval, the number of its pictures, and whether it is beyond chance better or worse."""
    if figure is None:
        return "–"
    text = written(column, figure.value)
    if figure.low is not None and figure.high is not None:
        text += f" ({percent(figure.low)}–{percent(figure.high)}; {figure.n:,})"
    return text + {"": "", "ahead": " ▲", "behind": " ▼"}[figure.side] + ("†" if figure.seen else "")


def written(column: Column, value: float) -> str:
    """A figure of a column, in its unit."""
    if column.told == "share":
        return percent(value)
    if column.told == "rows":
        return f"{value:,.0f}"
    if column.told == "seconds":
        return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
    if column.told == "bytes":
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:.4g}".replace("-", "−")


def percent(value: float) -> str:
    """A share in percent, to a tenth."""
    return f"{100 * value:.1f}".removesuffix(".0").replace("-", "−")


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".removesuffix(".0").replace("-", "−")


def number(value: float) -> str:
    """A number to three figures."""
    return f"{value:.3g}".replace("-", "−")
