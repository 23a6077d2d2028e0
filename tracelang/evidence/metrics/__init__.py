"""Metrics, a file each (or one of few that share all their code) and a row in `semantics.tables.METRICS`."""

from __future__ import annotations

from tracelang.evidence.complete import agree, modules
from tracelang.evidence.metrics.metric import Figure, Share
from tracelang.semantics.tables import METRICS


def found() -> dict[str, Share | Figure]:
    """How each metric is measured, by the language's names. Raises ImportError where a row or a file is missing."""
    measures: dict[str, Share | Figure] = {}
    for module in modules(__name__, __path__).values():
        measures |= getattr(module, "MEASURES", {})
    agree("metric", METRICS, measures, __name__)
    shares = [name for name, measure in measures.items() if isinstance(measure, Share)]
    agree("share", [name for name, row in METRICS.items() if row.counted], shares, __name__)
    return measures


MEASURES = found()
