"""Behaviours over real sockets: curl, httpx and requests as clients, rules from a file, an engine of its own."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
import requests
from requests.auth import HTTPDigestAuth

from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
[[rule]]
match = "/digest/MD5/**"
auth = { digest = { ann = "s3cret", "jäs" = "ключ" }, algorithm = "MD5" }
body = "behind it"

[[rule]]
match = "/digest/SHA-256/**"
auth = { digest = { ann = "s3cret", "jäs" = "ключ" } }
body = "behind it"

[[rule]]
match = "/digest/MD5-sess/**"
auth = { digest = { ann = "s3cret", "jäs" = "ключ" }, algorithm = "MD5-sess" }
body = "behind it"

[[rule]]
match = "/digest/SHA-256-sess/**"
auth = { digest = { ann = "s3cret", "jäs" = "ключ" }, algorithm = "SHA-256-sess" }
body = "behind it"

[[rule]]
match = "/stale"
auth = { digest = { ann = "s3cret" }, algorithm = "MD5", stale = 2 }
body = "behind it"

[[rule]]
match = "/any"
auth = { digest = { ann = "s3cret" }, basic = { ann = "s3cret" }, bearer = "t0ken" }
body = "behind it"

[[rule]]
match = { method = "CONNECT" }
auth = { proxy = true, digest = { ann = "s3cret" }, algorithm = "MD5" }
respond = "503 No Tunnel"

[[rule]]
match = { header.Host = "proxied.test" }
auth = { proxy = true, digest = { ann = "s3cret" }, algorithm = "MD5" }
body = "through the proxy"

[[rule]]
match = "POST /cors"
cors = { origins = ["http://page.example"], credentials = true, max-age = 5 }
json = { paid = true }

[[rule]]
match = "/range"
body-file = "digits.txt"
conditional = true

[[rule]]
match = "/ignored-range"
body-file = "digits.txt"
conditional = { etag = "auto", wrong = "ignore-range" }

[[rule]]
match = "/files/**"
folder = "site"

[[rule]]
match = "/chain"
redirect = { to = "/chain", chain = 5 }
body = "arrived"

[[rule]]
match = "/loop"
redirect = { to = "/loop", loop = true, chain = 3 }

[[rule]]
match = "/login"
cookies = [{ name = "id", value = "7", path = "/", http-only = true }, "theme=dark"]
redirect = "/who"

[[rule]]
match = "/who"
template = true
body = "{{ headers.cookie }}"

[[rule]]
match = "/echo/{name}"
template = true
respond = "{{ query.status | default('200 OK') }}"
headers = ["X-Echo: {{ headers['x-say'] }}", "X-Name: {{ captured.name }}"]
body = "{{ body }}"

[[rule]]
match = "/events"
events = { send = ["one", "two", "three"], every = "150ms" }
chunked = true

[[rule]]
match = "/endless"
events = { send = ["tick"], every = "20ms", repeat = true }

[[rule]]
match = "/poll"
poll = { timeout = "200ms", otherwise = "204 Nothing Yet" }
body = "news"
"""

DIGITS = b"0123456789"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """The engine with these rules."""
    folder: Path = tmp_path_factory.mktemp("behaviours")
    (folder / "digits.txt").write_bytes(DIGITS)
    (folder / "site" / "sub").mkdir(parents=True)
    (folder / "site" / "sub" / "index.html").write_text("<title>sub</title>")
    (folder / "secret").write_text("secret")
    (folder / "rules.toml").write_text(RULES)
    with LiveEngine(folder, "--rules", str(folder / "rules.toml")) as running:
        yield running
        assert running.stop() == 0


def _url(engine: LiveEngine, path: str) -> str:
    return f"http://127.0.0.1:{engine.port}{path}"


def _curl(*words: str, code: int = 0) -> str:
    ran = subprocess.run(["curl", "-sS", "-q", "--max-time", "60", *words], capture_output=True, check=False)
    assert ran.returncode == code, ran.stderr
    return ran.stdout.decode("utf-8", "surrogateescape")


def _ask(engine: LiveEngine, request: bytes) -> bytes:
    with engine.connect() as client:
        client.sendall(request)
        return receive_response(client)


ALGORITHMS = ["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"]


