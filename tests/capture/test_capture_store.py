"""What a capture file is, who may open it, and that looking changes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.capture import migrations, store
from inspectd.capture.model import APPLICATION_ID, SCHEMA_VERSION, State
from inspectd.capture.reader import Capture
from inspectd.capture.store import CaptureError
from inspectd.capture.writer import CaptureWriter
from tests.capture.processes import WRITE_AND_WAIT, other_process
from tests.capture.traffic import finished_capture, get, new_writer, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(directory: Path) -> dict[str, str]:
    """Every file of a directory but SQLite's shared memory, with the hash of its bytes."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in directory.iterdir()
        if not each.name.endswith("-shm")
    }


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def run_unprivileged(body: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code as somebody whom permissions hold back, after its imports; a `CaptureError` is printed."""
    return run_python(
        f"""
import os, shutil, sys, tempfile, urllib.parse
from inspectd.capture import store
from inspectd.capture.reader import Capture
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
try:
    {body}
except store.CaptureError as error:
    print(error.what)
""",
        *arguments,
    )


PRINT_NEWEST = "print(Capture.open(sys.argv[1]).newest_exchange())"


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users can get into, for tests of permissions."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


# -- making


def test_a_new_capture_is_private_with_its_companions(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    before = os.umask(0)
    try:
        db = store.create(path)
    finally:
        os.umask(before)
    with closing(db):
        assert {each.name: mode(each) for each in tmp_path.iterdir()} == {
            "a.inspectd": 0o600,
            "a.inspectd-shm": 0o600,
            "a.inspectd-wal": 0o600,
        }
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


def test_the_main_file_alone_says_what_it_is(tmp_path: Path) -> None:
    with closing(store.create(tmp_path / "a.inspectd")):
        header = (tmp_path / "a.inspectd").read_bytes()[:100]
    assert int.from_bytes(header[68:72]) == APPLICATION_ID
    assert int.from_bytes(header[60:64]) == SCHEMA_VERSION


def test_an_empty_file_may_become_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "made-by-mktemp"
    path.touch(mode=0o644)
    store.create(path).close()
    store.check(path)
    assert mode(path) == 0o600


@pytest.mark.parametrize("make", ["text", "capture", "directory", "symlink", "no-parent", "file-parent"])
def test_making_never_overwrites(tmp_path: Path, make: str) -> None:
    path = tmp_path / "x"
    match make:
        case "text":
            path.write_text("dear diary")
            says = "exists already"
        case "capture":
            finished_capture(path)
            says = "exists already"
        case "directory":
            path.mkdir()
            says = "is a directory"
        case "symlink":
            (tmp_path / "target").write_text("dear diary")
            path.symlink_to(tmp_path / "target")
            says = "is not a regular file"
        case "no-parent":
            path = tmp_path / "missing" / "x"
            says = "there is no directory"
        case _:
            path.write_text("dear diary")
            path = path / "x"
            says = "is a file, not a directory"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CaptureError, match=says) as caught:
        store.create(path)
    assert caught.value.what.startswith(f"{path}: ")
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_can_be_made_where_one_may_not_write(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    answer = run_unprivileged("store.create(sys.argv[1])", open_directory / "x")
    assert answer.stdout == f"{open_directory / 'x'}: permission denied\n"


# -- what isn't a capture


def not_a_capture(path: Path, what: str) -> None:
    """Put something at `path` that can't be read as a capture."""
    match what:
        case "directory":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("GET / HTTP/1.1\r\n" * 500)
        case "short text":
            path.write_text("SQL")
        case "fifo":
            os.mkfifo(path)
        case "other database":
            with closing(sqlite3.connect(path)) as db:
                db.execute("CREATE TABLE exchange (id)")
        case "other live database":
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("CREATE TABLE exchange (id)")
        case "newer":
            finished_capture(path)
            with closing(sqlite3.connect(path)) as db:
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        case "no tables":
            with closing(sqlite3.connect(path)) as db:
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        case "cut in its header":
            finished_capture(path)
            os.truncate(path, 80)
        case "cut in its first page":
            finished_capture(path)
            os.truncate(path, 3000)
        case "cut at a page":
            finished_capture(path)
            os.truncate(path, path.stat().st_size - store.PAGE_SIZE)
        case "cut in a page":
            finished_capture(path)
            os.truncate(path, path.stat().st_size - 100)
        case "scribbled":
            finished_capture(path)
            with path.open("r+b") as file:
                file.seek(100)
                file.write(os.urandom(3000))
        case "broken name":
            finished_capture(path)
            data = path.read_bytes()
            assert b"CREATE TABLE exchange" in data
            path.write_bytes(data.replace(b"CREATE TABLE exchange", b"CREATE \xacABLE exchange"))
        case _:
            assert what == "missing"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("missing", "no such file"),
        ("directory", "is a directory"),
        ("empty", "is empty"),
        ("text", "is not a capture"),
        ("short text", "is not a capture"),
        ("fifo", "is not a regular file"),
        ("other database", "not a capture of inspectd"),
        ("other live database", "not a capture of inspectd"),
        ("newer", "newer inspectd"),
        ("no tables", "is damaged"),
        ("cut in its header", "is cut short"),
        ("cut in its first page", "cut short"),
        ("cut at a page", "cut short"),
        ("cut in a page", "cut short"),
        ("scribbled", "is damaged"),
        ("broken name", "is damaged"),
    ],
)
def test_what_is_no_capture_is_named_and_left_alone(tmp_path: Path, what: str, says: str) -> None:
    path = tmp_path / "x.inspectd"
    not_a_capture(path, what)
    before = {} if what in {"directory", "fifo"} else contents(tmp_path)
    names = sorted(each.name for each in tmp_path.iterdir())
    for attempt in (store.check, Capture.open):
        with pytest.raises(CaptureError, match=says) as caught:
            attempt(path)
        assert "\n" not in caught.value.what
    if what not in {"missing", "empty"}:
        with pytest.raises(CaptureError):
            store.create_or_continue(path)
    if what not in {"directory", "fifo"}:
        assert contents(tmp_path) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == names


