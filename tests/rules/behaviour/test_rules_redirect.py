"""Redirects: verbatim addresses, chains and loops, followed as a client follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.draft import CraftProblems
from tests.rules.behaviour.drafting import Acting
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from inspectd.rules.draft import Draft


def _follow(acting: Acting, target: str, limit: int = 30) -> tuple[list[str], Draft]:
    """The addresses that a client comes by, and the answer at which it stops."""
    seen = []
    for _ in range(limit):
        draft = acting(get(target))
        location = draft.get(b"location")
        if location is None:
            break
        target = urljoin("http://test" + target, location.decode()).removeprefix("http://test")
        seen.append(target)
    return seen, draft


@pytest.mark.parametrize(
    "address", ["/there", "", "//other.example/x", "http:///", "../../../up", "/ünï", "  ", "?a"]
)
def test_an_address_is_sent_verbatim(address: str) -> None:
    draft = Acting(redirect=address)()
    assert draft.status_line == b"HTTP/1.1 302 Found"
    assert draft.fields == [b"Location: " + address.encode()]


def test_the_status_of_a_redirect_is_sent_verbatim() -> None:
    own = Acting(redirect={"to": "/a", "status": "308 Elsewhere"})()
    assert own.status_line == b"HTTP/1.1 308 Elsewhere"


def test_a_chain_has_as_many_redirects_as_it_says_and_keeps_the_query() -> None:
    acting = Acting(redirect={"to": "/end", "chain": 3})
    assert [acting(get(target)).fields for target in ("/r?a=1", "/r?a=1&hop=1", "/r?a=1&hop=2")] == [
        [b"Location: /r?a=1&hop=1"],
        [b"Location: /r?a=1&hop=2"],
        [b"Location: /end"],
    ]


@pytest.mark.parametrize("to", ["/r", ""])
def test_a_chain_to_itself_ends_with_the_ordinary_answer(to: str) -> None:
    seen, last = _follow(Acting(redirect={"to": to, "chain": 3}), "/r")
    assert seen == ["/r?hop=1", "/r?hop=2", "/r?hop=3"]
    assert (last.status_line, last.content) == (b"HTTP/1.1 200 OK", b"content")


def test_a_loop_never_ends() -> None:
    assert _follow(Acting(redirect={"to": "", "loop": True}), "/r", 4)[0] == ["/r"] * 4
    around, _ = _follow(Acting(redirect={"to": "/r", "loop": True, "chain": 3}), "/r", 7)
    assert around == ["/r?hop=1", "/r?hop=2", "/r", "/r?hop=1", "/r?hop=2", "/r", "/r?hop=1"]


def test_a_chain_never_leads_to_another_host() -> None:
    draft = Acting(redirect={"to": "/end", "chain": 2})(get("//evil.example/x"))
    assert draft.get(b"location") == b"/.//evil.example/x?hop=1"


@pytest.mark.parametrize(
    ("redirect", "keys"),
    [
        ("/a\r\nX: 1", ["redirect"]),
        ({"to": "/", "status": "Found"}, ["redirect.status"]),
        ({"to": "/a\n", "status": "200\n"}, ["redirect.to", "redirect.status"]),
    ],
)
def test_what_cannot_be_one_line_is_refused_with_its_key(redirect: object, keys: list[str]) -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(redirect=redirect)
    assert [problem.key for problem in caught.value.problems] == keys


@given(st.binary(max_size=60), st.booleans())
def test_whatever_the_target_the_location_is_one_visible_line(target: bytes, loop: bool) -> None:
    acting = Acting(redirect={"to": "", "chain": 5, "loop": loop})
    draft = acting(request(b"GET " + target.replace(b"\n", b"") + b" HTTP/1.1\r\nHost: a\r\n\r\n"))
    for line in draft.fields:
        assert all(0x21 <= byte <= 0x7E for byte in line.removeprefix(b"Location: "))