@needs_curl
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_curl_passes_digest(engine: LiveEngine, algorithm: str) -> None:
    url = _url(engine, f"/digest/{algorithm}/a?b=c%20d")
    assert _curl("--digest", "-u", "ann:s3cret", url) == "behind it"
    assert _curl("--digest", "-u", "jäs:ключ", url) == "behind it"
    assert _curl("--digest", "-u", "ann:s3cret", url, url, url) == "behind it" * 3
    assert _curl("--digest", "-u", "ann:wrong", "-w", "%{http_code}", url) == "401"
    assert _curl("-w", "%{http_code}", url) == "401"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_httpx_passes_digest(engine: LiveEngine, algorithm: str) -> None:
    url = _url(engine, f"/digest/{algorithm}/a?b=c")
    with httpx.Client(auth=httpx.DigestAuth("ann", "s3cret")) as client:
        assert [client.get(url).text for _ in range(3)] == ["behind it"] * 3
        assert client.post(url, content=b"x").text == "behind it"
    assert httpx.get(url, auth=httpx.DigestAuth("ann", "wrong")).status_code == 401


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])  # requests knows no session variants
def test_requests_passes_digest(engine: LiveEngine, algorithm: str) -> None:
    url = _url(engine, f"/digest/{algorithm}/a?b=c")
    with requests.Session() as session:
        session.auth = HTTPDigestAuth("ann", "s3cret")
        assert [session.get(url).text for _ in range(3)] == ["behind it"] * 3
        session.auth = HTTPDigestAuth("ann", "wrong")
        assert session.get(url).status_code == 401


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_aiohttp_passes_digest(engine: LiveEngine, algorithm: str) -> None:
    url = _url(engine, f"/digest/{algorithm}/a?b=c")
    for password, status in (("s3cret", 200), ("wrong", 401)):
        digest = aiohttp.DigestAuthMiddleware("ann", password)
        async with aiohttp.ClientSession(middlewares=(digest,)) as session:
            for _ in range(3):
                async with session.get(url) as answer:
                    assert answer.status == status
                    assert (await answer.text() == "behind it") is (status == 200)


@needs_curl
def test_curl_tries_again_as_long_as_its_answer_is_stale(engine: LiveEngine) -> None:
    codes = _curl("--digest", "-u", "ann:s3cret", "-o", "/dev/null", "-D", "-", _url(engine, "/stale"))
    lines = codes.splitlines()
    assert [line.split(" ")[1] for line in lines if line.startswith("HTTP/")] == ["401", "401", "401", "200"]
    assert sum("stale=true" in line for line in lines) == 2


@needs_curl
def test_curl_picks_from_several_challenges(engine: LiveEngine) -> None:
    url = _url(engine, "/any")
    seen = _curl("--anyauth", "-u", "ann:s3cret", "-v", "--stderr", "-", url)
    assert "Authorization: Digest" in seen
    assert "\nbehind it" in seen
    assert _curl("--basic", "-u", "ann:s3cret", url) == "behind it"
    assert _curl("--oauth2-bearer", "t0ken", url) == "behind it"
    assert "invalid_token" in _curl("--oauth2-bearer", "other", "-D", "-", url)


@needs_curl
def test_curl_passes_a_proxy_that_asks_for_digest(engine: LiveEngine) -> None:
    proxy = ("-x", _url(engine, ""), "--proxy-digest", "-U")
    assert _curl(*proxy, "ann:s3cret", "http://proxied.test/page?x") == "through the proxy"
    assert _curl(*proxy, "ann:wrong", "-w", "%{http_code}", "http://proxied.test/page") == "407"
    tunnel = ("-o", "/dev/null", "-w", "%{http_connect}", "https://inside.test/")
    assert _curl(*proxy, "ann:s3cret", *tunnel, code=56) == "503"
    assert _curl(*proxy, "ann:wrong", *tunnel, code=56) == "407"


def test_what_is_behind_a_challenge_stays_there(engine: LiveEngine) -> None:
    basic = base64.b64encode(b"ann:wrong")
    for line in (b"", b"Authorization: Basic " + basic + b"\r\n", b"Authorization: \xff\x00\r\n"):
        answer = _ask(engine, b"GET /any HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest ")
        assert answer.endswith(b"\r\nContent-Length: 0\r\n\r\n")
        assert b"behind it" not in answer


