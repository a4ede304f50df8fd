"""`inspectd reverse` between clients and servers that people use: what they say is what the capture holds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.reader import Capture
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NODE = """
const http = require('node:http');
const server = http.createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, {'Content-Type': 'text/event-stream'});
    let count = 0;
    const timer = setInterval(() => {
      response.write(`data: ${count}\\n\\n`);
      if (++count === 3) { clearInterval(timer); response.end(); }
    }, 20);
    return;
  }
  if (request.url === '/hints') {
    response.writeEarlyHints({link: '</a.css>; rel=preload'});
  }
  let size = 0;
  request.on('data', (piece) => { size += piece.length; });
  request.on('end', () => {
    response.writeHead(200, {Trailer: 'X-Size'});
    response.write(JSON.stringify({method: request.method, url: request.url, size, host: request.headers.host}));
    response.addTrailers({'X-Size': String(size)});
    response.end();
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
"""


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(arguments: list[str], port: int) -> Iterator[int]:
    """A server in a process of its own, once it takes connections."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def python_files(folder: Path) -> Iterator[int]:
    """Python's own server of files."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(folder)]
    with running(command, port):
        yield port


@contextlib.contextmanager
def nginx_files(folder: Path) -> Iterator[int]:
    """nginx as a server of files."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(nginx, os.X_OK):
        pytest.skip("nginx is not installed")
    port = free_port()
    state = folder.parent / "nginx"
    state.mkdir()
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {state}/{name};" for name in names)
    (state / "nginx.conf").write_text(
        f"daemon off; master_process off; error_log {state}/error.log; pid {state}/pid; events {{}} "
        f"http {{ {temporary} access_log off; server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
    )
    with running([nginx, "-p", str(state), "-c", str(state / "nginx.conf")], port):
        yield port


@contextlib.contextmanager
def node_answers(folder: Path) -> Iterator[int]:
    """A node server that tells what it was asked."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    port = free_port()
    (folder / "server.js").write_text(NODE)
    with running([node, str(folder / "server.js"), str(port)], port):
        yield port


@contextlib.contextmanager
def reverse(state: Path, port: int, *options: str) -> Iterator[LiveEngine]:
    """`inspectd reverse` before the server on this port."""
    state.mkdir(exist_ok=True)
    program = (sys.executable, "-m", "inspectd", "reverse", f"http://127.0.0.1:{port}")
    with LiveEngine(state, *options, interpreter=program) as engine:
        yield engine
        assert engine.stop() == 0


@pytest.mark.parametrize("files", [python_files, nginx_files])
def test_files_come_through_whole_to_curl_and_httpx(
    tmp_path: Path, files: Callable[[Path], contextlib.AbstractContextManager[int]]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    large = os.urandom(3 << 20)
    (folder / "large.bin").write_bytes(large)
    (folder / "small.txt").write_text("small\n")
    with files(folder) as port, reverse(tmp_path / "state", port) as engine:
        base = f"http://127.0.0.1:{engine.port}"
        got = tmp_path / "got"
        subprocess.run(["curl", "-sS", "-o", got, f"{base}/large.bin"], check=True, timeout=60)
        assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(large).digest()
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            for _ in range(5):
                assert client.get("/small.txt").text == "small\n"
            assert client.get("/missing").status_code == 404
            assert client.head("/large.bin").headers["content-length"] == str(len(large))
            ranged = client.get("/large.bin", headers={"Range": "bytes=10-19"})
            assert ranged.content in (large[10:20], large)  # Python's server knows no ranges
        with ThreadPoolExecutor(8) as pool:
            pages = pool.map(lambda _: httpx.get(f"{base}/small.txt", trust_env=False).text, range(40))
            assert set(pages) == {"small\n"}
        engine.stop()
        with Capture.open(engine.capture) as capture:
            rows = capture.exchanges_after(0, 1000)
            assert len(rows) == 49
            forwards = capture.forwards([row.id for row in rows])
            for row in rows:
                forward = forwards[row.id]
                assert forward.failure is None
                assert capture.forwarded_bytes(forward, INCOMING) == capture.request_bytes(row)
                assert capture.forwarded_bytes(forward, OUTGOING) == capture.response_bytes(row)
            assert len(capture.response_bytes(1)) > len(large)


def test_node_gets_uploads_and_gives_hints_trailers_and_events(tmp_path: Path) -> None:
    with node_answers(tmp_path) as port, reverse(tmp_path / "state", port) as engine:
        base = f"http://127.0.0.1:{engine.port}"
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(2 << 20))
        told = subprocess.run(
            ["curl", "-sS", "-T", upload, "-H", "Transfer-Encoding: chunked", f"{base}/up"],
            check=True,
            timeout=60,
            capture_output=True,
        ).stdout
        assert f'"size":{2 << 20}'.encode() in told
        assert f'"host":"127.0.0.1:{engine.port}"'.encode() in told  # Host as the client sent it
        hints = subprocess.run(
            ["curl", "-sS", "-i", f"{base}/hints"], check=True, timeout=60, capture_output=True
        )
        assert hints.stdout.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        events = subprocess.run(
            ["curl", "-sSN", f"{base}/events"], check=True, timeout=60, capture_output=True
        )
        assert events.stdout == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        engine.stop()
        with Capture.open(engine.capture) as capture:
            assert capture.response_bytes(1).endswith(b"X-Size: 2097152\r\n\r\n")
            for row in capture.exchanges_after(0, 10):
                forward = capture.forward(row.id)
                assert forward is not None
                assert capture.forwarded_bytes(forward, INCOMING) == capture.request_bytes(row)
                assert capture.forwarded_bytes(forward, OUTGOING) == capture.response_bytes(row)


def test_a_url_that_is_more_than_a_server_is_refused_with_the_way_to_write_it() -> None:
    for url in (
        "localhost:3000",
        "ftp://localhost",
        "http://localhost/api",
        "http://:80",
        "http://a:99999",
    ):
        told = subprocess.run(
            [sys.executable, "-m", "inspectd", "reverse", url, "--headless"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 2
        assert b"http://localhost:3000" in told.stderr


def test_clients_use_it_as_their_proxy(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "small.txt").write_text("small\n")
    program = (sys.executable, "-m", "inspectd", "proxy")
    state = tmp_path / "state"
    state.mkdir()
    with python_files(folder) as port, LiveEngine(state, interpreter=program) as engine:
        url = f"http://127.0.0.1:{port}/small.txt"
        through = f"http://127.0.0.1:{engine.port}"
        for options in ([], ["--http1.0"], ["-p"]):  # the last: through CONNECT
            command = ["curl", "-sS", "--noproxy", "", "-x", through, *options, url]
            told = subprocess.run(command, check=True, timeout=60, capture_output=True)
            assert told.stdout == b"small\n"
        with httpx.Client(proxy=through, trust_env=False, timeout=60) as client:
            assert client.get(url).text == "small\n"
            assert client.get("http://no-such-name.invalid/").status_code == 502
        line = engine.exchange(status=502)
        assert line["upstream"]["failure"].startswith(
            "No address is known for the name 'no-such-name.invalid'"
        )
        assert engine.stop() == 0
        with Capture.open(engine.capture) as capture:
            forward = capture.forward(1)
            assert forward is not None
            assert b"GET /small.txt HTTP/1.1\r\nHost: " in capture.forwarded_bytes(forward, INCOMING)
        shown = subprocess.run(
            [sys.executable, "-m", "inspectd", "show", str(engine.capture), "1"],
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
        ).stdout
        assert f"forwarded to 127.0.0.1:{port} on connection c2 (new)" in shown
        assert f"changed by inspectd: request target: {url} → /small.txt" in shown
