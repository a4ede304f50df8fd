"""Servers that people use, on loopback, each in a process of its own: nginx, node's http module, and Python's.

None of them is written here: what is here is what they are told to serve.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.peers.test_peers_reverse import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = """<!doctype html><title>Shop</title><link rel="stylesheet" href="/style.css">
<h1>Shop</h1><img src="/a.svg"><img src="/b.svg"><script src="/script.js"></script>
<a id="next" href="/second.html">next</a> <a id="moved" href="/old">moved</a>
<a id="download" href="/large.bin" download>download</a>
<form id="form" method="post" action="/form" enctype="multipart/form-data">
<input name="word" value="hello"><input type="file" name="file" id="file"><button id="send">send</button></form>
"""
FILES: Final = {
    "index.html": PAGE,
    "second.html": '<!doctype html><title>Second</title><link rel="stylesheet" href="/style.css"><p>second',
    "style.css": "@import url(/more.css); h1 { color: teal }",
    "more.css": "p { margin: 1em }",
    "script.js": "window.scripted = true",
    "a.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>',
    "b.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="4"/></svg>',
    "favicon.ico": "",
    "small.txt": "small\n",
}
_NGINX: Final = """
daemon off; master_process off; error_log {state}/error.log; pid {state}/pid; events {{}}
http {{
  {temporary} access_log off; gzip on; gzip_min_length 1; gzip_types *;
  types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; text/plain txt; }}
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{secure} ssl;
    ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {certificate};
    root {folder}; client_max_body_size 10m; absolute_redirect off;
    location = /form {{ default_type text/html; return 200 "<!doctype html><title>Sent</title>$request_method\\n"; }}
    location = /old {{ return 302 /second.html; }}
    location /put/ {{ dav_methods PUT DELETE; create_full_put_path on; alias {state}/put/; }}
    location = /api {{
      add_header Access-Control-Allow-Origin *;
      add_header Access-Control-Allow-Headers x-asked;
      add_header Access-Control-Allow-Methods PUT;
      if ($request_method = OPTIONS) {{ return 204; }}
      default_type application/json; return 200 '{{"ok": true}}';
    }}
  }}
}}
"""
_NODE: Final = """
const fs = require('node:fs');
const [, , port, secure, certificate] = process.argv;
const answer = (request, response) => {
  if (request.url === '/hints') response.writeEarlyHints({link: '</a.css>; rel=preload'});
  let size = 0;
  request.on('data', (piece) => { size += piece.length; });
  request.on('end', () => {
    response.writeHead(200, {Trailer: 'X-Size'});
    response.write(JSON.stringify({method: request.method, size}));
    response.addTrailers({'X-Size': String(size)});
    response.end();
  });
};
const pem = fs.readFileSync(certificate);
require('node:http').createServer(answer).listen(Number(port), '127.0.0.1');
require('node:https').createServer({key: pem, cert: pem}, answer).listen(Number(secure), '127.0.0.1');
"""
_AIOHTTP: Final = """
import asyncio, ssl, sys
from aiohttp import web

async def echo(request):
    socket = web.WebSocketResponse(protocols=("chat",))
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4001, message=b"bye")
        else:
            await (socket.send_bytes if isinstance(message.data, bytes) else socket.send_str)(message.data)
    return socket

async def events(request):
    first = int(request.headers.get("Last-Event-ID", "0")) + 1
    headers = {"Content-Type": "text/event-stream", "Access-Control-Allow-Origin": "*"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(b": hello\\nretry: 10\\n\\n")
    for number in (first, first + 1):
        await response.write(f"id: {number}\\nevent: tick\\ndata: {number}\\n\\n".encode())
    return response

async def main(port, secure, certificate):
    app = web.Application()
    app.add_routes([web.get("/echo", echo), web.get("/events", events)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    await web.TCPSite(runner, "127.0.0.1", int(secure), ssl_context=context).start()
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
_WEBSOCKETS: Final = """
import sys
from websockets.sync.server import serve

def echo(socket):
    for message in socket:
        socket.send(message)

serve(echo, "127.0.0.1", int(sys.argv[1])).serve_forever()
"""


class Ports(NamedTuple):
    """Where a server listens: for clear text, and for TLS."""

    clear: int
    secure: int = 0


def quiet_port() -> int:
    """A free port that the system doesn't give to anybody who connects or listens without asking for one."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


def installed(name: str) -> str:
    """The path of a program; without it the test is skipped, except where CI says that everything must be there."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI has to have it")
        pytest.skip(f"{name} is not installed")
    return path


def _written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@contextlib.contextmanager
def nginx(folder: Path, certificate: Path) -> Iterator[Ports]:
    """nginx with a small site, a form, a redirect, an API for other origins, and PUT."""
    program = installed("nginx")
    files, state = folder / "files", folder / "nginx"
    for made in (files, state, state / "put"):
        made.mkdir()
    for name, text in FILES.items():
        (files / name).write_text(text)
    (files / "large.bin").write_bytes(os.urandom(1 << 20))
    os.chmod(folder, 0o755)  # noqa: PTH101 - its worker may be another user
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {state}/{name};" for name in names)
    ports = Ports(quiet_port(), quiet_port())
    told = _NGINX.format(
        state=state, temporary=temporary, port=ports.clear, secure=ports.secure,
        certificate=certificate, folder=files,
    )  # fmt: skip
    with running([program, "-p", str(state), "-c", _written(state, "nginx.conf", told)], ports.clear):
        yield ports


@contextlib.contextmanager
def node(folder: Path, certificate: Path) -> Iterator[Ports]:
    """node's http and https modules: early hints, trailers, and the size of what was sent."""
    program = installed("node")
    ports = Ports(quiet_port(), quiet_port())
    script = _written(folder, "server.js", _NODE)
    with running([program, script, *map(str, ports), str(certificate)], ports.secure):
        yield ports


@contextlib.contextmanager
def aiohttp_web(folder: Path, certificate: Path) -> Iterator[Ports]:
    """aiohttp's server: a WebSocket that echoes, and events."""
    ports = Ports(quiet_port(), quiet_port())
    script = _written(folder, "web.py", _AIOHTTP)
    with running([sys.executable, script, *map(str, ports), str(certificate)], ports.secure):
        yield ports


@contextlib.contextmanager
def websockets_echo(folder: Path, certificate: Path) -> Iterator[Ports]:
    """The server of `websockets`."""
    del certificate
    ports = Ports(quiet_port())
    with running([sys.executable, _written(folder, "echo.py", _WEBSOCKETS), str(ports.clear)], ports.clear):
        yield ports


@contextlib.contextmanager
def python_files(folder: Path, certificate: Path) -> Iterator[Ports]:
    """Python's own server of files."""
    del certificate
    ports = Ports(quiet_port())
    (folder / "served").mkdir()
    (folder / "served" / "small.txt").write_text("small\n")
    words = ["-m", "http.server", str(ports.clear), "--bind", "127.0.0.1", "-d", str(folder / "served")]
    with running([sys.executable, *words], ports.clear):
        yield ports


SERVERS: Final = {
    "nginx": nginx,
    "node": node,
    "aiohttp": aiohttp_web,
    "websockets": websockets_echo,
    "python": python_files,
}
