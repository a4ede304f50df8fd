"""Moments as text that programs and people read (RFC 3339 in UTC), and lengths of time in few digits."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 UTC with microseconds: `2026-11-21T17:05:00.000001Z`."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"


def brief(ns: float) -> str:
    """A length of time in milliseconds, to three digits or so: `0.018 ms`, `0.64 ms`, `51.8 ms`, `1234 ms`."""
    size = abs(ns) / 1e6
    digits = 3 if size < 0.1 else 2 if size < 10 else 1 if size < 100 else 0
    text = f"{ns / 1e6:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text} ms"
