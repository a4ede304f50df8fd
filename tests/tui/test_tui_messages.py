"""Pane 8: the messages of a WebSocket and the events of a stream, as they come, with every bit of a frame."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.messages import TimedMessage
from inspectd.capture.model import State
from inspectd.capture.reader import Capture
from inspectd.tui import conversation
from inspectd.tui.subject import Subject
from inspectd.tui.widgets.panes.messages import Messages
from tests.tui.panes_bench import Bench, whole_text
from tests.tui.shell_engine import until
from tests.tui.shell_scribe import Scribe, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.tui.shell_scribe import Open

UPGRADE = get(
    "/ws",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
HELLO = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 §5.7: a masked text message, "Hello"
GOODBYE = bytes.fromhex("880503e9627965")  # 1001, "bye"


class Talk:
    """A conversation that goes on while the screen looks at it."""

    def __init__(self, scribe: Scribe, request: bytes, response: bytes) -> None:
        self.scribe = scribe
        self.open: Open = scribe.request(request)
        self.exchange = self.open.answer(response)
        if response is EVENTS:
            self.exchange.state &= ~State.RESPONSE_COMPLETE.value
        scribe.flush()

    def hear(self, data: bytes) -> None:
        """The client sends this."""
        self.scribe.now += 5_000_000
        self.open.connection.received(data, self.scribe.now)
        self.open.connection.settle(None)
        self._save()

    def say(self, data: bytes) -> None:
        """The client is sent this."""
        self.scribe.now += 5_000_000
        within = self.exchange if self.exchange.status == "200" else None
        self.open.connection.sent(within, data, self.scribe.now)
        self._save()

    def _save(self) -> None:
        self.open.connection.touch(self.exchange)
        self.open.connection.save()
        self.scribe.flush()


@asynccontextmanager
async def looking(talk: Talk, size: tuple[int, int]) -> AsyncIterator[tuple[Messages, Pilot[int]]]:
    with Capture.open(talk.scribe.path) as capture:
        subject = Subject.load(capture, talk.exchange.id)
        assert subject is not None
        app = Bench(subject)
        async with app.run_test(size=size) as pilot:
            await pilot.press("8")
            await pilot.pause()
            pane = app.detail.pane
            assert isinstance(pane, Messages)
            yield pane, pilot


async def test_messages_of_both_directions_are_listed_and_the_frames_bits_explained(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        talk.hear(HELLO)
        talk.say(b'\x81\x0b{"a":"b\x1b]"}')
        async with looking(talk, (160, 50)) as (pane, pilot):
            listed = whole_text(pane.messages)
            assert "← text" in listed
            assert "Hello" in listed
            assert "→ text" in listed
            assert "\x1b" not in listed
            await pilot.press("home")
            await pilot.pause()
            text = whole_text(pane.message_view)
            for words in ("from the client", "masked", "1·······", "····0001", "opcode", "37 fa 21 3d"):
                assert words in text
            assert pane.selected_value() == ("payload of the text message", b"Hello")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 50)])
async def test_bits_stand_in_columns_and_bytes_beside_their_characters(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        talk.say(b"\x8a\x0cxyzXYZxyzXYZ")
        async with looking(talk, size) as (pane, _):
            shown = whole_text(pane.message_view).splitlines()
            text = "\n".join(shown)
            found = [
                re.search(rf"^ *{bits} +{name}\b", text, re.MULTILINE)
                for bits, name in (
                    ("0000  1·······", "FIN"),
                    ("0000  ····1010", "opcode"),
                    ("0001  0·······", "MASK"),
                    ("0001  ·0001100", "length"),
                    ("0002  78 79 7a …", "payload"),
                )
            ]
            assert all(found), text
            assert len({match[0].rindex(match[0].split()[-1]) for match in found if match}) == 1
            assert not any("ws-" in line for line in shown)
            assert any(line.rstrip().endswith(("|xyzXYZxyzXYZ|", "|xyzXYZxy|")) for line in shown), shown


async def test_the_newest_message_is_followed_until_another_is_chosen(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        async with looking(talk, (80, 24)) as (pane, pilot):
            assert "No message has come yet." in whole_text(pane.messages)
            talk.hear(HELLO)
            await until(pilot, lambda: pane.selected_value() == ("payload of the text message", b"Hello"))
            talk.say(b"\x82\x02\x00\xff")
            await until(
                pilot, lambda: pane.selected_value() == ("payload of the binary message", b"\x00\xff")
            )
            await pilot.press("up")
            await pilot.pause()
            talk.say(GOODBYE)
            await until(pilot, lambda: "1001" in whole_text(pane.messages))
            assert pane.selected_value() == ("payload of the text message", b"Hello")
            await pilot.press("end")
            await pilot.pause()
            text = whole_text(pane.message_view)
            assert "to the client" in text
            assert "bye" in whole_text(pane.messages)


async def test_what_is_wrong_with_a_frame_is_said_with_its_section(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        talk.hear(b"\x81\x02hi")
        async with looking(talk, (120, 36)) as (pane, _):
            assert "⚠" in whole_text(pane.messages)
            text = whole_text(pane.message_view)
            assert "ws-unmasked-client" in text
            assert "RFC 6455" in text


async def test_events_come_one_by_one(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, get("/events"), EVENTS)
        async with looking(talk, (120, 36)) as (pane, pilot):
            assert "No event has come yet." in whole_text(pane.messages)
            talk.say(b"event: price\nid: 7\nretry: 2000\ndata: 12\ndata: 13\n\n")
            await until(pilot, lambda: pane.selected_value() == ("data of the event", b"12\n13"))
            talk.say(b": still here\n\n")
            await until(pilot, lambda: "still here" in whole_text(pane.messages))
            await pilot.press("home")
            await pilot.pause()
            text = whole_text(pane.message_view)
            for words in ("event price", "id  7", "2,000 ms", "2 data lines"):
                assert words in text


async def test_a_message_that_never_ends_is_told(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        talk.say(b"\x01\x01a" + b"\x00\x01b" * 999)
        async with looking(talk, (120, 36)) as (pane, _):
            text = " ".join(whole_text(pane.messages).split())
            assert "The first message is arriving: text, 1,000 bytes so far, 1,000 whole frames." in text


async def test_an_ordinary_exchange_says_that_it_has_none(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, get("/"), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        async with looking(talk, (120, 36)) as (pane, _):
            assert "neither a WebSocket" in whole_text(pane.messages)
            assert pane.selected_value() is None


def test_a_look_is_bounded_and_so_is_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "LOOK_SECONDS", 0.0)
    fragmented = b"\x01\x00" + b"\x00\x00" * 100 + b"\x80\x00"
    large = b"\x82\x7e\x40\x00" + bytes(1 << 14)
    with Scribe(tmp_path / "a.inspectd") as scribe:
        talk = Talk(scribe, UPGRADE, SWITCHED)
        talk.say(fragmented + b"\x89\x00" * 20_000)
        for _ in range(22):
            talk.say(large * 100)
        with Capture.open(scribe.path) as capture:
            subject = Subject.load(capture, talk.exchange.id)
            assert subject is not None
            found = subject.conversation()
            assert found is not None
            assert found.look()
            assert found.behind
            assert 0 < len(found.entries) < 10_000
            first = found.entries[0]
            assert isinstance(first, TimedMessage)
            assert (first.message.fragments, len(first.message.frames)) == (102, conversation.FRAMES_KEPT)
            monkeypatch.setattr(conversation, "LOOK_SECONDS", 60.0)
            while found.first + len(found.entries) < 1 + 20_000 + 2200:
                assert found.look()
            kept = sum(len(each.message.payload) for each in found.entries if isinstance(each, TimedMessage))
            assert (16 << 20) < kept <= conversation.WEIGHT_MOST
