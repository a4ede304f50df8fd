"""Plays a program that takes time: it waits, holds, sends more than fits at once, or learns its steps as it goes.

Programs that are one `Send` don't come here; the connection sends them in passing. A player is one task, owned by its
connection and stopped with it. Each piece is recorded before it is sent, and the next one follows when there is room.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.rules.program import Close, HalfClose, Hold, Listen, Program, Reset, Send, SendFile, Stall, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from inspectd.rules.inbox import Inbox
    from inspectd.rules.program import LiveProgram, Op, Pace

PIECE: Final = 256 * 1024
"""Bytes that are recorded and sent at a time."""
RESET_PATIENCE: Final = 1.0
"""Seconds that a reset waits for what was sent before it: a RST discards what the client has not acknowledged."""

_FIRST_LOOK: Final = 0.0005
_LONGEST_LOOK: Final = 0.02


class Outlet(Protocol):
    """What a player does to its connection."""

    def send(self, data: bytes) -> None: ...
    def half_close(self) -> None: ...
    def close(self, how: str) -> None: ...

    def stall(self) -> None:
        """Nothing more is going to be sent, and that is meant."""

    def under_way(self) -> bool:
        """Whether bytes have been sent that the client's system has not acknowledged yet."""


class Gates:
    """Named gates that holds wait for. A gate stays open until it is closed again."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self._waiting: Counter[str] = Counter()

    def waiting(self, name: str) -> int:
        """How many answers wait at this gate."""
        return self._waiting[name]

    def open(self, name: str) -> None:
        """Let everything that waits at this gate pass, and whatever comes later."""
        self._gates.setdefault(name, asyncio.Event()).set()

    def close(self, name: str) -> None:
        """Make what comes from now on wait at this gate."""
        gate = self._gates.get(name)
        if gate is not None:
            gate.clear()

    async def passed(self, name: str, seconds: float | None = None) -> bool:
        """Wait until the gate is open, so many seconds at most; whether it was."""
        gate = self._gates.setdefault(name, asyncio.Event())
        if gate.is_set():
            return True
        self._waiting[name] += 1
        try:
            async with asyncio.timeout(seconds):
                await gate.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
        return True


class Rhythm:
    """Cuts a stream of bytes into the pieces of a pace, and waits between two of them.

    The pauses are counted from one due time to the next, so that late timers don't add up; a piece that was held back
    by a slow reader starts the count afresh instead of being made up for.
    """

    def __init__(self, pace: Pace) -> None:
        self._piece = max(pace.piece, 1)
        self._pauses = pace.pauses()
        self._left = self._piece
        self._due: float | None = None

    async def next(self, most: int) -> int:
        """How many of `most` bytes may leave now, once the time for them has come."""
        if self._left == self._piece:
            now = time.monotonic()
            if self._due is None:
                self._due = now
            else:
                self._due = max(self._due + max(next(self._pauses), 0.0), now)
                await wait_until(self._due)
        allowed = min(most, self._left)
        self._left = self._left - allowed or self._piece
        return allowed


async def wait_until(due: float) -> None:
    """Wait until `time.monotonic()` has come to `due`: timers of some loops fire a little early."""
    while (left := due - time.monotonic()) > 0:  # noqa: ASYNC110  it is time that is waited for
        await asyncio.sleep(max(left, _FIRST_LOOK))


async def _news(inbox: Inbox, seconds: float | None) -> None:
    """Wait until there is something in the inbox, so many seconds at most; others have their turn in any case."""
    await asyncio.sleep(0)
    if inbox.news or seconds == 0:
        return
    woken = asyncio.Event()
    inbox.woken = woken.set
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        inbox.woken = None


class Player:
    """One program on its way through one connection; `finished` is called with an error text, or None."""

    def __init__(
        self,
        program: Program | LiveProgram,
        outlet: Outlet,
        gates: Gates,
        finished: Callable[[str | None], None],
    ) -> None:
        self._outlet = outlet
        self._gates = gates
        self._finished = finished
        self._room = asyncio.Event()
        self._room.set()
        self._task = asyncio.get_running_loop().create_task(self._play(program))

    def pause(self) -> None:
        """The connection's buffer is full."""
        self._room.clear()

    def resume(self) -> None:
        """The connection's buffer has room."""
        self._room.set()

    def stop(self) -> None:
        """The connection is gone."""
        self._task.cancel()

    async def _play(self, program: Program | LiveProgram) -> None:
        problem: str | None = None
        try:
            if isinstance(program, Program):
                await self._play_all(program.ops)
            else:
                await self._follow(program.ops)
        except OSError as error:
            problem = f"the answer's file can't be read: {error.strerror or error}"
        except Exception as error:  # noqa: BLE001  whatever a live program does, its connection must end
            problem = f"the answer failed: {type(error).__name__}: {error}"
        self._finished(problem)

    async def _play_all(self, ops: tuple[Op, ...]) -> None:
        for op in ops:
            instead = await self._step(op)
            if instead is not None:
                await self._play_all(instead)
                return

    async def _follow(self, ops: AsyncIterator[Op]) -> None:
        try:
            async for op in ops:
                instead = await self._step(op)
                if instead is not None:
                    await self._play_all(instead)
                    return
        finally:
            if isinstance(ops, AsyncGenerator):  # it may have something to clean up
                await ops.aclose()

    async def _step(self, op: Op) -> tuple[Op, ...] | None:
        """Do it; what to play instead of all that follows, if anything."""
        match op:
            case Send(data, pace):
                await self._send_all(data, Rhythm(pace) if pace is not None else None)
            case SendFile():
                await self._send_file(op)
            case Wait(seconds):
                await wait_until(time.monotonic() + seconds)
            case Hold(gate, timeout, otherwise):
                if not await self._gates.passed(gate, timeout):
                    return otherwise
            case Listen(inbox, seconds):
                await _news(inbox, seconds)
            case Stall():
                self._outlet.stall()
                await asyncio.get_running_loop().create_future()  # whoever ends the connection ends this
            case HalfClose():
                self._outlet.half_close()
            case Close():
                self._outlet.close("fin")
            case Reset():
                await self._let_it_arrive()
                self._outlet.close("rst")
        return None

    async def _send_all(self, data: bytes, rhythm: Rhythm | None) -> None:
        start = 0
        while start < len(data):
            length = min(len(data) - start, PIECE)
            if rhythm is not None:
                length = await rhythm.next(length)
            await self._send(data[start : start + length])
            start += length

    async def _send(self, data: bytes) -> None:
        await self._room.wait()
        self._outlet.send(data)
        await asyncio.sleep(0)  # the turn ends: the piece is committed and leaves

    async def _send_file(self, op: SendFile) -> None:
        rhythm = Rhythm(op.pace) if op.pace is not None else None
        with op.path.open("rb", buffering=0) as file:
            file.seek(op.offset)
            left = op.length
            while left > 0:
                data = file.read(min(left, PIECE))
                if not data:
                    raise OSError(0, "it became shorter while it was sent")
                left -= len(data)
                await self._send_all(data, rhythm)

    async def _let_it_arrive(self) -> None:
        """Wait until the client's system has what was sent, for a time that no client can draw out."""
        give_up = time.monotonic() + RESET_PATIENCE
        look = _FIRST_LOOK
        while self._outlet.under_way() and time.monotonic() < give_up:
            await asyncio.sleep(look)
            look = min(look * 2, _LONGEST_LOOK)
