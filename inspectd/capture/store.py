"""The capture as a file: making it, opening it to read, knowing what it is, deleting it.

A capture is never overwritten and never changed by anyone who only looks. Two rules of POSIX locks shape this
module: closing *any* descriptor of a file drops every lock this process has on it, SQLite's too, so a file
that is open here is never opened a second time behind SQLite's back; and every live connection to a WAL
database holds a shared lock on fixed bytes of the main file, which is how another process's use is seen
(sqlite.org/howtocorrupt.html §2.2, sqlite.org/lockingv3.html, sqlite.org/wal.html §5 read-only databases).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspectd.capture import trouble
from inspectd.capture.migrations import NoWayForward, migrate
from inspectd.capture.model import APPLICATION_ID, SCHEMA_VERSION, State
from inspectd.capture.trouble import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CaptureConnection",
    "CaptureError",
    "check",
    "create",
    "create_or_continue",
    "delete",
    "in_use",
    "migrate",
    "open_reader",
]

PAGE_SIZE: Final = 4096
BUSY_SECONDS: Final = 1.0
"""How long an opener waits for somebody else's exclusive lock, which is held for moments in ordinary life."""

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_SHARED_FIRST: Final = 0x40000002
_SHARED_SIZE: Final = 510
"""The bytes of the main file that carry SQLite's SHARED and EXCLUSIVE locks (its os.h)."""

_ELSEWHERE: Final = "choose another name with --capture"
_TABLES: Final = frozenset(
    {
        "meta",
        "listener",
        "connection",
        "exchange",
        "page",
        "segment",
        "evidence",
        "tls",
        "upstream",
        "forward",
    }
)


_open_here: dict[tuple[int, int], int] = {}
"""Files this process has open as captures, by device and inode, and how often."""
_open_here_lock: Final = threading.Lock()


class CaptureConnection(sqlite3.Connection):
    """A connection this process knows of while it is open, and that takes its private copy away with it."""

    _identity: tuple[int, int] | None = None
    _private: Path | None = None
    _tidy: Path | None = None

    def tidy(self, path: Path) -> None:
        """When this is closed, and nobody else has the capture open, remove what an engine left beside it."""
        self._tidy = path

    def claim(self, path: Path, *, private: Path | None = None) -> None:
        """Note which file is open, and the directory to remove when it is closed."""
        self._private = private
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)
        with _open_here_lock:
            _open_here[self._identity] = _open_here.get(self._identity, 0) + 1

    def close(self) -> None:
        """Close; harmless when closed already."""
        super().close()
        if self._identity is not None:
            with _open_here_lock:
                _open_here[self._identity] -= 1
                if not _open_here[self._identity]:
                    del _open_here[self._identity]
            self._identity = None
        if self._private is not None:
            _remove_private(self._private)
            self._private = None
        elif self._tidy is not None:
            _remove_empty_log(self._tidy)
            self._tidy = None


def _is_open_here(status: os.stat_result) -> bool:
    with _open_here_lock:
        return (status.st_dev, status.st_ino) in _open_here


# ---------------------------------------------------------------------------------------------- making


def create(path: os.PathLike[str] | str) -> CaptureConnection:
    """Make a new capture and open it for its one writer, in autocommit mode.

    The file and SQLite's two companions have mode 0600. An existing file is never written to, unless it is
    empty (`mktemp`). `CaptureError` says what stands in the way.
    """
    path = Path(path)
    _make_file(path)
    db = _connect_writer(path)
    with _closed_on_failure(path, db):
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        # Schema and identity go into the main file before WAL begins, so that the file alone says what it is.
        db.execute("BEGIN EXCLUSIVE")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in _schema():
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
        _set_up_writer(path, db)
        # The first write into the WAL: from here on its presence tells readers that somebody may be writing.
        db.execute("INSERT INTO meta VALUES ('created', ?)", (str(time.time_ns()),))
    return db


def create_or_continue(path: os.PathLike[str] | str) -> CaptureConnection:
    """Like `create`, but a capture that nobody has open is brought up to date and continued.

    What an engine left open when it was killed is closed first: its connections ended with their last bytes,
    and their unfinished exchanges are aborted.
    """
    path = Path(path)
    try:
        if not (path.is_file() and path.stat().st_size):
            return create(path)
    except OSError as error:
        raise trouble.system_error(path, error) from None
    _regular(path)
    if in_use(path):
        raise CaptureError(
            path,
            "is open in another inspectd",
            "close that one, look at it with `inspectd attach`, or choose another name",
        )
    if not os.access(path, os.W_OK):
        raise CaptureError(path, "you may not write to it", _ELSEWHERE)
    try:
        _open_as_it_is(path)[0].close()
    except _Unusable:
        raise CaptureError(path, "can't be continued: you may not write beside it", _ELSEWHERE) from None
    except CaptureError as error:
        error.mend = error.mend or f"it is left as it is; {_ELSEWHERE}"
        raise
    db = _connect_writer(path)
    with _closed_on_failure(path, db):
        migrate(db)
        _set_up_writer(path, db)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('continued', ?)", (str(time.time_ns()),))
        _close_what_was_left(db)
    return db


