"""What keeps an OUT from being attested, or an attestation from holding."""

from __future__ import annotations

from collections.abc import Sequence


class AttestationError(Exception):
    """`str()` is one line: what, where, and what to do."""


class NotAsSigned(AttestationError):
    """Files that are not what was signed; `lines` has one for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)
