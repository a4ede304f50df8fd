"""Plays a program that takes time: it waits, holds, sends more than fits at once, or learns its steps as it goes.

Programs that are one `Send` don't come here; the connection sends them in passing. A player is one task, owned by its
connection and stopped with it. Each piece is recorded before it is sent, and the next one follows when there is room.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.rules.program import Close, HalfClose, Hold, Program, Reset, Send, SendFile, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from inspectd.rules.program import LiveProgram, Op

PIECE: Final = 256 * 1024
"""Bytes that are recorded and sent at a time."""


class Outlet(Protocol):
    """What a player does to its connection."""

    def send(self, data: bytes) -> None: ...
    def half_close(self) -> None: ...
    def close(self, how: str) -> None: ...


class Gates:
    """Named gates that holds wait for. A gate stays open once it was opened."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    def open(self, name: str) -> None:
        """Let everything that waits at this gate pass."""
        self._gates.setdefault(name, asyncio.Event()).set()

    async def passed(self, name: str) -> None:
        """Wait until the gate is open."""
        await self._gates.setdefault(name, asyncio.Event()).wait()


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
                for op in program.ops:
                    await self._step(op)
            else:
                await self._follow(program.ops)
        except OSError as error:
            problem = f"the answer's file can't be read: {error.strerror or error}"
        except Exception as error:  # noqa: BLE001  whatever a live program does, its connection must end
            problem = f"the answer failed: {type(error).__name__}: {error}"
        self._finished(problem)

    async def _follow(self, ops: AsyncIterator[Op]) -> None:
        async for op in ops:
            await self._step(op)

    async def _step(self, op: Op) -> None:
        match op:
            case Send(data):
                for start in range(0, len(data), PIECE):
                    await self._send(data[start : start + PIECE])
            case SendFile():
                await self._send_file(op)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Hold(gate):
                await self._gates.passed(gate)
            case HalfClose():
                self._outlet.half_close()
            case Close():
                self._outlet.close("fin")
            case Reset():
                self._outlet.close("rst")

    async def _send(self, data: bytes) -> None:
        await self._room.wait()
        self._outlet.send(data)
        await asyncio.sleep(0)  # the turn ends: the piece is committed and leaves

    async def _send_file(self, op: SendFile) -> None:
        with op.path.open("rb", buffering=0) as file:
            file.seek(op.offset)
            left = op.length
            while left > 0:
                data = file.read(min(left, PIECE))
                if not data:
                    raise OSError(0, "it became shorter while it was sent")
                left -= len(data)
                await self._send(data)
