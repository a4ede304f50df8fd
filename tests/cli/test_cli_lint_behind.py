"""`inspectd lint` of what lies behind the heads: WebSocket messages and server-sent events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.cli.root import run_command_line
from inspectd.lint.behind import entries
from inspectd.lint.catalogue import catalogue
from inspectd.wire.event_stream import ODDITIES as OF_EVENTS
from inspectd.wire.websocket.oddities import ODDITIES as OF_FRAMES
from tests.capture.talk import STREAM, SWITCH, Talk
from tests.wire.frames import MASK, frame

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A client that forgets to mask six messages, and a server that sends a text that is none."""
    path = tmp_path / "talk.inspectd"
    talk = Talk(path, SWITCH)
    talk.say(INCOMING, frame(1, b"good", mask=MASK))
    for _ in range(6):
        talk.say(INCOMING, frame(1, b"\x1b]0;owned\x07"))
    talk.say(OUTGOING, frame(1, b"\xff"))
    talk.say(INCOMING, frame(8, b"", mask=MASK))
    talk.say(OUTGOING, frame(8, b""))
    talk.end()
    return path


def test_oddities_of_messages_are_found_and_quoted_safely(
    talk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["lint", str(talk)]) == 1
    out = capfd.readouterr().out
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if "ws-unmasked-client" in line)
    assert lines[at].startswith("error  ws-unmasked-client  The client sent this frame unmasked")
    assert lines[at + 1] == "  6 messages have it; RFC 6455 §5.1"
    assert lines[at + 2].startswith(r"  exchange 1, websocket of the client at b: \x81\x0a\x1b]0;owned\x07")
    assert lines[at + 7] == "  ..."
    assert any("ws-invalid-utf8" in line for line in lines)
    assert not {"\x1b", "\x07"} & set(out)


@pytest.mark.parametrize(
    ("kind", "only"), [("request", "ws-unmasked-client"), ("response", "ws-invalid-utf8")]
)
def test_each_side_can_be_looked_at_alone(
    talk: Path, kind: str, only: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run_command_line(["lint", str(talk), "--kind", kind, "--json"])
    found = {each["id"] for each in json.loads(capfd.readouterr().out)["findings"]}
    assert {name for name in found if name in OF_FRAMES} == {only}
    assert run_command_line(["lint", str(talk), "--only", only]) == 1


def test_oddities_of_events_are_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.inspectd"
    talk = Talk(path, STREAM + b"\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.answer(b"retry: soon\ndata: a\n\n")
    talk.end()
    run_command_line(["lint", str(path), "--only", "sse-retry-not-digits", "--json"])
    (found,) = json.loads(capfd.readouterr().out)["findings"]
    (example,) = found["examples"]
    assert (found["severity"], example["message"], example["from"]) == ("warning", "events", "server")


def test_every_oddity_has_an_entry_and_none_is_a_finding() -> None:
    assert set(entries()) == set(OF_FRAMES) | set(OF_EVENTS)
    assert not set(entries()) & set(catalogue())
    for entry in entries().values():
        assert entry.level.word in {"error", "warning", "info"}
        assert "{" not in entry.summary
