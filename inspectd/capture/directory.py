"""Where captures live that nobody gave a name: one directory of this user, which keeps those of the last runs."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import time
from pathlib import Path
from typing import Final

from inspectd.capture import store, trouble
from inspectd.errors import InspectdError

_NEW_SECONDS: Final = 60.0
"""An engine that is starting may be about to open an empty file of this age."""
_CAPTURE_NAME: Final = re.compile(r"\d{8}-\d{6}-\d+\.inspectd")


def captures_directory() -> Path:
    """The directory of captures nobody named, made with mode 0700: `$XDG_STATE_HOME/inspectd/captures`.

    XDG Base Directory Specification 0.8: a relative XDG_STATE_HOME is to be ignored, the default is
    `~/.local/state`.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        raise InspectdError(
            "there is no home directory to keep captures in", "set HOME or use --capture"
        ) from None
    ours = state / "inspectd"
    directory = ours / "captures"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (ours, directory):
            each.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(0o700)
    except OSError as error:
        raise trouble.system_error(directory, error) from None
    return directory


def default_path() -> Path:
    """A name for this run's capture that sorts by time, in `captures_directory()`; nothing is there yet."""
    directory = captures_directory()
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-"
    number = os.getpid()
    while (path := directory / f"{stem}{number}.inspectd").exists():
        number += 1
    return path


def prune_old(keep: int = 10) -> list[Path]:
    """Delete captures in the default directory until `keep` are left; what was deleted.

    Those that hold no connection go first, so that runs without traffic never push one with traffic out; then the
    oldest ones.
    Only files that `default_path` names, that are captures, belong to this user and are open nowhere are
    deleted. Never raises: old captures are no reason not to start.
    """
    try:
        directory = captures_directory()
        names = sorted(each.name for each in directory.iterdir() if _CAPTURE_NAME.fullmatch(each.name))
    except (InspectdError, OSError):
        return []
    surplus = max(0, len(names) - keep)
    paths = [directory / name for name in names]
    if surplus:
        paths.sort(key=_holds_something)
    gone: list[Path] = []
    for path in paths:
        if len(gone) == surplus:
            break
        if store.delete(path):
            gone.append(path)
    return gone


def _holds_something(path: Path) -> bool:
    """Whether there is a connection in a capture; True for what can't be read or has only just been made."""
    try:
        if time.time() - path.stat().st_mtime < _NEW_SECONDS:
            return True
        with contextlib.closing(store.open_reader(path)) as db:
            return db.execute("SELECT 1 FROM connection LIMIT 1").fetchone() is not None
    except (InspectdError, OSError, sqlite3.Error):
        return True
