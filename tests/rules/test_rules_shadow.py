"""A rule that never answers is found, and no rule is told of that does answer something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_tables
from inspectd.rules.responder import Fixed
from inspectd.rules.shadow import MOST, never_answering
from tests.rules.rules_requests import get


def told(*matches: Any, **keys: Any) -> list[tuple[int, int]]:
    """The numbers of the rules that never answer, each with that of the rule that does; `keys` are the first one's."""
    tables = [{"match": match} | (keys if number == 0 else {}) for number, match in enumerate(matches)]
    rules = load_tables(tables, source="t", base=Path("/nowhere"))
    return [(rules.index(rule), rules.index(by)) for rule, by in never_answering(rules)]


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ("*", "GET /x", True),
        ("*", {"header": {"X": "1"}}, True),
        ("/x", "GET /x", True),
        ("GET /x", "/x", False),
        ("GET|POST /x", "POST /x", True),
        ("POST /x", "GET|POST /x", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/**", "/a/b/*", True),
        ("/a/**", "/a/**/x", True),
        ("/a/**", "/a*", False),
        ("/a/**", "/**", False),
        ("/a", "/a?x=1", True),
        ("/a?x=1", "/a", False),
        ({"path-regex": "/a.*"}, {"path-regex": "/a.*"}, True),
        ({"path-regex": "/a.*"}, "/ab", False),
        ({"path": "/a", "first": True}, {"path": "/a", "first": True, "tls": False}, True),
        ({"path": "/a", "first": True}, {"path": "/a", "first": False}, False),
        ({"header": {"X": "a*"}}, {"header": {"X": "a*"}}, True),
        ({"body": "x"}, {"body": "x", "path": "/a"}, True),
        ({"body": "x"}, {"body": "xy"}, False),
    ],
)
def test_what_is_certain_is_said(first: Any, second: Any, shadowed: bool) -> None:
    assert told(first, second) == ([(1, 0)] if shadowed else [])


def test_the_first_that_takes_the_requests_is_named_and_each_rule_once() -> None:
    assert told("/a", "/b/**", "/b/c", "/**", "/b/c", "/a", "POST /z") == [(2, 1), (4, 1), (5, 0), (6, 3)]


def test_a_rule_that_leaves_requests_to_the_next_one_takes_none_away() -> None:
    assert told("*", "/x", each=["503"], then="next") == []
    assert told("*", "/x", each=["503"], then="cycle") == [(1, 0)]


def test_a_preflight_is_a_request_too() -> None:
    assert told("PUT /x", "PUT /x", cors=True) == [(1, 0)]
    rules = load_tables(
        [{"match": "PUT /x"}, {"match": "PUT /x", "cors": True}], source="t", base=Path("/nowhere")
    )
    assert never_answering(rules) == [], "the second answers the preflight"


_SEGMENTS = st.sampled_from(["a", "b", "*", "**", "{x}"])
_MATCHES = st.tuples(
    st.sampled_from(["GET", "POST", "GET|POST", "*"]),
    st.lists(_SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from(["", "?q"]),
).map(lambda parts: f"{parts[0]} {parts[1].replace('{x}', '*', parts[1].count('{x}') - 1)}{parts[2]}")


@given(
    matches=st.lists(_MATCHES, max_size=6),
    asked=st.lists(
        st.tuples(st.sampled_from(["GET", "POST"]), st.text("ab/", max_size=5), st.sampled_from(["", "?q"])),
        max_size=20,
    ),
)
def test_no_rule_that_is_told_of_ever_answers(matches: list[str], asked: list[tuple[str, str, str]]) -> None:
    rules = load_tables([{"match": match} for match in matches], source="t", base=Path("/nowhere"))
    silent = {rule for rule, _ in never_answering(rules)}
    book = RuleBook(Fixed(make_answer()))
    book.replace("t", rules)
    for method, path, query in asked:
        found = book.find(get(f"/{path}{query}", method=method))
        assert found is None or found[0] not in silent


def test_thousands_of_rules_are_gone_through_when_their_paths_differ() -> None:
    matches = [f"GET /{number}/*" for number in range(1500)] + [f"/x/{number}" for number in range(500)]
    assert len(matches) ** 2 / 2 > MOST
    assert told(*matches, "GET /5/*", "/x/7") == [(2000, 5), (2001, 1507)]


def test_comparing_ends_when_paths_have_nothing_in_common() -> None:
    matches = [f"**/{number}" for number in range(1000)]
    assert told(*matches, "**/5") == []
    assert told(*matches[:500], "**/5") == [(500, 5)]