@contextlib.contextmanager
def _closed_on_failure(path: Path, db: CaptureConnection) -> Iterator[None]:
    """Close `db` when what is done with it fails; an error of SQLite becomes a `CaptureError`."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        db.close()
        raise trouble.damage(path, error) from None
    except BaseException:
        db.close()
        raise


def _connect_writer(path: Path) -> CaptureConnection:
    try:
        db = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=CaptureConnection,
        )
    except sqlite3.Error as error:
        raise trouble.damage(path, error) from None
    db.claim(path)
    return db


def _set_up_writer(path: Path, db: sqlite3.Connection) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise CaptureError(
            path,
            "this file system can't share memory between processes, which a live capture needs",
            "choose a place on a local disk with --capture",
        )
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA temp_store = MEMORY")


def _close_what_was_left(db: sqlite3.Connection) -> None:
    """End the connections and exchanges that an engine couldn't end itself."""
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "UPDATE exchange SET state = state | ?1 "
        "WHERE connection IN (SELECT id FROM connection WHERE closed_ns IS NULL) "
        "AND state & ?1 = 0 AND state & ?2 <> ?2",
        (int(State.ABORTED), int(State.REQUEST_COMPLETE | State.RESPONSE_COMPLETE)),
    )
    db.execute(
        "UPDATE connection SET closed_by = 'server', how = 'error', "
        "closed_ns = max(opened_ns, coalesce(last_in_ns, 0), coalesce(last_out_ns, 0)), "
        "sentence = coalesce(sentence, 'inspectd was ended before this connection was.') "
        "WHERE closed_ns IS NULL"
    )
    db.execute("COMMIT")


