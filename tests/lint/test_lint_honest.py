"""Programs that people use, at the mirror: neither their requests nor its answers have an error or a warning."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx
import pytest
import requests

from inspectd.capture.reader import Capture
from tests.lint.wrong import wrong
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_SECONDS: Final = 60
_DATA: Final = {"word": "two\r\nlines", "other": "é & {}"}
_NODE: Final = """
const home = process.argv[1], done = (response) => response.text()
await fetch(home + '/node?a=1').then(done)
const type = {'content-type': 'application/json'}
await fetch(home + '/node', {method: 'POST', headers: type, body: '{"a": [1]}'}).then(done)
await fetch(home + '/node', {method: 'PUT', body: new ReadableStream({start(to) {
    to.enqueue(new TextEncoder().encode('streamed')); to.close() } }), duplex: 'half'}).then(done)
const form = new FormData()
form.append('file', new Blob(['text'], {type: 'text/plain'}), 'a.txt')
await fetch(home + '/node', {method: 'POST', body: form}).then(done)
"""


def _run(*words: str) -> None:
    program = shutil.which(words[0])
    if program is None:
        pytest.skip(f"{words[0]} is not installed")
    subprocess.run([program, *words[1:]], capture_output=True, timeout=_SECONDS, check=False)


def curl(home: str) -> None:
    """Downloads, uploads, forms, ranges, conditions, credentials, and two requests on a connection."""
    _run("curl", "-s", f"{home}/a", f"{home}/b?q={{x}}|")
    _run("curl", "-s", "-I", home)
    _run("curl", "-s", "-d", "a=1&b=2", f"{home}/form")
    _run("curl", "-s", "-F", "a=1", "-F", f"file=@{__file__}", f"{home}/form")
    _run("curl", "-s", "-T", __file__, f"{home}/up")
    _run("curl", "-s", "-H", "Transfer-Encoding: chunked", "-T", __file__, f"{home}/up")
    _run("curl", "-s", "-r", "0-9,20-", "--compressed", "-z", "2020-01-01", f"{home}/part")
    _run("curl", "-s", "-u", "name:word", "-b", "a=b; c=d", "-e", "http://a.test/", f"{home}/private")
    _run("curl", "-s", "--json", '{"a": 1}', "-X", "PATCH", f"{home}/json")
    _run("curl", "-s", "-0", f"{home}/old")


def wget(home: str) -> None:
    """A page, a form, and the rest of a file."""
    _run("wget", "-q", "-O", "-", f"{home}/a")
    _run("wget", "-q", "-O", "-", "--post-data", "a=1", f"{home}/form")
    _run("wget", "-q", "-O", "-", "--start-pos", "5", f"{home}/part")


def git(home: str) -> None:
    """A clone of what isn't there."""
    _run("git", "-c", "credential.helper=", "ls-remote", f"{home}/repository.git")


def node(home: str) -> None:
    """fetch() with every kind of content."""
    _run("node", "--input-type=module", "-e", _NODE, home)


def with_httpx(home: str) -> None:
    """Queries, forms, JSON, files, chunks and cookies."""
    with httpx.Client(base_url=home, cookies={"a": "b"}, auth=("name", "word"), trust_env=False) as client:
        client.get("/a", params=_DATA)
        client.post("/form", data=_DATA)
        client.put("/json", json=_DATA)
        client.post("/file", files={"file": ("a.txt", b"text", "text/plain")})
        client.post("/chunks", content=iter([b"one", b"two"]), headers={"content-type": "text/plain"})
        client.delete("/gone")


def with_requests(home: str) -> None:
    """The same."""
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set("a", "b")
        session.get(f"{home}/a", params=_DATA, timeout=_SECONDS)
        session.post(f"{home}/form", data=_DATA, timeout=_SECONDS)
        session.put(f"{home}/json", json=_DATA, timeout=_SECONDS)
        session.post(f"{home}/file", files={"file": ("a.txt", b"text", "text/plain")}, timeout=_SECONDS)
        session.post(f"{home}/chunks", data=iter([b"one", b"two"]), timeout=_SECONDS)
        session.options(home, timeout=_SECONDS)


def with_aiohttp(home: str) -> None:
    """The same."""

    async def talk() -> None:
        contents: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("GET", "/a", {"params": _DATA}),
            ("POST", "/form", {"data": _DATA}),
            ("PUT", "/json", {"json": _DATA}),
            ("POST", "/file", {"data": {"file": io.BytesIO(b"text")}}),
            ("POST", "/chunks", {"data": _chunks()}),
        )
        async with aiohttp.ClientSession(cookies={"a": "b"}) as session:
            for method, path, content in contents:
                async with session.request(method, f"{home}{path}", **content) as response:
                    await response.read()

    asyncio.run(talk())


async def _chunks() -> AsyncIterator[bytes]:
    for piece in (b"one", b"two"):
        yield piece


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """One mirror for all."""
    with LiveEngine(tmp_path_factory.mktemp("honest")) as engine:
        yield engine


@pytest.mark.parametrize("use", [curl, wget, git, node, with_httpx, with_requests, with_aiohttp])
def test_programs_that_people_use_do_nothing_wrong(engine: LiveEngine, use: Callable[[str], None]) -> None:
    with Capture.open(engine.capture) as capture:
        before = capture.newest_exchange()
    use(f"http://127.0.0.1:{engine.port}")
    with Capture.open(engine.capture) as capture:
        rows = capture.exchanges_after(before, 1000)
        assert [told for row in rows for told in wrong(capture, row)] == []
    assert rows
