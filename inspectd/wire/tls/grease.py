"""GREASE: values that clients sprinkle in so that servers stay used to values they do not know (RFC 8701 §2)."""

from __future__ import annotations

from typing import Final

# {0x0B,0x2A,0x49,0x68,0x87,0xA6,0xC5,0xE4}, for PskKeyExchangeModes
_MODES: Final = frozenset(range(0x0B, 0x100, 0x1F))


def is_grease(value: int) -> bool:
    """Whether a version, cipher suite, extension, group, or signature scheme is a GREASE value: 0x0A0A, 0x1A1A, ...

    >>> is_grease(0x2A2A), is_grease(0x2A3A), is_grease(0x1301)
    (True, False, False)
    """
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def is_grease_mode(value: int) -> bool:
    """Whether a mode of using pre-shared keys, one byte, is a GREASE value."""
    return value in _MODES


def is_grease_name(name: bytes) -> bool:
    """Whether a protocol name (ALPN) is a GREASE value: the two bytes 0A 0A, 1A 1A, ..."""
    return len(name) == 2 and is_grease(int.from_bytes(name, "big"))


def without_grease(values: tuple[int, ...]) -> tuple[int, ...]:
    """The values that mean something."""
    return tuple(value for value in values if not is_grease(value))