def _make_file(path: Path) -> None:
    """An empty regular file of mode 0600 at `path`, new or found empty."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            raise CaptureError(path, "is a directory", "name a file in it") from None
        if not stat.S_ISREG(status.st_mode):
            raise CaptureError(path, "is not a regular file", "choose another name") from None
        if status.st_size:
            raise CaptureError(
                path,
                "exists already, and a capture never overwrites a file",
                "choose another name, or look at it with `inspectd open`",
            ) from None
        try:
            path.chmod(0o600)
        except OSError as error:
            raise trouble.system_error(path, error) from None
    except OSError as error:
        raise trouble.system_error(path, error) from None


def _schema() -> list[str]:
    """The statements of `schema.sql`, one by one: `executescript` would commit their transaction."""
    text = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    statements, pending = [], ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


# ------------------------------------------------------------------------------------- opening to read


def open_reader(path: os.PathLike[str] | str) -> CaptureConnection:
    """Open a capture for reading, whatever state it is in, without changing it or leaving files beside it.

    - A `-wal` beside it: somebody writes or was killed. Read through the WAL, as one of several readers.
    - None: nobody writes. Read as immutable, which works on read-only media and makes no companions.
    - A `-wal` that can't be used where it is (a killed engine's capture in a read-only directory), or an
      older schema: read a private copy, which is removed by `close()`.
    """
    path = Path(path)
    try:
        db, version = _open_as_it_is(path)
    except _Unusable:
        return _open_copy(path)
    if version < SCHEMA_VERSION:
        db.close()
        return _open_copy(path)
    db.tidy(path)
    return db


class _Unusable(Exception):  # noqa: N818
    """The capture's log can't be read where it lies."""


def _open_as_it_is(path: Path) -> tuple[CaptureConnection, int]:
    """A reading connection to the file itself, and its schema version, at most ours."""
    status = _regular(path)
    live = _is_open_here(status)
    if not live:
        _refuse_by_header(path, status)
    wal = _companion(path, "-wal").exists()
    try:
        db = _connect(path, immutable=not (wal or live))
    except sqlite3.Error as error:
        if wal and not live and trouble.primary(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise _Unusable from None
        raise trouble.damage(path, error) from None
    with _closed_on_failure(path, db):
        version = _identify(path, db)
        if not (wal or live):
            _refuse_truncated(path, db, status)
    return db, version


def check(path: os.PathLike[str] | str) -> None:
    """Raise `CaptureError` unless `path` is a capture that can be read now. The file is not touched."""
    open_reader(path).close()


def in_use(path: os.PathLike[str] | str) -> bool:
    """Whether a process on this machine has this capture open in a way that writes or follows a writer."""
    try:
        status = Path(path).stat()
        if _is_open_here(status):
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock_shared_range(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _regular(path: Path) -> os.stat_result:
    """What `stat` says about the capture, or the reason why it can't be one."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise CaptureError(path, "no such file") from None
    except OSError as error:
        raise trouble.system_error(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise CaptureError(path, "is a directory, not a capture", "name the capture file in it")
    if not stat.S_ISREG(status.st_mode):
        raise CaptureError(path, "is not a regular file, so it can't be a capture")
    if not os.access(path, os.R_OK):
        raise CaptureError(path, "you may not read it", "ask its owner, or look at it as them")
    return status


def _refuse_by_header(path: Path, status: os.stat_result) -> None:
    """Raise what the first 100 bytes and the lock bytes tell. Never for a file this process has open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = os.pread(descriptor, _HEADER_BYTES, 0)
            free = _lock_shared_range(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise trouble.system_error(path, error) from None
    if not free:
        raise trouble.locked(path)
    if not header:
        raise CaptureError(path, "is empty, so it isn't a capture")
    if not header.startswith(_SQLITE_MAGIC):
        raise CaptureError(path, "is not a capture")
    if len(header) < _HEADER_BYTES or status.st_size < 512:
        raise trouble.cut_short(path)
    if int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise trouble.foreign_database(path)


def _lock_shared_range(descriptor: int, how: int) -> bool:
    """Try a lock on the bytes of SQLite's SHARED lock, and let it go again; whether it was free."""
    try:
        fcntl.lockf(descriptor, how | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except OSError as error:
        # Any other error: a file system without locks, and so without lockers.
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    fcntl.lockf(descriptor, fcntl.LOCK_UN, _SHARED_SIZE, _SHARED_FIRST)
    return True


def _connect(path: Path, *, immutable: bool, private: Path | None = None) -> CaptureConnection:
    uri = path.absolute().as_uri() + ("?mode=ro&immutable=1" if immutable else "?mode=ro")
    db = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=CaptureConnection,
    )
    try:
        db.claim(path, private=private)
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA schema_version").fetchone()  # the first look at the file: this is what can fail
    except BaseException:
        db.close()
        raise
    return db


def _identify(path: Path, db: sqlite3.Connection) -> int:
    """The capture's schema version, at most ours; `CaptureError` when it isn't a capture or is newer."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application != APPLICATION_ID:
        raise trouble.foreign_database(path)
    if version > SCHEMA_VERSION:
        raise CaptureError(
            path,
            f"was written by a newer inspectd (capture version {version}; this one knows {SCHEMA_VERSION})",
            "update inspectd to read it",
        )
    if version == SCHEMA_VERSION and not tables >= _TABLES:
        raise CaptureError(path, "is damaged: parts of a capture are missing in it")
    return int(version)


def _refuse_truncated(path: Path, db: sqlite3.Connection, status: os.stat_result) -> None:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    if pages * size > status.st_size:
        raise trouble.cut_short(path)


# -------------------------------------------------------------------------------------- private copies


def _open_copy(path: Path) -> CaptureConnection:
    """Copy the file and its WAL to a private directory, bring the copy forward, and open that to read."""
    import shutil
    import tempfile

    private = Path(tempfile.mkdtemp(prefix="inspectd-"))
    copy = private / "copy.inspectd"
    try:
        for suffix in ("", "-wal"):
            source = _companion(path, suffix)
            if source.exists():
                shutil.copyfile(source, _companion(copy, suffix))
        writable = sqlite3.connect(copy, isolation_level=None)
        try:
            _identify(path, writable)
            migrate(writable)
        finally:
            writable.close()
        return _connect(copy, immutable=not _companion(copy, "-wal").exists(), private=private)
    except NoWayForward as no_way:
        _remove_private(private)
        raise CaptureError(
            path, f"was written by an older inspectd (capture version {no_way.version}) this one can't read"
        ) from None
    except (sqlite3.Error, UnicodeDecodeError) as error:
        _remove_private(private)
        raise trouble.damage(path, error) from None
    except OSError as error:
        _remove_private(private)
        raise CaptureError(
            path,
            f"can be read only through a copy, and that can't be made: {error.strerror or error}",
            f"make room in {private.parent}, or set TMPDIR to a place with room",
        ) from None
    except BaseException:
        _remove_private(private)
        raise


def _remove_private(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory, ignore_errors=True)


def _remove_empty_log(path: Path) -> None:
    """Remove an empty log: an engine that ends while viewers look on can't, and a viewer's SQLite doesn't."""
    log = _companion(path, "-wal")
    try:
        if log.stat().st_size or _is_open_here(path.stat()):
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # Whoever opens the capture now waits for this lock before it looks for a log.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        if not log.stat().st_size:
            log.unlink()
            _companion(path, "-shm").unlink(missing_ok=True)
    except OSError:
        return
    finally:
        os.close(descriptor)


def delete(path: Path) -> bool:
    """Delete a capture of this user that nobody has open; whether it is gone. Never raises."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or _is_open_here(status):
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        if not header.startswith(_SQLITE_MAGIC) or int.from_bytes(header[68:72]) != APPLICATION_ID:
            return False
        # Held while the names go: whoever opens the file in this moment waits, then finds no file.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        path.unlink()
        for suffix in ("-wal", "-shm"):
            _companion(path, suffix).unlink(missing_ok=True)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix) if suffix else path
