"""Metrics, a file each (or one of few that share all their code) and a row in `semantics.tables.METRICS`."""

from __future__ import annotations

from tracelang.evidence.complete import agree, modules
from tracelang.evidence.metrics.metric import Figure, Share
from tracelang.semantics.tables import METRICS

MEASURES: dict[str, Share | Figure] = {
    name: measure
    for module in modules(__name__, __path__).values()
    for name, measure in getattr(module, "MEASURES", {}).items()
}
"""By the language's names."""

agree("metric", METRICS, MEASURES, __name__)
agree(
    "share",
    [name for name, row in METRICS.items() if row.counted],
    [name for name, measure in MEASURES.items() if isinstance(measure, Share)],
    __name__,
)
