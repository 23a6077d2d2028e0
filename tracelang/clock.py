"""The date of now, as it is written down."""

from __future__ import annotations

from datetime import UTC, datetime


def utc() -> str:
    """Now in UTC to the second, as RFC 3339 has it: `2026-11-27T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
