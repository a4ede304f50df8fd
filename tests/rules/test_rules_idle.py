"""What does nothing in a rule is told of, and what does something isn't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inspectd.rules.file import load_tables
from inspectd.rules.idle import without_effect
from inspectd.rules.program import Program
from tests.rules.crafting import call, reply
from tests.rules.rules_requests import get

RESET = {"do": "reset"}


def told(table: dict[str, Any]) -> list[str]:
    """What is said of a rule."""
    answer = {"respond": "200"} if set(table) <= {"match"} else {}
    (rule,) = load_tables([{"match": "/x", **answer, **table}], source="t", base=Path("/nowhere"))
    return without_effect(rule)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"raw": "0123456789", "fault": RESET | {"at": "byte 11"}}, "never happens: the answer has 10 bytes"),
        ({"raw": "a\r\n\r\n01", "fault": RESET | {"at": "body+3"}}, "never happens: the answer has 7 bytes"),
        ({"body": "x", "fault": RESET | {"at": "body+2"}}, '"body+2" (reset) never happens'),
        ({"body": "x", "fault": RESET | {"at": "head+9999"}}, '"head+9999" (reset) never happens'),
        ({"body": "x", "chunked": True, "fault": RESET | {"at": "chunk 3"}}, "in 2 chunks, the last one included"),
        (
            {"body": "abcd", "fault": [RESET | {"at": "body+2"}, {"do": "close", "at": "body+3"}]},
            '"body+3" (close) never happens: another one ends the answer before',
        ),
        ({"body": "abcd", "fault": {"do": "truncate", "at": "body"}}, "leaves nothing out"),
        ({"body": "abcd", "fault": {"do": "truncate", "at": "100%"}}, "leaves nothing out"),
        ({"respond": "204", "body": "x"}, "an answer of 204 ends with its head"),
        ({"respond": "304", "json": 1}, "an answer of 304 ends with its head"),
        ({"each": ["200", {"raw": "x", "fault": RESET | {"at": "byte 2"}}]}, "raw 1 bytes: The fault"),
        ({"each": ["200", {"raw": "x" * 9999}], "fault": RESET | {"at": "byte 9999"}}, '200: The fault at "byte 9999"'),
        ({"body": "{{ path }}"}, "template = true"),
        ({"headers": ["A: {% if x %}"]}, "template = true"),
        ({"each": [{"respond": "200 {{ path }}"}]}, "template = true"),
        ({"respond": "404 No", "conditional": True}, "An answer of 404 has neither"),
        ({"each": [{"respond": "503"}, "200"], "conditional": True}, "An answer of 503 has neither"),
        ({"match": "get /x"}, "The method get is not GET"),
        ({"match": {"method": "GET|post"}, "cors": True}, "The method post is not POST"),
        ({"match": "/caf\u00e9"}, "most clients send %C3%A9"),
        ({"match": {"path": "/a b"}}, "most clients send %20"),
        ({"match": "/a#b"}, 'without "#"'),
        ({"respond": "OK 200"}, 'respond = "OK 200" is no status line that clients understand'),
        ({"respond": "2000 OK"}, "a code of three digits"),
        ({"interim": ["99"]}, 'interim[0] = "99" is no status line'),
        ({"each": ["200", "ICY 200"]}, 'each[1] = "ICY 200" is no status line'),
        ({"each": ["200", {"respond": "OK 1"}]}, 'respond = "OK 1" is no status line'),
        ({"about": "nothing"}, "It says nothing of its answer, which is an empty 200 OK"),
        ({"each": ["503", {}]}, "An item of each says nothing of its answer"),
        ({"respond": "200", "then": "cycle"}, 'then = "cycle" has no effect'),
        ({"each": ["200"], "then": "cycle"}, 'then = "cycle" has no effect'),
        ({"headers": ["A: 1", "nocolon"]}, 'headers[1], "nocolon", has no colon'),
        ({"headers": [" first"]}, "has no colon"),
        ({"headers": ["A: 1", ""]}, "headers[1] is an empty line, which ends the head"),
        ({"interim": [{"respond": "103", "headers": ["x"]}]}, "interim[0].headers[0]"),
        ({"body": "x", "chunked": {"trailers": ["x"]}}, "chunked.trailers[0]"),
        ({"headers": ["\x1b[2J"]}, '"\\x1b[2J"'),
    ],
)  # fmt: skip
def test_what_does_nothing_is_told_of_once(table: dict[str, Any], said: str) -> None:
    sentences = told(table)
    assert len(sentences) == 1
    assert said in sentences[0]


@pytest.mark.parametrize(
    "table",
    [
        {"raw": "0123456789", "fault": RESET | {"at": "byte 10"}},
        {"body": "x", "fault": RESET | {"at": "start"}},
        {"body": "x", "fault": {"do": "close", "at": "body"}},
        {"body": "x", "chunked": True, "fault": RESET | {"at": "chunk 2"}},
        {"body": "x", "fault": RESET | {"at": "byte 100000", "per": "connection"}},
        {"body": "abcd", "fault": {"do": "truncate", "at": "body+3"}},
        {"body": "abcd", "fault": [{"do": "garbage", "at": "body+2"}, {"do": "close", "at": "body+3"}]},
        {"respond": "204"},
        {"respond": "203 OK", "conditional": True},
        {"body": "{{ path }}", "template": True},
        {"template": True, "each": [{"body": "{{ path }}"}]},
        {"json": {"css": "a{b:c}"}},
        {"respond": "HTTP/1.0 200"},
        {"respond": "299 "},
        {"respond": "{{ path }}", "template": True},
        {"each": ["{{ choice(['200', 'OK']) }}"], "template": True},
        {"hold": True},
        {"each": [{}, "503"], "headers": ["A: 1"]},
        {"respond": "200", "then": "404"},
        {"each": ["200", "201"], "then": "cycle"},
        {"headers": [{"raw": "nocolon"}, "A: 1", " folded", ": nameless"]},
        {"match": "BREW /{name}/*"},
        {"match": "GET|POST /%C3%A9?q=#"},
        {"match": {"path_regex": "/caf\u00e9"}},
        {"fault": {"do": "stall"}},
        {"body": "", "fault": {"do": "half-close", "at": "body"}},
    ],
)
def test_what_does_something_is_not_told_of(table: dict[str, Any]) -> None:
    assert told(table) == []


def test_what_does_nothing_in_one_answer_stands_in_its_program() -> None:
    made = reply(body="abcd", fault={"do": "reset", "at": "body+2"})
    asked, head_alone = (made.program(call(get("/x", method=method))) for method in ("GET", "HEAD"))
    assert isinstance(asked, Program)
    assert isinstance(head_alone, Program)
    assert asked.idle == ()
    assert len(head_alone.idle) == 1
    assert "never happens" in head_alone.idle[0]
