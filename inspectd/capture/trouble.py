"""What can go wrong with a capture file, in words for the person who named it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    import os

_DAMAGED: Final = "is damaged or cut short"
_WAL_TOO: Final = "a copy of it made while it was written needs its -wal too"


class CaptureError(InspectdError):
    """A capture can't be made, opened or read. The file is as it was."""

    def __init__(
        self, path: os.PathLike[str] | str, what: str, mend: str = "", *, exit_code: int = 1
    ) -> None:
        super().__init__(f"{path}: {what}", mend, exit_code=exit_code)
        self.path = Path(path)


def damage(path: os.PathLike[str] | str, error: sqlite3.Error | UnicodeDecodeError) -> CaptureError:
    """What an error of SQLite means to the person who named this capture.

    It quotes names of a damaged file in its own errors, which Python then can't decode.
    """
    if isinstance(error, UnicodeDecodeError):
        return CaptureError(path, _DAMAGED, _WAL_TOO)
    code = primary(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path)
    if code == sqlite3.SQLITE_NOTADB:
        return CaptureError(path, "is not a capture")
    if code == sqlite3.SQLITE_CORRUPT:
        return CaptureError(path, _DAMAGED, _WAL_TOO)
    if code == sqlite3.SQLITE_FULL:
        return CaptureError(path, "the disk is full", "make room, or choose another place with --capture")
    if code in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    ):
        return CaptureError(
            path, "can't be opened here", "are its directory and its -wal and -shm files yours?"
        )
    return CaptureError(path, f"can't be read: {error}")


def primary(error: sqlite3.Error) -> int | None:
    """The primary result code of an error (sqlite.org/rescode.html), None when Python raised it."""
    code: Any = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def locked(path: os.PathLike[str] | str) -> CaptureError:
    return CaptureError(path, "is locked by another program", "close that program, or wait until it is done")


def cut_short(path: Path) -> CaptureError:
    return CaptureError(path, "is cut short: its end is missing", "a complete copy is needed to read it")


def foreign_database(path: Path) -> CaptureError:
    return CaptureError(path, "is an SQLite database, but not a capture of inspectd")


def system_error(path: Path, error: OSError) -> CaptureError:
    match error.errno:
        case errno.ENOENT:
            if not path.parent.is_dir():
                return CaptureError(path, f"there is no directory {path.parent}", f"mkdir -p {path.parent}")
            return CaptureError(path, "no such file")
        case errno.EACCES | errno.EPERM:
            return CaptureError(path, "permission denied", "choose a place you may use")
        case errno.ENOTDIR | errno.EEXIST:
            return CaptureError(path, "a part of this path is a file, not a directory")
        case errno.EROFS:
            return CaptureError(path, "this file system is read-only", "choose another place with --capture")
        case errno.ENOSPC | errno.EDQUOT:
            return CaptureError(path, "the disk is full", "make room, or choose another place with --capture")
        case _:
            return CaptureError(path, error.strerror or str(error))
