"""What was asked for, short enough for a column, with as much of its path as there is room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.text.safe import cells, safe
from inspectd.text.urls import in_the_middle, is_url, short_target


@pytest.mark.parametrize(
    ("target", "width", "shown"),
    [
        ("/api/basket", 20, "/api/basket"),
        ("/api/basket", 8, "/api/ba…"),
        ("https://shop.test/api", 21, "https://shop.test/api"),
        ("https://shop.test/api/basket", 21, "shop.test/api/basket"),
        ("http://localhost:3000/api/basket", 22, "local…:3000/api/basket"),
        ("http://localhost:3000/api/basket/items", 22, "loca…3000/api/basket/…"),
        ("http://a-very-long-name.of.a.shop.test/", 16, "a-very-…op.test/"),
        ("shop.test:443", 13, "shop.test:443"),
        ("*", 5, "*"),
        ("", 5, ""),
    ],
)
def test_the_path_counts_most(target: str, width: int, shown: str) -> None:
    assert "".join(short_target(target, width)) == shown


def test_only_what_names_a_server_is_a_url() -> None:
    assert is_url("http://shop.test/")
    assert not any(map(is_url, ("/redirect?to=http://shop.test/", "shop.test:443", "*", "", "http:///")))


def test_a_long_text_keeps_both_ends() -> None:
    assert in_the_middle("localhost:3000", 9) == "loca…3000"


@given(st.text(), st.text(max_size=40), st.integers(1, 60))
def test_it_never_takes_more_than_the_column(host: str, path: str, width: int) -> None:
    for target in (host, f"https://{host}/{path}"):
        assert cells("".join(short_target(safe(target), width))) <= width
