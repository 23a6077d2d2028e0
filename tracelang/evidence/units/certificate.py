"""What the weights alone say of the edit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from tracelang.evidence.bench import Bench, Failed, attempt
from tracelang.evidence.certificate import certify
from tracelang.evidence.schema import Certificate
from tracelang.evidence.units.unit import Record, Unit, Wanted, whole


class CertificateRecord(Record):
    """The certificate, or the error that kept it from being computed."""

    value: Annotated[Certificate, PlainSerializer(whole)] | None = None
    error: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        return (self.error,) if self.error else ()

    @property
    def certificate(self) -> Certificate | Failed:
        return Failed(self.error) if self.value is None else self.value


@dataclass(frozen=True)
class CertificateUnit(Unit):
    kind = "certificate"
    title = "certificate"
    record = CertificateRecord

    @classmethod
    def wanted(cls, wanted: Wanted) -> Iterable[CertificateUnit]:
        yield cls("certificate")

    def done(self, bench: Bench, folder: Path) -> CertificateRecord:
        found = attempt(lambda: certify(bench.plan, bench.base, bench.edited))
        return CertificateRecord(error=found.why) if isinstance(found, Failed) else CertificateRecord(value=found)
