"""The real program under what goes wrong a thousand times: nothing leaks, nothing is lost, and the capture tells all.

Files, memory and threads are those that the kernel counts for the engine's process.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sqlite3
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tests.benchmarks.bench_memory import resident
from tests.engine.proxy.certificates import Authority, serving
from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., LiveEngine]

PROGRAM: Final = (sys.executable, "-m", "inspectd")
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET: Final = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
MIB: Final = 1024 * 1024
SECONDS: Final = 60.0
AT_ONCE: Final = 50


def proxy(start: Start, *options: str) -> LiveEngine:
    """`inspectd proxy`."""
    return start(*options, quiet=True, interpreter=(*PROGRAM, "proxy"))


def reverse(start: Start, port: int, *options: str) -> LiveEngine:
    """`inspectd reverse` before a server of the test."""
    url = f"http://127.0.0.1:{port}"
    return start(*options, quiet=True, interpreter=(*PROGRAM, "reverse", url))


class Use(NamedTuple):
    """What a process has."""

    files: int
    threads: int
    megabytes: float


def use_of(engine: LiveEngine) -> Use:
    """What the engine has now; its memory is the most that it ever had."""
    base = Path(f"/proc/{engine.pid}")
    _, most = resident(engine.pid)
    return Use(len(list((base / "fd").iterdir())), len(list((base / "task").iterdir())), most)


def eventually(what: Callable[[], object]) -> None:
    """Wait until this is so."""
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def back_to(engine: LiveEngine, before: Use, *, megabytes: float) -> None:
    """It has no more files and threads than it had, and its memory has grown by at most so much.

    But what checkpoints the capture may have begun since: a thread, with the files of one more connection to SQLite.
    """

    def is_back() -> bool:
        now = use_of(engine)
        return now.files <= before.files + 3 and now.threads <= before.threads + 1

    eventually(lambda: is_back() and not rows(engine, STILL_OPEN))
    assert use_of(engine).megabytes - before.megabytes < megabytes


STILL_OPEN: Final = "SELECT id FROM connection WHERE closed_ns IS NULL"
UNFINISHED: Final = "SELECT id FROM exchange WHERE finished_ns IS NULL"


def rows(engine: LiveEngine, statement: str) -> list[tuple[Any, ...]]:
    """What its capture says."""
    with contextlib.closing(sqlite3.connect(f"file:{engine.capture}?mode=ro", uri=True)) as db:
        return db.execute(statement).fetchall()


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which nothing listens, and nothing will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many files for this process, and for those that it starts, as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    if before[1] < 4000:
        pytest.skip("the system allows too few open files")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def all_that_comes(client: socket.socket) -> bytes:
    """Everything up to FIN."""
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


# ---------------------------------------------------------------------------------------------------- dead servers


def test_ten_thousand_ways_to_a_dead_port_leave_nothing_and_are_all_told(
    live_engine: Start, dead_port: int
) -> None:
    """CONNECT, SOCKS 5, SOCKS 4 and a named target, in turns."""
    engine = proxy(live_engine, "--no-intercept", "*")
    port = dead_port.to_bytes(2)
    asked = (
        (b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % dead_port, b"HTTP/1.1 502 Bad Gateway\r\n"),
        (b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + port, b"\x05\x00\x05\x05"),
        (b"\x04\x01" + port + b"\x7f\x00\x00\x01\x00", b"\x00\x5b"),
        (
            b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % dead_port,
            b"HTTP/1.1 502 Bad Gateway\r\n",
        ),
    )

    def ask(count: int) -> None:
        for _ in range(count // AT_ONCE):
            clients = [engine.connect() for _ in range(AT_ONCE)]
            for number, client in enumerate(clients):
                client.sendall(asked[number % 4][0])
            for number, client in enumerate(clients):
                client.shutdown(socket.SHUT_WR)
                assert all_that_comes(client).startswith(asked[number % 4][1])
                client.close()

    ask(1000)
    eventually(lambda: not rows(engine, STILL_OPEN))
    before = use_of(engine)
    ask(10_000)
    back_to(engine, before, megabytes=16)
    assert rows(engine, UNFINISHED) == []
    kinds = rows(engine, "SELECT coalesce(kind, 'none'), count(*) FROM connection GROUP BY 1 ORDER BY 1")
    told = rows(engine, "SELECT count(*) FROM forward WHERE failure LIKE '%refused the connection%'")
    socks = "SELECT count(*) FROM connection WHERE kind LIKE 'socks%' AND sentence LIKE '%refused the connection%'"
    assert (told, rows(engine, socks)) == ([(5500,)], [(5500,)]), kinds
    assert engine.stop() == 0


def test_a_thousand_idle_connections_are_kept_and_leave_nothing(live_engine: Start, many_files: None) -> None:
    """Each of them, and the one to its server, is used again at the end."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.settimeout(SECONDS)
        engine = reverse(live_engine, listener.getsockname()[1])
        pairs: list[tuple[socket.socket, socket.socket]] = []
        for number in range(1000):
            if number == 1:  # now it has the threads that look up names
                before = use_of(engine)
            client = engine.connect()
            client.sendall(GET)
            server, _ = listener.accept()
            server.settimeout(SECONDS)
            pairs.append((client, server))
            _served(client, server)
        assert use_of(engine).files >= before.files + 1998
        for client, server in pairs:
            client.sendall(GET)
            _served(client, server)
        for client, server in pairs:
            client.close()
            assert all_that_comes(server) == b""
            server.close()
        back_to(engine, before, megabytes=48)
        assert rows(engine, "SELECT count(*), max(exchanges) FROM connection") == [(2000, 2)]
        assert rows(engine, UNFINISHED) == []
        assert engine.stop() == 0