def test_a_file_one_may_not_read_is_named(open_directory: Path) -> None:
    finished_capture(open_directory / "x")
    (open_directory / "x").chmod(0)
    answer = run_unprivileged(PRINT_NEWEST, open_directory / "x")
    assert answer.stdout == f"{open_directory / 'x'}: you may not read it\n"


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_file_locked_by_another_program_is_named(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "x.inspectd"
    finished_capture(path)
    code = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA locking_mode = EXCLUSIVE")
db.execute("PRAGMA journal_mode = " + sys.argv[2])
db.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
sys.stdin.read()
"""
    with other_process(code, path, journal):
        before = contents(tmp_path)
        with pytest.raises(CaptureError, match="is locked by another program"):
            store.check(path)
        assert contents(tmp_path) == before


# -- reading without leaving a trace


def test_reading_a_finished_capture_leaves_no_trace(tmp_path: Path) -> None:
    requests = finished_capture(tmp_path / "x.inspectd")
    before = contents(tmp_path)
    assert list(before) == ["x.inspectd"]
    with Capture.open(tmp_path / "x.inspectd") as capture:
        assert [capture.request_bytes(row) for row in capture.exchanges_after(0, 10)] == requests
        assert list(contents(tmp_path)) == ["x.inspectd"]
    assert contents(tmp_path) == before
    assert [each.name for each in tmp_path.iterdir()] == ["x.inspectd"]


def test_the_last_viewer_tidies_up_behind_an_engine_that_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    writer = new_writer(path)
    first, second = Capture.open(path), Capture.open(path)
    writer.close(1)
    first.close()
    assert {each.name for each in tmp_path.iterdir()} == {"x.inspectd", "x.inspectd-shm", "x.inspectd-wal"}
    second.close()
    assert {each.name for each in tmp_path.iterdir()} == {"x.inspectd"}


def test_a_viewer_leaves_the_log_of_a_quiet_engine_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    code = WRITE_AND_WAIT.replace(
        'print("ready"', 'writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)"); print("ready"'
    )
    with other_process(code, path):
        assert Path(f"{path}-wal").stat().st_size == 0
        Capture.open(path).close()
        assert Path(f"{path}-wal").exists()
        assert store.in_use(path)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x.inspectd")
    with closing(store.open_reader(tmp_path / "x.inspectd")) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("DELETE FROM listener")
    writer.close(1)


def test_a_name_with_signs_that_mean_something_in_a_uri_is_just_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rw#%41é.inspectd"
    finished_capture(path)
    with Capture.open(path) as capture:
        assert capture.newest_exchange() == 3


def test_a_killed_engines_capture_is_read_whole_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    with other_process(WRITE_AND_WAIT, path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = contents(tmp_path)
    assert set(before) == {"x.inspectd", "x.inspectd-wal"}
    for _ in range(2):
        with Capture.open(path) as capture:
            assert capture.newest_exchange() == 50
            for row in capture.exchanges_after(0, 100):
                assert capture.request_bytes(row).startswith(f"GET /{row.id - 1} HTTP/1.1".encode())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_killed_engines_capture_is_read_where_one_may_not_write(
    open_directory: Path, shared_memory: bool
) -> None:
    path = open_directory / "x.inspectd"
    with other_process(WRITE_AND_WAIT, path) as process:
        process.kill()
        process.wait()
    if not shared_memory:
        (open_directory / "x.inspectd-shm").unlink()
    for each in open_directory.iterdir():
        each.chmod(0o444)
    open_directory.chmod(0o555)
    before = contents(open_directory)
    answer = run_unprivileged(PRINT_NEWEST, path)
    assert (answer.stderr, answer.stdout) == ("", "50\n")
    assert contents(open_directory) == before


def test_a_finished_capture_is_read_where_one_may_not_write(open_directory: Path) -> None:
    path = open_directory / "x.inspectd"
    finished_capture(path)
    path.chmod(0o444)
    open_directory.chmod(0o555)
    answer = run_unprivileged(PRINT_NEWEST, path)
    assert (answer.stderr, answer.stdout) == ("", "3\n")


def test_a_viewer_in_another_process_follows_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    with other_process(WRITE_AND_WAIT, path), Capture.open(path) as capture:
        assert capture.newest_exchange() == 50
        assert store.in_use(path)


# -- older and newer versions


def old_capture(path: Path) -> None:
    """A capture of a version that never was: like version 1, and its exchanges have no `note`."""
    first_version(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE exchange DROP COLUMN note")
        db.execute("PRAGMA user_version = 0")


def first_version(path: Path) -> None:
    """A capture of version 1, which had no evidence."""
    finished_capture(path)
    with closing(sqlite3.connect(path)) as db:
        for table in ("evidence", "tls", "upstream", "forward"):
            db.execute(f"DROP TABLE {table}")
        db.execute("ALTER TABLE connection DROP COLUMN inside")
        db.execute("PRAGMA user_version = 1")


def add_note(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE exchange ADD COLUMN note TEXT")


def test_an_older_capture_is_brought_forward_one_version_at_a_time(tmp_path: Path) -> None:
    old_capture(tmp_path / "x")
    steps = {0: add_note, 1: lambda db: db.execute("CREATE TABLE later (id)")}
    with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as db:
        assert migrations.migrate(db, steps=steps, target=2) == [0, 1, 2]
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT count(note) FROM exchange").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM later").fetchone() == (0,)


def test_a_failing_step_leaves_the_version_before_it(tmp_path: Path) -> None:
    old_capture(tmp_path / "x")

    def fails_halfway(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE later (id)")
        db.execute("INSERT INTO nowhere VALUES (1)")

    with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError):
            migrations.migrate(db, steps={0: add_note, 1: fails_halfway}, target=2)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'later'").fetchall() == []


@pytest.mark.parametrize("target", [0, 3])
def test_there_is_no_way_back_and_none_over_a_gap(tmp_path: Path, target: int) -> None:
    first_version(tmp_path / "x")
    with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as db:
        with pytest.raises(migrations.NoWayForward):
            migrations.migrate(db, steps={2: add_note}, target=target)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_an_older_capture_is_read_through_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, copies = tmp_path / "kept", tmp_path / "copies"
    kept.mkdir()
    copies.mkdir()
    old_capture(kept / "x")
    before = contents(kept)
    monkeypatch.setattr(migrations, "STEPS", {0: add_note, **migrations.STEPS})
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    with Capture.open(kept / "x") as capture:
        row = capture.exchange(1)
        assert row is not None
        assert row.note is None
        assert capture.request_bytes(row).startswith(b"GET /0 ")
        (copy,) = copies.iterdir()
        assert mode(copy) == 0o700
    assert list(copies.iterdir()) == []
    assert contents(kept) == before


def test_an_older_capture_that_no_step_leads_from_is_named(tmp_path: Path) -> None:
    old_capture(tmp_path / "x")
    before = contents(tmp_path)
    with pytest.raises(CaptureError, match="older inspectd"):
        Capture.open(tmp_path / "x")
    assert contents(tmp_path) == before


def test_a_capture_of_version_1_is_read_as_it_is_and_continued(tmp_path: Path) -> None:
    first_version(tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    with Capture.open(tmp_path / "x") as capture:
        assert capture.exchange(1) is not None
        assert (capture.evidence(1), capture.attempts(1)) == (None, [])
    assert (tmp_path / "x").read_bytes() == before
    with (
        closing(store.create_or_continue(tmp_path / "x")) as db,
        closing(store.create(tmp_path / "y")) as new,
    ):
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert shape(db) == shape(new)


def shape(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """The columns of each table and index."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema ORDER BY name")]
    return {name: db.execute(f"PRAGMA table_xinfo('{name}')").fetchall() for name in names}


