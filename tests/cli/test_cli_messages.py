"""Messages of a WebSocket, events of a stream, and frames on the command line: show, its JSON, anatomy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.cli.anatomy import json_text
from inspectd.cli.conversation_text import conversation_facts, conversation_lines
from inspectd.cli.frames_text import Direction, after_the_switch, frame_lines
from inspectd.cli.output import painter
from inspectd.cli.show import exchange_lines
from inspectd.wire.stream import Stream, read
from inspectd.wire.websocket import Deflate
from tests.capture.talk import COMPRESSING, HANDSHAKE, STREAM, Talk
from tests.live_engine import ROOT
from tests.wire.frames import DEFLATES, MASK, STREAMS, frame

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b]0;owned\x07\u202e\x9b".encode()
PLAIN = painter(colour=False)


def inspectd(
    *arguments: object, data: bytes = b"", encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "inspectd", *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def lines(talk: Talk, limit: int | None = 20) -> list[str]:
    return list(conversation_lines(talk.capture, talk.capture.exchanges((1,))[0], PLAIN, limit=limit))


def facts(talk: Talk, limit: int | None = 20) -> dict[str, Any]:
    return conversation_facts(talk.capture, talk.capture.exchanges((1,))[0], limit=limit)


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    talk = Talk(tmp_path / "talk.inspectd", COMPRESSING)
    squeeze = zlib.compressobj(wbits=-15)
    hello = (squeeze.compress(b"Hello") + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    talk.say(INCOMING, frame(1, b"Hel", fin=False, mask=MASK) + frame(0, b"lo", mask=MASK))
    talk.say(OUTGOING, frame(1, hello, rsv=4))
    talk.say(INCOMING, frame(1, b"two\nlines", mask=MASK))
    talk.say(OUTGOING, frame(2, bytes(20)))
    talk.say(INCOMING, frame(1, HOSTILE))
    talk.say(INCOMING, frame(8, b"\x03\xe9gone", mask=MASK))
    talk.end()
    return talk


def test_show_lists_messages_as_they_were_meant(talk: Talk) -> None:
    assert lines(talk) == [
        "",
        "messages · permessage-deflate",
        "  Both compress their messages leaning on those before them, with a window of 32 KiB at most.",
        ">    1       +0 ms  text, 5 bytes, opcode 1, masked, 2 frames: Hello",
        "<    2       +0 ms  text, 5 bytes, opcode 1 rsv1, not masked, compressed to 7 bytes: Hello",
        ">    3       +0 ms  text, 9 bytes, opcode 1, masked",
        ">      two",
        ">      lines",
        "<    4       +0 ms  binary, 20 bytes, opcode 2, not masked",
        "<      00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|",
        "<      00000010  00 00 00 00                                       |....|",
        r">    5       +0 ms  text, 15 bytes, opcode 1, not masked: \x1b]0;owned\x07\u202e\u009b",
        ">      The client sent this frame unmasked: a server has to close the connection over that. (RFC 6455 §5.1)",
        ">    6       +0 ms  close, 6 bytes, opcode 8, masked",
        ">      1001 Going Away: The server is shutting down, or the page was left.",
        ">      reason: gone",
        "  server: The stream ended without a close frame. (RFC 6455 §7.1.5)",
    ]


def test_only_the_first_are_listed_unless_all_are_asked_for(talk: Talk) -> None:
    assert lines(talk, 1)[-1] == "… more messages follow: --messages shows all, not the first 1"
    assert lines(talk, None) == lines(talk, 6)
    assert facts(talk, 1)["more_messages"] is True
    assert len(facts(talk, 1)["messages"]) == 1


def test_json_has_every_message_with_its_frames_and_places(talk: Talk) -> None:
    told = facts(talk)
    assert json.loads(json.dumps(told)) == told
    first = told["messages"][0]
    assert first["oddities"] == []
    assert {
        name: first[name] for name in ("from", "kind", "payload", "start", "end", "fragments", "masked")
    } == {
        "from": "client",
        "kind": "text",
        "payload": "Hello",
        "start": len(HANDSHAKE),
        "end": len(HANDSHAKE) + 17,
        "fragments": 2,
        "masked": True,
    }
    assert [(each["fin"], each["mask"], each["length"]) for each in first["frames"]] == [
        (False, MASK.hex(), 3),
        (True, MASK.hex(), 2),
    ]
    close = told["messages"][-1]
    assert (close["close_code"], close["close_reason"]) == (1001, "gone")
    assert told["messages"][4]["oddities"][0]["id"] == "ws-unmasked-client"
    assert told["websocket"]["deflate"]["server_max_window_bits"] == 15
    assert [(each["from"], each["id"]) for each in told["websocket"]["oddities"]] == [
        ("server", "ws-no-close")
    ]
    start = told["messages"][1]["start"]
    assert talk.capture.stream_bytes(1, OUTGOING, start, 1) == b"\xc1"


def test_what_is_arriving_is_listed_as_far_as_it_came(tmp_path: Path) -> None:
    talk = Talk(tmp_path / "talk.inspectd", COMPRESSING)
    assert lines(talk)[-1] == "  none yet"
    talk.say(OUTGOING, frame(1, b"half", length=10))
    talk.flush()
    assert lines(talk)[-1].endswith("text, 4 bytes, opcode 1, not masked, not complete: half")
    assert facts(talk)["messages"][0]["complete"] is False


def test_show_lists_events(tmp_path: Path) -> None:
    talk = Talk(tmp_path / "talk.inspectd", STREAM + b"\r\n", b"GET / HTTP/1.1\r\n\r\n")
    talk.answer(
        b"retry: 2000\n\nid: 7\nevent: add\ndata: one\n\n: still here\n\ndata: a\ndata: b\nwhat\n\ndata: c"
    )
    talk.end()
    assert lines(talk)[2:] == [
        "<    1       +0 ms  retry after 2000 ms",
        "<    2       +0 ms  add, 3 bytes, id 7: one",
        "<    3       +0 ms  comment  still here",
        "<    4       +0 ms  message, 3 bytes",
        "<      a",
        "<      b",
        "<      No field has this name: browsers ignore the line. (WHATWG HTML §9.2.6)",
        "<    5       +0 ms  message, 1 byte, not complete: c",
        "<      The stream ended before the empty line that ends an event: browsers discard it. (WHATWG HTML §9.2.6)",
    ]
    told = facts(talk)
    assert [(each["event"], each["data"], each["dispatched"]) for each in told["events"]] == [
        (None, "", False),
        ("add", "one", True),
        (None, "", False),
        (None, "a\nb", True),
        (None, "c", False),
    ]
    assert (told["more_events"], told["events"][1]["id"], told["events"][0]["retry"]) == (False, "7", 2000)


def test_the_command_writes_them_behind_the_exchange(talk: Talk) -> None:
    talk.writer.close(talk.now)
    text = inspectd("show", talk.capture.path, 1)
    assert text.returncode == 0
    assert "messages · permessage-deflate" in text.stdout.decode()
    assert b"\x1b" not in text.stdout
    line = json.loads(inspectd("show", talk.capture.path, 1, "--json", "--messages").stdout)
    assert (line["type"], line["status"], len(line["messages"])) == ("exchange", 101, 6)
    assert line["messages"][4]["payload"].encode("latin-1") == HOSTILE


def test_frames_that_count_as_the_response_are_told_once(tmp_path: Path) -> None:
    talk = Talk(tmp_path / "talk.inspectd", COMPRESSING)
    talk.answer(frame(1, b"from a rule"))
    talk.end()
    row = talk.capture.exchanges((1,))[0]
    shown = "\n".join(exchange_lines(talk.capture, row, PLAIN))
    assert "HTTP/1.1 101" in shown
    assert "from a rule" not in shown
    assert lines(talk)[3].endswith("not masked: from a rule")


def test_the_readme_names_every_field(talk: Talk, tmp_path: Path) -> None:
    text = (
        (ROOT / "README.md").read_text("utf-8").partition("**`inspectd show --json`**")[2].partition("**`")[0]
    )
    named = set(re.findall(r"`(\w+)`", text))
    stream = Talk(tmp_path / "stream.inspectd", STREAM + b"\r\n", b"GET / HTTP/1.1\r\n\r\n")
    stream.answer(b"data: 1\n\n")
    stream.end()
    for told, inner in ((facts(talk), "messages"), (facts(stream), "events")):
        assert set(told) | set(told[inner][0]) <= named


# ------------------------------------------------------------------------------------------------------- anatomy


def test_anatomy_shows_the_bits_of_frames() -> None:
    data = frame(1, b"Hello", mask=MASK) + frame(8, b"\x03\xe7", mask=MASK)
    done = inspectd("anatomy", "--websocket", "client", data=data)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "text frame 1 from the client · 11 bytes · complete",
        "0000 ws-fin             1... ....   This is the last frame of its message, or its only one.",
        "0000 ws-rsv1            .0.. ....   Not set.",
        "0000 ws-rsv2            ..0. ....   Not set.",
        "0000 ws-rsv3            ...0 ....   Not set.",
        "0000 ws-opcode          .... 0001   A text message, or the first part of one: UTF-8.",
        "0001 ws-mask            1... ....   The payload is masked with the key that follows, as a client has to.",
        "0001 ws-payload-length  .000 0101   5 bytes of payload.",
        "0002 ws-masking-key     37 fa 21 3d The masking key: four random bytes, new for every frame.",
        "0006 ws-payload         7f 9f 4d 51 58",
        "     message            text, 5 bytes, opcode 1, masked",
        "                        Hello",
        "",
        "close frame 2 from the client · 8 bytes · complete",
        "000b ws-fin             1... ....   This is the last frame of its message, or its only one.",
        "000b ws-rsv1            .0.. ....   Not set.",
        "000b ws-rsv2            ..0. ....   Not set.",
        "000b ws-rsv3            ...0 ....   Not set.",
        "000b ws-opcode          .... 1000   The sender is done; the other side answers with a close frame.",
        "000c ws-mask            1... ....   The payload is masked with the key that follows, as a client has to.",
        "000c ws-payload-length  .000 0010   2 bytes of payload.",
        "000d ws-masking-key     37 fa 21 3d The masking key: four random bytes, new for every frame.",
        "0011 ws-close-code      34 1d       999. A number below 1000 is no close code.",
        "     message            close, 2 bytes, opcode 8, masked",
        "                        999: A number below 1000 is no close code.",
        "     but                The close code 999 may not be sent in a close frame. (RFC 6455 §7.4)",
        "",
    ]


def test_frames_behind_a_handshake_are_recognised_on_both_sides() -> None:
    answer = COMPRESSING + frame(1, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
    told = json.loads(inspectd("anatomy", "--json", data=answer).stdout)
    assert told["websocket"]["from"] == "server"
    assert told["websocket"]["messages"][0]["payload"] == "Hello"
    assert [each["id"] for each in told["websocket"]["oddities"]] == ["ws-no-close"]
    opcode = next(each for each in told["spans"] if each["role"] == "ws-opcode")
    assert opcode == {
        "start": len(COMPRESSING),
        "end": len(COMPRESSING) + 1,
        "role": "ws-opcode",
        "bit": 4,
        "bits": 4,
    }
    assert "tunnel" not in {each["role"] for each in told["spans"]}
    request = HANDSHAKE + frame(1, b"hi there, it is me", mask=MASK)
    found = after_the_switch(read(request, "request"))
    assert found is not None
    assert (found.start, found.client, found.deflate) == (len(HANDSHAKE), True, Deflate())


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", HANDSHAKE, COMPRESSING.replace(b"WebSocket", b"x") + b"abc"]
)
def test_other_streams_have_no_frames(data: bytes) -> None:
    assert after_the_switch(read(data, "response" if data.startswith(b"HTTP") else "request")) is None


def test_a_flag_without_its_other_is_refused() -> None:
    done = inspectd("anatomy", "--deflate", data=b"x")
    assert done.returncode == 2
    assert b"--websocket" in done.stderr


def test_no_frames_and_open_ends() -> None:
    assert list(frame_lines(Direction(b"", 0, True, None), PLAIN, full=False, eof=False)) == ["no frames"]
    cut = list(frame_lines(Direction(b"\x81", 0, True, None), PLAIN, full=False, eof=False))
    assert cut[0].endswith("1 byte · not complete")
    assert not any("but" in line for line in cut)


@given(STREAMS, st.booleans(), DEFLATES, st.booleans())
def test_any_bytes_give_printable_lines(
    data: bytes, client: bool, deflate: Deflate | None, full: bool
) -> None:
    direction = Direction(data, 0, client, deflate)
    for line in frame_lines(direction, PLAIN, full=full):
        assert line.isprintable()
    json.loads("".join(json_text(Stream(data, [], []), frames=direction)))