def _served(client: socket.socket, server: socket.socket) -> None:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += server.recv(65536)
    assert data == GET
    server.sendall(OK)
    assert receive_response(client) == OK


# ----------------------------------------------------------------------------------------------------- slow readers


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("direction", ["download", "upload"])
def test_who_reads_slowly_slows_the_other_side_and_memory_stays_flat(
    live_engine: Start, tmp_path: Path, tls: bool, direction: str
) -> None:
    """Nothing but the buffers of two connections is on the way while nobody reads."""
    authority = Authority(tmp_path)
    leaf = authority.leaf("127.0.0.1") if tls else None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        if tls:
            engine = live_engine(
                "--trust",
                str(authority.file),
                quiet=True,
                listen=("https://127.0.0.1:0",),
                interpreter=(*PROGRAM, "reverse", f"https://127.0.0.1:{listener.getsockname()[1]}"),
            )
        else:
            engine = reverse(live_engine, listener.getsockname()[1])
        most = 0.0
        for mib in (72, 144):
            with _ends(engine, listener, leaf) as (client, server):
                source, sink = (server, client) if direction == "download" else (client, server)
                _trickle(source, sink, mib, upload=direction == "upload")
            before, (_, most) = most, resident(engine.pid)
            assert not before or most - before < 24
        assert most < 160
        assert engine.stop() == 0


