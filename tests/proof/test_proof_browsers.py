"""Chromium and Firefox behind the proxy, with interception, at a site that nginx serves and a server of live messages.

The names are not loopback's, so that browsers send over https what they send to the world. A tee on each side sees what
is recorded, decrypted as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.messages import events, is_event_stream, is_websocket, websocket
from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import Capture
from tests.browsers.starting import need, start
from tests.browsers.test_browsers_tls import needs_certutil, trust
from tests.lint.wrong import TRUE_OF_SERVERS, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from tests.browsers.driver import Browser
    from tests.proof.witness import Witness

CROSS = """fetch('https://api.test:PORT/api', {method: 'PUT', headers: {'x-asked': '1'}, body: 'x'})
    .then((response) => response.text())"""
TALK = """new Promise((done) => {
    const socket = new WebSocket('wss://live.test:PORT/echo', 'chat'), heard = []
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
        for (const each of ['hello', new Uint8Array([0, 1, 255]), '€'.repeat(30000)]) socket.send(each)
    }
    socket.onmessage = (event) => {
        heard.push(event.data.byteLength || event.data.length)
        if (heard.length == 3) socket.send('bye')
    }
    socket.onclose = (event) => done(heard.concat(event.code, event.reason).join(' '))
})"""
LISTEN = """new Promise((done) => {
    const source = new EventSource('https://live.test:PORT/events'), heard = []
    source.addEventListener('tick', (event) => {
        if (heard.push(event.data) == 4) { source.close(); done(heard.join(' ')) }
    })
})"""
CHOOSE = """(() => {
    const chosen = new DataTransfer()
    chosen.items.add(new File(['content of the file'], 'a.txt', {type: 'text/plain'}))
    document.getElementById('file').files = chosen.files
})()"""
AGAIN = "fetch('/small.txt', {cache: 'no-cache'}).then(r => r.status)"


class Visit:
    """One browser's visit, over."""

    def __init__(
        self, name: str, capture: Capture, rows: list[ConnectionRow], answers: dict[str, Any]
    ) -> None:
        self.name = name
        self.capture = capture
        self.rows = rows
        self.answers = answers
        found = [each for row in rows for each in capture.exchanges_of(row.id)]
        # What a browser asks for by itself is another matter.
        self.exchanges = [
            each for each in found if each.method != "CONNECT" and ".test:" in (each.host or "")
        ]
        self.exchanges.sort(key=lambda each: each.id)

    def of(self, target: str, method: str = "GET") -> list[ExchangeRow]:
        """What was asked so."""
        return [each for each in self.exchanges if (each.method, each.target) == (method, target)]

    def fields(self, row: ExchangeRow) -> dict[str, str]:
        """The request's fields, names in lower case."""
        head = self.capture.request_bytes(row)[: row.req_head].decode("latin-1").split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}


def _browse(browser: Browser, witness: Witness) -> dict[str, Any]:
    shop, live = witness.servers["nginx+tls"].port, witness.servers["aiohttp+tls"].port
    engine, home = witness.engine, f"https://shop.test:{shop}"
    answers: dict[str, Any] = {}
    browser.open(f"{home}/")
    answers["scripted"] = browser.evaluate("window.scripted")
    answers["cross"] = browser.evaluate(CROSS.replace("PORT", str(shop)))
    answers["talk"] = browser.evaluate(TALK.replace("PORT", str(live)))
    answers["listen"] = browser.evaluate(LISTEN.replace("PORT", str(live)))
    answers["again"] = [browser.evaluate(AGAIN) for _ in range(2)]
    browser.evaluate(CHOOSE)
    browser.click("send")
    engine.exchange(target="/form")
    browser.open(f"{home}/old")
    answers["moved"] = browser.evaluate("location.pathname")
    browser.open(f"{home}/")
    browser.click("download")
    answers["download"] = engine.exchange(target="/large.bin")["status"]
    browser.open(f"{home}/")
    browser.click("next")
    engine.exchange(target="/second.html", status=200)
    return answers


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def visit(
    request: pytest.FixtureRequest, watched: Callable[..., AbstractContextManager[Witness]]
) -> Iterator[Visit]:
    """One browser's visit, which the tees agree about."""
    name = request.param
    need(name)
    # What a browser asks for by itself leads nowhere: nothing leaves the machine.
    ports = ("{nginx+tls}", "{aiohttp+tls}", "443", "80")
    command = ("proxy", *(word for port in ports for word in ("--resolve", f"*:{port}:127.0.0.1")))
    with watched(*command, names=("nginx+tls", "aiohttp+tls")) as witness:
        prepare = trust(witness.engine.capture.parent, name)
        with start(name, prepare=prepare, proxy=f"127.0.0.1:{witness.clients[0].port}") as browser:
            answers = _browse(browser, witness)
        rows = witness.check()
        with Capture.open(witness.engine.capture) as capture:
            yield Visit(name, capture, rows, answers)


