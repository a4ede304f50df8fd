"""The part of a forwarded connection that does what rules say of requests they leave to a server, and of its answers.

The bytes that a client gets are the exchange's, those that the server sent its forward's: both are recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.engine.player import Player
from inspectd.engine.proxy.patching import Patching
from inspectd.engine.proxy.routes import as_json
from inspectd.engine.proxy.ruled import ruled
from inspectd.engine.proxy.tunnel import Tunnelling
from inspectd.rules.passing import PASS
from inspectd.rules.program import Program

if TYPE_CHECKING:
    from inspectd.engine.proxy.forward import Forward
    from inspectd.engine.proxy.patching import Given
    from inspectd.engine.proxy.routes import Failure, Route
    from inspectd.engine.proxy.upstream import Upstream
    from inspectd.rules.answer import Answer


class Ruling(Tunnelling):
    """Adds what rules say."""

    __slots__ = ()

    def _let_go(self, forward: Forward) -> None:
        """Nothing more is forwarded for this request."""

    def _pass_back(
        self, upstream: Upstream, forward: Forward | None, data: bytes, now: int, *, head: int | None = None
    ) -> None:
        """Send the client what the server sent."""

    def _go_now(self, forward: Forward) -> None:
        """The time is over that a rule lets a request wait."""
        if self._playing is forward.exchange and self._closing is None and not self._gone:
            self._begin(forward)

    def _route(self, forward: Forward) -> Route | Failure | Answer:
        """Where it goes: as a rule says, or as it always does; or what it is answered instead."""
        told = forward.told_by
        if told is None or told is PASS:
            return self._forwarder.route_or_answer(forward.head)
        route = ruled(self._forwarder, told, forward.head)
        if told.faults or (told.patch is not None and told.patch.of_response):
            forward.patching = Patching(told, forward.head.method)
        return route

    def _give(self, upstream: Upstream, forward: Forward, data: bytes, given: Given, now: int) -> bool:
        """Send the client what a rule makes of `data`, which the server sent; whether the answer goes on after it."""
        patching, record, exchange = forward.patching, forward.record, forward.exchange
        assert patching is not None
        assert record is not None
        assert upstream.record is not None
        if given.data == data:
            if data:
                self._pass_back(upstream, forward, data, now, head=given.head)
        else:
            if data:
                upstream.record.returned(record, self._record.put(data), len(data), now)
            if given.data:
                self._send(exchange, given.data, head=given.head)
        if patching.status is not None:
            exchange.status, exchange.reason = patching.status, patching.reason
        record.res_changes = as_json(patching.changes)
        if not given.instead:
            return True
        self._let_go(forward)
        self._drop(upstream)
        self._playing = exchange
        self._player = Player(Program(given.instead), self, self._site.gates, self._played)
        return False
