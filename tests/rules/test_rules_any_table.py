"""Whatever stands in an answer's table: it is refused with reasons, or it answers every request without raising."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.rules.craft import CraftProblems, compile_reply
from inspectd.rules.draft import Call, CraftError
from inspectd.rules.problems import read_key
from inspectd.rules.program import LiveProgram, Op, Program
from inspectd.rules.remarks import remarks_of
from inspectd.rules.tables import AnswerTable
from inspectd.rules.timeline import text, timeline
from tests.rules.crafting import NOW
from tests.rules.rules_requests import get, request

_TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "200 OK", "204", "HTTP/1.1 -1", "A: b", "{{ method }}", "{{ x", "\r\n"]),
)
_DURATION = st.sampled_from(["1ms", 0, "x", -1, "1h", 0.5])
_RATE = st.sampled_from(["1B/1ms", "4KiB/s", "x", "0/s"])
_PLACE = st.sampled_from(
    [
        "start",
        "status-line",
        "head",
        "body",
        "byte 3",
        "body+50%",
        "head+9",
        "chunk 1",
        "50%",
        "body+2",
        "nowhere",
    ]
)
_LINE = st.one_of(
    _TEXT, st.fixed_dictionaries({"raw": _TEXT}, optional={"times": st.just(2), "length": st.just(9)})
)
_FAULT = st.fixed_dictionaries(
    {"do": st.sampled_from(["close", "half-close", "reset", "stall", "truncate", "garbage"])},
    optional={
        "at": _PLACE,
        "after": _DURATION,
        "bytes": _TEXT,
        "length": st.sampled_from([0, "1KiB", "x"]),
        "per": st.sampled_from(["response", "connection"]),
    },
)
_CODING = st.sampled_from(["gzip", "deflate", "br", "zstd", "identity"])
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "respond": _TEXT,
    "headers": st.lists(_LINE, max_size=3),
    "body": _TEXT,
    "body-repeat": st.sampled_from([1, 3, 1 << 22]),
    "json": st.one_of(
        st.none(), st.integers(), st.dictionaries(st.text(max_size=3), st.booleans(), max_size=2)
    ),
    "body-file": st.sampled_from(["missing", "../x", "\0"]),
    "body-hex": st.sampled_from(["00ff", "0", "zz"]),
    "raw": _TEXT,
    "raw-hex": st.sampled_from(["00ff", "0"]),
    "template": st.booleans(),
    "auto": st.lists(st.sampled_from(["date", "content-length", "connection", "content-type"]), max_size=3),
    "interim": st.lists(_TEXT, max_size=2),
    "coding": st.one_of(
        _CODING,
        st.lists(_CODING, max_size=2),
        st.fixed_dictionaries(
            {},
            optional={
                "apply": st.lists(_CODING, max_size=2),
                "say": _TEXT,
                "damage": st.sampled_from(["truncate", "flip", "checksum", "garbage-after"]),
                "members": st.sampled_from([1, 3]),
            },
        ),
    ),
    "chunked": st.one_of(
        st.booleans(),
        st.fixed_dictionaries(
            {},
            optional={
                "sizes": st.lists(st.integers(1, 4), max_size=2),
                "extension": _TEXT,
                "trailers": st.lists(_LINE, max_size=2),
                "size-lines": st.lists(_TEXT, max_size=2),
                "line-end": _TEXT,
                "last": st.booleans(),
            },
        ),
    ),
    "conditional": st.booleans(),
    "redirect": _TEXT,
    "cookies": st.lists(_TEXT, max_size=2),
    "cors": st.booleans(),
    "auth": st.sampled_from([{"bearer": "t"}, {"basic": {"a": "b"}}, {"digest": {"a": "b"}}, {}]),
    "events": st.one_of(
        st.lists(_TEXT, max_size=2),
        st.fixed_dictionaries(
            {"send": st.lists(_TEXT, max_size=2)}, optional={"repeat": st.booleans(), "every": _DURATION}
        ),
    ),
    "poll": st.one_of(st.booleans(), st.just("gate")),
    "mirror": st.booleans(),
    "pace": st.fixed_dictionaries(
        {}, optional={"before": _DURATION, "head": _RATE, "body": _RATE, "all": _RATE, "jitter": st.just(0.5)}
    ),
    "fault": st.one_of(_FAULT, st.lists(_FAULT, max_size=3)),
    "hold": st.booleans(),
    "close": st.booleans(),
}
# Few keys at a time: with all of them nearly every table contradicts itself.
_SMALL_TABLE = st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=4, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: _VALUES[key] for key in keys})
)
_KEYS = {field.encode_name for field in msgspec.structs.fields(AnswerTable)}
_REQUESTS = [
    get(),
    get(method="HEAD"),
    get("/", "Range: bytes=0-1", "Origin: http://a", "Authorization: Bearer t"),
    get("/", "Origin: http://a", "Access-Control-Request-Method: PUT", method="OPTIONS"),
    request(b"GET / HTTP/1.0\r\n\r\n"),
    request(b"\xff \x00 HTTP/1.1\r\n\r\n"),
    request(b"CONNECT a:1 HTTP/1.1\r\n\r\n"),
]


@settings(max_examples=400, deadline=None)
@given(_SMALL_TABLE)
def test_any_table_is_refused_with_reasons_or_answers_everything(keys: dict[str, Any]) -> None:
    table = msgspec.convert(keys, AnswerTable)
    refused: tuple[CraftError, ...] = ()
    try:
        reply = compile_reply(table, base=Path("/nowhere"), rule="r")
    except CraftProblems as problems:
        refused = problems.problems
    for problem in refused:
        assert problem.what
        assert read_key(problem.key)[0] in _KEYS
    if refused:
        return
    for asked in _REQUESTS:
        made = reply.program(Call(asked, NOW, persist=True))
        assert isinstance(made, (Program, LiveProgram))
        assert made.rule == "r"
        if isinstance(made, Program):
            assert all(isinstance(op, Op) for op in made.ops)
            text(timeline(made))
            remarks_of(made, method=asked.head.method)
