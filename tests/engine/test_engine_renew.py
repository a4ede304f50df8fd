"""An engine that begins afresh ends what was open, forgets what was recorded, and leaves nobody on the old port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]


async def test_clients_of_before_are_cut_off_and_find_nobody(run_engine: RunEngine) -> None:
    async with run_engine() as running:
        before = await running.connect()
        await before.send(b"GET /kept HTTP/1.1\r\n\r\n")
        await before.until(b"hello")
        half = await running.connect()
        await half.send(b"GET /half HT")
        await running.eventually(lambda: running.engine.open_connections == 2)

        (address,) = await running.engine.renew()

        assert running.engine.open_connections == 0
        assert await before.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(running.host, running.port)
        assert address == running.engine.addresses[0]
        assert address != f"{running.host}:{running.port}"
        await before.close()
        await half.close()


async def test_it_serves_on_and_counts_on(run_engine: RunEngine) -> None:
    async with run_engine() as running:
        assert b"hello" in await running.ask(b"GET /1 HTTP/1.1\r\n\r\n")
        await running.closed(1)
        for number in range(2, 6):
            (address,) = await running.engine.renew()
            running.port = int(address.rpartition(":")[2])

            assert b"hello" in await running.ask(b"GET /%d HTTP/1.1\r\n\r\n" % number)
            row = await running.exchange(number)
            assert (row.target, row.connection) == (f"/{number}", number)
            await running.closed(number)
            assert (running.engine.exchanges, running.engine.connections) == (number, number)
            assert running.capture.exchange(number - 2) is None
