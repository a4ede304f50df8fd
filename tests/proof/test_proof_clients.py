"""Programs that people use, through the proxy, to servers that people use: a tee on each side sees what is recorded.

What went through TLS is compared as well, decrypted with the secrets that the engine logs.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
import requests
from websockets.sync.client import connect

from inspectd.capture.messages import events, is_event_stream, is_websocket, websocket
from inspectd.capture.model import INCOMING
from inspectd.capture.reader import Capture
from tests.lint.wrong import TRUE_OF_SERVERS, wrong
from tests.proof.origins import installed
from tests.proof.witness import requests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.proof.conftest import Servers
    from tests.proof.witness import Witness

SECONDS = 60.0
AUTHOR = ("-c", "user.name=Tester", "-c", "user.email=tester@example.test")
NAMES = ("nginx", "nginx+tls", "node", "node+tls", "aiohttp", "aiohttp+tls", "websockets", "python")

NODE_CLIENT = """
const [, , proxyPort, host, port, ca] = process.argv;
const http = require('node:http'), tls = require('node:tls'), https = require('node:https');
const connect = http.request({port: proxyPort, host: '127.0.0.1', method: 'CONNECT', path: `${host}:${port}`});
connect.on('connect', (_, socket) => {
  const agent = new https.Agent({keepAlive: false});
  agent.createConnection = () => tls.connect({socket, servername: host, ca: require('node:fs').readFileSync(ca)});
  https.get({host, port, path: '/small.txt', agent}, (response) => {
    response.on('data', (piece) => process.stdout.write(piece));
    response.on('end', () => socket.destroy());
  });
});
connect.end();
"""


@pytest.fixture(scope="module")
def proxy(watched: Callable[..., AbstractContextManager[Witness]]) -> Iterator[Witness]:
    """A forward proxy that speaks clear text on one port and TLS on another."""
    with watched("proxy", names=NAMES, listen=("127.0.0.1:0", "https://127.0.0.1:0")) as witness:
        yield witness


def authority_of(witness: Witness) -> str:
    """The file of the CA that clients have to trust."""
    return str(witness.engine.capture.parent / "inspectd" / "ca.pem")


def curl(witness: Witness, *options: str) -> bytes:
    """What curl prints."""
    command = [installed("curl"), "-sS", "--noproxy", "", "--cacert", authority_of(witness), *options]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answered(witness: Witness, *asked: str) -> None:
    """The record is what the tees saw, and holds exactly these requests, all of them answered by their servers."""
    rows = witness.check()
    with Capture.open(witness.engine.capture) as capture:
        assert requests_of(capture, rows) == list(asked)
        for row in rows:
            for each in capture.exchanges_of(row.id):
                forward = capture.forward(each.id)
                assert forward is None or forward.failure is None
                assert each.status is not None
                assert {told[2] for told in wrong(capture, each)} <= TRUE_OF_SERVERS


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        ("-x", "http://{clear}"),
        ("-x", "http://{clear}", "--proxytunnel"),
        ("-x", "https://{secure}", "--proxy-insecure"),
        ("-x", "https://{secure}", "--proxy-insecure", "--proxytunnel"),
        ("--socks4", "{clear}"),
        ("--socks4a", "{clear}"),
        ("--socks5", "{clear}"),
        ("--socks5-hostname", "{clear}"),
    ],
    ids=" ".join,
)
def test_curl_has_many_ways_to_a_proxy(
    proxy: Witness, servers: Servers, tmp_path: Path, options: tuple[str, ...], tls: bool
) -> None:
    clear, secure = (f"127.0.0.1:{tee.port}" for tee in proxy.clients)
    through = [option.format(clear=clear, secure=secure) for option in options]
    port = proxy.servers["nginx+tls" if tls else "nginx"].port
    # SOCKS 4 and 5 of curl look the name up, and may find an IPv6 address, for which SOCKS 4 has no room.
    base = f"{'https' if tls else 'http'}://localhost:{port}"
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(200_000))
    large = curl(
        proxy,
        *through,
        "-4",
        f"{base}/small.txt",
        "--next",
        *through,
        "-4",
        "-sS",
        "--noproxy",
        "",
        "--cacert",
        authority_of(proxy),
        f"{base}/large.bin",
    )
    assert large[:6] == b"small\n"
    assert len(large) == 6 + (1 << 20)
    curl(proxy, *through, "-4", "-T", str(upload), "-H", "Transfer-Encoding: chunked", f"{base}/put/up")
    start = base if options[0] == "-x" and not tls and "--proxytunnel" not in options else ""
    answered(proxy, f"GET {start}/small.txt", f"GET {start}/large.bin", f"PUT {start}/put/up")


@pytest.mark.parametrize("tls", [False, True])
def test_node_gives_hints_and_trailers_to_curl(proxy: Witness, tls: bool) -> None:
    scheme, tee = ("https", proxy.servers["node+tls"]) if tls else ("http", proxy.servers["node"])
    base = f"{scheme}://localhost:{tee.port}"
    told = curl(
        proxy, "-x", f"http://127.0.0.1:{proxy.clients[0].port}", "-i", "-d", "x" * 5000, f"{base}/hints"
    )
    assert b"HTTP/1.1 103 Early Hints\r\n" in told
    assert b'{"method":"POST","size":5000}' in told
    rows = proxy.check()
    with Capture.open(proxy.engine.capture) as capture:
        (row,) = [each for found in rows for each in capture.exchanges_of(found.id) if each.method == "POST"]
        assert capture.response_bytes(row).endswith(b"0\r\nX-Size: 5000\r\n\r\n")


@pytest.mark.parametrize("name", ["python", "nginx", "nginx+tls"])
def test_httpx_and_requests(proxy: Witness, name: str) -> None:
    scheme = "https" if name.endswith("+tls") else "http"
    url = f"{scheme}://localhost:{proxy.servers[name].port}/small.txt"
    through = f"http://127.0.0.1:{proxy.clients[0].port}"
    context = ssl.create_default_context(cafile=authority_of(proxy))
    with httpx.Client(proxy=through, verify=context, trust_env=False, timeout=SECONDS) as client:
        assert [client.get(url).text for _ in range(3)] == ["small\n"] * 3
        assert client.head(url).status_code == 200
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": through, "https": through}
        session.verify = authority_of(proxy)
        assert session.get(url, timeout=SECONDS).text == "small\n"
    target = url if scheme == "http" else "/small.txt"
    answered(proxy, *[f"GET {target}"] * 3, f"HEAD {target}", f"GET {target}")


@pytest.mark.parametrize("tls", [False, True])
async def test_aiohttp_talks_over_a_websocket_and_reads_events(proxy: Witness, tls: bool) -> None:
    scheme, tee = ("https", proxy.servers["aiohttp+tls"]) if tls else ("http", proxy.servers["aiohttp"])
    base = f"{scheme}://localhost:{tee.port}"
    through = f"http://127.0.0.1:{proxy.clients[0].port}"
    context = ssl.create_default_context(cafile=authority_of(proxy))
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            f"{base}/echo", proxy=through, ssl=context, protocols=("chat",), compress=15
        ) as socket:
            for sent in ("hello", "€" * 50_000):
                await socket.send_str(sent)
                assert await socket.receive_str() == sent
            await socket.send_bytes(bytes(range(256)))
            assert await socket.receive_bytes() == bytes(range(256))
        async with session.get(f"{base}/events", proxy=through, ssl=context) as response:
            assert b"data: 2\n\n" in await response.read()
    await asyncio.to_thread(check_live, proxy)


def check_live(witness: Witness) -> None:
    """The messages and events of the test above."""
    rows = witness.check()
    with Capture.open(witness.engine.capture) as capture:
        found = [each for row in rows for each in capture.exchanges_of(row.id)]
        (talk,) = [each for each in found if is_websocket(capture, each)]
        cursor = websocket(capture, talk)
        messages = [each for each in cursor.rest() if each.message.kind in {"text", "binary"}]
        sent = [each.message.payload for each in messages if each.direction == INCOMING]
        assert sent == [b"hello", ("€" * 50_000).encode(), bytes(range(256))]
        assert [each.message.payload for each in messages if each.direction != INCOMING] == sent
        assert cursor.deflate is not None
        assert not cursor.oddities
        (stream,) = [each for each in found if is_event_stream(capture, each)]
        assert [each.event.data for each in events(capture, stream).rest() if each.event.data] == [b"1", b"2"]


def test_websockets_on_both_sides(proxy: Witness) -> None:
    url = f"ws://localhost:{proxy.servers['websockets'].port}/"
    with connect(url, proxy=f"http://127.0.0.1:{proxy.clients[0].port}", open_timeout=SECONDS) as socket:
        for sent in ("one", b"\x00\xff", ["frag", "mented"]):
            socket.send(sent)
            assert socket.recv(SECONDS) == ("".join(sent) if isinstance(sent, list) else sent)
        assert socket.ping().wait(SECONDS)
    rows = proxy.check()
    with Capture.open(proxy.engine.capture) as capture:
        (talk,) = [
            each for row in rows for each in capture.exchanges_of(row.id) if is_websocket(capture, each)
        ]
        kinds = [each.message.kind for each in websocket(capture, talk).rest() if each.direction == INCOMING]
        assert kinds == ["text", "binary", "text", "ping", "close"]


def test_node_through_connect(proxy: Witness, tmp_path: Path) -> None:
    script = tmp_path / "client.js"
    script.write_text(NODE_CLIENT)
    port = proxy.servers["nginx+tls"].port
    words = [str(proxy.clients[0].port), "localhost", str(port), authority_of(proxy)]
    told = subprocess.run(
        [installed("node"), script, *words], capture_output=True, timeout=SECONDS, check=True
    ).stdout
    assert told == b"small\n"
    answered(proxy, "GET /small.txt")


def test_git_clones(proxy: Witness, servers: Servers, tmp_path: Path) -> None:
    git, home = installed("git"), {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    served = servers.folder("nginx") / "files" / "repository.git"
    made = ["init", "-q", "made"], ["-C", "made", *AUTHOR, "commit", "-q", "--allow-empty", "-m", "one"]
    shown = ["clone", "-q", "--bare", "made", str(served)], ["-C", str(served), "update-server-info"]
    url = f"https://localhost:{proxy.servers['nginx+tls'].port}/repository.git"
    through = ["-c", f"http.proxy=http://127.0.0.1:{proxy.clients[0].port}"]
    trusting = ["-c", f"http.sslCAInfo={authority_of(proxy)}"]
    for words in (*made, *shown, [*through, *trusting, "clone", "-q", url, "got"]):
        subprocess.run([git, *words], check=True, timeout=SECONDS, cwd=tmp_path, env=home)
    log = [git, "-C", "got", "log", "--format=%s"]
    assert subprocess.run(log, check=True, capture_output=True, cwd=tmp_path, env=home).stdout == b"one\n"
    rows = proxy.check()
    with Capture.open(proxy.engine.capture) as capture:
        asked = requests_of(capture, rows)
    assert asked[0] == "GET /repository.git/info/refs?service=git-upload-pack"
    assert any("/objects/" in target for target in asked)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "https://127.0.0.1:0"])
@pytest.mark.parametrize("name", ["nginx", "nginx+tls"])
def test_curl_before_a_reverse_proxy(
    watched: Callable[..., AbstractContextManager[Witness]], tmp_path: Path, listen: str, name: str
) -> None:
    scheme = "https" if name.endswith("+tls") else "http"
    with watched("reverse", f"{scheme}://localhost:{{{name}}}", names=(name,), listen=(listen,)) as witness:
        shown = "https" if listen.startswith("https") else "http"
        base = f"{shown}://localhost:{witness.clients[0].port}"
        upload = tmp_path / "upload"
        upload.write_bytes(os.urandom(200_000))
        assert curl(witness, f"{base}/small.txt") == b"small\n"
        assert len(curl(witness, f"{base}/large.bin")) == 1 << 20
        curl(witness, "-T", str(upload), f"{base}/put/x")
        answered(witness, "GET /small.txt", "GET /large.bin", "PUT /put/x")
        with Capture.open(witness.engine.capture) as capture:
            for row in capture.exchanges_after(0, 10):
                forward = capture.forward(row.id)
                assert forward is not None
                assert json.loads(forward.changes or "[]") == []
