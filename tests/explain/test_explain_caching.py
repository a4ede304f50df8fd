"""Whether an answer may be kept, and why; whether a connection stays open, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.explain import cacheability, persistence

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
LATER = "Wed, 21 Oct 2015 08:28:00 GMT"


def pairs(*lines: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in lines)]


@pytest.mark.parametrize(
    ("method", "status", "lines", "kind", "title"),
    [
        ("GET", 200, ["Cache-Control: max-age=60"], "fresh", "Cacheable: fresh for 1 minute"),
        ("GET", 200, ["Cache-Control: max-age=60", "Age: 20"], "fresh", "Cacheable: fresh for 40 seconds"),
        ("GET", 200, ["Cache-Control: max-age=60", "Age: 60"], "stale", "asked about"),
        ("GET", 200, ["Cache-Control: s-maxage=3600"], "fresh", "1 hour"),
        ("GET", 200, [f"Date: {DATE}", f"Expires: {LATER}"], "fresh", "1 hour"),
        ("GET", 200, [f"Expires: {LATER}"], "expires", "fresh until 2015-10-21"),
        ("GET", 200, ["Expires: Wed Oct 21 08:28:00 2015"], "expires", "fresh until 2015-10-21 08:28:00+00:00"),
        ("GET", 200, ["Expires: 0"], "stale", "stale at once"),
        ("GET", 200, [f"Date: {DATE}", f"Expires: {LATER}", "Cache-Control: max-age=1"], "fresh", "1 second"),
        ("GET", 200, ["Cache-Control: max-age=x"], "stale", "stale at once"),
        ("GET", 200, ["Cache-Control: max-age=99999999999999999999"], "fresh", "68 years"),
        ("GET", 200, ["Cache-Control: no-cache"], "no-cache", "asked about each time"),
        ("GET", 200, ["Cache-Control: no-store, max-age=60"], "no-store", "no-store"),
        ("GET", 200, ["Cache-Control: max-age=60", "Cache-Control: no-store"], "no-store", "no-store"),
        ("GET", 200, ["Vary: Accept, *"], "vary", "Vary is *"),
        ("GET", 200, [], "heuristic", "by guess"),
        ("GET", 404, [], "heuristic", "by guess"),
        ("GET", 302, [], "status", "status 302"),
        ("GET", 302, ["Cache-Control: max-age=60"], "fresh", "1 minute"),
        ("GET", 500, [], "status", "status 500"),
        ("GET", 200, ["Pragma: no-cache"], "pragma", "Pragma"),
        ("GET", 206, ["Cache-Control: max-age=60"], "partial", "in part"),
        ("GET", 304, [], "not-modified", "renews"),
        ("GET", 103, [], "interim", "not a final answer"),
        ("POST", 200, ["Cache-Control: max-age=60"], "method", "POST"),
        ("", 200, [], "method", "(no method)"),
        ("HEAD", 200, ["Cache-Control: max-age=60"], "fresh", "1 minute"),
    ],
)  # fmt: skip
def test_an_answer_is_cacheable_or_not(
    method: str, status: int, lines: list[str], kind: str, title: str
) -> None:
    found = cacheability(method, [], status, pairs(*lines))
    assert found.kind == f"caching-{kind}"
    assert title in found.title
    assert found.because
    assert found.source


def test_who_may_keep_it_and_for_which_requests_is_told() -> None:
    found = cacheability(
        "GET",
        pairs("Authorization: Basic x"),
        200,
        pairs("Cache-Control: max-age=60", "Vary: Accept-Encoding, Origin", 'ETag: "a"', "Set-Cookie: a=1"),
    )
    assert "The request carried Authorization: a shared cache must not keep it" in found.paragraph
    assert "Only for requests with the same Accept-Encoding, Origin (Vary)." in found.paragraph
    assert "ETag lets a cache ask" in found.paragraph


def test_a_request_can_forbid_keeping_too() -> None:
    found = cacheability("GET", pairs("Cache-Control: no-store"), 200, pairs("Cache-Control: max-age=60"))
    assert found.kind == "caching-request-no-store"


FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"Cache-Control", b"Vary", b"Expires", b"Date", b"Age", b"Pragma", b"\xff"])
        | st.binary(),
        st.binary(max_size=40)
        | st.sampled_from([b"max-age=1", b"no-cache", b"-1", DATE.encode(), b'private="a"']),
    ),
    max_size=8,
)


@given(st.text(max_size=10), FIELDS, st.integers(0, 1000), FIELDS)
def test_any_exchange_has_a_reading(
    method: str, request: list[tuple[bytes, bytes]], status: int, response: list[tuple[bytes, bytes]]
) -> None:
    assert cacheability(method, request, status, response).title


@pytest.mark.parametrize(
    ("version", "connection", "kind"),
    [
        (b"HTTP/1.1", [], "connection-keep-alive"),
        (b"HTTP/1.1", ["keep-alive"], "connection-keep-alive"),
        (b"HTTP/1.1", ["TE, Close"], "connection-close"),
        (b"HTTP/1.0", [], "connection-close"),
        (b"HTTP/1.0", ["Keep-Alive"], "connection-keep-alive"),
        (b"HTTP/1.0", ["keep-alive", "close"], "connection-close"),
        (b"HTTP/1.1", ["Upgrade"], ""),
        (b"HTTP/2.0", [], ""),
        (b"", [], ""),
    ],
)
def test_a_connection_stays_open_or_ends(version: bytes, connection: list[str], kind: str) -> None:
    found = persistence(version, connection)
    assert (found.kind if found is not None else "") == kind


def test_content_that_ends_with_the_connection_takes_it_along() -> None:
    found = persistence("HTTP/1.1", ["keep-alive"], kind="response", until_close=True)
    assert found is not None
    assert (found.kind, found.title) == ("connection-close", "The connection ends with the content")
