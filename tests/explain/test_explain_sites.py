"""Same origin, same site or cross-site, and why."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.explain.sites import Place, place, public_suffix, registrable_domain, relation, site_reading


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("me.github.io", "me.github.io"),
        ("x.me.github.io", "me.github.io"),
        ("co.uk", "co.uk"),
        ("www.city.kobe.jp", "city.kobe.jp"),
        ("a.b.c.kobe.jp", "b.c.kobe.jp"),
        ("www.xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("a.b.test", "b.test"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("", ""),
        (".", "."),
    ],
)
def test_the_site_of_a_host_is_its_registrable_domain(host: str, site: str) -> None:
    assert registrable_domain(host) == site


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://A.test", Place("http", "a.test", 80)),
        ("https://a.test:8443/x?y#z", Place("https", "a.test", 8443)),
        ("wss://a.test", Place("https", "a.test", 443)),
        ("http://[::1]:80", Place("http", "[::1]", 80)),
        ("null", None),
        ("", None),
        ("file:///etc/passwd", None),
        ("http://", None),
        ("http://a b", None),
    ],
)
def test_an_origin_is_read_as_scheme_host_and_port(url: str, found: Place | None) -> None:
    assert place(url) == found


@pytest.mark.parametrize(
    ("page", "server", "value", "why"),
    [
        ("http://a.test", "http://a.test:80", "same-origin", "same-origin"),
        ("http://a.test:1", "http://a.test:2", "same-site", "same-site-port"),
        ("https://a.example.com", "https://b.example.com", "same-site", "same-site"),
        ("http://a.example.com", "https://b.example.com", "cross-site", "cross-site-scheme"),
        ("https://a.github.io", "https://b.github.io", "cross-site", "cross-site-suffix"),
        ("https://a.com", "https://b.com", "cross-site", "cross-site-two"),
        ("https://x.a.com", "https://y.b.com", "cross-site", "cross-site"),
        ("http://localhost", "http://127.0.0.1", "cross-site", "cross-site-address"),
    ],
)
def test_how_far_a_page_and_a_server_are_apart(page: str, server: str, value: str, why: str) -> None:
    here, there = place(page), place(server)
    assert here is not None
    assert there is not None
    assert relation(here, there) == (value, why)


def read(host: str, *, secure: bool = False, **fields: str) -> tuple[str, str] | None:
    values = {name.replace("_", "-"): value for name, value in fields.items()}
    found = site_reading(values, host, secure=secure)
    return None if found is None else (found.kind, found.title)


def test_a_site_is_told_by_names() -> None:
    assert read("api.shop.example.com", origin="http://www.shop.example.com") == (
        "site-same-site",
        "Same site, another origin: www.shop.example.com and api.shop.example.com both belong to example.com",
    )
    assert read("b.github.io", origin="https://a.github.io", secure=True) == (
        "site-cross-site",
        "Cross-site: a.github.io and b.github.io share only github.io, under which anybody can get a name",
    )


def test_a_referer_names_the_page_where_origin_does_not() -> None:
    assert read("a.test", referer="http://a.test/page?x") == (
        "site-same-origin",
        "Same origin: the page came from a.test itself",
    )


def test_what_sec_fetch_site_says_outranks_what_the_names_say() -> None:
    assert read("a.test", origin="http://a.test", sec_fetch_site="cross-site") == (
        "site-cross-site",
        "Sec-Fetch-Site says cross-site, though the page is of the same origin",
    )


def test_tls_that_ended_in_front_is_no_contradiction() -> None:
    assert read("a.test", origin="https://a.test", sec_fetch_site="same-origin") == (
        "site-same-origin",
        "Same origin: the page came from a.test itself",
    )


def test_a_hidden_origin_is_of_no_site() -> None:
    assert read("a.test", origin="null") == ("site-cross-site", "Cross-site: the page hides its origin")


@pytest.mark.parametrize(
    "fields", [{}, {"origin": "null x"}, {"sec_fetch_site": "none", "referer": "http://a.test/"}]
)
def test_nothing_is_said_of_a_page_that_is_not_named(fields: dict[str, str]) -> None:
    assert read("a.test", secure=False, **fields) is None


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(["", "same-site", "cross-site", "\x00"]))
def test_any_text_may_stand_for_origin_and_host(origin: str, host: str, said: str) -> None:
    site_reading({"origin": origin, "sec-fetch-site": said}, host, secure=False)
    assert host.endswith(public_suffix(host)) or public_suffix(host)
    registrable_domain(host)


def test_the_list_is_not_read_before_it_is_needed() -> None:
    code = "import sys, inspectd.explain; assert 'publicsuffixlist' not in sys.modules and 'http_sf' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
