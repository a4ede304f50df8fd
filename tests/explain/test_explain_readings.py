"""Heads read as a whole: what made the request, what the answer must say, why Sec-Fetch-* are missing."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspectd import explain

if TYPE_CHECKING:
    from inspectd.explain.model import Reading

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"


def read(request_line: str, *lines: str, host: str | None = None, secure: bool = False) -> list[Reading]:
    method, target = request_line.split(" ")
    fields = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, _, value in (line.partition(": ") for line in lines)
    ]
    return explain.head(method, target, fields, host=host, secure=secure)  # fmt: skip


def kinds(readings: list[Reading]) -> list[str]:
    return [reading.kind for reading in readings]


PREFLIGHT = (
    "Host: localhost:8080",
    "Access-Control-Request-Method: PUT",
    "Access-Control-Request-Headers: content-type,x-trace",
    "Origin: http://127.0.0.1:8080",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Dest: empty",
)


def test_a_preflight_names_its_evidence_and_what_the_answer_must_say() -> None:
    reading, *_ = read("OPTIONS /api", *PREFLIGHT)
    assert reading.title == "a CORS preflight for fetch() or XMLHttpRequest"
    assert reading.because == (
        "method OPTIONS",
        "Access-Control-Request-Method: PUT",
        "Origin: http://127.0.0.1:8080",
    )
    assert [required.line for required in reading.must] == [
        "a status from 200 to 299",
        "Access-Control-Allow-Origin: http://127.0.0.1:8080",
        "Access-Control-Allow-Methods: PUT",
        "Access-Control-Allow-Headers: content-type, x-trace",
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_simple_method_needs_no_permission_of_its_own(method: str) -> None:
    (reading,) = read(
        "OPTIONS /", f"Access-Control-Request-Method: {method}", "Origin: null", "Sec-Fetch-Mode: cors"
    )[:1]
    assert "Access-Control-Allow-Methods" not in {required.name for required in reading.must}


@pytest.mark.parametrize(
    ("status", "answer", "notes"),
    [
        (
            204,
            [
                (b"Access-Control-Allow-Origin", b"http://127.0.0.1:8080"),
                (b"access-control-allow-methods", b"GET, PUT"),
                (b"Access-Control-Allow-Headers", b"X-Trace, Content-Type"),
            ],
            ["", "", "", ""],
        ),
        (
            200,
            [
                (b"Access-Control-Allow-Origin", b"*"),
                (b"Access-Control-Allow-Methods", b"*"),
                (b"Access-Control-Allow-Headers", b"*"),
            ],
            ["", "", "", ""],
        ),
        (
            404,
            [
                (b"Access-Control-Allow-Origin", b"http://localhost:8080"),
                (b"Access-Control-Allow-Methods", b"put"),
                (b"Access-Control-Allow-Headers", b"content-type"),
            ],
            ["the status is 404", "another value was sent", "PUT missing", "x-trace missing"],
        ),
        (
            200,
            [(b"Access-Control-Allow-Origin", b"*"), (b"Access-Control-Allow-Origin", b"*")],
            ["", "sent more than once", "not sent", "not sent"],
        ),
    ],
)
def test_an_answer_is_held_against_what_it_must_say(
    status: int, answer: list[tuple[bytes, bytes]], notes: list[str]
) -> None:
    reading, *_ = read("OPTIONS /api", *PREFLIGHT)
    checks = explain.check_answer(reading.must, status, answer)
    assert [check.note for check in checks] == notes
    assert [check.met for check in checks] == [not note for note in notes]


def test_the_wildcard_of_allowed_headers_leaves_authorization_out() -> None:
    reading, *_ = read(
        "OPTIONS /", *PREFLIGHT[:2], "Access-Control-Request-Headers: authorization", *PREFLIGHT[3:]
    )
    answer = [(b"Access-Control-Allow-Headers", b"*")]
    assert explain.check_answer(reading.must, 200, answer)[-1].note == "authorization missing"


def test_cookies_and_the_wildcard_origin_exclude_each_other() -> None:
    fields = (
        "Origin: http://a.test",
        "Cookie: a=b",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Site: cross-site",
    )
    must = next(reading.must for reading in read("GET /", *fields) if reading.must)
    answer = [(b"Access-Control-Allow-Origin", b"*"), (b"Access-Control-Allow-Credentials", b"true")]
    notes = [check.note for check in explain.check_answer(must, 200, answer)]
    assert notes == ["* is not enough with cookies", ""]


def test_a_cross_origin_get_over_plain_http_needs_an_agreement_too() -> None:
    readings = read("GET /", "Host: app.test", f"User-Agent: {FIREFOX}", "Origin: http://other.test")
    assert [required.line for reading in readings for required in reading.must] == [
        "Access-Control-Allow-Origin: http://other.test"
    ]


@pytest.mark.parametrize(
    ("lines", "media_type", "notes"),
    [
        (("Service-Worker: script",), b"application/javascript; charset=utf-8", ["", ""]),
        (("Service-Worker: script",), b"text/html", ["", "another type was sent"]),
        (("Sec-Fetch-Dest: worker",), b"", ["", "another type was sent"]),
        (("Accept: text/event-stream", f"User-Agent: {FIREFOX}"), b"Text/Event-Stream", [""]),
    ],
)
def test_workers_and_event_streams_need_their_media_type(
    lines: tuple[str, ...], media_type: bytes, notes: list[str]
) -> None:
    must = read("GET /", *lines)[0].must
    assert [check.note for check in explain.check_answer(must, 200, [(b"content-type", media_type)])] == notes


def test_a_module_script_over_plain_http_names_its_own_origin_and_needs_no_agreement() -> None:
    readings = read(
        "GET /m.js", "Host: app.test:8080", f"User-Agent: {FIREFOX}", "Origin: http://app.test:8080"
    )
    assert not [required for reading in readings for required in reading.must]


@pytest.mark.parametrize(
    "line", ["Accept: text/event-stream", "Upgrade: websocket", "Service-Worker: script"], ids=str.lower
)
def test_requests_that_never_use_a_cache_are_not_taken_for_a_hard_reload(line: str) -> None:
    assert "hard-reload" not in kinds(read("GET /", line, "Cache-Control: no-cache", "Pragma: no-cache"))


def test_a_websocket_handshake_says_which_accept_it_needs() -> None:
    # the example of RFC 6455 §1.3
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    reading = read("GET /chat", "Upgrade: websocket", "Origin: http://example.com", key)[0]
    assert reading.kind == "websocket"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in {
        required.line for required in reading.must
    }


@pytest.mark.parametrize(
    ("lines", "host", "secure", "kind"),
    [
        (("Host: app.test", f"User-Agent: {FIREFOX}"), None, False, "untrustworthy"),
        (("Host: 192.168.1.5:8080", f"User-Agent: {FIREFOX}"), None, False, "untrustworthy"),
        (("Host: localhost.evil.test", f"User-Agent: {FIREFOX}"), None, False, "untrustworthy"),
        (("Host: app.test", f"User-Agent: {FIREFOX}"), None, True, "old-or-imitated"),
        (("Host: app.localhost:80", f"User-Agent: {FIREFOX}"), None, False, "old-or-imitated"),
        (("Host: 127.8.9.1", f"User-Agent: {FIREFOX}"), None, False, "old-or-imitated"),
        (("Host: [::1]:8080", f"User-Agent: {FIREFOX}"), None, False, "old-or-imitated"),
        (("Host: x", f"User-Agent: {FIREFOX}"), "localhost:1", False, "old-or-imitated"),
        (("Host: localhost", f"User-Agent: {FIREFOX}", "Upgrade: websocket"), None, False, "websocket"),
        (("Host: localhost", "User-Agent: curl/8.14.1"), None, False, "not-a-browser"),
        (("Host: localhost",), None, False, "not-a-browser"),
    ],
)
def test_missing_fetch_metadata_has_a_reason(
    lines: tuple[str, ...], host: str | None, secure: bool, kind: str
) -> None:
    readings = read("GET /", *lines, host=host, secure=secure)
    found = [reading.kind for reading in readings if reading.kind.startswith("no-fetch-metadata")]
    assert found == [f"no-fetch-metadata-{kind}"]


def test_nothing_is_missing_when_fetch_metadata_came() -> None:
    readings = read("GET /", "Host: localhost", "Sec-Fetch-Mode: navigate")
    assert not [found for found in kinds(readings) if found.startswith("no-fetch-metadata")]


@pytest.mark.parametrize(
    ("request_line", "lines", "kind"),
    [
        ("GET /", ("User-Agent: curl/8.14.1", "Accept: */*"), "curl"),
        ("GET /", ("User-Agent: Wget/1.21.3",), "wget"),
        ("GET /", ("User-Agent: python-httpx/0.28.1",), "library"),
        ("GET /", ("User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)",), "crawler"),
        ("GET /", ("User-Agent: something",), "program"),
        ("GET /", (), "anonymous"),
        ("CONNECT a.test:443", ("User-Agent: curl/8",), "proxy-tunnel"),
        ("PRI *", (), "http2-preface"),
        ("GET /favicon.ico", (f"User-Agent: {FIREFOX}",), "favicon"),
        (
            "GET /",
            (f"User-Agent: {FIREFOX}", "Accept: text/html", "Upgrade-Insecure-Requests: 1"),
            "navigation-plain",
        ),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: text/css,*/*;q=0.1"), "stylesheet-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: image/avif,image/webp,*/*"), "image-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: */*"), "browser-plain"),
        (
            "POST /",
            (f"User-Agent: {FIREFOX}", "Upgrade-Insecure-Requests: 1", "Content-Type: a/b"),
            "form-post-plain",
        ),
        ("POST /", (f"User-Agent: {FIREFOX}", "Origin: http://a.test"), "script-request-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Origin: http://a.test"), "cors-request-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: text/event-stream"), "eventsource-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: video/webm,*/*"), "media-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Range: bytes=0-", "Accept-Encoding: identity"), "media-plain"),
        ("GET /", (f"User-Agent: {FIREFOX}", "Accept: application/font-woff2;q=1.0,*/*"), "font-plain"),
    ],
)
def test_what_made_a_request_is_read_without_fetch_metadata_too(
    request_line: str, lines: tuple[str, ...], kind: str
) -> None:
    assert kinds(read(request_line, *lines))[0] == kind


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (('If-None-Match: "a"',), "revalidation"),
        (("Cache-Control: no-cache", "Pragma: no-cache"), "hard-reload"),
        (("Range: bytes=0-",), "partial"),
        (("Range: bytes=5-", 'If-Range: "a"'), "resume"),
        (("Expect: 100-continue",), "expects-continue"),
        (("Transfer-Encoding: chunked", "Content-Length: 5"), "both-framings"),
        (("Origin: null",), "origin-null"),
        (("X-Forwarded-For: 1.2.3.4",), "forwarded"),
        (("Authorization: Basic YTpi",), "basic-in-clear"),
        (("Connection: close",), "last-request"),
        (("Upgrade: h2c", "Connection: Upgrade"), "h2c-upgrade"),
        (("Sec-Fetch-Storage-Access: inactive", "Sec-Fetch-Mode: cors"), "storage-access-inactive"),
    ],
)  # fmt: skip
def test_a_head_tells_more_than_what_made_it(lines: tuple[str, ...], kind: str) -> None:
    assert kind in kinds(read("GET /", *lines))


def test_a_whole_url_as_target_is_read_as_a_request_to_a_proxy() -> None:
    assert "proxy-request" in kinds(read("GET http://a.test/", "Host: a.test"))


NAMES = st.sampled_from(
    [b"Sec-Fetch-Mode", b"Sec-Fetch-Dest", b"Sec-Fetch-Site", b"Origin", b"User-Agent", b"Upgrade", b"Host", b"Accept",
     b"Access-Control-Request-Method", b"Access-Control-Request-Headers", b"Sec-WebSocket-Key", b"{page}"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"GET", b"OPTIONS", b"POST"]) | st.binary(max_size=20),
    st.binary(max_size=40),
    st.lists(st.tuples(NAMES | st.binary(max_size=20), st.binary(max_size=40)), max_size=12),
)
@example(b"OPTIONS", b"{target}", [(b"Origin", b"{origin}{"), (b"Access-Control-Request-Method", b"{x}")])
@example(b"GET", b"/", [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"\xff\x00")])
@example(b"GET", b"/", [(b"Host", b"[")])
def test_any_head_has_a_reading(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    readings = explain.head(method, target, fields)
    assert readings
    for reading in readings:
        assert reading.title
        assert reading.because
        assert reading.source
        explain.check_answer(reading.must, 200, fields)


def test_a_huge_head_is_read_in_bounded_time() -> None:
    fields = [(b"X" * 100, b"y" * 100)] * 100_000 + [(b"Origin", b"z" * 10_000_000)]
    begun = time.process_time()
    explain.head(b"G" * 1_000_000, b"/" * 10_000_000, fields)
    explain.head(b"GET", b"/", [(b"Accept", b"a," * 5_000_000), (b"User-Agent", b"(" * 10_000_000)])
    assert time.process_time() - begun < 0.5


def test_a_head_of_twelve_fields_costs_less_than_a_millisecond() -> None:
    lines = (
        "Host: localhost:8080", "Connection: keep-alive", 'sec-ch-ua: "Chromium";v="156"', "sec-ch-ua-mobile: ?0",
        'sec-ch-ua-platform: "Linux"', f"User-Agent: {FIREFOX}", "Accept: text/html,*/*;q=0.8", "Sec-Fetch-Site: none",
        "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document", "Accept-Encoding: gzip, br",
    )  # fmt: skip
    fields = [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in lines)]

    def everything() -> None:
        explain.head(b"GET", b"/", fields)
        for name, value in fields:
            explain.field(name.decode())
            explain.value(name.decode(), value)

    everything()
    best = min(_seconds(everything) for _ in range(20))
    assert best < 0.001


def _seconds(call: object) -> float:
    assert callable(call)
    begun = time.process_time()
    call()
    return time.process_time() - begun


def test_importing_the_package_reads_no_data() -> None:
    program = (
        "import sys, inspectd.explain as explain; from inspectd.explain import registry;"
        "assert registry.table.cache_info().currsize == 0; assert 'tomllib' not in sys.modules;"
        "assert 'hashlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
