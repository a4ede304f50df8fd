"""What waits on a connection for its turn to be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.capture.model import State

if TYPE_CHECKING:
    from inspectd.capture.records import ExchangeRecord
    from inspectd.rules.program import Program
    from inspectd.wire import ArrivedHead

_REQUEST_COMPLETE: Final = State.REQUEST_COMPLETE.value


class Pending:
    """A request on its way to an answer."""

    __slots__ = ("content", "content_length", "exchange", "head", "invited")

    def __init__(self, exchange: ExchangeRecord, head: ArrivedHead) -> None:
        self.exchange = exchange
        self.head = head
        self.content: bytes | bytearray = b""
        """The beginning of the content, and how many bytes there were in all."""
        self.content_length = 0
        self.invited = False
        """Whether `100 Continue` was sent."""

    @property
    def complete(self) -> bool:
        """Whether the end of the request has arrived."""
        return bool(self.exchange.state & _REQUEST_COMPLETE)

    def take(self, data: bytes, kept: int) -> None:
        """More content has arrived, of which the first `kept` bytes are remembered."""
        if not self.content_length:
            self.content = data[:kept]
        elif len(self.content) < kept:
            if isinstance(self.content, bytes):
                self.content = bytearray(self.content)  # it grows without a copy for each piece
            self.content += data[: kept - len(self.content)]
        self.content_length += len(data)


class Refused(NamedTuple):
    """A request that is refused, when earlier ones have been answered."""

    exchange: ExchangeRecord
    program: Program
