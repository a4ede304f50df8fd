"""What a rule changes of an answer that a server gives: the change, and not a byte beside it."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.engine.proxy.patching import REPLACED, Patching
from inspectd.rules.craft import CraftProblems
from inspectd.rules.passing import Pass
from inspectd.rules.patch import HeadPatch, name_glob, patch_head
from inspectd.rules.program import Close, Reset, Wait
from inspectd.rules.request import ordinary_request
from inspectd.rules.rule import Rule, make_rule
from inspectd.rules.tables import RuleTable
from inspectd.rules.timeline import text, timeline
from inspectd.wire import ResponseReader
from tests.rules.crafting import call, reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.rules.patch import Change
    from inspectd.rules.program import Op

ODD = (
    b"HTTP/1.1  200   Odd \xff\r\nX-First :  a  \r\nX-Folded: one\r\n two\r\n\tthree\r\nno colon\r\n"
    b"set-cookie: a=1\r\nCache-control:max-age=1\nSet-Cookie: b=2\r\nContent-Length: 4\r\n\r\nbody"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nContent-Type: text/plain\r\n\r\n"
    b"3;a=b\r\nHel\r\n0004\r\nlo a\r\n0\r\nX-Sum: 1\r\n\r\n"
)
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nCache-Control: no\r\n\r\n"


def told(**keys: Any) -> Pass:
    """What a rule with these keys says."""
    made = reply(proxy=True, **keys).program(call())
    assert isinstance(made, Pass)
    return made


def rule_of(**keys: Any) -> Rule:
    """A rule with these keys."""
    return make_rule(msgspec.convert(keys, RuleTable), source="test", base=Path("/nowhere"))


def patched(
    data: bytes, said: Pass, *, method: bytes = b"GET", cuts: Iterable[int] = (), fin: bool = False
) -> tuple[bytes, list[Change], tuple[Op, ...]]:
    """What a client gets of these bytes, arriving in pieces that are cut at these places."""
    patching = Patching(said, method)
    reader = ResponseReader()
    reader.expect(method)
    out = b""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(places):
        given = patching.feed(data[start:end], start, reader.feed(data[start:end]))
        out += given.data
        if given.instead:
            return out, patching.changes, given.instead
    if fin:
        given = patching.end(reader.eof())
        return out + given.data, patching.changes, given.instead
    return out, patching.changes, ()


def test_fields_are_set_removed_and_added_where_they_stand() -> None:
    said = told(
        patch={"set": ["Cache-Control: no-store", "New: 1"], "remove": ["SET-*"], "headers": ["x-first: z"]}
    )
    got, changes, _ = patched(ODD, said)
    assert got == (
        b"HTTP/1.1  200   Odd \xff\r\nX-First :  a  \r\nX-Folded: one\r\n two\r\n\tthree\r\nno colon\r\n"
        b"Cache-Control: no-store\nContent-Length: 4\r\nNew: 1\r\nx-first: z\r\n\r\nbody"
    )
    assert changes == [
        {"what": "set-cookie", "from": "a=1", "to": None},
        {"what": "Cache-control", "from": "max-age=1", "to": "no-store"},
        {"what": "Set-Cookie", "from": "b=2", "to": None},
        {"what": "New", "from": None, "to": "1"},
        {"what": "x-first", "from": None, "to": "z"},
    ]


def test_the_first_line_of_a_name_is_replaced_and_further_ones_go() -> None:
    got, changes, _ = patched(ODD, told(patch={"set": ["Set-Cookie: c=3"]}))
    assert got.count(b"ookie") == 1
    assert b"no colon\r\nSet-Cookie: c=3\r\nCache-control" in got
    assert [change["to"] for change in changes] == ["c=3", None]


def test_a_line_that_is_there_already_is_no_change() -> None:
    assert patched(ODD, told(patch={"set": ["set-cookie: a=1", "Content-Length: 4"], "remove": ["nothing"]}))[
        1
    ] == [{"what": "Set-Cookie", "from": "b=2", "to": None}]


def test_a_status_line_is_sent_as_it_is_written() -> None:
    patching = Patching(told(patch={"respond": "503 Busy  now "}), b"GET")
    given = patching.feed(ODD, 0, ResponseReader().feed(ODD))
    assert given.data.startswith(b"HTTP/1.1 503 Busy  now \r\nX-First :")
    assert (patching.status, patching.reason) == ("503", "Busy  now ")
    assert given.head == len(given.data) - 4


def test_line_feeds_alone_stay_alone() -> None:
    raw = b"HTTP/1.0 200\nA: 1\n\n"
    assert patch_head(raw, "response", HeadPatch(append=(b"B: 2",)))[0] == b"HTTP/1.0 200\nA: 1\nB: 2\n\n"
    request = b"GET /a HTTP/1.1\nHost: a\n\n"
    assert patch_head(request, "request", HeadPatch(target=b"/b", remove=(name_glob("h?st"),))) == (
        b"GET /b HTTP/1.1\n\n",
        [{"what": "target", "from": "/a", "to": "/b"}, {"what": "Host", "from": "a", "to": None}],
    )
    half = b"GET /a HTTP/1.1\nHost: a\n"
    assert patch_head(half, "request", HeadPatch(target=b"/b")) == (half, [])


HEADS = st.lists(
    st.tuples(
        st.sampled_from([b"A", b"x-b", b"Set-Cookie", b"", b"no colon"]),
        st.sampled_from([b":", b" : ", b":\t", b""]),
        st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b"")),
        st.sampled_from([b"\r\n", b"\n", b"\r\n folded\r\n"]),
    ),
    max_size=6,
)


@given(HEADS, st.sets(st.integers(1, 400), max_size=12), st.booleans())
def test_bytes_that_nothing_is_said_about_survive_any_split(
    fields: list[tuple[bytes, bytes, bytes, bytes]], cuts: set[int], chunked: bool
) -> None:
    lines = b"".join(name + colon + value + end for name, colon, value, end in fields if name + colon + value)
    tail = b"Transfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n" if chunked else b""
    answer = HINTS + b"HTTP/1.1 200 OK\r\n" + lines + (tail or b"Content-Length: 2\r\n\r\nok")
    got, changes, _ = patched(answer, told(patch={"remove": ["X-Gone"]}), cuts=cuts)
    assert got == answer
    assert changes == []
    got, _, _ = patched(answer, told(patch={"headers": ["X-New: 1"]}), cuts=cuts)
    assert got.replace(b"X-New: 1\r\n", b"", 1) == answer
    assert got.startswith(HINTS)


@given(st.binary(max_size=300), st.sets(st.integers(1, 300), max_size=8), st.booleans())
def test_no_bytes_of_a_server_raise_or_get_lost(data: bytes, cuts: set[int], known: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + data if known else data
    said = told(patch={"remove": ["X-Gone"], "replace": [{"find": "never there", "with": ""}]})
    patching = Patching(said, b"GET")
    reader = ResponseReader(max_head=100)
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    out = b""
    for start, end in itertools.pairwise(places):
        out += patching.feed(answer[start:end], start, reader.feed(answer[start:end])).data
    out += patching.end(reader.eof()).data
    out += patching.broken().data
    assert answer.startswith(out)  # what follows the answer is none of its business


def test_other_content_takes_the_place_of_chunks_and_trailers() -> None:
    for cuts in ((), range(len(CHUNKED))):
        got, changes, _ = patched(CHUNKED, told(patch={"body": "other"}), cuts=cuts)
        assert got == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nother"
        assert changes == [
            {"what": "Transfer-Encoding", "from": "chunked", "to": None},
            {"what": "Trailer", "from": "X-Sum", "to": None},
            {"what": "Content-Length", "from": None, "to": "5"},
            {"what": "content", "from": "7 bytes", "to": "5 bytes"},
        ]


def test_json_has_its_type_and_no_coding() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc"
    assert patched(answer, told(patch={"json": {"a": 1}}))[0] == (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
    )


def test_the_content_of_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    made = reply(tmp_path, proxy=True, patch={"body-file": "a"})
    for content in (b"one", b"second"):
        file.write_bytes(content)
        said = made.program(call())
        assert isinstance(said, Pass)
        assert patched(ODD, said)[0].endswith(b"\r\n\r\n" + content)
    file.unlink()
    assert not isinstance(made.program(call()), Pass)  # a 500 that says why


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_content_goes_with_a_status_that_has_none(status: str) -> None:
    got, changes, _ = patched(CHUNKED, told(patch={"respond": status}))
    assert got == f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\n".encode()
    assert changes[-1] == {"what": "content", "from": "7 bytes", "to": "none: this status has no content"}


def test_a_status_that_has_content_says_that_there_is_none() -> None:
    got, _, _ = patched(b"HTTP/1.1 304 Not Modified\r\n\r\n", told(patch={"respond": "200 OK"}))
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_head_gets_the_length_and_no_content() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    got, _, _ = patched(answer, told(patch={"body": "other"}), method=b"HEAD")
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_content_until_the_end_gets_a_length() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nHello a"
    said = told(patch={"replace": [{"find": "Hello", "with": "Bye"}]})
    assert patched(answer, said, cuts=(50, 52), fin=True)[0] == (
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nBye a"
    )


def test_framing_may_be_wrong_on_purpose() -> None:
    got, _, _ = patched(ODD, told(patch={"body": "other", "set": ["Content-Length: 50"]}))
    assert b"Content-Length: 50\r\n\r\nother" in got


def test_words_are_replaced_in_chunks_and_in_codings() -> None:
    said = told(patch={"replace": [{"find": "lo", "with": "p"}, {"find": "é", "with": "e"}]})
    assert patched(CHUNKED, said)[0].endswith(b"Content-Length: 6\r\n\r\nHelp a")
    packed = gzip.compress("Hello é".encode("latin-1"))
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    )
    got, changes, _ = patched(answer, said)
    assert got.endswith(b"Content-Length: 6\r\n\r\nHelp e")
    assert b"Encoding" not in got
    assert changes[-1] == {
        "what": "content",
        "from": f"{len(packed)} bytes",
        "to": "6 bytes, with other words",
    }


@pytest.mark.parametrize(
    ("head", "content", "why"),
    [
        (b"Content-Type: image/png", b"Hello", "image/png"),
        (b"X: 1", b"Hello", "no type"),
        (b"Content-Type: text/plain; charset=utf-16", b"Hello", "utf-16"),
        (b"Content-Type: text/plain", b"Jello", "aren't in it"),
        (b"Content-Type: text/plain\r\nContent-Encoding: gzip", b"Hello", "gzip"),
        (b"Content-Type: text/plain", b"Hello" * (REPLACED // 5 + 1), "longer"),
    ],
)
def test_what_can_not_be_searched_passes_and_is_said_to(head: bytes, content: bytes, why: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n" % (head, len(content)) + content
    said = told(patch={"replace": [{"find": "Hello", "with": "Bye"}]})
    got, changes, _ = patched(answer, said, cuts=(70, 1000))
    assert got == answer
    assert len(changes) == 1
    assert changes[0]["to"] is not None
    assert changes[0]["to"].startswith("unchanged: ")
    assert why in changes[0]["to"]


@pytest.mark.parametrize(
    ("place", "length"),
    [
        ("start", 0),
        ("byte 7", 7),
        ("status-line", 17 + len(HINTS)),
        ("head", len(HINTS + CHUNKED) - 39),
        ("head+10", 10 + len(HINTS)),
        ("body+3", len(HINTS + CHUNKED) - 36),
        ("body", len(HINTS + CHUNKED)),
    ],
)
def test_a_fault_happens_at_its_place_however_the_answer_arrives(place: str, length: int) -> None:
    whole = HINTS + CHUNKED
    assert CHUNKED.endswith(CHUNKED[-39:])
    assert CHUNKED[: len(CHUNKED) - 39].endswith(b"\r\n\r\n")
    said = told(fault={"do": "reset", "at": place, "after": "1s"})
    for cuts in ((), range(len(whole))):
        got, _, instead = patched(whole, said, cuts=cuts)
        assert (len(got), instead) == (length, (Wait(1.0), Reset()))
        assert whole.startswith(got)


def test_what_is_left_out_is_left_out_and_the_answer_goes_on() -> None:
    got, _, instead = patched(CHUNKED, told(fault={"do": "truncate", "at": "byte 30"}))
    assert (got, instead) == (CHUNKED[:30], ())
    said = told(fault=[{"do": "garbage", "at": "head", "bytes": "??"}, {"do": "close", "at": "body+1"}])
    got, _, instead = patched(CHUNKED, said)
    assert got.endswith(b"\r\n\r\n??3")
    assert instead == (Close(),)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"proxy": "localhost:3000"}, "proxy"),
        ({"proxy": "ftp://localhost"}, "proxy"),
        ({"proxy": "http://localhost/path"}, "proxy"),
        ({"patch": {"body": ""}}, "patch"),
        ({"proxy_host": "a"}, "proxy-host"),
        ({"proxy": True, "respond": "200"}, "respond"),
        ({"proxy": True, "body": "a"}, "body"),
        ({"proxy": True, "raw": "a"}, "proxy"),
        ({"proxy": True, "patch": {}}, "patch"),
        ({"proxy": True, "patch": {"respond": "nothing"}}, "patch.respond"),
        ({"proxy": True, "patch": {"set": ["no name"]}}, "patch.set[0]"),
        ({"proxy": True, "patch": {"remove": ["a: b"]}}, "patch.remove[0]"),
        ({"proxy": True, "patch": {"headers": ["a\nb"]}}, "patch.headers[0]"),
        ({"proxy": True, "patch": {"body": "a", "json": 1}}, "patch.json"),
        ({"proxy": True, "patch": {"body": "a", "replace": [{"find": "a"}]}}, "patch.replace"),
        ({"proxy": True, "patch": {"body-hex": "x"}}, "patch.body-hex"),
        ({"proxy": True, "patch": {"body-file": "x"}}, "patch.body-file"),
        ({"proxy": True, "patch": {"request": {"target": "a b"}}}, "patch.request.target"),
        ({"proxy": True, "pace": {"body": "1B/1s"}}, "pace.body"),
        ({"proxy": True, "fault": {"do": "reset", "at": "50%"}}, "fault.at"),
        ({"proxy": True, "fault": {"do": "reset", "at": "chunk 1"}}, "fault.at"),
        ({"proxy": True, "fault": {"do": "close", "at": "byte 1", "per": "connection"}}, "fault.per"),
        ({"proxy": True, "fault": {"do": "garbage", "after": 1}}, "fault.after"),
    ],
)
def test_what_can_not_be_is_said_with_its_key(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(CraftProblems) as raised:
        reply(**keys)
    assert [problem.key for problem in raised.value.problems] == [key]


def test_a_time_line_says_what_is_asked_and_what_is_changed() -> None:
    made = reply(
        proxy="http://localhost:3000/",
        patch={
            "respond": "503 Busy",
            "set": ["A: 1"],
            "remove": ["x-*"],
            "replace": [{"find": "a", "with": "b"}],
        },
        pace={"before": "300ms"},
        fault={"do": "reset", "at": "body+9"},
    )
    shown = text(timeline(made.program(call())))
    assert "Waits 300 ms." in shown
    assert (
        "Asks http://localhost:3000 and passes its answer on, patched: HTTP/1.1 503 Busy; set A: 1;" in shown
    )
    assert "removed x-*; 'a' becomes 'b'; reset at body+9." in shown
    assert made.label == "proxy http://localhost:3000/, patched"


def test_a_rule_that_only_forwards_does_not_wait_for_content() -> None:
    assert rule_of(proxy=True).plan.answer_at == 0
    assert rule_of(proxy=True, hold=True).plan.answer_at is None
    assert rule_of(each=[{"proxy": True}, "200"]).plan.answer_at is None
    assert rule_of(each=[{"proxy": True}, "200"]).forwards
    assert not rule_of(respond="200").forwards
    assert rule_of(proxy=True).answers.peek(ordinary_request(), rule_of().state) is not None
