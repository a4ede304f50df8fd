"""The event loop that engines of tests run in: a thread of its own, so that any client, blocking or not, can be tested.

There is one such thread in a process. It is started for the first engine and ended after the last one.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")


class LoopThread:
    """An event loop in a daemon thread, uvloop's where it is installed."""

    _shared: LoopThread | None = None
    _users = 0
    _lock = threading.Lock()

    def __init__(self) -> None:
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="inspectd", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(cls) -> LoopThread:
        """The loop of this process; every `acquire` wants its `release`."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            cls._users += 1
            return cls._shared

    def release(self) -> None:
        """It isn't needed any more by who acquired it. The last one ends the thread."""
        cls = type(self)
        with cls._lock:
            cls._users -= 1
            if cls._users:
                return
            cls._shared = None
        self._stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _stop(self) -> None:
        self.run(_quiet(self.loop))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @property
    def here(self) -> bool:
        """Whether the caller runs in this very thread."""
        return threading.current_thread() is self._thread

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the loop and wait for its result. Never from within the loop."""
        if self.here:
            coroutine.close()
            raise RuntimeError("an engine can't be started, renewed or stopped by what it runs itself")
        return self.begin(coroutine).result()

    def begin(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run a coroutine in the loop; its result comes later."""
        result: Future[_T] = Future()

        def start() -> None:
            task = self.loop.create_task(coroutine)
            task.add_done_callback(lambda done: _pass_on(done, result))

        self.loop.call_soon_threadsafe(start)
        return result

    def call(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call a function in the loop, after what it has begun already, and wait for its result."""
        if self.here:
            return function(*arguments)
        result: Future[_T] = Future()

        def work() -> None:
            try:
                result.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001  it belongs to the caller
                result.set_exception(error)

        self.loop.call_soon_threadsafe(work)
        return result.result()


def _pass_on(done: asyncio.Task[_T], result: Future[_T]) -> None:
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(done.result())


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Nothing is left to do in the loop."""
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
