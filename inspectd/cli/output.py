"""Standard output, the way every command uses it: whether it is there, its colours, and its end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable

_COLOURS: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}  # fmt: skip  # noqa: E501


def require_stdout(instead: str) -> None:
    """Raises `InspectdError` when standard output is closed; `instead` is the command line that goes somewhere."""
    if sys.stdout is None:
        raise InspectdError("standard output is closed, and it is where this goes", f"Try: {instead}")


def let_go_of_stdout() -> None:
    """Send what is still written to standard output, and what Python flushes at its exit, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def painter(*, colour: bool) -> Callable[[str, str], str]:
    """A function that colours text, or returns it as it is."""
    if not colour:
        return lambda text, _: text
    return lambda text, name: f"\x1b[{_COLOURS[name]}m{text}\x1b[0m"


def wants_colour() -> bool:
    """Whether standard output is a terminal that may be coloured (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def draws_glyphs() -> bool:
    """Whether standard output can show more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
