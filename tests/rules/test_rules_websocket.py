"""WebSockets of rules: the handshake, the words that are refused, and what is said when, without a socket."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.behaviour.websocket.handshake import agreed
from inspectd.rules.behaviour.websocket.peer import Closed, Failed, Peer, Pinged
from inspectd.rules.behaviour.websocket.talk import CLOSING_SECONDS, Manners, Talk
from inspectd.rules.file import RuleFileError, load_tables, load_text
from inspectd.rules.inbox import ROOM, Inbox
from inspectd.rules.program import Close, HalfClose, Listen, LiveProgram, Program, Reset, Send, Wait
from inspectd.rules.schema import schema
from inspectd.rules.timeline import text, timeline
from inspectd.wire.websocket import encode
from inspectd.wire.websocket.accept import accept_of
from tests.rules.crafting import call, problems, reply, sent_bytes
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inspectd.rules.program import Op

UPGRADE = ("Upgrade: websocket", "Connection: keep-alive, Upgrade")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
FROM_CLIENT = encode.Shape(masked=True)


def opened(*lines: str, **table: Any) -> LiveProgram:
    """The program that answers a handshake with these lines more."""
    program = reply(websocket=table).program(call(get("/ws", *UPGRADE, KEY, VERSION, *lines)))
    assert isinstance(program, LiveProgram), sent_bytes(program)
    return program


def head_of(program: LiveProgram) -> list[str]:
    """The lines of the 101."""
    first = program.shown[0]
    assert isinstance(first, Send)
    return first.data.decode().split("\r\n")


class Played:
    """A conversation that is played without waiting: what isn't due at once isn't said."""

    def __init__(self, **table: Any) -> None:
        self.program = opened(**table)
        assert self.program.inbox is not None
        self.inbox: Inbox = self.program.inbox
        self.ops: AsyncIterator[Op] = self.program.ops
        self.over = False

    def says(self) -> list[Op]:
        """The steps up to the next one that waits for the client."""
        steps: list[Op] = []
        while (op := self.next()) is not None:
            if isinstance(op, Listen) and not op.inbox.news:
                return steps
            if not isinstance(op, Listen):
                steps.append(op)
        self.over = True
        return steps

    def next(self) -> Op | None:
        """The next step; None when there is none. No event loop is needed for it."""
        try:
            anext(self.ops).__await__().send(None)
        except StopIteration as step:
            op: Op = step.value
            return op
        except StopAsyncIteration:
            return None
        raise AssertionError("a conversation waits for nothing by itself")

    def hears(self, *frames: bytes) -> list[Op]:
        """What is done when the client has sent these."""
        for frame in frames:
            self.inbox.put(frame)
        return self.says()


def masked(payload: bytes, opcode: int = encode.TEXT) -> bytes:
    return encode.frame(payload, opcode, FROM_CLIENT)


def test_the_handshake_is_that_of_the_specification() -> None:
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    program = opened(echo=True)
    assert head_of(program) == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "",
        "",
    ]
    assert program.added == tuple(head_of(program)[1:4])
    assert program.label == "websocket echo"


def test_the_accept_can_be_wrong_or_missing_and_the_rules_own_words_win() -> None:
    wrong = head_of(opened(accept="wrong"))
    assert any(line.startswith("Sec-WebSocket-Accept: ") for line in wrong)
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in wrong
    assert not any("Accept" in line for line in head_of(opened(accept="missing")))
    own = reply(
        respond="101 Fine", headers=["upgrade: other", "Sec-WebSocket-Accept: x"], websocket={}
    ).program(call(get("/", *UPGRADE, KEY, VERSION)))
    assert isinstance(own, LiveProgram)
    assert head_of(own) == [
        "HTTP/1.1 101 Fine",
        "upgrade: other",
        "Sec-WebSocket-Accept: x",
        "Connection: Upgrade",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("lines", "method", "status", "field"),
    [
        ((), "GET", b"426 Upgrade Required", b"Upgrade: websocket"),
        (("Upgrade: websocket", KEY, VERSION), "GET", b"426 Upgrade Required", b"Connection: Upgrade"),
        ((*UPGRADE, KEY), "GET", b"426 Upgrade Required", b"Sec-WebSocket-Version: 13"),
        ((*UPGRADE, KEY, "Sec-WebSocket-Version: 8"), "GET", b"426 Upgrade Required", b"Version: 13"),
        ((*UPGRADE, KEY, VERSION), "PUT", b"405 Method Not Allowed", b"Allow: GET"),
        ((*UPGRADE, VERSION), "GET", b"400 Bad Request", b"Sec-WebSocket-Key"),
        ((*UPGRADE, KEY, KEY, VERSION), "GET", b"400 Bad Request", b"Sec-WebSocket-Key"),
        ((*UPGRADE, "Sec-WebSocket-Key: c2hvcnQ=", VERSION), "GET", b"400 Bad Request", b"16 random"),
        ((*UPGRADE, "Sec-WebSocket-Key: ###", VERSION), "GET", b"400 Bad Request", b"16 random"),
    ],
)
def test_what_is_no_handshake_is_told_why(
    lines: tuple[str, ...], method: str, status: bytes, field: bytes
) -> None:
    program = reply(websocket={}).program(call(get("/", *lines, method=method)))
    assert isinstance(program, Program)
    answer = sent_bytes(program)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert field in answer


def test_the_first_subprotocol_that_both_know_is_chosen() -> None:
    asked = "Sec-WebSocket-Protocol: soap, chat, v2"
    assert "Sec-WebSocket-Protocol: chat" in head_of(opened(asked, protocol=["v2", "chat"]))
    assert "Sec-WebSocket-Protocol: v2" in head_of(opened(asked, protocol="v2"))
    assert not any("WebSocket-Protocol" in line for line in head_of(opened(asked, protocol="other")))


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (b"permessage-deflate", "permessage-deflate"),
        (b"permessage-deflate; client_max_window_bits", "permessage-deflate"),
        (b"permessage-deflate; client_max_window_bits=8", "permessage-deflate"),
        (
            b'permessage-deflate; server_max_window_bits="10"',
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (b"permessage-deflate; server_max_window_bits=8", None),
        (b"permessage-deflate; server_max_window_bits=99, permessage-deflate", "permessage-deflate"),
        (b"permessage-deflate; what=1", None),
        (b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        (b"x-webkit-deflate-frame", None),
        (b"", None),
    ],
)
def test_compression_is_agreed_on_as_far_as_it_can_be_kept(offer: bytes, answer: str | None) -> None:
    assert agreed([offer]) == answer


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_no_offer_breaks_anything(values: list[bytes]) -> None:
    agreed(values)


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("hello", "8105 68656c6c6f"),
        ({"json": {"a": 1}}, "8107 7b2261223a317d"),
        ({"binary-hex": "00 ff"}, "8202 00ff"),
        ({"ping": "x"}, "8901 78"),
        ({"pong": ""}, "8a00"),
        ({"close": 1001, "reason": "away"}, "8806 03e9 61776179"),
        ({"close": True}, "8800"),
        ({"close": 1005}, "8802 03ed"),
        ({"close": 0}, "8802 0000"),
        ({"raw-hex": "ff ff 00"}, "ffff00"),
        ({"text": "x", "masked": True}, "8181 37fa213d 4f"),
        ({"text": "x", "rsv": 7}, "f101 78"),
        ({"text": "x", "opcode": 3}, "8301 78"),
        ({"text": "x", "opcode": 0}, "8001 78"),
        ({"text": "x", "fin": False}, "0101 78"),
        ({"text": "x", "length-form": 64}, "817f 0000000000000001 78"),
        ({"text": "x", "length-form": 16}, "817e 0001 78"),
        ({"text": "x", "length": 100}, "8164 78"),
        ({"text": "abcde", "fragment": 2}, "0102 6162 0002 6364 8001 65"),
        ({"ping": "abc", "fragment": 2, "fin": False}, "0902 6162 0001 63"),
    ],
)
def test_each_way_to_say_something_is_these_bytes(message: Any, frame: str) -> None:
    sent = opened(send=[message]).shown[1]
    assert isinstance(sent, Send)
    assert sent.data == bytes.fromhex(frame)
    assert Played(send=[message]).says()[1] == sent


def test_long_messages_take_the_longer_lengths() -> None:
    for size, head in ((125, "817d"), (126, "817e007e"), (65536, "817f0000000000010000")):
        step = opened(send=["x" * size]).shown[1]
        assert isinstance(step, Send)
        assert step.data == bytes.fromhex(head) + b"x" * size


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ({"send": [{"text": "a", "ping": "b"}]}, "websocket.send[0].ping", "'text' is the message already"),
        ({"send": ["a", {"reason": "x"}]}, "websocket.send[1].reason", "without 'close'"),
        ({"send": [{"close": True, "reason": "x"}]}, "websocket.send[0].reason", "without a code"),
        ({"send": [{"close": False}]}, "websocket.send[0].close", "says nothing"),
        ({"send": [{"close": 65536}]}, "websocket.send[0].close", "no close code"),
        ({"send": [{"raw-hex": "0"}]}, "websocket.send[0].raw-hex", "hexadecimal"),
        ({"send": [{"raw-hex": "00", "masked": True}]}, "websocket.send[0].masked", "no frame"),
        ({"send": [{"fin": False}]}, "websocket.send[0].fin", "no frame"),
        ({"send": [{"do": "reset", "rsv": 1}]}, "websocket.send[0].rsv", "no frame"),
        ({"send": [{"text": "a", "length-form": 8}]}, "websocket.send[0].length-form", "8 bits"),
        ({"send": [{"text": "a", "after": "soon"}]}, "websocket.send[0].after", "not a duration"),
        ({"every": "x"}, "websocket.every", "not a duration"),
        ({"repeat": True}, "websocket.repeat", "nothing to repeat"),
        ({"repeat": True, "send": ["a"]}, "websocket.repeat", "without a pause"),
        ({"idle": "x"}, "websocket.idle", "not a duration"),
        ({"ping-every": -1}, "websocket.ping-every", "not a duration"),
        ({"largest": "1GiB"}, "websocket.largest", "64 MiB"),
        ({"protocol": "a\nb"}, "websocket.protocol", "line end"),
        ({"on": [{"text": "[a"}]}, "websocket.on[0].text", "without its ]"),
        ({"on": [{"text": "a", "binary": True}]}, "websocket.on[0].text", "has no text"),
        ({"on": [{"send": [{"close": -1}]}]}, "websocket.on[0].send[0].close", "no close code"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(table: dict[str, Any], key: str, words: str) -> None:
    found = problems(websocket=table)
    assert list(found) == [key]
    assert words in found[key]


def test_a_websocket_has_no_content() -> None:
    assert set(problems(websocket={}, body="x")) == {"websocket"}
    assert set(problems(websocket={}, coding="gzip", chunked=True, conditional=True)) == {
        "coding",
        "chunked",
        "conditional",
    }
    assert "raw" in problems(websocket={}, raw="x")["websocket"]
    assert "never ends" in problems(websocket={}, fault={"do": "reset", "at": "body"})["fault.at"]


def test_a_file_is_told_all_that_is_wrong_with_line_and_column(tmp_path: Path) -> None:
    rules = """