def _trickle(source: socket.socket, sink: socket.socket, mib: int, *, upload: bool) -> None:
    """Send a long content that nobody reads until it can't be sent any more, and then all of it."""
    line = b"PUT / HTTP/1.1\r\nHost: localhost" if upload else b"HTTP/1.1 200 OK"
    head = line + b"\r\nContent-Length: %d\r\n\r\n" % (mib * MIB)
    block = bytes(range(256)) * 1024
    sent = 0

    def send() -> None:
        nonlocal sent
        source.sendall(head)
        for _ in range(mib * MIB // len(block)):
            source.sendall(block)
            sent += len(block)

    if not upload:  # it answers a request
        sink.sendall(GET)
        while not source.recv(65536).endswith(b"\r\n\r\n"):
            pass
    sending = threading.Thread(target=send)
    sending.start()
    while True:
        seen = sent
        time.sleep(0.4)
        if seen and seen == sent:
            break
    assert sent < 64 * MIB
    left = len(head) + mib * MIB
    while left:
        piece = sink.recv(MIB)
        assert piece
        left -= len(piece)
    sending.join(SECONDS)


@contextlib.contextmanager
def _ends(
    engine: LiveEngine, listener: socket.socket, leaf: Path | None
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's connection through the engine, and the server's end of it."""
    with contextlib.ExitStack() as life:
        client = life.enter_context(engine.connect())
        if leaf is None:
            client.sendall(GET)
            server = life.enter_context(listener.accept()[0])
        else:
            client = life.enter_context(_unchecked().wrap_socket(client))
            client.sendall(GET)
            server = life.enter_context(serving(leaf).wrap_socket(listener.accept()[0], server_side=True))
        server.settimeout(SECONDS)
        _served(client, server)
        yield client, server


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# ------------------------------------------------------------------------------------------------------- handshakes


def test_five_hundred_refused_certificates_are_five_hundred_rows(live_engine: Start) -> None:
    engine = proxy(live_engine)
    distrusting = ssl.create_default_context()

    def refuse(count: int) -> None:
        for _ in range(count):
            with engine.connect() as client:
                client.sendall(b"CONNECT example.test:443 HTTP/1.1\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
                with pytest.raises(ssl.SSLCertVerificationError):
                    distrusting.wrap_socket(client, server_hostname="example.test")

    refuse(50)
    eventually(lambda: not rows(engine, STILL_OPEN))
    before = use_of(engine)
    refuse(500)
    back_to(engine, before, megabytes=16)
    refused = (
        "SELECT count(*) FROM connection WHERE kind = 'tls-refused' AND inside IS NOT NULL AND sentence LIKE"
    )
    assert rows(engine, f"{refused} '%--no-intercept example.test%'") == [(550,)]
    assert rows(engine, UNFINISHED) == []
    assert engine.stop() == 0


def test_an_engine_that_is_stopped_in_the_middle_of_everything_tells_it_all(
    live_engine: Start, dead_port: int
) -> None:
    """Idle tunnels, handshakes that nobody answers, half a download, half an upload, a request without an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener, contextlib.ExitStack() as life:
        listener.settimeout(SECONDS)
        engine = proxy(live_engine, "--insecure", "--connect-timeout", "30s")
        port = listener.getsockname()[1]

        def client(data: bytes) -> socket.socket:
            opened = life.enter_context(engine.connect())
            opened.sendall(data)
            return opened

        def accepted() -> socket.socket:
            server = life.enter_context(listener.accept()[0])
            server.settimeout(SECONDS)
            return server

        tunnel = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n"
        idle = [client(tunnel % dead_port) for _ in range(20)]
        for each in idle:
            assert each.recv(1000).startswith(b"HTTP/1.1 200 ")
        shaking = client(tunnel % port)
        assert shaking.recv(1000).startswith(b"HTTP/1.1 200 ")
        secure = life.enter_context(_unchecked().wrap_socket(shaking))
        secure.sendall(GET)
        assert accepted().recv(2) == b"\x16\x03"
        named = b"%%b http://127.0.0.1:%d/%%b HTTP/1.1\r\nHost: x\r\n%%b\r\n" % port
        downloading = client(named % (b"GET", b"download", b""))
        server = accepted()
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        while not downloading.recv(1000).endswith(b"half"):
            pass
        client(named % (b"PUT", b"upload", b"Content-Length: 1000\r\n") + b"half")
        uploaded = accepted()
        came = b""
        while not came.endswith(b"half"):
            came += uploaded.recv(1000)
        client(named % (b"GET", b"silence", b""))
        assert accepted().recv(1000).startswith(b"GET /silence ")
        client(b"GET http://127.0.0.1")  # half a head
        assert engine.stop() == 0
        assert "Traceback" not in engine.stderr
        assert rows(engine, STILL_OPEN) == []
        ended = rows(engine, f"SELECT id, method, target, state FROM exchange WHERE id IN ({UNFINISHED})")
        assert ended == []
        reasons = dict(rows(engine, "SELECT target, label FROM exchange WHERE method <> 'CONNECT'"))
        assert set(reasons) >= {
            f"http://127.0.0.1:{port}/{name}" for name in ("download", "upload", "silence")
        }
        assert all(reasons.values()), reasons
        stopped = (
            "SELECT count(*) FROM connection WHERE sentence LIKE '%closed by inspectd''s stop before a byte%'"
        )
        assert rows(engine, stopped) == [(len(idle),)]
        by = rows(engine, "SELECT DISTINCT closed_by FROM connection WHERE closed_by IS NULL")
        assert by == []
