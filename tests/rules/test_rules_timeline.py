"""A program on a time line: every step with its time, its offset and words that are safe anywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.program import (
    Close,
    Hold,
    LiveProgram,
    Op,
    Pace,
    Program,
    Reset,
    Send,
    SendFile,
    Stall,
    Wait,
)
from inspectd.rules.timeline import ALL_KEPT, KEPT, MOST_ENTRIES, spelled, text, timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def test_times_and_offsets_add_up() -> None:
    program = Program((Wait(0.3), Send(b"abcd", Pace(1, 0.02)), Wait(1.5), Send(b"ef"), Reset()))
    entries = timeline(program)
    assert [(entry.what, entry.offset) for entry in entries] == [
        ("wait", 0),
        ("send", 0),
        ("wait", 4),
        ("send", 4),
        ("reset", 6),
    ]
    assert [entry.at for entry in entries] == pytest.approx([0, 0.3, 0.36, 1.86, 1.86])
    assert [entry.sentence for entry in entries] == [
        "Waits 300 ms.",
        "Sends 4 bytes, 1 byte every 20 ms: 60 ms.",
        "Waits 1.5 s.",
        "Sends 2 bytes.",
        "Resets the connection (RST).",
    ]


def test_after_a_hold_times_count_from_its_end() -> None:
    program = Program((Wait(1), Hold("go", 5.0), Wait(2), Send(b"x"), Stall()), hold=60.0)
    entries = timeline(program)
    assert [(entry.what, entry.at, entry.since) for entry in entries] == [
        ("hold", 0, 0),
        ("wait", 0, 1),
        ("hold", 1, 1),
        ("wait", 0, 2),
        ("send", 2, 2),
        ("stall", 2, 2),
    ]
    assert entries[0].sentence == "Waits for a person, 60 s at most."
    assert entries[2].sentence == "Waits for the gate 'go', 5 s at most."
    assert "leaves the connection open" in entries[-1].sentence


def test_the_other_answer_of_a_hold_is_shown_beside_it() -> None:
    program = Program(
        (Hold("go", 5.0, (Send(b"HTTP/1.1 204\r\n\r\n"), Close())), Send(b"HTTP/1.1 200\r\n\r\n"))
    )
    hold, normal = timeline(program)
    assert [entry.what for entry in hold.otherwise] == ["send", "close"]
    assert normal.data == b"HTTP/1.1 200\r\n\r\n"
    shown = text([hold, normal])
    assert shown.index("204") < shown.index("200")
    assert "and then answers otherwise" in shown
    lines = [line.strip() for line in shown.splitlines()]
    assert lines.index("When the time is over, otherwise:") < lines.index("When it is let go before:")
    first, second = shown.partition("When it is let go before:")[::2]
    assert ("204" in first, "200" in first) == (True, False)
    assert ("204" in second, "200" in second) == (False, True)


def test_jitter_is_counted_as_it_will_be() -> None:
    pace = Pace(1, 0.1, jitter=0.5, seed=4)
    (entry,) = timeline(Program((Send(b"abc", pace),)))
    pauses = pace.pauses()
    assert entry.seconds == pytest.approx(next(pauses) + next(pauses))
    assert "give or take 50%" in entry.sentence


def test_files_show_their_first_bytes_and_one_that_is_gone_shows_none(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b.bin"
    path.write_bytes(b"0123456789")
    there, gone = timeline(Program((SendFile(path, 2, 5), SendFile(tmp_path / "gone", 0, 9))))
    assert (there.data, there.length, gone.data, gone.offset) == (b"23456", 5, b"", 5)
    assert "\x1b" not in there.sentence
    assert r"a\x1b.bin" in there.sentence


def test_a_live_program_says_that_it_is_live() -> None:
    async def steps() -> AsyncIterator[Op]:
        yield Send(b"x")

    (entry,) = timeline(LiveProgram(steps()))
    assert entry.what == "live"


def test_a_live_program_can_be_peeked_into_when_nobody_plays_it() -> None:
    async def steps() -> AsyncIterator[Op]:
        for number in range(9):
            yield Send(b"%d" % number)
            yield Wait(1)

    entries = timeline(LiveProgram(steps()), peek=3)
    assert [(entry.what, entry.at, entry.offset) for entry in entries] == [
        ("send", 0, 0),
        ("wait", 0, 1),
        ("send", 1, 1),
        ("live", 1, 2),
    ]
    assert [entry.what for entry in timeline(LiveProgram(steps()), peek=99)] == ["send", "wait"] * 9


def test_peeking_stops_where_something_is_waited_for_or_fails() -> None:
    async def waits() -> AsyncIterator[Op]:
        yield Send(b"x")
        await asyncio.sleep(0)
        yield Send(b"y")

    async def fails() -> AsyncIterator[Op]:
        yield Send(b"x")
        raise ValueError

    for steps in (waits, fails):
        assert [entry.what for entry in timeline(LiveProgram(steps()), peek=9)] == ["send", "live"]


def test_a_program_of_very_many_steps_is_cut_short() -> None:
    entries = timeline(Program((Send(b"ab"),) * (MOST_ENTRIES + 5)))
    assert len(entries) == MOST_ENTRIES + 1
    assert entries[-1].sentence == "Goes on with 5 more steps."
    assert entries[-1].offset == 2 * MOST_ENTRIES


def test_a_time_line_holds_few_bytes_of_a_large_answer(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(KEPT * 2))
    entries = timeline(Program((SendFile(path, 0, KEPT * 2), Send(bytes(KEPT * 2))) * 100))
    assert sum(len(entry.data) for entry in entries) == ALL_KEPT
    assert entries[-1].length == KEPT * 2


def test_bytes_are_shown_line_by_line_and_cut_when_they_are_many() -> None:
    shown = text(
        timeline(Program((Send(b"HTTP/1.1 200\r\nA: \x1b[2J\r\n\r\n" + b"x" * 500 + b"\nlast"),))),
        lines=4,
        width=20,
    )
    assert [line.strip() for line in shown.split("\n")[1:]] == [
        "HTTP/1.1·200↵",
        r"A:·\x1b[2J↵",
        "↵",
        "xxxxxxxxxxxxxxxxxxxx... (481 bytes more)",
        "(4 bytes more)",
    ]
    plain = text(timeline(Program((Send(b"a b\r\n"),))), ascii_only=True)
    assert plain.endswith("a b\\r\\n")


@given(st.binary(max_size=400), st.booleans())
def test_nothing_on_a_time_line_can_act_on_a_terminal(data: bytes, ascii_only: bool) -> None:
    shown = text(timeline(Program((Send(data), Hold(data.decode("latin-1"))))), ascii_only=ascii_only)
    assert all(character == "\n" or character.isprintable() for character in shown)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.02, "20 ms"), (1.5, "1.5 s"), (300, "5 min"), (0.0001, "0.1 ms")]
)
def test_durations_for_people(seconds: float, words: str) -> None:
    assert spelled(seconds) == words