def test_a_preflight_and_its_request_say_what_a_browser_needs(engine: LiveEngine) -> None:
    preflight = httpx.options(
        _url(engine, "/cors"),
        headers={
            "Origin": "http://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == "http://page.example"
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    assert preflight.headers["access-control-max-age"] == "5"
    asked = httpx.post(_url(engine, "/cors"), headers={"Origin": "http://page.example"})
    assert asked.json() == {"paid": True}
    assert asked.headers["access-control-allow-origin"] == "http://page.example"


def test_the_bytes_of_a_partial_answer(engine: LiveEngine) -> None:
    answer = _ask(engine, b"GET /range HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 206 Partial Content"
    assert b"Content-Range: bytes 2-4/10" in lines
    assert b"Content-Length: 3" in lines
    assert b"Content-Type: text/plain; charset=utf-8" in lines
    assert content == b"234"
    both = httpx.get(_url(engine, "/range"), headers={"Range": "bytes=0-0,-1"})
    assert both.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert both.text.count("Content-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ") == 2
    beyond = httpx.get(_url(engine, "/range"), headers={"Range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"], beyond.content) == (416, "bytes */10", b"")


def test_a_304_has_the_tag_and_no_content(engine: LiveEngine) -> None:
    first = httpx.get(_url(engine, "/range"))
    again = httpx.get(_url(engine, "/range"), headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert not {"content-length", "content-type"} & set(again.headers)
    since = httpx.get(_url(engine, "/range"), headers={"If-Modified-Since": first.headers["last-modified"]})
    assert since.status_code == 304


@needs_curl
def test_curl_resumes_and_notices_a_range_that_was_ignored(engine: LiveEngine, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.write_bytes(DIGITS[:6])
    _curl("-C", "-", "-o", str(half), _url(engine, "/range"))
    assert half.read_bytes() == DIGITS
    half.write_bytes(DIGITS[:6])
    _curl("-C", "-", "-o", str(half), _url(engine, "/ignored-range"), code=33)


@needs_curl
def test_a_folder_is_served_and_not_left(engine: LiveEngine) -> None:
    assert (
        _curl("-L", _url(engine, "/files/sub")) == _curl(_url(engine, "/files/sub/")) == "<title>sub</title>"
    )
    for path in ("/files/../secret", "/files/%2e%2e/secret", "/files/..%2fsecret", "/files/%2e%2e%2fsecret"):
        assert _curl("--path-as-is", "-w", "%{http_code}", _url(engine, path)).endswith("404")


@needs_curl
def test_curl_follows_a_chain_and_gives_up_on_a_loop(engine: LiveEngine) -> None:
    assert _curl("-L", "-w", " %{num_redirects}", _url(engine, "/chain")) == "arrived 5"
    _curl("-L", "--max-redirs", "7", _url(engine, "/loop"), code=47)


def test_a_client_brings_back_its_cookies(engine: LiveEngine) -> None:
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(_url(engine, "/login")).text == "id=7; theme=dark"


def test_a_template_gives_back_the_very_bytes(engine: LiveEngine) -> None:
    answer = _ask(
        engine,
        b"POST /echo/x?status=299%20%C3%96dd HTTP/1.1\r\nHost: a\r\nX-Say: \xff\xfe \xc3\xbc\r\n"
        b"Content-Length: 4\r\n\r\n\x00\xff\r\n",
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 299 \xc3\x96dd\r\nX-Echo: \xff\xfe \xc3\xbc\r\nX-Name: x\r\n")
    assert content == b"\x00\xff\r\n"


def test_a_template_has_the_whole_content_and_not_the_beginning_only(engine: LiveEngine) -> None:
    content = bytes(range(256)) * 2000
    assert httpx.post(_url(engine, "/echo/x"), content=content).content == content


def test_a_template_cannot_be_made_to_split_the_head(engine: LiveEngine) -> None:
    answer = _ask(engine, b"GET /echo/x?status=200%20OK%0D%0ASet-Cookie:%20a=b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"\r\nSet-Cookie" not in answer
    assert httpx.get(_url(engine, "/echo/x")).status_code == 200


def _read_until(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = client.recv(65536)
        assert piece, data
        data += piece
    return data


def test_events_are_chunks_that_leave_when_they_are_due(engine: LiveEngine) -> None:
    with engine.connect() as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        first = _read_until(client, b"data: one\n\n")
        began = time.monotonic()
        rest = _read_until(client, b"0\r\n\r\n")
        assert time.monotonic() - began >= 0.25
    assert b"data: two" not in first
    content = (first + rest).partition(b"\r\n\r\n")[2]
    assert content == b"b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\nd\r\ndata: three\n\n\r\n0\r\n\r\n"


def test_an_endless_stream_goes_on_until_the_client_leaves(engine: LiveEngine) -> None:
    with engine.connect() as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        data = _read_until(client, b"data: tick\n\n" * 5)
    head = data.partition(b"\r\n\r\n")[0]
    assert b"Content-Length" not in head
    assert b"\r\nConnection: close" in head


def test_a_poll_whose_time_is_over_says_so_and_keeps_the_connection(engine: LiveEngine) -> None:
    with engine.connect() as client:
        for _ in range(2):
            began = time.monotonic()
            client.sendall(b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = receive_response(client)
            assert time.monotonic() - began >= 0.2
            assert answer.startswith(b"HTTP/1.1 204 Nothing Yet\r\nDate: ")
            assert b"news" not in answer
