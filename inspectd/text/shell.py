r"""The door to a shell: bytes from the wire as one word of a command line that a POSIX shell reads back
unchanged.

The result is printable ASCII only, so pasting it can't smuggle a line end, an escape sequence or a character
that looks like another one. What single quotes can carry stands in them; anything else stands in `$'...'`,
which bash, zsh, ksh and POSIX.1-2024 shells read.
"""

from __future__ import annotations

import re
from typing import Final

_BARE: Final = re.compile(rb"[A-Za-z0-9_@%+=:,./-]+")
_PRINTABLE: Final = re.compile(rb"[ -~]*")
_NAMED: Final = {0x0A: r"\n", 0x0D: r"\r", 0x09: r"\t", 0x27: r"\'", 0x5C: r"\\"}


def quote(word: bytes) -> str:
    r"""`word` as one shell word. Raises `ValueError` for NUL, which no shell word can hold.

    >>> quote(b"it's \x1b[31m")
    "$'it\\'s \\033[31m'"
    """
    if b"\0" in word:
        raise ValueError("a shell word can't hold NUL")
    # A leading = or ~ means something to zsh; they are quoted with the rest.
    if _BARE.fullmatch(word) and not word.startswith(b"="):
        return word.decode("ascii")
    if _PRINTABLE.fullmatch(word):
        # `!` is history in an interactive shell, but not within single quotes.
        return "'" + word.decode("ascii").replace("'", "'\\''") + "'"
    return "$'" + "".join(_escaped(byte) for byte in word) + "'"


def _escaped(byte: int) -> str:
    if byte in _NAMED:
        return _NAMED[byte]
    # Three octal digits: a hexadecimal escape would swallow digits that follow it in some shells. `!` too, since
    # history expansion of some shells looks into these quotes.
    return chr(byte) if 0x20 <= byte < 0x7F and byte != 0x21 else f"\\{byte:03o}"


def printf(data: bytes) -> str:
    r"""A `printf` command that writes exactly `data`, NUL and all.

    >>> printf(b"a\0%")
    "printf 'a\\000%%'"
    """
    out: list[str] = []
    for at, byte in enumerate(data):
        if byte == 0x25:
            out.append("%%")
        elif byte == 0x5C:
            out.append("\\\\")
        elif byte == 0x27 or (byte == 0x2D and at == 0) or not 0x20 <= byte < 0x7F:
            # A leading - would be read as an option.
            out.append(f"\\{byte:03o}")
        else:
            out.append(chr(byte))
    return "printf '" + "".join(out) + "'"
