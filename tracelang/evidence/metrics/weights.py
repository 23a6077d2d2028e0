"""What is left of a concept in the edited weights, and how far they move what was to be kept: by the certificate."""

from __future__ import annotations

from typing import Any

from tracelang.evidence.bench import Failed
from tracelang.evidence.metrics.metric import Figure, Measured, open_, unless, valued
from tracelang.evidence.schema import Certificate, Measure
from tracelang.plan.types import Assertion, Member


def reach(one: Assertion, measured: Measured, member: Member) -> Measure:
    certificate = measured.certificate
    if not isinstance(certificate, Certificate):
        return open_(member, certificate.why if isinstance(certificate, Failed) else "there is no certificate")
    own: Any = next((reach for reach in certificate.reaches if reach.member == member), None)
    value = None if own is None else getattr(own, one.metric)
    if value is None:
        return open_(member, "the certificate does not reach it: the edit changes no matrix that reads its states")
    found = valued(one, member, value, note="worst layer, from the weights alone")
    return unless(one, found, 1.0) if one.metric == "residual" else found


MEASURES: dict[str, Figure] = {"residual": reach, "leak": reach}
