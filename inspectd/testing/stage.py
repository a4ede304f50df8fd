"""An engine for tests: it runs in the shared loop thread, on a free port, and can begin afresh within a millisecond.

The engine is the same that `inspectd` runs, with its capture. What a test asks about bytes, connections and evidence is
read from that file, as any viewer does.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from inspectd.capture.reader import Capture
from inspectd.engine.config import EngineConfig, Limits
from inspectd.engine.server import Engine
from inspectd.errors import InspectdError
from inspectd.testing.loop import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from inspectd.rules.responder import Responder
    from inspectd.rules.tables import AcceptTable

_T = TypeVar("_T")

LISTEN: Final = "127.0.0.1:0"
_MANY: Final = 200
"""Exchanges after which the record of earlier tests is forgotten."""
_LARGE: Final = 4 << 20
"""Bytes after which it is."""
_PATIENCE: Final = 60.0
"""Seconds that beginning afresh may take."""
_LIMITS: Final = Limits(head=1 << 20, request_line=1 << 18)


class Stage:
    """One engine and a reader of its capture. `close` ends it."""

    def __init__(self, responder: Responder, *, listen: str = LISTEN, capture: Path | None = None) -> None:
        self._directory: Path | None = None
        if capture is None:
            self._directory = Path(tempfile.mkdtemp(prefix="inspectd-test-"))
            capture = self._directory / "test.inspectd"
        self.capture = capture
        self._thread = LoopThread.acquire()
        try:
            config = EngineConfig(
                capture=capture, listen=(listen,), limits=_LIMITS, grace=0.0, durability="relaxed"
            )
            self.engine = Engine(config, responder)
            self._thread.run(self.engine.start())
        except BaseException:
            self._thread.release()
            self._remove()
            raise
        self._closed = False
        self._renewing: Future[None] | None = None
        self.listener: Callable[[], None] = _nothing
        """Called in the engine's loop when something was held or released."""
        self.engine.holds.on_change.append(lambda *_: self.listener())
        self._reader = Capture.open(capture)
        self._reading = threading.Lock()
        self._forget_at = _MANY, _LARGE
        self._mark()

    def _mark(self) -> None:
        """What was recorded up to here is of others."""
        engine = self.engine
        self.address = _address(engine.addresses[0])
        self.before = (engine.exchanges, engine.connections)

    def renew(self, responder: Responder) -> None:
        """Begin afresh: end what is open, listen on another port, answer with `responder`.

        It takes place while the caller goes on; `ready` waits for its end. Now and then what was recorded goes as well.
        """
        self._renewing = self._thread.begin(self._renew(responder))

    def ready(self) -> None:
        """Wait for the end of what `renew` has begun. Raises what went wrong in it."""
        if self._renewing is not None:
            renewing, self._renewing = self._renewing, None
            try:
                renewing.result(_PATIENCE)
            except TimeoutError:
                raise InspectdError(
                    "the engine of the tests did not end what the test before left open"
                ) from None

    async def _renew(self, responder: Responder) -> None:
        self.engine.set_responder(responder)
        full = self.engine.exchanges >= self._forget_at[0] or self._size() >= self._forget_at[1]
        await self.engine.renew(forget=full)
        if full:
            self._forget_at = self.engine.exchanges + _MANY, self._size() + _LARGE
        self._mark()

    def _size(self) -> int:
        """Bytes that the capture takes, with its write-ahead log."""
        log = self.capture.with_name(f"{self.capture.name}-wal")
        return sum(path.stat().st_size for path in (self.capture, log) if path.exists())

    def silence(self) -> None:
        """End what is open: what is recorded is complete then, and nothing more comes on these connections."""
        self._thread.run(self.engine.silence())

    def close(self) -> None:
        """Stop the engine. The capture goes too, unless its place was chosen by somebody."""
        with contextlib.suppress(InspectdError):  # it was told, or nobody needs it any more
            self.ready()
        self._closed = True
        self._thread.run(self.engine.stop())
        self._reader.close()
        self._thread.release()
        self._remove()

    def _remove(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    # -- asking the engine and its record

    def call(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call a function in the engine's loop."""
        return self._thread.call(function, *arguments)

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the engine's loop."""
        return self._thread.run(coroutine)

    def accept(self, table: AcceptTable | None) -> None:
        """What happens to new connections."""
        self._thread.call(self.engine.set_accept, table)

    def commit(self) -> None:
        """Put into the capture what has happened: it is written a little later than it happens."""
        if not self._closed:
            self._thread.call(self.engine.commit)

    def read(self, look: Callable[[Capture], _T]) -> _T:
        """Look into the capture, in which everything is that was sent or received before."""
        self.commit()
        with self._reading:
            return look(self._reader)

    @property
    def recorded(self) -> tuple[int, int]:
        """The newest exchange and the newest connection of the capture."""
        return self.engine.exchanges, self.engine.connections


def _nothing() -> None:
    """A turn of the loop."""


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
