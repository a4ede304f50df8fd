"""What the tests of exports record and ask: real traffic of a real engine, and captures of arbitrary bytes."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, NamedTuple

from inspectd.gallery.catalogue import cases, chosen, rule_file
from inspectd.gallery.showing import answers
from inspectd.rules.answer import preview
from inspectd.rules.program import Close, HalfClose, Program, Reset
from inspectd.rules.timeline import timeline
from tests.capture.traffic import ANSWERED, new_writer
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DEADLINE = 60.0
QUIET = 0.01
LONGEST_SECONDS = 0.3
LARGEST = 4 << 20


class Conversation(NamedTuple):
    """One request that was sent on a connection of its own, and what came."""

    request: bytes
    answer: bytes
    end: str


def talk(address: tuple[str, int], request: bytes, length: int, *, ends: bool) -> Conversation:
    """Send a request, take so many bytes, and see whether the connection ends: `eof`, `reset`, `open` or `more`."""
    with socket.create_connection(address, timeout=DEADLINE) as client:
        client.sendall(request)
        got = b""
        try:
            while len(got) < length:
                piece = client.recv(min(65536, length - len(got)))
                if not piece:
                    return Conversation(request, got, "eof")
                got += piece
            if not select.select([client], [], [], DEADLINE if ends else QUIET)[0]:
                return Conversation(request, got, "open")
            return Conversation(request, got, "more" if client.recv(1) else "eof")
        except ConnectionResetError:
            return Conversation(request, got, "reset")


def record_gallery(directory: Path) -> tuple[Path, list[Conversation]]:
    """A capture of the gallery's quick cases, each asked for by a raw socket, and what the socket got.

    What got nothing, not even an end, is no answer to give again.
    """
    rules = directory / "gallery.toml"
    rules.write_text(rule_file(chosen(())), "utf-8")
    found: list[Conversation] = []
    with LiveEngine(directory, "--rules", str(rules), quiet=True) as engine:
        for case in cases().values():
            for answer in answers(case, host=f"127.0.0.1:{engine.port}"):
                program = answer.program
                if not isinstance(program, Program) or answer.reused or len(answer.content) > 4096:
                    continue
                steps = timeline(program)
                if steps and steps[-1].at > LONGEST_SECONDS:
                    continue
                length = len(preview(program, LARGEST + 1))
                if length > LARGEST:
                    continue
                ends = any(isinstance(op, Close | HalfClose | Reset) for op in program.ops)
                found.append(talk(engine.address, answer.head + answer.content, length, ends=ends))
        assert engine.stop() == 0
    return engine.capture, [one for one in found if one.answer or one.end != "open"]


def write_capture(path: Path, exchanges: Iterable[tuple[bytes, bytes]]) -> None:
    """A capture in which requests that are one head were answered with any bytes, each on its own connection."""
    writer = new_writer(path)
    try:
        for number, (request, answer) in enumerate(exchanges, 1):
            now = number * 1000
            connection = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8080", now)
            connection.received(request, now)
            exchange = connection.begin(0, now)
            connection.end(exchange, len(request))
            connection.settle(None)
            exchange.req_head = len(request)
            exchange.method, exchange.host = "GET", "a.test"
            connection.sent(exchange, answer, now + 1)
            exchange.state |= ANSWERED
            writer.save(exchange)
            writer.flush(now)
    finally:
        writer.close(1_000_000_000)
