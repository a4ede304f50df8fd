"""Bringing an older capture up to the schema this program writes, one version at a time, never backwards.

A step turns version n into n + 1 and runs in one transaction together with the change of `user_version`, so
a file is always at exactly one version, whatever interrupts the work. Version 1 is the first; a change of
`schema.sql` adds its step to `STEPS` in the same commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from inspectd.capture.model import SCHEMA_VERSION

Step: TypeAlias = Callable[[sqlite3.Connection], object]


def _add_what_is_beside_exchanges(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE evidence (exchange INTEGER PRIMARY KEY, rule TEXT NOT NULL, planned INTEGER, "
        "sent INTEGER NOT NULL, acked INTEGER, reused INTEGER NOT NULL, attempt INTEGER NOT NULL, "
        "previous INTEGER, gap_ns INTEGER, ended_by TEXT, how TEXT, after_ns INTEGER)"
    )
    db.execute("CREATE INDEX evidence_previous ON evidence (previous) WHERE previous IS NOT NULL")
    db.execute(
        "CREATE TABLE tls (connection INTEGER PRIMARY KEY, hello BLOB NOT NULL, sni TEXT, alpn TEXT, version TEXT, "
        "cipher TEXT, certificate TEXT, shaken_ns INTEGER, alert TEXT, sentence TEXT)"
    )
    db.execute(
        "CREATE TABLE upstream (connection INTEGER PRIMARY KEY, client INTEGER NOT NULL, origin TEXT NOT NULL)"
    )
    db.execute(
        "CREATE TABLE forward (exchange INTEGER PRIMARY KEY, upstream INTEGER, origin TEXT NOT NULL, "
        "begun_ns INTEGER NOT NULL, resolve_ns INTEGER, connect_ns INTEGER, sent_ns INTEGER, whole_ns INTEGER, "
        "came_ns INTEGER, done_ns INTEGER, req_offset INTEGER, req_page INTEGER NOT NULL, req_at INTEGER NOT NULL, "
        "req_run INTEGER NOT NULL, req_len INTEGER NOT NULL, res_offset INTEGER, res_page INTEGER NOT NULL, "
        "res_at INTEGER NOT NULL, res_run INTEGER NOT NULL, res_len INTEGER NOT NULL, changes TEXT, failure TEXT)"
    )


def _add_what_tunnels_and_servers_tell(db: sqlite3.Connection) -> None:
    for table, column in (
        ("connection", "inside INTEGER"),
        ("tls", "shown BLOB"),
        ("upstream", "via TEXT"),
        ("forward", "tls_ns INTEGER"),
        ("forward", "res_changes TEXT"),
    ):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


STEPS: Final[Mapping[int, Step]] = {1: _add_what_is_beside_exchanges, 2: _add_what_tunnels_and_servers_tell}
"""Version n -> what turns it into n + 1. A step must not commit."""


class NoWayForward(Exception):  # noqa: N818  it is a statement about the file, and the caller says which file
    """No step leads from this version to the one that was asked for."""

    def __init__(self, version: int, target: int) -> None:
        super().__init__(f"no step from version {version} to {target}")
        self.version = version
        self.target = target


def migrate(
    db: sqlite3.Connection, *, steps: Mapping[int, Step] | None = None, target: int = SCHEMA_VERSION
) -> list[int]:
    """Bring `db` (in autocommit mode) forward to version `target`; the versions it went through.

    A failing step is rolled back and its error raised; the steps before it stay done. `NoWayForward` when a
    step is missing or the file is newer than `target`; nothing is changed then.
    """
    steps = STEPS if steps is None else steps
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > target or any(number not in steps for number in range(version, target)):
        raise NoWayForward(version, target)
    passed = [version]
    while version < target:
        db.execute("BEGIN IMMEDIATE")
        try:
            steps[version](db)
            version += 1
            db.execute(f"PRAGMA user_version = {version:d}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        passed.append(version)
    return passed
