"""Judges, attacks and the libraries under them do not decide how a verification ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracelang.evidence.artifact import EvidenceError


class Ended(EvidenceError):
    """Somebody would have ended the program. `str()` is one line: who, how."""


@contextmanager
def going_on(who: str) -> Iterator[None]:
    """Raises Ended where the code inside exits: its exit code would be read as a verdict."""
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit and its like
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise Ended(f"{who} ended the program ({told}); nothing was decided") from error
