"""Numbers and bytes as people write them in rules: durations, sizes, rates, and text that stands for bytes.

Nothing here guesses: what is not understood is a `UnitError` that says how to write it.
"""

from __future__ import annotations

import math
import re
from typing import Final

from inspectd.errors import InspectdError

LONGEST: Final = 366 * 86400.0
"""The longest duration in seconds that is understood."""

LARGEST: Final = 1 << 50
"""The largest size in bytes that is understood."""

_SECONDS: Final = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_BYTES: Final = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kib": 1 << 10,
    "kb": 10**3,
    "m": 1 << 20,
    "mib": 1 << 20,
    "mb": 10**6,
    "g": 1 << 30,
    "gib": 1 << 30,
    "gb": 10**9,
}
_NUMBER: Final = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_PART: Final = re.compile(rf" *({_NUMBER}) *([a-zµ]*)")
_SIZE: Final = re.compile(rf" *({_NUMBER}) *([A-Za-z]*) *")
_TIME_UNIT: Final = re.compile(r" *([a-zµ]+) *")

_SMOOTH: Final = (
    0.02  # seconds between the pieces of a rate such as 4KiB/s, as far as its bytes can be divided
)

_DURATION_MEND: Final = 'Write "300ms", "2s", "1m30s", or a number of seconds.'
_SIZE_MEND: Final = 'Write "4KiB", "2MB", or a number of bytes.'
_RATE_MEND: Final = 'Write bytes in a time: "4KiB/s", "1B/20ms".'


class UnitError(InspectdError):
    """A duration, a size or a rate that can't be understood: what is wrong with it, and how to write it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)


def duration(value: str | float) -> float:
    """A duration in seconds. Raises `UnitError` for what is none, is negative or is longer than a year.

    >>> duration("300ms"), duration("1m30s"), duration(2)
    (0.3, 90.0, 2.0)
    """
    seconds = _spelled_duration(value) if isinstance(value, str) else float(value)
    if not math.isfinite(seconds) or seconds < 0 or isinstance(value, bool):
        raise UnitError(f"not a duration: {value!r}", _DURATION_MEND)
    if seconds > LONGEST:
        raise UnitError(f"longer than a year: {value!r}", _DURATION_MEND)
    return seconds


def _spelled_duration(text: str) -> float:
    at = 0
    seconds = 0.0
    stripped = text.rstrip(" ")
    while at < len(stripped):
        part = _PART.match(stripped, at)
        alone = at == 0 and part is not None and part.end() == len(stripped)
        if part is None or (part[2] not in _SECONDS and not (alone and not part[2])):
            raise UnitError(f"not a duration: {text!r}", _DURATION_MEND)
        seconds += float(part[1]) * _SECONDS.get(part[2], 1.0)
        at = part.end()
    if not stripped:
        raise UnitError(f"not a duration: {text!r}", _DURATION_MEND)
    return seconds


def size(value: str | int) -> int:
    """A size in bytes. KiB, MiB and GiB (or K, M, G) are powers of 1024; kB, MB and GB of 1000.

    Raises `UnitError` for what is none, is negative or has no whole number of bytes.
    """
    if isinstance(value, str):
        found = _SIZE.fullmatch(value)
        factor = _BYTES.get(found[2].lower()) if found else None
        if found is None or factor is None:
            raise UnitError(f"not a size: {value!r}", _SIZE_MEND)
        number = float(found[1]) * factor if "." in found[1] else int(found[1]) * factor
        if number != int(number):
            raise UnitError(f"not a whole number of bytes: {value!r}", _SIZE_MEND)
        number = int(number)
    else:
        number = value
    if isinstance(value, bool) or number < 0:
        raise UnitError(f"not a size: {value!r}", _SIZE_MEND)
    if number > LARGEST:
        raise UnitError(f"more bytes than anybody can send: {value!r}", _SIZE_MEND)
    return number


def rate(text: str) -> tuple[int, float]:
    """How bytes trickle: how many in a piece, and the seconds between two pieces.

    `"1B/20ms"` means just that: one byte, 20 ms, one byte. A time without a number (`"4KiB/s"`) is a speed: pieces
    and pauses are chosen so that it comes out evenly, with pauses of about 20 ms or longer. Raises `UnitError`.
    """
    amount, slash, time = text.partition("/")
    if not slash:
        raise UnitError(f"not a rate: {text!r}", _RATE_MEND)
    try:
        count = size(amount)
        unit = _TIME_UNIT.fullmatch(time)
        seconds = duration(f"1{unit[1]}" if unit else time)
    except UnitError as error:
        raise UnitError(f"not a rate: {text!r} ({error.what})", _RATE_MEND) from None
    if count == 0:
        raise UnitError(
            f"a rate of no bytes: {text!r}", 'Use a fault with do = "stall" to send nothing more.'
        )
    if seconds == 0:
        raise UnitError(f"a rate in no time: {text!r}", _RATE_MEND)
    if unit is None:
        return count, seconds
    piece = max(1, round(count / seconds * _SMOOTH))
    return piece, piece * seconds / count


def hex_bytes(text: str) -> bytes:
    """The bytes that hexadecimal digits stand for; there may be white space between two bytes. Raises `UnitError`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UnitError(
            "these are not hexadecimal digits", 'Write two for each byte: "48 54 54 50".'
        ) from None


def wire_bytes(text: str) -> bytes:
    """The bytes that text in a rule stands for: U+0000 to U+00FF is the byte of that number, the rest is UTF-8.

    So `"\\u00e9"` is the one byte 0xE9. A lone surrogate raises `UnitError`.
    """
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        pass
    try:
        return b"".join(character.encode("latin-1" if character <= "\xff" else "utf-8") for character in text)
    except UnicodeEncodeError:
        raise UnitError(
            "a lone surrogate stands for no bytes", "Write a byte as \\u0000 to \\u00FF."
        ) from None
