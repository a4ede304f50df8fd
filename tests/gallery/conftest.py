"""The whole gallery behind one engine."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from inspectd.gallery.catalogue import cases
from inspectd.gallery.serving import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def gallery_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where every case is served, as `127.0.0.1:PORT`, by an engine in a thread of its own."""
    capture: Path = tmp_path_factory.mktemp("gallery") / "gallery.inspectd"
    found: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        try:
            async with served(cases().values(), capture) as address:
                found.append(address)
                ready.set()
                await over.wait()
        finally:
            ready.set()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(60)
    assert not thread.is_alive()
