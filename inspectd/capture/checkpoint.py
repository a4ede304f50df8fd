"""Folding the write-ahead log back into the capture file, away from the data path.

Strategy: the writer never checkpoints by itself (`wal_autocheckpoint=0`). When enough has been written, a thread with a
connection of its own runs a PASSIVE checkpoint: it waits for nobody, nobody waits for it, and its fsyncs happen with
the interpreter's lock released. Under constant load it can't reach the end of a log that keeps growing, so when the
log has become long the writer copies the small rest itself, between two turns, and SQLite starts the log anew.
Warning: SQLite before 3.51.3 can corrupt a file when one connection starts a checkpoint of a log that is already
wholly checkpointed while another connection's commit restarts that log (sqlite.org/wal.html#walresetbug). Here the
thread starts only after a commit that came later than the last checkpoint, so the log it finds is never wholly
checkpointed, and the writer doesn't checkpoint while the thread does.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

EVERY: Final = 8 * 1024 * 1024
"""Bytes of traffic after which the log is folded back."""
_PASSES: Final = 3
LONG_LOG: Final = 64 * 1024 * 1024
"""Bytes of log after which the writer finishes a checkpoint itself, so that the log can start anew."""


class Checkpointer:
    """Decides when the log is folded back, and has it done."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._page_size = int(writer.execute("PRAGMA page_size").fetchone()[0])
        self._written = 0
        self._log_frames = 0
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = False
        self._thread: threading.Thread | None = None

    def wrote(self, size: int) -> None:
        """The writer has just committed `size` bytes of traffic."""
        self._written += size + self._page_size
        if self._written < EVERY or not self._idle.is_set():
            return
        if self._log_frames * self._page_size > LONG_LOG:
            self._finish()
        self._written = 0
        self._idle.clear()
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()

    def _finish(self) -> None:
        """Copy what the thread could not reach. The next commit then starts the log anew."""
        self._log_frames = 0
        try:
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            # The commit that restarts the log must come before the thread's next checkpoint (see the warning).
            self._writer.execute("UPDATE meta SET value = value WHERE key = 'created'")
        except sqlite3.Error:
            return  # the log stays long; the next flush reports what is wrong with the file

    def _run(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._closing:
                    return
                with contextlib.suppress(
                    sqlite3.Error
                ):  # never needed for safety; the writer reports a broken file
                    self._log_frames = self._fold(db)
                self._idle.set()
        finally:
            db.close()

    def _fold(self, db: sqlite3.Connection) -> int:
        """Checkpoint; a long log again and again, each time what came meanwhile, so that little is left to finish.

        Another pass only follows one that did not reach the end, so the warning above holds. Returns the frames in
        the log.
        """
        for _ in range(_PASSES):
            _busy, frames, done = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if done >= frames or frames * self._page_size < LONG_LOG:
                break
        return int(frames)

    def close(self) -> None:
        """Wait for a running checkpoint and end the thread."""
        if self._thread is not None:
            self._idle.wait()
            self._closing = True
            self._wake.set()
            self._thread.join()
