"""The doors of an engine: its listening sockets, and what happens to connections before a byte of them is read.

Usually everybody is let in. An accept rule turns connections away (reset, close), leaves them waiting in the kernel's
queue (wait), or closes the door for a while, so that the kernel refuses them (refuse). What this side does with a
connection is a row; what the kernel does by itself is never seen here, so the steps of the listener say when that was.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspectd.engine.connection import Connection
from inspectd.rules.units import duration

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from inspectd.capture.writer import CaptureWriter
    from inspectd.engine.listener import Opened
    from inspectd.engine.site import Site
    from inspectd.rules.tables import AcceptTable

TINY_BACKLOG: Final = 0
"""Of a listener that accepts nobody. The kernel still lets one connection wait, and leaves further SYNs unanswered."""
TRY_AGAIN: Final = 0.25
"""Seconds between two tries to listen again on a port that somebody else has taken meanwhile."""

_KINDS: Final = {"reset": "reset-on-accept", "close": "closed-on-accept"}
_SENTENCES: Final = {
    "reset": "reset as soon as it was accepted, as the accept rule says",
    "close": "closed as soon as it was accepted, as the accept rule says",
}
_IN_FORCE: Final = {
    "reset": "connections are reset as soon as they are accepted",
    "close": "connections are closed as soon as they are accepted",
    "wait": "nobody accepts connections: they wait in the kernel's queue, and further ones get no answer",
    "refuse": "nobody listens: the kernel refuses connections",
}


class TurnedAway(NamedTuple):
    """What becomes of a connection that isn't let in: `how` is `reset` or `close`."""

    how: str
    kind: str
    sentence: str


class AcceptState(NamedTuple):
    """What happens to new connections now.

    `do` is None while they are let in, else what is done to them; `sentence` says so in words. `seen` counts the
    connections since the rule was set, `left` those that are still turned away or still let in before it sets in.
    `until_ns` is when it ends by itself. `waiting` is how many connections lie in the kernel's queues, where known.
    """

    do: str | None
    sentence: str
    seen: int
    left: int | None
    until_ns: int | None
    waiting: int | None


class Door:
    """One listening socket and who looks after it."""

    def __init__(self, opened: Opened, number: int) -> None:
        self.opened = opened
        self.number = number
        self.server: asyncio.Server | None = None
        self.watched: socket.socket | None = None


