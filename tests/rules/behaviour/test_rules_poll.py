"""Long polls: the wait before an answer, its gate, and what is said when its time is over."""

from __future__ import annotations

from typing import Any

import pytest

from inspectd.rules.draft import CraftError
from inspectd.rules.program import Hold
from tests.rules.behaviour.drafting import Acting
from tests.rules.rules_requests import get


@pytest.mark.parametrize(
    ("table", "gate", "timeout"),
    [
        ({"poll": True}, "news/latest", 30.0),
        ({"poll": True, "name": "the-news"}, "the-news", 30.0),
        ({"poll": "gate"}, "gate", 30.0),
        ({"poll": {"gate": "gate", "timeout": "250ms"}}, "gate", 0.25),
        ({"poll": {"timeout": 1}}, "news/latest", 1.0),
    ],
)
def test_an_answer_waits_at_a_gate(table: dict[str, Any], gate: str, timeout: float) -> None:
    draft = Acting(**table)(get("/news/latest?a=b"))
    assert draft.before == (Hold(gate, timeout),)
    assert (draft.status_line, draft.content) == (b"HTTP/1.1 200 OK", b"content")
    assert draft.otherwise is not None
    assert (draft.otherwise.status_line, draft.otherwise.fields, draft.otherwise.content) == (
        b"HTTP/1.1 204 No Content",
        [],
        b"",
    )


def test_what_is_said_when_the_time_is_over_is_verbatim() -> None:
    draft = Acting(poll={"otherwise": "HTTP/1.0 504 Too  Late"})()
    assert draft.otherwise is not None
    assert draft.otherwise.status_line == b"HTTP/1.0 504 Too  Late"


@pytest.mark.parametrize(
    ("poll", "key"), [({"timeout": "soon"}, "poll.timeout"), ({"otherwise": "nothing"}, "poll.otherwise")]
)
def test_what_cannot_be_understood_is_refused_with_its_key(poll: Any, key: str) -> None:
    with pytest.raises(CraftError) as caught:
        Acting(poll=poll)
    assert caught.value.key == key


def test_a_challenge_does_not_wait() -> None:
    draft = Acting(poll=True, auth={"scheme": "basic"})()
    assert draft.before == ()
