"""A certificate of two models in memory."""

from __future__ import annotations

from tracelang.engine.errors import EngineError
from tracelang.evidence import certificate
from tracelang.evidence.certificate import Sides
from tracelang.evidence.schema import Certificate
from tracelang.models.protocol import Model
from tracelang.plan.types import Plan


def certify(plan: Plan, base: Model, edited: Model) -> Certificate:
    """Raises EngineError as the certificate itself does, and where the two have other matrices."""
    if base.sites != edited.sites:
        raise EngineError("the two are not one architecture")
    return certificate.certify(plan, Sides(base, base.weight, edited.weight, edited))
