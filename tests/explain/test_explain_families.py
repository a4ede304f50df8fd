"""Which family a client belongs to, said as likelihood; which step of CORS a request is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd import explain

CHROMIUM = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"


def read(*lines: str, method: str = "GET") -> dict[str, str]:
    fields = [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in lines)]
    return {reading.kind: reading.title for reading in explain.head(method, "/", fields, version="HTTP/1.1")}


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        (["Host: a", "User-Agent: curl/8.5.0", "Accept: */*"], "Very likely curl"),
        (["Host: a", f"User-Agent: {FIREFOX}", "Accept: */*", "Accept-Language: en", "Accept-Encoding: gzip",
          "Connection: keep-alive"], "Very likely Firefox"),
        (["Host: a", "Connection: keep-alive", 'sec-ch-ua-platform: "Linux"', f"User-Agent: {CHROMIUM}",
          "Accept: */*", "Sec-Fetch-Site: none", "Accept-Encoding: gzip"],
         "Very likely Chromium, or a browser built on it"),
        (["Host: a", "User-Agent: Go-http-client/1.1", "Accept-Encoding: gzip"], "Very likely Go's net/http"),
        (["Host: a", "User-Agent: curl/8"], "Probably curl"),
        # Chromium writes a preflight in another order.
        (["Host: a", "Connection: keep-alive", "Accept: */*", "Access-Control-Request-Method: PUT",
          "Origin: http://b", f"User-Agent: {CHROMIUM}", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site",
          "Sec-Fetch-Dest: empty", "Accept-Encoding: gzip", "Accept-Language: en"],
         "Probably Chromium, or a browser built on it"),
        (["Host: a", "Accept: */*", "Accept-Encoding: gzip", "Connection: keep-alive", "User-Agent: mine/1"],
         "Perhaps Python's httpx, or a program that uses it"),
    ],
)  # fmt: skip
def test_a_family_is_told_by_what_it_says_and_how_it_writes(lines: list[str], title: str) -> None:
    assert read(*lines)["client-family"] == title


def test_a_library_that_calls_itself_a_browser_is_noticed() -> None:
    found = read(
        "Host: a",
        f"User-Agent: {CHROMIUM}",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
    )
    assert found["client-disguised"] == (
        "Says it is Chromium, or a browser built on it, but writes like Python's requests"
    )
    assert "client-family" not in found


@pytest.mark.parametrize("lines", [[], ["Host: a"], ["Host: a", "User-Agent: mine/1"], ["X-A: 1", "X-B: 2"]])
def test_nothing_is_said_where_nothing_tells(lines: list[str]) -> None:
    assert not {"client-family", "client-disguised"} & read(*lines).keys()


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20))
def test_any_head_may_be_read(fields: list[tuple[bytes, bytes]]) -> None:
    explain.head(b"GET", b"/", fields, version=b"HTTP/1.1")


CORS = ("Host: a.test", "Origin: http://b.test", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site")


def test_a_step_of_cors_is_told() -> None:
    assert read(*CORS)["cors-step-simple"]
    assert read(*CORS, "Content-Type: text/plain;charset=UTF-8", method="POST")["cors-step-simple"]
    assert read(*CORS, "Content-Type: application/json", method="POST")["cors-step-after-preflight"]
    assert read(*CORS, "X-A: 1")["cors-step-after-preflight"]
    assert read(*CORS, method="PUT")["cors-step-after-preflight"]
    assert read("Host: a.test", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: cross-site")["cors-step-no-cors"]
    assert not [
        kind for kind in read(*CORS[:3], "Sec-Fetch-Site: same-origin") if kind.startswith("cors-step")
    ]
    assert not [
        kind
        for kind in read(*CORS, "Access-Control-Request-Method: PUT", method="OPTIONS")
        if kind.startswith("cors-step")
    ]


def test_without_fetch_metadata_a_browser_s_origin_tells() -> None:
    assert read("Host: a.test", "Origin: http://b.test", f"User-Agent: {FIREFOX}", "X-A: 1")[
        "cors-step-after-preflight"
    ]