[[rule]]
match = "GET /feed"
[rule.websocket]
send = ["hello", { close = 70000 }, { texts = "x" }]
every = "later"
accept = "maybe"
"""
    with pytest.raises(RuleFileError) as caught:
        load_text(rules, source="a.toml", base=tmp_path)
    assert [(problem.line, problem.column, problem.key) for problem in caught.value.problems] == [
        (5, 20, "rule[0].websocket.send[1].close"),
        (5, 39, "rule[0].websocket.send[2].texts"),
        (6, 1, "rule[0].websocket.every"),
        (7, 1, "rule[0].websocket.accept"),
    ]


def test_the_schema_knows_it() -> None:
    tables = schema()["$defs"]
    assert tables["WebSocketTable"]["properties"]["accept"]["enum"] == ["missing", "right", "wrong"]
    assert "length-form" in tables["WebSocketMessageTable"]["properties"]


def test_a_list_says_what_it_does() -> None:
    table = {
        "match": "/ws",
        "websocket": {
            "echo": True,
            "send": ["a", "b"],
            "accept": "wrong",
            "pong": False,
            "ping-every": "20s",
        },
    }
    (rule,) = load_tables([table], source="test", base=Path("/nowhere"))
    assert rule.answer == "websocket echo (2 messages, wrong accept, no pongs, pings every 20s)"


def test_a_time_line_shows_what_is_said_by_itself() -> None:
    program = opened(send=["hello", {"close": 1000, "after": "500ms"}], every="1s")
    assert [entry.sentence for entry in timeline(program)] == [
        "Sends 129 bytes.",
        "Sends 7 bytes.",
        "Waits 500 ms.",
        "Sends 4 bytes.",
        "Answers what the client says, until one of the two closes.",
    ]
    assert "0.500 s" in text(timeline(program))
    assert [entry.what for entry in timeline(opened(send=[{"do": "reset"}, "never"]))] == ["send", "reset"]


# -- conversations


def test_messages_are_echoed_as_what_they_are() -> None:
    played = Played(echo=True)
    played.says()
    assert played.hears(masked(b"hi"), masked(b"\0\xff", encode.BINARY)) == [
        Send(encode.frame(b"hi", encode.TEXT) + encode.frame(b"\0\xff", encode.BINARY))
    ]
    fragments = encode.message(b"abcde", encode.TEXT, encode.Shape(masked=True, fragment=2))
    assert played.hears(fragments[0], masked(b"!", encode.PING), *fragments[1:]) == [
        Send(encode.frame(b"!", encode.PONG) + encode.frame(b"abcde", encode.TEXT))
    ]


def test_every_byte_may_come_alone() -> None:
    played = Played(echo=True)
    played.says()
    stream = masked(b"hi") + masked(b"", encode.PING) + masked(b"x" * 200)
    out = b""
    for byte in stream:
        out += b"".join(op.data for op in played.hears(bytes([byte])) if isinstance(op, Send))
    assert out == encode.frame(b"hi", encode.TEXT) + encode.frame(b"", encode.PONG) + encode.frame(
        b"x" * 200, encode.TEXT
    )


def test_the_first_pattern_that_fits_answers() -> None:
    played = Played(
        on=[
            {"text": "*ping*", "send": ["pong"]},
            {"text": "bye", "send": [{"close": 1000}]},
            {"binary": True, "send": ["bytes"]},
            {"text": "quiet"},
        ],
        echo=True,
    )
    played.says()
    assert played.hears(masked(b"a ping!")) == [Send(encode.frame(b"pong", encode.TEXT))]
    assert played.hears(masked(b"ping", encode.BINARY)) == [Send(encode.frame(b"bytes", encode.TEXT))]
    assert played.hears(masked(b"quiet")) == []
    assert played.hears(masked(b"Bye")) == [Send(encode.frame(b"Bye", encode.TEXT))]
    assert played.hears(masked(b"bye")) == [Send(bytes.fromhex("880203e8"))]
    assert played.hears(masked(encode.closing(1000), encode.CLOSE)) == [Close()]
    assert played.over
    assert played.inbox.outcome == "closed with 1000"


def test_a_close_is_answered_with_its_code_and_the_connection_closed() -> None:
    played = Played()
    played.says()
    closing = masked(encode.closing(3000, b"why"), encode.CLOSE)
    assert played.hears(closing) == [Send(bytes.fromhex("88020bb8")), Close()]
    assert played.inbox.outcome == "the client closed with 3000"
    without = Played()
    without.says()
    assert without.hears(masked(b"", encode.CLOSE)) == [Send(bytes.fromhex("8800")), Close()]
    assert without.inbox.outcome == "the client closed without a code"


def test_pings_and_closes_can_stay_unanswered() -> None:
    played = Played(**{"pong": False, "close-answer": False})
    played.says()
    assert played.hears(masked(b"x", encode.PING), masked(encode.closing(1000), encode.CLOSE)) == []
    played.inbox.end()
    assert played.says() == [Close()]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode.frame(b"x", encode.TEXT), 1002),  # not masked
        (masked(b"\xff\xfe"), 1007),
        (encode.frame(b"x", encode.TEXT, encode.Shape(masked=True, rsv=4)), 1002),
        (encode.frame(b"x", 3, FROM_CLIENT), 1002),
        (encode.frame(b"", encode.PING, encode.Shape(masked=True, fin=False)), 1002),
        (masked(encode.closing(1005), encode.CLOSE), 1002),
        (masked(b"x" * 2000), 1009),
    ],
)
def test_who_breaks_the_rules_is_told_and_given_time_to_see_it(data: bytes, code: int) -> None:
    played = Played(echo=True, largest="1kB")
    played.says()
    first, half, *rest = played.hears(data)
    assert isinstance(first, Send)
    assert first.data[0] == 0x88
    assert struct.unpack("!H", first.data[2:4]) == (code,)
    assert (half, rest) == (HalfClose(), [])
    assert played.hears(b"more of it" * 100) == []
    played.inbox.end()
    assert played.says() == [Close()]
    assert played.inbox.outcome == f"the client broke the rules: closed with {code}"


def test_a_stop_says_goodbye() -> None:
    played = Played(send=["a", {"text": "never", "after": "1h"}])
    played.says()
    played.inbox.stop()
    (goodbye,) = played.says()
    assert isinstance(goodbye, Send)
    assert goodbye.data[2:4] == struct.pack("!H", 1001)
    assert played.hears(masked(encode.closing(1001), encode.CLOSE)) == [Close()]


def test_the_connection_can_end_without_a_close_frame() -> None:
    assert Played(send=["a", {"do": "reset"}, "b"]).says()[1:] == [
        Send(encode.frame(b"a", encode.TEXT)),
        Reset(),
    ]
    half = Played(send=[{"do": "half-close"}])
    assert half.says()[1:] == [HalfClose()]
    half.inbox.end()
    assert half.says() == [Close()]


def test_what_comes_after_a_close_is_said_all_the_same() -> None:
    steps = Played(send=[{"close": 1000}, "too late"]).says()
    assert steps[1:] == [Send(bytes.fromhex("880203e8") + encode.frame(b"too late", encode.TEXT))]


def test_a_client_that_answers_pings_stays_and_another_one_is_let_go() -> None:
    now = [100.0]
    inbox = Inbox()
    peer = Peer(None, largest=1000, keep=False)
    talk = Talk(inbox, peer, Manners(ping_every=10), iter(()), lambda message: None, lambda: now[0])
    played = Played.__new__(Played)
    played.inbox, played.ops = inbox, talk.steps()
    ping = Send(encode.frame(b"inspectd", encode.PING))
    assert played.says() == []
    for _ in range(3):
        now[0] += 10
        assert played.says() == [ping]
        assert played.hears(masked(b"inspectd", encode.PONG)) == []
    now[0] += 10
    assert played.says() == [ping]
    now[0] += 10
    (goodbye,) = played.says()
    assert isinstance(goodbye, Send)
    assert goodbye.data[2:4] == struct.pack("!H", 1011)
    now[0] += CLOSING_SECONDS
    assert played.says() == [Close()]


def test_delayed_answers_that_pile_up_stop_the_listening() -> None:
    played = Played(on=[{"send": [{"text": "later", "after": "1h"}]}])
    played.says()
    for _ in range(2000):
        played.inbox.put(masked(b"x"))
    steps = [step for step in (played.next() for _ in range(20)) if not isinstance(step, Listen)]
    assert steps
    assert set(steps) == {Wait(0.1)}


@pytest.mark.parametrize("flood", [encode.frame(b"", 10, FROM_CLIENT), bytes.fromhex("008000000000")])
def test_others_have_their_turn_while_a_client_floods(flood: bytes) -> None:
    played = Played()
    played.says()
    played.inbox.put(bytes.fromhex("018000000000") + flood * 20_000)
    turns = [played.next() for _ in range(50)]
    assert turns == [Listen(played.inbox, 0.0)] * 50


def test_templates_fill_in_what_was_asked() -> None:
    made = reply(template=True, websocket={"send": ["{{ path }}"]})
    program = made.program(call(get("/feed", *UPGRADE, KEY, VERSION)))
    assert isinstance(program, LiveProgram)
    assert program.shown[1] == Send(encode.frame(b"/feed", encode.TEXT))


def test_an_inbox_says_when_it_is_full_and_when_there_is_room() -> None:
    drained: list[bool] = []
    inbox = Inbox()
    inbox.drained = lambda: drained.append(True)
    inbox.put(b"x")
    assert (inbox.full, inbox.take(), drained) == (False, b"x", [])
    inbox.put(b"x" * ROOM)
    assert inbox.full
    assert inbox.take() == b"x" * ROOM
    assert drained == [True]
    inbox.put(b"x")
    inbox.mute()
    inbox.put(b"y")
    assert not inbox.news


# -- what clients send


@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_no_bytes_of_a_client_raise(pieces: list[bytes], compressed: bool) -> None:
    peer = Peer("permessage-deflate" if compressed else None, largest=1000, keep=True)
    heard = [one for piece in pieces for one in peer.hear(piece) if one is not None]
    assert all(not isinstance(one, (Closed, Failed)) for one in heard[:-1])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 8, 9, 10]), st.binary(max_size=40), st.integers(0, 7), st.booleans()
        )
    )
)
def test_no_frames_of_a_client_raise(frames: list[tuple[int, bytes, int, bool]]) -> None:
    peer = Peer("permessage-deflate", largest=1000, keep=True)
    for opcode, payload, rsv, fin in frames:
        list(peer.hear(encode.frame(payload, opcode, encode.Shape(rsv=rsv, fin=fin, masked=True))))


_FRAMES = st.builds(
    lambda payload, opcode, rsv, fin: encode.frame(
        payload, opcode, encode.Shape(rsv=rsv, fin=fin, masked=True)
    ),
    st.binary(max_size=40),
    st.sampled_from([0, 1, 2, 2, 8, 9, 10]),
    st.sampled_from([0, 0, 0, 4]),
    st.sampled_from([True, True, False]),
)


@given(
    st.lists(st.one_of(st.binary(max_size=50), _FRAMES), max_size=10),
    st.fixed_dictionaries(
        {"echo": st.booleans(), "pong": st.booleans(), "close-answer": st.booleans()},
        optional={
            "send": st.lists(
                st.sampled_from(["a", {"text": "b", "after": "1h"}, {"close": 1000}, {"do": "half-close"}])
            ),
            "on": st.just([{"text": "*a*", "send": ["x", {"close": True}]}]),
        },
    ),
    st.sampled_from(["fin", "stop"]),
)
def test_every_conversation_comes_to_an_end(pieces: list[bytes], table: dict[str, Any], how: str) -> None:
    played = Played(**table)
    steps = [*played.says(), *(op for piece in pieces for op in played.hears(piece))]
    if how == "stop":
        played.inbox.stop()
        steps += played.says()
    played.inbox.end()
    steps += played.says()
    assert played.over
    assert steps[-1] == Close()
    assert sum(isinstance(op, Close) for op in steps) == 1


def test_a_ping_between_compressed_fragments_doesnt_matter() -> None:
    import zlib

    packer = zlib.compressobj(wbits=-15)
    data = (packer.compress(b"hello " * 50) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    first, *rest = encode.message(data, encode.TEXT, encode.Shape(masked=True, fragment=8, rsv=4))
    peer = Peer("permessage-deflate", largest=1000, keep=True)
    heard = [
        one
        for frame in (first, masked(b"!", encode.PING), *rest)
        for one in peer.hear(frame)
        if one is not None
    ]
    assert heard == [Pinged(b"!"), "hello " * 50]


def test_a_small_message_that_inflates_without_end_is_refused_early() -> None:
    import zlib

    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(b"\0" * (64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    peer = Peer("permessage-deflate", largest=1 << 20, keep=True)
    shape = encode.Shape(masked=True, rsv=4)
    (failed,) = peer.hear(encode.frame(bomb, encode.BINARY, shape))
    assert isinstance(failed, Failed)
    assert failed.code == 1009


def test_wsproto_is_loaded_only_for_such_a_rule() -> None:
    program = (
        "import sys; from pathlib import Path; from inspectd.rules.file import load_text;"
        "load = lambda t: load_text(t, source='a', base=Path('.'));"
        "load('[[rule]]\\nrespond = \"200 OK\"'); before = 'wsproto' in sys.modules;"
        "load('[[rule]]\\nwebsocket = { echo = true }'); print(before, 'wsproto' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
