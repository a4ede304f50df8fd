"""The first and the last thing that is said of an engine: where it listens, and where its capture is."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from inspectd import __version__
from inspectd.cli.lines import LINES_VERSION, json_line

FORCED_EXIT_CODE: Final = 130
"""What a shell shows for a program that SIGINT ended."""

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.cli.life import Started


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of the listening line that viewers use."""

    pid: int
    addresses: tuple[str, ...]
    capture: str
    control: str
    reach: tuple[str, ...] = ()


def listening_line(started: Started) -> str:
    """`{"type":"listening",...}` with its line end."""
    line = {
        "type": "listening",
        "version": LINES_VERSION,
        "inspectd": __version__,
        "pid": os.getpid(),
        "addresses": started.addresses,
        "capture": str(started.capture),
        "control": str(started.control),
    }
    if started.control_tcp is not None:
        line["control_tcp"] = started.control_tcp
        line["control_token_file"] = str(started.token_file)
    if started.reach:
        line["reach"] = started.reach
    return json_line(line)


def read_listening_line(line: bytes) -> Listening:
    """The line that an engine process printed. Raises `msgspec.DecodeError` when it is none."""
    return msgspec.json.decode(line, type=Listening)


def farewell(capture: Path, out: TextIO | None = None) -> None:
    """Say where the capture is and how to look at it again, on `out` (default: standard output)."""
    import shlex

    with contextlib.suppress(OSError):
        print(
            f"capture: {capture}\nlook at it: inspectd open {shlex.quote(str(capture))}",
            file=out or sys.stdout,
            flush=True,
        )
