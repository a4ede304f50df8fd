"""Cookies: one Set-Cookie line each, with what was given and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from inspectd.rules.draft import CraftProblems
from tests.rules.behaviour.drafting import Acting


@pytest.mark.parametrize(
    ("cookie", "line"),
    [
        ("a=b; Path=/; Odd=1", b"Set-Cookie: a=b; Path=/; Odd=1"),
        ({"name": "id", "value": "7"}, b"Set-Cookie: id=7"),
        ({"name": "", "value": ""}, b"Set-Cookie: ="),
        ({"name": "gone", "max-age": 0}, b"Set-Cookie: gone=; Max-Age=0"),
        (
            {
                "name": "s",
                "value": '"a b"',
                "path": "/p",
                "domain": ".example.com",
                "max-age": -1,
                "expires": "Thu, 01 Jan 1970 00:00:00 GMT",
                "secure": True,
                "http-only": True,
                "same-site": "Lax",
                "partitioned": True,
            },
            (
                b'Set-Cookie: s="a b"; Path=/p; Domain=.example.com; Max-Age=-1; '
                b"Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax; Partitioned"
            ),
        ),
        ({"name": "ü", "path": ""}, "Set-Cookie: ü=; Path=".encode()),
    ],
)
def test_a_cookie_is_written_as_given(cookie: Any, line: bytes) -> None:
    assert Acting(cookies=[cookie])().fields == [line]


def test_cookies_keep_their_order_and_their_duplicates() -> None:
    assert Acting(cookies=["a=1", "b=2", "a=1"])().fields == [
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"Set-Cookie: a=1",
    ]


def test_a_line_end_in_a_cookie_is_refused() -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(cookies=[{"name": "a", "value": "b\r\nX: 1"}])
    assert [problem.key for problem in caught.value.problems] == ["cookies[0]"]
