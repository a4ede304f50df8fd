"""What the connections of a listener share: who answers them, how much they may take, where they are recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from inspectd.capture.records import ConnectionRecord
from inspectd.capture.unrecorded import Unrecorded
from inspectd.engine import tcp
from inspectd.engine.evidence import Attempts
from inspectd.engine.holds import HoldDesk
from inspectd.engine.listener import render
from inspectd.engine.player import Gates
from inspectd.engine.sent import answered, as_json
from inspectd.engine.summary import Summaries
from inspectd.engine.turn import CommittedTurn, RelaxedTurn, UnrecordedTurn
from inspectd.rules.answer import compile_for, problem_answer
from inspectd.rules.request import CONTENT_PREFIX
from inspectd.rules.responder import ORDINARY

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from inspectd.capture.writer import CaptureWriter
    from inspectd.engine.accepting import TurnedAway
    from inspectd.engine.config import Durability, Limits
    from inspectd.engine.connection import Connection
    from inspectd.engine.sent import Answered
    from inspectd.engine.turn import Turn
    from inspectd.rules.answer import Answer
    from inspectd.rules.passing import Passer
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.responder import Plan, Planner, Responder


class Site:
    """The surroundings of connections.

    With a `writer` everything is recorded; without one nothing is (the control API's listeners).
    """

    def __init__(
        self,
        responder: Responder,
        limits: Limits,
        *,
        writer: CaptureWriter | None = None,
        durability: Durability = "commit",
        strict: bool = False,
        refusal: Callable[[int, str], Answer] = problem_answer,
        holds: HoldDesk | None = None,
    ) -> None:
        self.answer_with(responder)
        self.refusal = refusal
        """What is answered, with this status and sentence, to what never comes to the responder."""
        self.limits = limits
        self.strict = strict
        self.stopping = False
        self.connections: set[Connection] = set()
        self.gates = Gates()
        self.holds = holds or HoldDesk()
        self.admit: Callable[[], TurnedAway | None] | None = None
        """Decides about each connection that was accepted, when not all are let in."""
        self.attempts = Attempts()
        self.summaries = Summaries()
        self.turn: Turn
        self._writer = writer
        self._nothing = Unrecorded()
        self.problem: str | None = None
        self._last_program: Program | None = None
        self._last_answered: Answered = answered(())
        self._sockets: dict[int, socket] = {}
        self._watchers: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()
        if writer is None:
            self.turn = UnrecordedTurn()
        elif durability == "commit":
            self.turn = CommittedTurn(loop, writer)
        else:
            self.turn = RelaxedTurn(loop, writer)

    def answer_with(self, responder: Responder) -> None:
        """Ask this responder from now on."""
        self.responder = responder
        # isinstance is dear with protocols, and tests change the responder all the time.
        self.planner = cast("Planner", responder) if hasattr(responder, "plan") else None
        """The responder, if it may want to answer before a request is complete."""
        self.passer = cast("Passer", responder) if hasattr(responder, "passes") else None
        """The responder, if it may leave requests to a server."""
        self._forwarding = cast("Passer", responder) if hasattr(responder, "forwards") else None

    @property
    def forwards(self) -> bool:
        """Whether requests may be left to a server, as things are now."""
        return self._forwarding is not None and self._forwarding.forwards

    @property
    def content_kept(self) -> int:
        """Octets of content that the responder gets to see."""
        return CONTENT_PREFIX if self.planner is None else self.planner.content_kept

    @property
    def recorded(self) -> bool:
        """Whether traffic goes into the capture."""
        return self._writer is not None

    def add_listener(self, number: int, sock: socket) -> None:
        """Remember the socket whose accept queue new connections come from."""
        self._sockets[number] = sock

    def remove_listener(self, number: int) -> None:
        """A listener is closed."""
        self._sockets.pop(number, None)

    def accept_queue(self, listener: int) -> tcp.AcceptQueue | None:
        """The state of a listener's accept queue, where the system tells."""
        sock = self._sockets.get(listener)
        return tcp.accept_queue(sock) if sock is not None and sock.fileno() >= 0 else None

    def answered(self, program: Program) -> Answered:
        """What `sent.answered` says, remembered while the same program is played again and again."""
        if program is not self._last_program:
            self._last_answered = answered(program.ops)._replace(added=as_json(program.added))
            self._last_program = program
        return self._last_answered

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        """The responder's answer; a 500 when it fails, and the engine's status says how."""
        try:
            return self.responder.respond(request, now=now, persist=persist)
        except Exception as problem:  # noqa: BLE001  whatever a responder does, the client gets an answer
            self.problem = (
                f"{type(self.responder).__name__} failed on {request.head.target[:80]!r}: {problem!r}"
            )
            answer = problem_answer(500, f"inspectd's responder failed: {type(problem).__name__}.")
            return compile_for(answer, now=now, method=request.head.method, persist=False)

    def plan(self, request: Request) -> Plan:
        """When the responder wants to answer; when all has arrived, if it fails to say."""
        try:
            return ORDINARY if self.planner is None else self.planner.plan(request)
        except Exception as problem:  # noqa: BLE001  whatever a responder does, the client gets an answer
            self.problem = (
                f"{type(self.planner).__name__} failed on {request.head.target[:80]!r}: {problem!r}"
            )
            return ORDINARY

    def welcome(
        self, connection: Connection, transport: asyncio.Transport, listener: int, now: int
    ) -> ConnectionRecord:
        """Count a new connection in, and open its record."""
        self.connections.add(connection)
        local_name, peer_name = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        local = render(local_name)
        # uvloop asks the socket for the peer, and a client that has reset it by then has no name any more.
        peer = "unknown" if peer_name is None and isinstance(local_name, tuple) else render(peer_name)
        if self._writer is None:
            return ConnectionRecord(self._nothing, 0, listener, peer, local, now)
        return self._writer.connection(listener, peer, local, now)

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        if not self.connections:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher()

    def forget_what_was(self) -> None:
        """What earlier clients did has no consequences any more: open gates are closed, and nothing is a retry."""
        self.gates = Gates()
        self.attempts.clear()
        self.problem = None

    def when_empty(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` once when the last connection is gone, or at once when there is none."""
        if self.connections:
            self._watchers.append(watcher)
        else:
            watcher()
