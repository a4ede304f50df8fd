"""The mirror shows each kind of client its own request, and nothing in it is live."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import unicodedata
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.lint import entry
from inspectd.rules.mirror import Mirror, path_of, preferred
from inspectd.rules.mirror_html import MAX_FINDINGS
from inspectd.rules.program import Close, Send
from tests.hostile.corpus import PAYLOADS
from tests.rules.rules_requests import get, request, sent

if TYPE_CHECKING:
    from inspectd.rules.request import Request

NOW = 784111777.5
BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
CONTROLS = {
    *("link", "form-get", "form-post", "form-multipart", "image", "script", "style", "iframe"),
    *("fetch-get", "fetch-put", "fetch-cross", "beacon", "event-source", "download", "client-hints"),
}
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
VOID = {"meta", "input", "wbr", "br", "link", "img"}


def answer(asked: Request) -> tuple[str, dict[str, str], bytes]:
    return sent(Mirror().respond(asked, now=NOW, persist=True))


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, its text, and whether all is closed."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inline: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            self.inline[self._open[-1]] = self.inline.get(self._open[-1], "") + data
        else:
            self.text += data

    def shape(self) -> set[tuple[str, frozenset[str]]]:
        return {(tag, frozenset(attributes)) for tag, attributes in self.elements}


def page_of(asked: Request) -> Page:
    status_line, fields, body = answer(asked)
    assert (status_line, fields["content-type"]) == ("HTTP/1.1 200 OK", "text/html; charset=utf-8")
    return Page(body)


# --- which form


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (b"", "text"),
        (b"*/*", "text"),
        (b"text/html", "html"),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        (b"application/json", "json"),
        (b"Application/JSON;q=0.5", "json"),
        (b"application/json, text/plain, */*", "json"),
        (b"text/plain;q=0.9, application/json;q=0.8", "text"),
        (b"application/json;q=0.8, text/html ; q = 0.9", "html"),
        (b"application/json;q=0", "text"),
        (b"image/png", "text"),
        (b"\xff,;q=,,text/html;q=x", "html"),
    ],
)
def test_the_form_is_what_accept_prefers(accept: bytes, form: str) -> None:
    assert preferred(accept) == form


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b", b"/a"),
        (b"/a#b", b"/a"),
        (b"http://host:1/a?b", b"/a"),
        (b"http://host", b""),
        (b"*", b"*"),
        (b"", b""),
        (b"/x/http://y/z", b"/x/http://y/z"),
    ],
)
def test_the_path_of_a_target(target: bytes, path: bytes) -> None:
    assert path_of(target) == path


# --- text


def test_curl_sees_exactly_the_bytes_it_sent() -> None:
    raw = b"POST /x HTTP/1.1\r\nHost: a\r\nX-A:  v \r\nContent-Length: 5\r\n\r\n"
    status_line, fields, body = answer(request(raw, b"hello"))
    assert status_line == "HTTP/1.1 200 OK"
    assert fields["content-type"] == "text/plain; charset=utf-8"
    assert fields["cache-control"] == "no-store"
    assert body == raw + b"hello"


def test_lone_line_feeds_and_letters_beyond_ascii_stay_as_they_are() -> None:
    raw = "GET /ä HTTP/1.1\nHost: a\n\n".encode()
    assert answer(request(raw))[2] == raw


def test_bytes_that_could_act_on_a_terminal_are_escaped_and_a_note_says_so() -> None:
    body = answer(request(b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\nX: \xff\ta\r\n\r\n"))[2].decode()
    assert body.startswith("GET /\\x1b[31m HTTP/1.1\r\nHost: a\r\nX: \\xff\\x09a\r\n\r\n")
    assert "-- inspectd: Not all bytes are fit for a terminal: these are escapes." in body


def test_content_that_is_no_text_is_shown_as_hexadecimal() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"
    body = answer(request(raw, b"\x00\xffab" * 1000))[2]
    assert body.startswith(
        raw + b"00000000  00 ff 61 62 00 ff 61 62  00 ff 61 62 00 ff 61 62  |..ab..ab..ab..ab|\r\n"
    )
    assert b"escapes and hexadecimal digits" in body
    assert b"3,488 more bytes of content" in body
    assert len(body) < 4000


def test_text_says_when_content_is_left_out_or_missing() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n"
    assert (
        b"-- inspectd: 4,464 more bytes of content are not shown." in answer(request(raw, b"x" * 70_000))[2]
    )
    assert answer(request(raw, b"cut", complete=False))[2].endswith(
        b"cut\r\n-- inspectd: The request was not complete when it was answered.\r\n"
    )


# --- JSON


def test_json_holds_the_request_in_order_and_exactly() -> None:
    raw = b"PUT /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a:2\r\nAccept: application/json\r\nX-B: \xff\x1b\r\n\r\n"
    _, fields, body = answer(request(raw, b"\x00\x01"))
    assert fields["content-type"] == "application/json"
    shown = json.loads(body)
    assert shown.pop("findings")[0] == {
        "id": "value-control",
        "severity": "error",
        "start": raw.index(b"\xff"),
        "end": raw.index(b"\xff") + 2,
        "summary": entry("value-control").summary,
    }
    assert shown == {
        "request_line": "PUT /x?y HTTP/1.1",
        "method": "PUT",
        "target": "/x?y",
        "version": "HTTP/1.1",
        "fields": [
            ["Host", "a"],
            ["X-A", "1"],
            ["x-a", "2"],
            ["Accept", "application/json"],
            ["X-B", "\\xff\x1b"],
        ],
        "head_bytes": len(raw),
        "raw": base64.b64encode(raw).decode(),
        "raw_complete": True,
        "content_bytes": 2,
        "content": "AAE=",
        "content_text": "\x00\x01",
        "content_complete": True,
        "connection": 3,
        "number": 2,
        "peer": "127.0.0.1:50000",
        "local": "127.0.0.1:8080",
    }
    assert all(0x20 <= octet < 0x7F or octet == 0x0A for octet in body)


# --- the page


def test_a_browser_sees_what_is_found_in_its_request() -> None:
    raw = f"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX: \x01\r\n{BROWSER}\r\n\r\n".encode()
    page = page_of(request(raw))
    for shown in (
        "What is found in it",
        entry("host-duplicate").summary,
        entry("value-control").text,
        "value-control",
    ):
        assert shown in page.text

    plain = page_of(request(f"GET / HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\n\r\n".encode()))
    assert "What is found" not in plain.text


def test_miles_of_odd_lines_are_looked_at_in_part() -> None:
    raw = b"GET / HTTP/1.1\r\n" + BROWSER.encode() + b"\r\n" + b"a b: \x01\n" * 9000 + b"\r\n"
    page = page_of(request(raw))
    assert "more are not shown here" in page.text
    assert page.text.count("value-control") <= MAX_FINDINGS


def test_a_browser_sees_its_request_line_its_fields_and_what_made_them() -> None:
    page = page_of(
        get(
            "/hello?who=world", BROWSER, "Sec-Fetch-Mode: navigate", "X-Unheard-Of: 1", "User-Agent: curl/8.1"
        )
    )
    for shown in (
        "/hello?who=world",
        "Sec-Fetch-Mode",
        "navigate",
        "X-Unheard-Of",
        "curl 8.1",
        "5 fields",
        "0000",
    ):
        assert shown in page.text


def test_every_control_is_there_with_its_id() -> None:
    ids = [attributes["id"] for _, attributes in page_of(get("/", BROWSER)).elements if "id" in attributes]
    assert set(ids) >= CONTROLS
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_and_its_policy_allows_its_own_script_and_style_only() -> None:
    _, fields, body = answer(get("/", BROWSER))
    page = Page(body)
    assert [
        tag for tag, attributes in page.elements if {"src", "srcset", "data", "style"} & set(attributes)
    ] == []
    assert [tag for tag, _ in page.elements if tag in {"link", "img", "iframe", "object", "base"}] == []
    policy = fields["content-security-policy"]
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.inline[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert fields["x-content-type-options"] == "nosniff"


def test_a_form_post_shows_its_content_decoded() -> None:
    raw = f"POST /form HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    page = page_of(request(raw.encode(), b"name=Ada+%26+Grace"))
    assert "18 bytes of content" in page.text
    assert "name = Ada & Grace" in page.text


@pytest.mark.parametrize("place", ["method", "target", "version", "name", "value", "content", "user-agent"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_hostile_is_live_in_any_form(place: str, payload: str) -> None:
    bad = PAYLOADS[payload].replace(b"\r\n", b"").replace(b"\n", b"")
    parts = {
        "method": b"GET",
        "target": b"/",
        "version": b"HTTP/1.1",
        "name": b"X-A",
        "value": b"v",
        "content": b"",
        "user-agent": b"x",
    }
    parts[place] = bad
    for accept in (BROWSER.encode(), b"Accept: application/json", b"Accept: */*"):
        raw = b"%s %s %s\r\n%s: %s\r\n%s\r\nUser-Agent: %s\r\n\r\n" % (
            *(parts[key] for key in ("method", "target", "version", "name", "value")),
            accept,
            parts["user-agent"],
        )
        _, fields, body = answer(request(raw, parts["content"]))
        text = body.decode()
        live = {character for character in text if unicodedata.category(character) in FORBIDDEN}
        assert live <= {"\r", "\n"}
        assert "\r" not in text.replace("\r\n", "")
        if fields["content-type"].startswith("text/html"):
            assert Page(body).shape() <= page_of(get("/", BROWSER, "X: y")).shape() | CONDITIONAL


CONDITIONAL = {
    *((tag, frozenset[str]()) for tag in ("ul", "li", "code", "s", "wbr", "em")),
    *((tag, frozenset({"class"})) for tag in ("article", "p", "em", "ul")),
    ("span", frozenset({"title"})),
    ("pre", frozenset({"tabindex"})),
    ("h2", frozenset({"id"})),
    ("section", frozenset({"aria-labelledby"})),
}
"""Elements that only some requests have."""


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"<\x1b" * 5_000_000 + b"\r\n" + BROWSER.encode() + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + BROWSER.encode() + b"\r\n" + b"X-A: <b>\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"&" * 5_000_000 + b" HTTP/1.1\r\n" + BROWSER.encode() + b"\r\n\r\n",
    ],
    ids=["a 10 MB field", "100,000 fields", "a 5 MB target"],
)
def test_a_huge_request_makes_a_page_of_bounded_size(raw: bytes) -> None:
    asked = request(raw)
    start = time.process_time()
    body = answer(asked)[2]
    assert time.process_time() - start < 10
    assert len(body) < 800_000
    assert "are on record" in Page(body).text


def test_a_page_is_made_within_a_few_milliseconds() -> None:
    asked = get("/", BROWSER, "Sec-Fetch-Mode: navigate", *(f"X-{index}: {index}" for index in range(12)))
    answer(asked)
    took = []
    for _ in range(5):
        start = time.process_time()
        answer(asked)
        took.append(time.process_time() - start)
    assert min(took) < 0.02


def test_the_frame_shows_its_own_metadata() -> None:
    page = page_of(get("/.inspectd/frame?n=1", BROWSER, "Sec-Fetch-Dest: iframe"))
    assert "Sec-Fetch-Dest" in page.text
    assert "script" not in page.inline


# --- what the page's controls ask for


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("image.svg", "image/svg+xml"),
        ("script.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("events", "text/event-stream"),
        ("download", "text/plain; charset=utf-8"),
    ],
)
def test_the_pages_own_resources_have_their_types(name: str, content_type: str) -> None:
    _, fields, body = answer(get(f"/.inspectd/{name}?n=1", "Accept: */*"))
    assert fields["content-type"] == content_type
    assert fields["access-control-allow-origin"] == "*"
    assert body


@pytest.mark.parametrize(
    ("dest", "content_type"),
    [
        ("image", "image/svg+xml"),
        ("script", "text/javascript"),
        ("worker", "text/javascript"),
        ("style", "text/css"),
    ],
)
def test_any_path_answers_an_image_a_script_or_a_style_with_one(dest: str, content_type: str) -> None:
    assert answer(get("/logo.png", f"Sec-Fetch-Dest: {dest}"))[1]["content-type"].startswith(content_type)


def test_a_preflight_of_the_pages_own_requests_is_granted() -> None:
    asked = get(
        "/.inspectd/echo",
        "Origin: http://localhost:8080",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: content-type,x-inspectd",
        method="OPTIONS",
    )
    status_line, fields, body = answer(asked)
    assert (status_line, body) == ("HTTP/1.1 204 No Content", b"")
    assert fields["access-control-allow-origin"] == "*"
    assert fields["access-control-allow-methods"] == "PUT"
    assert fields["access-control-allow-headers"] == "content-type,x-inspectd"
    assert "access-control-allow-credentials" not in fields


def test_a_preflight_repeats_nothing_but_tokens() -> None:
    raw = b"OPTIONS /.inspectd/echo HTTP/1.1\r\nAccess-Control-Request-Method: PUT\rX: y\r\n\r\n"
    assert "access-control-allow-methods" not in answer(request(raw))[1]


def test_other_paths_grant_nothing_to_other_origins() -> None:
    lines = ("Origin: http://evil.test", "Access-Control-Request-Method: PUT")
    for asked in (get("/", *lines, method="OPTIONS"), get("/", *lines, BROWSER)):
        assert not [name for name in answer(asked)[1] if name.startswith("access-control")]


def test_client_hints_are_asked_for_on_request_only() -> None:
    assert "accept-ch" in answer(get("/.inspectd/client-hints", BROWSER))[1]
    assert "accept-ch" not in answer(get("/", BROWSER))[1]


# --- the rest


@pytest.mark.parametrize("lines", [(), (BROWSER,), ("Sec-Fetch-Dest: image",)])
def test_a_favicon_gets_204(lines: tuple[str, ...]) -> None:
    status_line, fields, body = answer(get("/favicon.ico?v=2", *lines))
    assert (status_line, body) == ("HTTP/1.1 204 No Content", b"")
    assert "content-length" not in fields


@pytest.mark.parametrize("accept", [BROWSER, "Accept: application/json", "Accept: */*"])
def test_head_has_the_fields_of_get_and_no_body(accept: str) -> None:
    get_fields = answer(get("/x", accept))[1]
    status_line, fields, body = answer(get("/x", accept, method="HEAD"))
    assert (status_line, body) == ("HTTP/1.1 200 OK", b"")
    assert fields.keys() == get_fields.keys()
    assert int(fields["content-length"]) > 0


def test_no_tunnel_is_opened() -> None:
    program = Mirror().respond(request(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), now=NOW, persist=True)
    assert sent(program)[0] == "HTTP/1.1 501 Not Implemented"
    assert program.ops[-1] == Close()


def test_what_was_added_is_listed() -> None:
    program = Mirror().respond(get(), now=NOW, persist=False)
    assert [line.partition(":")[0] for line in program.added] == ["Date", "Content-Length", "Connection"]
    assert program.label == "mirror"
    assert program.ops[-1] == Close()


heads = st.one_of(
    st.binary(min_size=1),
    st.lists(
        st.sampled_from(
            [
                *(
                    b"GET ",
                    b"POST ",
                    b"/",
                    b"/.inspectd/",
                    b"echo",
                    b"frame",
                    b" HTTP/1.1",
                    b"\r\n",
                    b"\n",
                    b"\r\n ",
                    b": ",
                ),
                *(
                    BROWSER.encode(),
                    b"Accept: application/json",
                    b"Cookie",
                    b"Sec-Fetch-Dest",
                    b"\xff",
                    b"\x00",
                    b"<",
                    b"\x1b",
                ),
                *(
                    b"Content-Encoding: gzip",
                    b"Content-Type: application/json",
                    b"Host",
                    b"OPTIONS ",
                    b'"',
                    b";q=",
                    b",",
                    b"=",
                ),
            ]
        ),
        min_size=1,
    ).map(b"".join),
)


@given(
    heads,
    st.binary(max_size=200),
    st.booleans(),
    st.sampled_from([b"", BROWSER.encode(), b"Accept: application/json"]),
)
def test_any_request_is_answered_with_a_well_formed_response(
    head: bytes, content: bytes, complete: bool, accept: bytes
) -> None:
    raw = (
        b"GET "
        + head.replace(b"\r\n\r\n", b"").replace(b"\n\n", b"")
        + b" HTTP/1.1\r\n"
        + accept
        + b"\r\n\r\n"
    )
    try:
        asked = request(raw, content, complete=complete)
    except IndexError:  # no head in these bytes
        return
    program = Mirror().respond(asked, now=NOW, persist=True)
    data = b"".join(op.data for op in program.ops if isinstance(op, Send))
    status_line, fields, body = sent(program)
    assert re.fullmatch(r"HTTP/1\.1 [245]\d\d [A-Za-z ]+", status_line)
    assert data.isascii() or fields["content-type"].endswith("charset=utf-8")
    live = {character for character in body.decode() if unicodedata.category(character) in FORBIDDEN}
    assert live <= {"\r", "\n", "\t"}
