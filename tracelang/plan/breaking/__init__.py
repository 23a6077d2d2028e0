"""What a newer recipe promises less than an older one, as findings located in both."""

from __future__ import annotations

from tracelang.diagnostics import Diagnostic
from tracelang.diagnostics.diagnostic import gathered
from tracelang.plan.breaking.concepts import erase, names, preserve, prior, probes, protected, templates
from tracelang.plan.breaking.controls import controls
from tracelang.plan.breaking.dilution import diluted
from tracelang.plan.breaking.expect import expect
from tracelang.plan.breaking.header import header
from tracelang.plan.breaking.method import method
from tracelang.plan.breaking.version import Version, renamed

__all__ = ["Version", "breaking", "diluted", "renamed"]

LOWERED = ("TL411", "TL417", "TL421")
"""A degree, a weight, samples: of a whole statement or block."""
PROMISES = (header, protected, erase, names, probes, templates, preserve, prior, method, controls, expect)
"""Each yields what of its part of a recipe `before` promises and `after` does not."""


def breaking(before: Version, after: Version) -> list[Diagnostic]:
    """Every promise of `before` that `after` does not make, in the order of a recipe. `after` has places.

    What was lowered for all members of a set at one place is one finding.
    """
    found = [renamed(finding, *before.copied) for find in PROMISES for finding in find(before, after)]
    return gathered(found, LOWERED)
