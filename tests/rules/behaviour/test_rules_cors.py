"""CORS: what a browser is told, rightly, and wrongly in one way at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.behaviour.drafting import Acting
from tests.rules.rules_requests import get, request

PAGE = "Origin: http://page.example"
ASK = "Access-Control-Request-Method: PUT"


def _preflight(acting: Acting, *lines: str) -> tuple[bytes, list[bytes]]:
    draft = acting(get("/x", PAGE, ASK, *lines, method="OPTIONS"))
    assert draft.final
    assert draft.content == b""
    return draft.status_line, draft.fields


def test_anybody_is_allowed_by_the_wildcard() -> None:
    assert Acting(cors=True)(get("/", PAGE)).fields == [b"Access-Control-Allow-Origin: *"]
    assert Acting(cors=True)(get("/")).fields == []


def test_a_preflight_is_answered_with_what_it_asked_for() -> None:
    status, fields = _preflight(
        Acting(cors={"max-age": 60}), "Access-Control-Request-Headers: authorization,x-a"
    )
    assert status == b"HTTP/1.1 204 No Content"
    assert fields == [
        b"Access-Control-Allow-Origin: *",
        b"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE",
        b"Vary: Access-Control-Request-Headers",
        b"Access-Control-Allow-Headers: authorization,x-a",
        b"Access-Control-Max-Age: 60",
    ]


def test_credentials_make_the_wildcard_an_echo() -> None:
    acting = Acting(cors={"credentials": True, "methods": ["*"], "headers": ["x-a", "x-b"]})
    assert _preflight(acting)[1] == [
        b"Vary: Origin",
        b"Access-Control-Allow-Origin: http://page.example",
        b"Access-Control-Allow-Credentials: true",
        b"Access-Control-Allow-Methods: PUT",
        b"Access-Control-Allow-Headers: x-a, x-b",
    ]


def test_only_allowed_origins_are_echoed_and_vary_is_said_either_way() -> None:
    acting = Acting(cors={"origins": ["http://page.example", "null"], "expose": ["X-A", "X-B"]})
    assert acting(get("/", PAGE)).fields == [
        b"Vary: Origin",
        b"Access-Control-Allow-Origin: http://page.example",
        b"Access-Control-Expose-Headers: X-A, X-B",
    ]
    assert acting(get("/", "Origin: null")).get(b"access-control-allow-origin") == b"null"
    for refused in (get("/", "Origin: http://page.example.evil"), get("/"), get("/", PAGE, PAGE)):
        assert acting(refused).fields == [b"Vary: Origin"]
    refusal = acting(get("/", "Origin: http://other", ASK, method="OPTIONS"))
    assert (refusal.status_line, refusal.fields) == (b"HTTP/1.1 204 No Content", [b"Vary: Origin"])


def test_an_ordinary_options_request_is_no_preflight() -> None:
    draft = Acting(cors=True)(get("/", PAGE, method="OPTIONS"))
    assert draft.content == b"content"


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ("no-origin", []),
        ("other-origin", [b"Access-Control-Allow-Origin: https://other.example"]),
        (
            "two-origins",
            [
                b"Access-Control-Allow-Origin: http://page.example",
                b"Access-Control-Allow-Origin: https://other.example",
            ],
        ),
        (
            "wildcard-with-credentials",
            [b"Vary: Origin", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: true"],
        ),
    ],
)
def test_an_origin_can_be_said_wrongly(wrong: str, fields: list[bytes]) -> None:
    assert Acting(cors={"wrong": wrong})(get("/", PAGE)).fields == fields


def test_a_preflight_can_be_answered_wrongly() -> None:
    def names(wrong: str) -> tuple[bytes, list[bytes]]:
        status, fields = _preflight(Acting(cors={"wrong": wrong}), "Access-Control-Request-Headers: x-a")
        return status, [line.partition(b":")[0] for line in fields]

    origin, methods, headers = (
        b"Access-Control-Allow-Origin",
        b"Access-Control-Allow-Methods",
        b"Access-Control-Allow-Headers",
    )
    rest = [origin, methods, b"Vary", headers]
    assert names("preflight-404") == (b"HTTP/1.1 404 Not Found", rest)
    assert names("preflight-redirect") == (b"HTTP/1.1 307 Temporary Redirect", [b"Location", *rest])
    assert names("no-header") == (b"HTTP/1.1 204 No Content", [origin, methods])
    _, fields = _preflight(Acting(cors={"wrong": "no-method"}))
    assert b"Access-Control-Allow-Methods: GET, HEAD, POST, PATCH, DELETE" in fields


def test_what_was_put_in_is_listed() -> None:
    draft = Acting(cors=True)(get("/", PAGE))
    assert draft.added == ["Access-Control-Allow-Origin: *"]


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["GET", "OPTIONS"]))
def test_nothing_that_a_client_sends_ends_a_line(origin: bytes, headers: bytes, method: str) -> None:
    raw = b"%s /x HTTP/1.1\r\nOrigin: %s\r\nAccess-Control-Request-Method: %s\r\nAccess-Control-Request-Headers: %s"
    acting: Any = Acting(cors={"credentials": True, "methods": ["*"]})
    draft = acting(request(raw % (method.encode(), origin, headers, headers) + b"\r\n\r\n"))
    for line in draft.fields:
        assert all(0x20 <= byte <= 0x7E or byte == 9 for byte in line)
