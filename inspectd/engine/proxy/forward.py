"""A request on its way to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inspectd.engine.pending import Pending

if TYPE_CHECKING:
    from inspectd.capture.beside import ForwardRecord
    from inspectd.capture.records import ExchangeRecord
    from inspectd.engine.proxy.patching import Patching
    from inspectd.engine.proxy.routes import Route
    from inspectd.rules.passing import Pass
    from inspectd.wire import ArrivedHead, ArrivedResponseHead


class Piece(NamedTuple):
    """Bytes, and the place of the first one: its page and where in it."""

    data: bytes
    page: int
    at: int


class Forward(Pending):
    """A request, and how far it is on its way to a server and back.

    Pieces that can't be sent yet wait in `outbox`, in their order; `held` counts their bytes.
    """

    __slots__ = (
        "again",
        "answered",
        "direct",
        "done",
        "head_of_answer",
        "held",
        "interim",
        "lead",
        "outbox",
        "over",
        "patching",
        "record",
        "route",
        "seen",
        "told",
        "told_by",
        "whole",
    )

    def __init__(self, exchange: ExchangeRecord, head: ArrivedHead) -> None:
        super().__init__(exchange, head)
        self.direct = False
        """No rule wants to see it: its bytes go to the server as they come."""
        self.told_by: Pass | None = None
        """The rule's word that it be forwarded, if it was one's,"""
        self.patching: Patching | None = None
        """and what that makes of the answer."""
        self.route: Route | None = None
        self.record: ForwardRecord | None = None
        self.outbox: list[Piece] = []
        self.held = 0
        self.whole = False
        """All of the request has arrived, or will never."""
        self.told = 0
        """Bytes of the answer that came."""
        self.interim = False
        """The head that came last was one of an interim response."""
        self.head_of_answer: ArrivedResponseHead | None = None
        self.answered = False
        """The answer has ended,"""
        self.done = False
        """and that was noted."""
        self.over = False
        """Nothing is forwarded for it any more."""
        self.again: list[Piece] = []
        """What to send again when a connection that was used before turns out to be closed."""
        self.lead = 0
        """Bytes of blank lines before the head."""
        self.seen = 0
        """How many bytes there were when the row was written last."""

    def put(self, piece: Piece) -> None:
        """Keep this until it can be sent."""
        self.outbox.append(piece)
        self.held += len(piece.data)


def split(pieces: list[Piece], length: int) -> tuple[list[Piece], list[Piece]]:
    """The pieces with the first `length` bytes, and the others."""
    first: list[Piece] = []
    for number, piece in enumerate(pieces):
        if length < len(piece.data):
            cut = [Piece(piece.data[:length], piece.page, piece.at)] if length else []
            rest = Piece(piece.data[length:], piece.page, piece.at + length)
            return [*first, *cut], [rest, *pieces[number + 1 :]]
        first.append(piece)
        length -= len(piece.data)
    return first, []
