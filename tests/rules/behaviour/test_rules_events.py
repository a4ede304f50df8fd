"""Event streams: what is sent, in which pieces, after which pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inspectd.rules.behaviour.words import WordsError
from inspectd.rules.draft import CraftProblems, Live, Script
from inspectd.rules.program import Send, Stall, Wait
from tests.rules.behaviour.drafting import Acting
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from inspectd.rules.request import Request


def _steps(events: Any, asked: Request | None = None, **table: Any) -> tuple[Any, ...]:
    content = Acting(events=events, **table)(asked).content
    assert isinstance(content, Script)
    return content.steps


def test_an_event_stream_says_its_type_and_is_not_stored() -> None:
    draft = Acting(events=["a"])()
    assert draft.fields == [b"Content-Type: text/event-stream", b"Cache-Control: no-store"]
    assert draft.added == [line.decode() for line in draft.fields]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("hello", b"data: hello\n\n"),
        ("", b"data: \n\n"),
        ("two\nlines", b"data: two\ndata: lines\n\n"),
        ("a\r\nb\rc\n", b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (
            {"data": "ü", "event": "e", "id": "7", "retry": 10},
            "event: e\nid: 7\nretry: 10\ndata: ü\n\n".encode(),
        ),
        ({"id": ""}, b"id: \n\n"),
        ({"comment": "keep\nalive"}, b": keep\n: alive\n\n"),
        ({"retry": 5}, b"retry: 5\n\n"),
        ({"raw": "data:\u00ff\r"}, b"data:\xff\r"),
        ({"data": "a", "raw": "half: "}, b"data: a\n\nhalf: "),
    ],
)
def test_an_event_is_one_piece(event: Any, data: bytes) -> None:
    assert _steps([event]) == (Send(data),)


def test_pauses_come_between_events_or_where_they_are_asked_for() -> None:
    a, b, c = (Send(b"data: %s\n\n" % text) for text in (b"a", b"b", b"c"))
    assert _steps({"send": ["a", "b", {"data": "c", "after": "2s"}], "every": "100ms"}) == (
        a,
        Wait(0.1),
        b,
        Wait(2),
        c,
    )
    assert _steps([{"data": "a", "after": 1}, {"after": "1s"}, "b"]) == (Wait(1), a, Wait(1), b)


def test_a_stream_that_does_not_close_stays_open() -> None:
    assert _steps({"send": ["a"], "close": False}) == (Send(b"data: a\n\n"), Stall())


def test_an_event_can_come_right_after_the_one_before() -> None:
    steps = _steps({"send": ["a", {"data": "b", "after": 0}, "c"], "every": "1s"})
    assert steps == (Send(b"data: a\n\n"), Send(b"data: b\n\n"), Wait(1.0), Send(b"data: c\n\n"))


async def test_a_stream_can_repeat_without_an_end() -> None:
    content = Acting(events={"send": ["a", "b"], "repeat": True, "every": "50ms"})().content
    assert isinstance(content, Live)
    a, b, wait = Send(b"data: a\n\n"), Send(b"data: b\n\n"), Wait(0.05)
    for _ in range(2):
        steps = content.steps()
        assert [await anext(steps) for _ in range(8)] == [a, wait, b, wait, a, wait, b, wait]
    late = Acting(events={"send": [{"data": "a", "after": "1s"}, "b"], "repeat": True})().content
    assert isinstance(late, Live)
    steps = late.steps()
    assert [await anext(steps) for _ in range(6)] == [Wait(1), a, b, Wait(1), a, b]


def test_events_are_templates_when_the_answer_is_one() -> None:
    events = [{"id": "{{ last_event_id | int + 1 }}", "data": "{{ query.a }}"}]
    assert _steps(events, get("/?a=1%0A2", "Last-Event-ID: 41"), template=True) == (
        Send(b"id: 42\ndata: 1\ndata: 2\n\n"),
    )
    with pytest.raises(WordsError, match="line end"):
        _steps([{"id": "{{ query.a }}"}], get("/?a=1%0Adata:x"), template=True)


@pytest.mark.parametrize(
    ("events", "key"),
    [
        ({"send": ["a"], "every": "often"}, "events.every"),
        ({"send": ["a"], "repeat": True}, "events.repeat"),
        ({"send": [{"data": "a", "after": 0}], "repeat": True, "every": "1s"}, "events.repeat"),
        ({"send": [], "repeat": True, "every": "1s"}, "events.send"),
        ([{"data": "a", "after": "x"}], "events[0].after"),
        ({"send": ["b", {"id": "a\nb"}]}, "events.send[1].id"),
        ([{"event": "a\rb"}], "events[0].event"),
        ([{"id": "a\0"}], "events[0].id"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_key(events: Any, key: str) -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(events=events)
    assert [problem.key for problem in caught.value.problems] == [key]
