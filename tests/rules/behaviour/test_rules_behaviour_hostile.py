"""Every behaviour, asked by anybody: an answer is made, no 500, and nothing of the request ends a line of its head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.craft import compile_reply
from inspectd.rules.draft import Call
from inspectd.rules.program import LiveProgram, Program, Send
from inspectd.rules.tables import RuleTable
from inspectd.wire import ArrivedResponseHead, ResponseReader
from tests.rules.behaviour.drafting import NOW
from tests.rules.rules_requests import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.rules.craft import Reply

TABLES: dict[str, dict[str, Any]] = {
    "redirect": {"redirect": {"to": "/there", "chain": 3}},
    "loop": {"redirect": {"to": "", "loop": True}},
    "auth": {
        "auth": {"basic": {"a": "b"}, "digest": {"a": "b"}, "bearer": "t"},
        "cors": {"credentials": True},
        "body": "x",
    },
    "cors": {
        "cors": {"credentials": True, "methods": ["*"], "expose": ["X-A"]},
        "cookies": ["a=b"],
        "json": {"a": 1},
    },
    "conditional": {
        "conditional": {"etag": '"a"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
        "body": "0123456789",
    },
    "folder": {"folder": "."},
    "events": {"events": ["a", {"after": 1}, "b"], "chunked": True},
    "poll": {"poll": True, "cors": True, "body": "x"},
    "everything": {
        "auth": {"basic": {"a": "b"}},
        "cors": True,
        "cookies": ["a=b"],
        "conditional": True,
        "poll": True,
        "coding": "gzip",
        "chunked": True,
        "body": "0123456789",
    },
}

_NAMES = st.sampled_from(
    [
        b"Host", b"Origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers", b"Authorization",
        b"Range", b"If-Match", b"If-None-Match", b"If-Modified-Since", b"If-Unmodified-Since", b"If-Range", b" X", b"",
    ]
)  # fmt: skip
_DIGEST = (
    b'Digest username="a", realm="inspectd", nonce="1.0.0.0", uri="/", qop=auth, nc=00000001, cnonce="",'
    b' response=""'
)
_VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        b"bytes=0-1,3-",
        b'"a"',
        b'W/"a"',
        b"*",
        b"Basic YTpi",
        b"Bearer t",
        b"http://page.example",
        b"PUT",
        _DIGEST,
    ]
)
_METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"get"]) | st.binary(
    max_size=5
)
_PIECES = st.sampled_from([b"/", b"..", b"%2e", b"?hop=", b"9", b"#", b"*", b"a"])
_TARGETS = st.binary(max_size=30) | st.lists(_PIECES).map(b"".join)
_REQUESTS = st.builds(
    lambda method, target, lines: (
        b"%s %s HTTP/1.1\r\n%s\r\n"
        % (method, target, b"".join(name + b": " + value + b"\r\n" for name, value in lines))
    ),
    _METHODS,
    _TARGETS,
    st.lists(st.tuples(_NAMES, _VALUES), max_size=6),
)


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reply]:
    """The reply of each table, compiled once."""
    base: Path = tmp_path_factory.mktemp("hostile")
    (base / "index.html").write_text("index")
    made = {
        name: compile_reply(msgspec.convert(table, RuleTable), base=base) for name, table in TABLES.items()
    }
    return made.__getitem__


@pytest.mark.parametrize("name", TABLES)
@given(raw=_REQUESTS, wildcard=st.none() | st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_request_gets_an_answer_of_the_rule(
    replies: Callable[[str], Reply], name: str, raw: bytes, wildcard: str | None
) -> None:
    try:
        asked = request(raw)
    except IndexError:
        return  # these bytes are no head at all
    captured = {} if wildcard is None else {"**": wildcard}
    program = replies(name).program(Call(asked, NOW, persist=True, captured=captured))
    if isinstance(program, LiveProgram):
        return
    assert isinstance(program, Program)
    data = b"".join(op.data for op in program.ops if isinstance(op, Send))
    reader = ResponseReader()
    reader.expect(asked.head.method)
    heads = [event for event in reader.feed(data) if isinstance(event, ArrivedResponseHead)]
    assert not data.startswith(b"HTTP/1.1 500 "), data
    assert heads
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    assert all(b":" in line and b"\n" not in line and b"\r" not in line for line in lines)
    assert set(program.added) <= {line.decode("utf-8", "backslashreplace") for line in lines}
