"""How far several who looked at the same pictures agree, beyond what chance alone would make them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import nan


def cohen(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Cohen's kappa of two (1960): `(p − e)/(1 − e)`, `p` the share in which they agree, `e` what two of their own
    habits would agree in by chance. 1 is all; 0 is no more than chance. NaN where both always say the same one thing.

    Raises ValueError where they did not look at the same pictures.
    """
    pairs = list(zip(one, other, strict=True))
    n = len(pairs)
    if not n:
        return nan
    p = sum(a == b for a, b in pairs) / n
    a, b = sum(one) / n, sum(other) / n
    e = a * b + (1 - a) * (1 - b)
    return (p - e) / (1 - e) if e < 1 else nan


def fleiss(rows: Sequence[Sequence[str]]) -> float:
    """Fleiss' kappa (1971) of as many raters on each picture, a row of answers a picture. NaN where all say one thing.

    Raises ValueError where the rows are not of one length, of two or more.
    """
    if not rows:
        return nan
    m = len(rows[0])
    if m < 2 or any(len(row) != m for row in rows):
        raise ValueError("every picture needs an answer of each of two or more raters")
    counts = [Counter(row) for row in rows]
    p = sum((sum(k * k for k in count.values()) - m) / (m * (m - 1)) for count in counts) / len(rows)
    total = Counter[str]()
    for count in counts:
        total.update(count)
    e = sum((k / (m * len(rows))) ** 2 for k in total.values())
    return (p - e) / (1 - e) if e < 1 else nan
