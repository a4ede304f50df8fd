"""Databases of certificates as NSS keeps them (Firefox, and Chromium on Linux), changed by NSS's own certutil."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from shlex import quote
from typing import TYPE_CHECKING, Final

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATABASE: Final = "cert9.db"
SECONDS: Final = 60
"""How long certutil may take with a database."""
_TRUSTED: Final = "C,,"
"""Trusted to sign the certificates of servers, and nothing else (certutil -t)."""


def has_certutil() -> bool:
    """Whether NSS's tool is installed. (Windows has another one of this name.)"""
    return shutil.which("certutil") is not None and sys.platform != "win32"


def make(database: Path, echo: Callable[[str], None] | None = None) -> None:
    """Make an empty database in this directory."""
    certutil(database, "-N", "--empty-password", echo=echo)


def trust(database: Path, name: str, certificate: Path, echo: Callable[[str], None] | None = None) -> None:
    """Make the database trust the authority whose certificate is in this PEM file, for servers only."""
    certutil(database, "-A", "-n", name, "-t", _TRUSTED, "-i", str(certificate), echo=echo)


def take_out(database: Path, name: str, echo: Callable[[str], None] | None = None) -> None:
    """Take an authority out of the database."""
    certutil(database, "-D", "-n", name, echo=echo)


def certutil(database: Path, *arguments: str, echo: Callable[[str], None] | None = None) -> None:
    """Run it; `echo` gets the command line before. Raises `InspectdError` with what it says."""
    program = shutil.which("certutil")
    mend = "Debian: apt install libnss3-tools; Fedora: dnf install nss-tools; macOS: brew install nss"
    if program is None or not has_certutil():
        raise InspectdError("certutil of NSS is not installed", mend)
    words = ["-d", f"sql:{database}", *arguments]
    if echo is not None:
        echo(f"certutil {' '.join(map(quote, words))}")
    try:
        done = subprocess.run(  # noqa: S603 - words, no shell
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise InspectdError(f"certutil can't be run: {problem}", mend) from problem
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip() or f"exit code {done.returncode}"
        raise InspectdError(
            f"{database}: {said.removeprefix('certutil: ')}",
            "close the browser that uses it, or look with certutil -L",
        )
