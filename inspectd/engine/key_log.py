"""SSLKEYLOGFILE: where the secrets of TLS connections are written for Wireshark, when a person asks for it."""

from __future__ import annotations

import os
from pathlib import Path

from inspectd.errors import InspectdError


class KeyLogError(InspectdError):
    """The file can't be written."""


def key_log() -> Path | None:
    """The file that SSLKEYLOGFILE names, made so that only this user can read it. Raises KeyLogError."""
    named = os.environ.get("SSLKEYLOGFILE")
    if not named:
        return None
    path = Path(named)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise KeyLogError(
            f"SSLKEYLOGFILE={named}: {problem.strerror or problem}",
            "name a file you may write to, or unset it",
        ) from problem
    return path