def test_the_steps_lead_from_every_version_to_this_one() -> None:
    assert sorted(migrations.STEPS) == list(range(1, SCHEMA_VERSION))


# -- going on with a capture


def test_a_capture_is_continued_behind_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    first = finished_capture(path)
    writer = CaptureWriter(path)
    more, _ = get(writer, open_connection(writer), "/more")
    writer.flush(5000)
    writer.close(6000)
    with Capture.open(path) as capture:
        assert [capture.request_bytes(row) for row in capture.exchanges_after(0, 10)] == [*first, more]


def test_what_a_killed_engine_left_open_is_closed_when_its_capture_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    get(writer, connection)
    connection.received(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 2000)
    connection.settle(connection.begin(connection.bytes_in - 41, 2000))
    connection.save()
    writer.flush(2001)
    copy = tmp_path / "killed.inspectd"
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    writer.close(3000)

    CaptureWriter(copy).close(4000)
    with Capture.open(copy) as capture:
        finished, cut = capture.exchanges_after(0, 10)
        assert not finished.state & State.ABORTED
        assert cut.state & State.ABORTED
        (found,) = capture.connections([1])
        assert (found.how, found.closed_by, found.closed_ns) == ("error", "server", 2000)
        assert capture.counts().open == 0


@pytest.mark.parametrize("what", ["text", "other database", "newer", "scribbled", "no tables"])
def test_what_is_no_capture_is_not_continued(tmp_path: Path, what: str) -> None:
    not_a_capture(tmp_path / "x", what)
    before = contents(tmp_path)
    with pytest.raises(CaptureError) as caught:
        store.create_or_continue(tmp_path / "x")
    assert caught.value.mend
    assert contents(tmp_path) == before