class Doors:
    """All listeners of an engine."""

    def __init__(
        self,
        site: Site,
        writer: CaptureWriter,
        opened: list[Opened],
        backlog: int,
        *,
        clear: Callable[[Site, int], asyncio.Protocol] = Connection,
        tls: Callable[[int], asyncio.Protocol] | None = None,
    ) -> None:
        """`clear` makes the protocol objects of connections, from the listener's number; `tls` those of connections
        to listeners that speak TLS."""
        self.problem: str | None = None
        self._site = site
        self._writer = writer
        self._backlog = backlog
        self._clear = clear
        self._tls = tls
        self._doors: list[Door] = []
        for one in opened:
            number = writer.listener(one.address, one.asked, one.opened_ns, backlog, one.steps)
            self._doors.append(Door(one, number))
            site.add_listener(number, one.sock)
        self._table: AcceptTable | None = None
        self._seen = 0
        self._until_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shut = False
        """Nobody accepts: the kernel is left alone with those who come."""
        self._serving = 0  # counts the changes of who accepts: what an earlier one began is given up
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life

    async def open(self) -> None:
        """Let connections in."""
        await self._serve_all(self._serving)

    def close(self) -> None:
        """Close every listener. What is accepted already goes on."""
        self._forget()
        self._stop_serving()
        now = time.time_ns()
        for door in self._doors:
            self._give_up_queue(door)
            door.opened.close()
            self._site.remove_listener(door.number)
            self._writer.close_listener(door.number, now)
        self._doors.clear()

    # -- the rule

    def set(self, table: AcceptTable | None) -> None:
        """Do this to connections from now on; let them in with None. Counting begins anew."""
        self._forget()
        self._table = table
        if table is not None and table.do not in _KINDS:
            if not table.after:
                self._act(table)
                return
            self._stop_serving()
            self._unshut()
            for door in self._doors:
                self._watch(door)
            return
        if self._shut or any(door.watched is not None for door in self._doors):
            self._let_in()
        if table is not None:
            self._site.admit = self._admit
            if not table.after:
                self._act(table)

    @property
    def state(self) -> AcceptState:
        """What happens to new connections now."""
        table = self._table
        waiting = self._waiting()
        if table is None:
            return AcceptState(None, "", self._seen, None, None, waiting)
        spared = table.after - self._seen
        if spared > 0:
            sentence = f"{_IN_FORCE[table.do]}, after {_connections(spared)} more"
            return AcceptState(None, sentence, self._seen, spared, None, waiting)
        left = None if table.count is None else table.after + table.count - self._seen
        return AcceptState(table.do, _IN_FORCE[table.do], self._seen, left, self._until_ns, waiting)

    def _waiting(self) -> int | None:
        queues = [self._site.accept_queue(door.number) for door in self._doors]
        known = [queue.waiting for queue in queues if queue is not None]
        return sum(known) if known else None

    def _forget(self) -> None:
        """No rule is in force any more."""
        self._table = self._until_ns = self.problem = self._site.admit = None
        self._seen = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self) -> None:
        """The time or the count of the rule is over."""
        self._forget()
        if self._shut:
            self._let_in()

    def _admit(self) -> TurnedAway | None:
        """How a connection is turned away that was just accepted; None: it is let in."""
        table = self._table
        if table is None:
            return None
        self._seen += 1
        place = self._seen - table.after
        if place == 0:
            self._act(table)
        if place <= 0:
            return None
        if place == table.count:
            self._finish()
        of = f" ({place} of {table.count})" if table.count is not None else ""
        return TurnedAway(table.do, _KINDS[table.do], _SENTENCES[table.do] + of)

    def _act(self, table: AcceptTable) -> None:
        """The rule sets in."""
        if table.seconds is not None:
            seconds = duration(table.seconds)
            self._until_ns = time.time_ns() + int(seconds * 1e9)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._finish)
        if table.do in _KINDS:
            return
        self._stop_serving()
        self._shut = True
        for door in self._doors:
            try:
                if table.do == "wait":
                    door.opened.listen(TINY_BACKLOG, "nobody accepts, as the accept rule says")
                else:
                    self._give_up_queue(door)
                    door.opened.unlisten("nobody listens, as the accept rule says")
            except OSError as problem:
                self._in_the_way(door, problem)
            self._changed(door)

    # -- who accepts

    def _watch(self, door: Door) -> None:
        """Accept one connection at a time, so that the rule sets in after exactly as many as it spares."""
        if not door.opened.listening:
            return  # the port is somebody else's by now, and the engine's problem
        door.watched = door.opened.sock
        asyncio.get_running_loop().add_reader(door.watched, self._accept_one, door)

    def _accept_one(self, door: Door) -> None:
        table = self._table
        if door.watched is None or table is None:
            return
        try:
            sock, _ = door.watched.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has gone again
        except OSError as problem:  # no file may be opened, for example
            self._in_the_way(door, problem)
            loop = asyncio.get_running_loop()
            loop.remove_reader(door.watched)
            door.watched = None
            loop.call_later(TRY_AGAIN, self._watch_again, door, self._serving)
            return
        sock.setblocking(False)  # noqa: FBT003
        self._seen += 1
        self._start(self._welcome(sock, door))
        if self._seen >= table.after:
            self._act(table)

    def _watch_again(self, door: Door, serving: int) -> None:
        if serving == self._serving:
            self._watch(door)

    async def _welcome(self, sock: socket.socket, door: Door) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._protocol(door), sock)
        except OSError:
            sock.close()

    def _protocol(self, door: Door) -> Callable[[], asyncio.Protocol]:
        """Makes the protocol object of a connection that comes through this door."""
        number, site, tls = door.number, self._site, self._tls
        if door.opened.tls and tls is not None:
            return lambda: tls(number)
        return lambda: self._clear(site, number)

    def _let_in(self) -> None:
        """Accept every connection again, as soon as the ports can be listened on."""
        self._stop_serving()
        if self._unshut():
            self.problem = None
        else:
            self._timer = asyncio.get_running_loop().call_later(TRY_AGAIN, self._let_in)
        self._start(self._serve_all(self._serving))

    def _unshut(self) -> bool:
        """Make the kernel take connections again; whether it does on every door."""
        if not self._shut:
            return True
        whole = True
        for door in self._doors:
            try:
                door.opened.listen(self._backlog, "connections are accepted again")
            except OSError as problem:
                self._in_the_way(door, problem)
                whole = False
            self._changed(door)
        self._shut = not whole
        return whole

    def _give_up_queue(self, door: Door) -> None:
        """Say whom the kernel is going to reset because nobody has accepted them."""
        queue = self._site.accept_queue(door.number)
        if queue is not None and queue.waiting and door.opened.listening:
            door.opened.note(
                "close", f"{_connections(queue.waiting)} in the queue, never accepted: the kernel resets"
            )
            self._note(door)

    def _changed(self, door: Door) -> None:
        self._site.add_listener(door.number, door.opened.sock)
        self._note(door)

    def _note(self, door: Door) -> None:
        self._writer.note_listener(door.number, door.opened.steps)
        self._site.turn.soon()

    def _in_the_way(self, door: Door, problem: OSError) -> None:
        self.problem = f"{door.opened.address}: can't accept connections now ({problem.strerror or problem})"

    async def _serve_all(self, serving: int) -> None:
        for door in self._doors:
            if door.server is not None or not door.opened.listening:
                continue
            # The server closes what it is given; the door keeps its own hold on the socket.
            sock = door.opened.sock.dup()
            server = await serve(self._protocol(door), sock, self._backlog)
            if serving != self._serving:
                server.close()
                return
            door.server = server

    def _stop_serving(self) -> None:
        self._serving += 1
        for door in self._doors:
            if door.server is not None:
                door.server.close()
                door.server = None
            if door.watched is not None:
                asyncio.get_running_loop().remove_reader(door.watched)
                door.watched = None

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(
    protocol: Callable[[], asyncio.Protocol], sock: socket.socket, backlog: int
) -> asyncio.Server:
    """Accept every connection that comes to a listening socket. The server owns the socket from now on."""
    loop = asyncio.get_running_loop()
    if sock.family.name == "AF_UNIX":
        # From Python 3.13 on asyncio removes the name as well, which is the door's business.
        own: dict[str, Any] = {}
        if sys.version_info >= (3, 13) and isinstance(loop, asyncio.BaseEventLoop):
            own["cleanup_socket"] = False
        return await loop.create_unix_server(protocol, sock=sock, backlog=backlog, **own)
    return await loop.create_server(protocol, sock=sock, backlog=backlog)


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
