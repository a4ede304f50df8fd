"""A moment as text that programs and people read: RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 UTC with microseconds: `2026-11-21T17:05:00.000001Z`."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"
