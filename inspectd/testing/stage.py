"""An engine for tests: it runs in the shared loop thread, on a free port, and can begin afresh within a millisecond.

The engine is the same that `inspectd` runs, with its capture. What a test asks about bytes, connections and evidence is
read from that file, as any viewer does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
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

    from inspectd.engine.listener import Opened
    from inspectd.rules.responder import Responder
    from inspectd.rules.tables import AcceptTable

_T = TypeVar("_T")

LISTEN: Final = "127.0.0.1:0"
_LARGE: Final = 16 << 20
"""Bytes of capture after which the record of earlier tests is forgotten: that costs more than to keep it."""
_PATIENCE: Final = 60.0
"""Seconds that beginning afresh may take."""
_LIMITS: Final = Limits(head=1 << 20, request_line=1 << 18)


@dataclass(slots=True)
class Begun:
    """Where in the capture a test begins: after this exchange and this connection, known when the stage is ready."""

    after: tuple[int, int] = (0, 0)


class Stage:
    """One engine and a reader of its capture. `close` ends it."""

    def __init__(self, responder: Responder, *, listen: str = LISTEN, capture: Path | None = None) -> None:
        self._directory: Path | None = None
        if capture is None:
            self._directory = Path(tempfile.mkdtemp(prefix="inspectd-test-"))
            capture = self._directory / "test.inspectd"
        self.capture = capture
        self._files = (str(capture), f"{capture}-wal")
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
        self._responder = responder
        self._settled = True
        self._settling = threading.Lock()
        self._address: tuple[str, int] | None = _address(self.engine.addresses[0])
        self.begun = Begun((self.engine.exchanges, self.engine.connections))
        """Where in the capture the test on stage begins."""
        self.listener: Callable[[], None] = _nothing
        """Called in the engine's loop when something was held or released."""
        self.engine.holds.on_change.append(lambda *_: self.listener())
        self._reader = Capture.open(capture)
        self._reading = threading.Lock()
        self._forget_at = _LARGE
        self._any_port = listen.endswith(":0")

    def renew(self, responder: Responder) -> None:
        """Begin afresh: end what is open, listen on another port, answer with `responder`.

        It takes place while the caller goes on: whoever needs its end waits for that. Clients may come at once, to the
        new address: they lie in its queue until then. Now and then what was recorded goes as well.
        """
        self.ready()
        opened = self._opened_ahead()
        self._address = _address(opened[0].address) if opened else None
        self._settled = False
        self._responder = responder
        self.begun = Begun()
        self._renewing = self._thread.begin(self._renew(responder, opened))

    def _opened_ahead(self) -> list[Opened] | None:
        if self._any_port:
            with contextlib.suppress(InspectdError):  # it is tried again, and `ready` tells
                return self.engine.open_listeners()
        return None

    def answer_with(self, responder: Responder) -> None:
        """Let this responder answer everybody who comes to the new address, and nobody who came before."""
        with self._settling:
            self._responder = responder
            if self._settled:
                self.engine.set_responder(responder)

    def _settle(self) -> None:
        with self._settling:
            self.engine.set_responder(self._responder)
            self._settled = True
            self.begun.after = self.engine.exchanges, self.engine.connections

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that clients come to."""
        if self._address is None:
            self.ready()
        assert self._address is not None
        return self._address

    def ready(self) -> None:
        """Wait for the end of what `renew` has begun. Raises what went wrong in it."""
        renewing = self._renewing
        if renewing is not None and not self._thread.here:  # there it is over when anybody comes to ask
            try:
                renewing.result(_PATIENCE)
            except TimeoutError:
                raise InspectdError(
                    "the engine of the tests did not end what the test before left open"
                ) from None

    async def _renew(self, responder: Responder, opened: list[Opened] | None) -> None:
        self.engine.set_responder(responder)
        full = self._size() >= self._forget_at
        await self.engine.renew(forget=full, opened=opened, settled=self._settle)
        if full:
            self._forget_at = self._size() + _LARGE
        if self._address is None:
            self._address = _address(self.engine.addresses[0])

    def _size(self) -> int:
        """Bytes that the capture takes, with its write-ahead log."""
        size = 0
        for path in self._files:
            with contextlib.suppress(OSError):
                size += os.stat(path).st_size  # noqa: PTH116  for every test, and a Path takes its time
        return size

    def silence(self) -> None:
        """End what is open: what is recorded is complete then, and nothing more comes on these connections."""
        self.run(self.engine.silence())

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
        self.ready()
        return self._thread.call(function, *arguments)

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the engine's loop."""
        self.ready()
        return self._thread.run(coroutine)

    def accept(self, table: AcceptTable | None) -> None:
        """What happens to new connections."""
        self.call(self.engine.set_accept, table)

    def commit(self) -> None:
        """Put into the capture what has happened: it is written a little later than it happens."""
        if not self._closed:
            self.call(self.engine.commit)

    def read(self, look: Callable[[Capture], _T]) -> _T:
        """Look into the capture, in which everything is that was sent or received before."""
        self.commit()
        with self._reading:
            return look(self._reader)


def _nothing() -> None:
    """A turn of the loop."""


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
