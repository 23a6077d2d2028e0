"""The date of now, as it is written down; and seconds of work."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc() -> str:
    """Now in UTC to the second, as RFC 3339 has it: `2026-11-27T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def work_clock(device: str) -> float:
    """Seconds that this process has worked, to be subtracted: on a CPU those that it had, which others at work there do
    not lengthen; on a GPU those of the wall.
    """
    return time.process_time() if device == "cpu" else time.monotonic()
