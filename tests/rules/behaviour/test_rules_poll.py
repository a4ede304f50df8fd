"""Long polls: the wait before an answer, its gate, and what is said when its time is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.engine.config import EngineConfig
from inspectd.engine.server import Engine
from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.draft import CraftProblems
from inspectd.rules.file import load_tables
from inspectd.rules.program import Hold
from inspectd.rules.responder import Fixed
from tests.rules.behaviour.drafting import Acting
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from pathlib import Path


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
    with pytest.raises(CraftProblems) as caught:
        Acting(poll=poll)
    assert [problem.key for problem in caught.value.problems] == [key]


def test_a_page_may_read_either_answer() -> None:
    draft = Acting(poll=True, cors=True)(get("/", "Origin: http://page.example"))
    assert draft.otherwise is not None
    assert draft.otherwise.fields == draft.fields == [b"Access-Control-Allow-Origin: *"]


def test_a_challenge_does_not_wait() -> None:
    draft = Acting(poll=True, auth={"scheme": "basic"})()
    assert draft.before == ()


async def test_an_open_gate_gives_the_answer_and_time_gives_the_other(tmp_path: Path) -> None:
    book = RuleBook(Fixed(make_answer("404")))
    tables = [{"match": "/news", "poll": {"gate": "news", "timeout": "60s"}, "body": "news"}]
    book.replace("test", load_tables(tables, source="test", base=tmp_path))
    engine = Engine(EngineConfig(capture=tmp_path / "c.inspectd", listen=("127.0.0.1:0",), grace=1.0), book)
    await engine.start()
    try:
        host, _, port = engine.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        engine.gates.open("news")
        async with asyncio.timeout(60):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nnews")
        writer.close()
        await writer.wait_closed()
    finally:
        await engine.stop()
