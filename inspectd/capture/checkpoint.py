"""Folding the write-ahead log back into the capture file, away from the data path.

Strategy: the writer never checkpoints by itself (`wal_autocheckpoint=0`). When enough has been written, a thread with a
connection of its own runs a PASSIVE checkpoint: it waits for nobody, nobody waits for it, and its fsyncs happen with
the interpreter's lock released. Under constant load it can't reach the end of a log that keeps growing, so when the
log has become long the writer copies the small rest itself, between two turns, and SQLite starts the log anew. A
checkpoint that doesn't reach the end leaves the file unsynced, so the thread syncs file and log too: the writer's share
is then a few milliseconds for some ten thousand exchanges.
Warning: SQLite before 3.51.3 can corrupt a file when one connection starts a checkpoint of a log that is already
wholly checkpointed while another connection's commit restarts that log (sqlite.org/wal.html#walresetbug). Here the
thread starts only after a commit that came later than the last checkpoint, so the log it finds is never wholly
checkpointed, and the writer doesn't checkpoint while the thread does. And the descriptors that are opened here to sync
are closed after SQLite's: closing one drops every lock that this process has on the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

EVERY: Final = 8 * 1024 * 1024
"""Bytes of traffic after which the log is folded back."""
LONG_LOG: Final = 64 * 1024 * 1024
"""Bytes of log after which the writer finishes a checkpoint itself, so that the log can start anew."""


_sync: Final = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Checkpointer:
    """Decides when the log is folded back, and has it done."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._page_size = int(writer.execute("PRAGMA page_size").fetchone()[0])
        self._written = 0
        self._too_long = False
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = False
        self._to_sync = [os.open(name, os.O_RDONLY) for name in (f"{path}-wal", path)]
        self._thread: threading.Thread | None = None

    def wrote(self, size: int) -> None:
        """The writer has just committed `size` bytes of traffic."""
        self._written += size + self._page_size
        if not self._idle.is_set():
            return
        if self._too_long:
            self._finish()
        elif self._written >= EVERY:
            self._written = 0
            self._idle.clear()
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
                self._thread.start()

    def _finish(self) -> None:
        """Copy what was written while the thread copied. The next commit then starts the log anew."""
        self._too_long = False
        self._written = 0  # the thread's next checkpoint comes well after that commit
        with contextlib.suppress(sqlite3.Error):  # the log stays long, and the next flush says what is wrong
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _run(self) -> None:
        # mode=rw: a capture that somebody removed must not come back as an empty file.
        try:
            db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        except sqlite3.Error:
            self._thread = None  # the next time tries again; the engine reports what became of the file
            self._idle.set()
            return
        db.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._closing:
                    return
                # Never needed for safety; what is wrong with the file, the writer sees.
                with contextlib.suppress(sqlite3.Error, OSError):
                    _busy, frames, _done = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    for descriptor in self._to_sync:
                        _sync(descriptor)
                    self._too_long = frames * self._page_size > LONG_LOG
                self._idle.set()
        finally:
            db.close()

    def stop(self) -> None:
        """Wait for a running checkpoint and end the thread."""
        self._idle.wait()
        if (thread := self._thread) is not None:
            self._closing = True
            self._wake.set()
            thread.join()

    def close(self) -> None:
        """Let go of the file. To be called when SQLite has closed it."""
        for descriptor in self._to_sync:
            os.close(descriptor)
        self._to_sync = []
