"""Clients by their short names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.client import WIDTH, client_name, short_client
from inspectd.text.safe import cells

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/156.0.0.0 Safari/537.36", "Chrome 156"),
        (
            f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/156.0.0.0 Safari/537.36",
            "HeadlessChrome 156",
        ),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0", "Edge 156"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/150.0.0.0 Safari/537.36 OPR/130.0.0.0", "Opera 130"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "Firefox 153"),
        (
            "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
            "Safari 18",
        ),
        (
            "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
            "Safari 17",
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot 2"),
        ("curl/8.14.1", "curl 8.14"),
        ("Wget/1.21.3", "Wget 1.21"),
        ("python-httpx/0.28.1", "httpx 0.28"),
        ("python-requests/2.32.3", "python-requests 2.32"),
        ("Python/3.11 aiohttp/3.9.1", "aiohttp 3.9"),
        ("Go-http-client/1.1", "Go-http-client 1.1"),
        ("okhttp/4.12.0", "okhttp 4.12"),
        ("node", "node"),
        ("", ""),
        ("   ", ""),
        ("\x1b]0;x\x07/1", r"\x1b]0;x\x07/1"),
        ("x" * 100, "x" * 23 + "…"),
    ],
)
def test_a_client_has_a_short_name(user_agent: str, name: str) -> None:
    assert client_name(user_agent.encode()) == name


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [
        ("HeadlessChrome 156", 18, "HeadlessChrome 156"),
        ("HeadlessChrome 156", 11, "Chrome 156"),
        ("HeadlessChrome 156", 9, "Chrome"),
        ("Chrome 156.2", 10, "Chrome 156"),
        ("HeadlessChrome 156", 5, "Chro…"),
        ("curl 8.14", 8, "curl 8.…"),
        ("python-requests 2.32", 11, "python-req…"),
        ("curl 8.14", 11, "curl 8.14"),
        ("", 11, ""),
    ],
)
def test_a_narrow_column_keeps_the_version(name: str, width: int, short: str) -> None:
    assert short_client(name, width) == short


@given(st.binary(max_size=3000))
def test_any_user_agent_gives_safe_text_that_fits(user_agent: bytes) -> None:
    name = client_name(user_agent)
    assert name.isprintable()
    assert cells(name) <= WIDTH
