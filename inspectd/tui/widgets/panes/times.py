"""Times as people read them: with a unit, and never more digits than they mean."""

from __future__ import annotations

import time


def duration(ns: float) -> str:
    """A length of time given in nanoseconds.

    >>> duration(1_900_000), duration(12_345), duration(2_500_000_000), duration(3_725_000_000_000)
    ('1.90 ms', '12 µs', '2.50 s', '1 h 2 min')
    """
    size = abs(ns)
    if size < 1_000_000:
        return f"{ns / 1e3:.0f} µs"
    if size < 10_000_000:
        return f"{ns / 1e6:.2f} ms"
    if size < 1_000_000_000:
        return f"{ns / 1e6:.0f} ms"
    if size < 120_000_000_000:
        return f"{ns / 1e9:.2f} s"
    minutes = int(ns // 60_000_000_000)
    if minutes < 60:
        return f"{minutes} min {int(ns // 1_000_000_000) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def since(ns: int, start: int) -> str:
    """How long after `start` something happened: `+1.90 ms`."""
    return ("+" if ns >= start else "−") + duration(abs(ns - start))


def clock(ns: int) -> str:
    """Local time of day with milliseconds, of a time in nanoseconds since the epoch."""
    return time.strftime("%H:%M:%S", time.localtime(ns // 1_000_000_000)) + f".{ns // 1_000_000 % 1000:03}"


def count(number: int, unit: str, plural: str = "") -> str:
    """A number with its unit.

    >>> count(1, "byte"), count(1200, "byte")
    ('1 byte', '1,200 bytes')
    """
    return f"{number:,} {unit if number == 1 else plural or unit + 's'}"
