"""The certificate as a unit of work: the same as `tracec certify` makes, of the files of OUT and its base."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from tracelang.evidence.bench import Bench, Failed, Record, Unit, Wanted, all_fields, attempt
from tracelang.evidence.certificate import certify
from tracelang.evidence.schema import Certificate
from tracelang.evidence.sides import sides


class CertificateRecord(Record):
    """The certificate, or the error that kept it from being computed."""

    value: Annotated[Certificate, PlainSerializer(all_fields)] | None = None

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
        found = attempt(lambda: certify(bench.plan, sides(bench.artifact, bench.folder, bench.base)))
        return CertificateRecord(error=found.why) if isinstance(found, Failed) else CertificateRecord(value=found)
