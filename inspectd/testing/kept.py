"""Keeping the capture of a failed test: a file of its own with the traffic of that test only."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from inspectd.capture import store

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.testing.record import Record

_FORGET: Final = (
    "DELETE FROM exchange WHERE id <= :exchange",
    "DELETE FROM evidence WHERE exchange <= :exchange",
    "DELETE FROM connection WHERE id <= :connection",
    "DELETE FROM segment WHERE connection <= :connection",
)


def keep(record: Record, path: Path) -> Path:
    """Copy the capture to `path`, without what was before this test. Whatever is at `path` is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    exchange, connection = record.before

    record.stage.commit()
    source = store.open_reader(record.stage.capture)
    target = sqlite3.connect(path, isolation_level=None)
    try:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
        for statement in _FORGET:
            target.execute(statement, {"exchange": exchange, "connection": connection})
        target.execute("VACUUM")
    finally:
        target.close()
        source.close()
    return path
