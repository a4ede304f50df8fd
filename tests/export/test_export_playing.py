"""A capture that answers, without sockets: what goes wrong with it, its waits, and what it says of other requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from inspectd.export.likeness import USUAL, likeness
from inspectd.export.playing import REMEMBERED, Manner, Playback, play
from inspectd.rules.answer import preview
from inspectd.rules.passing import Passer
from inspectd.rules.program import Program, Wait
from tests.export.recording import write_capture
from tests.export.test_export_rules import OK, asking, get

if TYPE_CHECKING:
    from pathlib import Path


def answer(playback: Playback, head: bytes) -> Program:
    request = asking(head)
    assert request is not None
    program = playback.respond(request, now=0.0, persist=True)
    assert isinstance(program, Program)
    return program


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.inspectd"
    write_capture(path, [(get("/a"), OK), (get("/b", "b.test"), OK + b"2")])
    return path


def test_a_capture_that_can_no_longer_be_read_is_a_500(path: Path) -> None:
    capture = Capture.open(path)
    playback = play(capture, Manner(USUAL))
    capture.close()

    said = preview(answer(playback, get("/a")))
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"can't be read: Cannot operate on a closed database" in said


def test_the_waits_of_the_recording(path: Path) -> None:
    with Capture.open(path) as capture:
        timed = answer(play(capture, Manner(USUAL, timing=True)), get("/a"))
        plain = answer(play(capture, Manner(USUAL)), get("/a"))

    assert isinstance(timed.ops[0], Wait)
    assert timed.ops[0].seconds == pytest.approx(1e-9)
    assert not any(isinstance(op, Wait) for op in plain.ops)
    assert preview(timed) == preview(plain) == OK


def test_requests_without_an_answer_are_remembered_only_so_many(path: Path) -> None:
    with Capture.open(path) as capture:
        playback = play(capture, Manner(likeness("strict")))
        for number in range(REMEMBERED + 10):
            answer(playback, get(f"/{number}"))
        answer(playback, get("/0"))

    assert len(playback.missed) == REMEMBERED
    assert playback.missed["GET /0"] == 2


def test_hostile_requests_get_an_explaining_answer_in_safe_text(path: Path) -> None:
    with Capture.open(path) as capture:
        playback = play(capture, Manner(USUAL))
        said = preview(answer(playback, get("/\x1b]0;x\x07\u202e" + "a" * 5000)))

    assert said.startswith(b"HTTP/1.1 501 ")
    assert b"\x1b" not in said
    assert "\u202e".encode() not in said
    assert len(said) < 2000


def test_what_was_not_recorded_passes_to_a_server(path: Path) -> None:
    with Capture.open(path) as capture:
        playback = play(capture, Manner(USUAL), "http://h")
        other, recorded = asking(get("/other")), asking(get("/a"))

        assert isinstance(playback, Passer)
        assert other is not None
        assert recorded is not None
        assert playback.passes(other)
        assert not playback.passes(recorded)
        assert playback.description == "2 recorded answers of a.inspectd"