def test_a_killed_engines_capture_is_not_continued_where_one_may_not_write(open_directory: Path) -> None:
    path = open_directory / "x.inspectd"
    with other_process(WRITE_AND_WAIT, path) as process:
        process.kill()
        process.wait()
    (open_directory / "x.inspectd-shm").unlink()
    path.chmod(0o666)
    (open_directory / "x.inspectd-wal").chmod(0o444)
    open_directory.chmod(0o555)
    before = contents(open_directory)
    answer = run_unprivileged("store.create_or_continue(sys.argv[1])", path)
    assert (answer.stdout, answer.stderr) == (
        f"{path}: can't be continued: you may not write beside it\n",
        "",
    )
    assert contents(open_directory) == before


def test_two_engines_cannot_write_one_capture(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    with other_process(WRITE_AND_WAIT, path):
        before = contents(tmp_path)
        with pytest.raises(CaptureError, match="is open in another inspectd"):
            store.create_or_continue(path)
        assert contents(tmp_path) == before
    writer = CaptureWriter(path)
    with pytest.raises(CaptureError, match="is open in another inspectd"):
        store.create_or_continue(path)
    writer.close(1)


# -- who has it open


IN_USE = "import sys; from inspectd.capture import store; print(store.in_use(sys.argv[1]))"


def test_looking_does_not_take_the_writers_lock_away(tmp_path: Path) -> None:
    path = tmp_path / "x.inspectd"
    writer = new_writer(path)
    for look in (store.check, store.in_use, lambda path: Capture.open(path).close()):
        look(path)
        assert run_python(IN_USE, path).stdout == "True\n"
    writer.close(1)
    assert run_python(IN_USE, path).stdout == "False\n"
    assert not store.in_use(path)