pytestmark = needs_certutil


def test_pages_work_as_they_do_without_a_proxy(visit: Visit) -> None:
    assert visit.answers == {
        "scripted": True,
        "cross": '{"ok": true}',
        "talk": "5 3 30000 4001 bye",
        "listen": "1 2 3 4",
        "again": [200, 200],
        "moved": "/second.html",
        "download": 200,
    }


def test_nobody_refused_a_certificate_and_no_server_failed(visit: Visit) -> None:
    for row in visit.rows:
        tls = visit.capture.tls(row.id)
        if tls is not None and (tls.sni or "").endswith(".test"):
            assert row.kind in {None, "preconnect"}, row.sentence
    for each in visit.exchanges:
        forward = visit.capture.forward(each.id)
        assert forward is not None
        assert forward.failure is None
        assert forward.changes is None
        assert each.status in {"101", "200", "204", "302", "304", "404"}
        if each.state & State.RESPONSE_COMPLETE:
            assert visit.capture.forwarded_bytes(forward, OUTGOING) == visit.capture.response_bytes(each)


def test_fetch_metadata_and_hints_are_seen(visit: Visit) -> None:
    names = ("dest", "mode", "site")
    expected = {
        "/": ("document", "navigate", "none"),
        "/style.css": ("style", "no-cors", "same-origin"),
        "/more.css": ("style", "no-cors", "same-origin"),
        "/script.js": ("script", "no-cors", "same-origin"),
        "/a.svg": ("image", "no-cors", "same-origin"),
        "/b.svg": ("image", "no-cors", "same-origin"),
        "/small.txt": ("empty", "cors", "same-origin"),
    }
    for target, values in expected.items():
        row = visit.of(target)[0]
        fields = visit.fields(row)
        assert tuple(fields[f"sec-fetch-{name}"] for name in names) == values
        assert (row.dest, row.mode, row.site) == values
        assert ("sec-ch-ua" in fields) == (visit.name == "chromium")


def test_a_request_to_another_origin_is_asked_about_before(visit: Visit) -> None:
    (asked,), (put,) = visit.of("/api", "OPTIONS"), visit.of("/api", "PUT")
    assert (asked.status, put.status) == ("204", "200")
    assert visit.fields(asked)["access-control-request-headers"] == "x-asked"
    assert visit.fields(put)["sec-fetch-site"] == "cross-site"
    assert visit.capture.request_bytes(put).endswith(b"\r\n\r\nx")


def test_a_form_arrives_with_its_file(visit: Visit) -> None:
    (row,) = visit.of("/form", "POST")
    data = visit.capture.request_bytes(row)
    assert b'name="word"\r\n\r\nhello\r\n' in data
    assert b'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontent of the file\r\n' in data
    assert visit.fields(row)["sec-fetch-user"] == "?1"


def test_caches_redirects_and_downloads_are_seen(visit: Visit) -> None:
    assert [row.status for row in visit.of("/small.txt")] == ["200", "304"]
    assert [row.status for row in visit.of("/old")] == ["302"]
    (download,) = visit.of("/large.bin")
    assert len(visit.capture.response_bytes(download)) > 1 << 20


def test_messages_are_read(visit: Visit) -> None:
    (row,) = visit.of("/echo")
    assert is_websocket(visit.capture, row)
    cursor = websocket(visit.capture, row)
    found = list(cursor.rest())
    sent = [each.message for each in found if each.direction == INCOMING and each.message.kind != "close"]
    payloads = [b"hello", b"\x00\x01\xff", "€".encode() * 30_000]
    assert [each.payload for each in sent] == [*payloads, b"bye"]
    came = [each.message for each in found if each.direction == OUTGOING]
    assert [each.payload for each in came[:3]] == payloads
    assert (came[-1].close_code, came[-1].close_reason) == (4001, "bye")
    assert cursor.deflate is not None
    assert not cursor.oddities


def test_events_are_read_and_the_reconnection_is_seen(visit: Visit) -> None:
    first, second, *_ = visit.of("/events")
    assert visit.fields(second)["last-event-id"] == "2"
    assert is_event_stream(visit.capture, first)
    found = [each.event for row in (first, second) for each in events(visit.capture, row).rest()]
    assert [each.data for each in found if each.data] == [b"1", b"2", b"3", b"4"]


def test_findings_raise_no_false_alarm(visit: Visit) -> None:
    told = [each for row in visit.exchanges for each in wrong(visit.capture, row)]
    assert [each for each in told if each[2] not in TRUE_OF_SERVERS] == []
