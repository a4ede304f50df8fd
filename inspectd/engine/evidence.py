"""What a client does with crafted answers: how much of them it took, who ended the connection, whether it asked again.

A witness stands by a connection from its first crafted answer on. It looks when looking is cheap and the truth is
there: when the next request has been read, a few times a second while bytes are on their way, and when the connection
ends. Nothing is known on systems that don't tell (`tcp.acknowledged`); the row then says so.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.capture.beside import EvidenceRecord
from inspectd.engine import tcp
from inspectd.rules.passing import Pass
from inspectd.rules.program import Hold, Program, Send, SendFile

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.engine.pending import Pending
    from inspectd.rules.program import LiveProgram

ATTEMPTS_KEPT: Final = 4096
"""Requests that are remembered in order to know them when they come again."""
ATTEMPTS_NS: Final = 600_000_000_000
"""A request that comes again later than this is a new one."""

Identity: TypeAlias = tuple[str, bytes, bytes, bytes, str | None, int | None, bytes]
"""The client's host and its own words for itself, and of its request the method, the target, Host, the length and a
digest of the content."""

_SHORT: Final = 200
"""Bytes of a target that are kept as they are."""


class Trial:
    """One crafted answer: its evidence, and what that is found out from."""

    __slots__ = ("before", "connection", "ended_ns", "evidence", "exchange", "last_ns", "start", "whole")

    def __init__(
        self, connection: ConnectionRecord, exchange: ExchangeRecord, evidence: EvidenceRecord
    ) -> None:
        self.connection = connection
        self.exchange = exchange
        self.evidence = evidence
        self.start = connection.bytes_out
        """Where the answer begins in the outgoing stream."""
        self.before = exchange.res_len or 0
        """Bytes that were sent for this exchange before the answer: an invitation to send the content."""
        self.whole = False
        """The program has come to its end."""
        self.last_ns: int | None = None
        """When the last byte was handed to the socket, once the program has come to its end."""
        self.ended_ns: int | None = None
        """When the connection ended, if the program had not come to its end by then."""

    @property
    def over_ns(self) -> int | None:
        """When this attempt was over for the client, in ns since the epoch; None while nothing was sent."""
        return self.last_ns or self.ended_ns or self._last_byte_ns

    @property
    def _last_byte_ns(self) -> int | None:
        return self.connection.last_out_ns if self.evidence.sent else None

    @property
    def begun(self) -> bool:
        """Something was sent of it."""
        return (self.exchange.res_len or 0) > self.before or self.whole

    def measure(self, acknowledged: int | None) -> bool:
        """Note what was sent and acknowledged of the answer; whether that is news."""
        evidence = self.evidence
        sent = (self.exchange.res_len or 0) - self.before
        acked = None if acknowledged is None else min(max(acknowledged - self.start, 0), sent)
        if sent == evidence.sent and acked == evidence.acked:
            return False
        evidence.sent = sent
        if acked is not None:
            evidence.acked = acked
        return True

    def complete(self) -> None:
        """The program has come to its end."""
        self.whole = True
        evidence = self.evidence
        evidence.sent = (self.exchange.res_len or 0) - self.before
        if evidence.planned is None:
            evidence.planned = evidence.sent  # what could not be known before
        self.last_ns = self._last_byte_ns


class Attempts:
    """The requests that got crafted answers lately, by what makes two of them the same."""

    def __init__(self) -> None:
        self._lately: OrderedDict[Identity, Trial] = OrderedDict()

    def clear(self) -> None:
        """Forget them: whatever comes now comes for the first time."""
        self._lately.clear()

    def note(self, trial: Trial, pending: Pending, client: str) -> None:
        """Find out whether the request came before from this client, and remember it."""
        key = _identity(trial, pending, client)
        before = self._lately.pop(key, None)
        self._lately[key] = trial
        if len(self._lately) > ATTEMPTS_KEPT:
            self._lately.popitem(last=False)
        if before is None:
            return
        started = trial.exchange.started_ns
        over = before.over_ns
        if started - (over or before.exchange.started_ns) > ATTEMPTS_NS:
            return
        evidence = trial.evidence
        evidence.previous = before.exchange.id
        evidence.attempt = before.evidence.attempt + 1
        evidence.gap_ns = started - over if over is not None and over <= started else None


def _identity(trial: Trial, pending: Pending, client: str) -> Identity:
    """What two attempts at the same thing have in common.

    Other fields may differ: a client that tries again brings a token, a cookie, or counts its attempts.
    """
    head = pending.head
    target = head.target if len(head.target) <= _SHORT else _digest(head.target)
    agent = head.get(b"user-agent") or b""
    who = _digest(agent + b"\n" + (head.upgrade or b"")) if agent or head.upgrade else b""
    # When the answer came before all of the content did, how much had come by then is chance.
    if pending.complete:
        content = _digest(pending.content) if pending.content_length else b""
        return client, who, head.method, target, trial.exchange.host, pending.content_length, content
    return client, who, head.method, target, trial.exchange.host, head.length, b""


def _digest(data: bytes | bytearray) -> bytes:
    return blake2b(data, digest_size=16).digest()


class Witness:
    """Stands by one connection and keeps the evidence of its crafted answers."""

    before: int | None = 0
    """Bytes that the socket carried before the connection's own, in whose tunnel it is read; None: nobody knows."""

    def __init__(self, connection: ConnectionRecord, sock: TransportSocket, attempts: Attempts) -> None:
        self._connection = connection
        self._sock = sock
        self._client = connection.peer.rpartition(":")[0]
        self._attempts = attempts
        self._unsettled: deque[Trial] = deque()  # in their order on the connection
        self._tells = tcp.acknowledged(sock) is not None
        self._last: Trial | None = None

    def begin(self, pending: Pending, program: Program | LiveProgram, rule: str) -> None:
        """A crafted answer is about to begin, or to be held."""
        exchange = pending.exchange
        evidence = EvidenceRecord(exchange.id, rule, planned(program), reused=exchange.number > 1)
        if self._tells:
            evidence.acked = 0
        self._last = trial = Trial(self._connection, exchange, evidence)
        self._unsettled.append(trial)
        self._attempts.note(trial, pending, self._client)
        self._connection.save_evidence(evidence)

    def decide(self, program: Program | LiveProgram, rule: str) -> None:
        """What was held gets this answer."""
        trial = self._last
        if trial is not None:
            trial.evidence.rule, trial.evidence.planned = rule, planned(program)
            trial.start = self._connection.bytes_out
            self._connection.save_evidence(trial.evidence)

    def complete(self, exchange: ExchangeRecord) -> None:
        """The program of this exchange has come to its end."""
        trial = self._last
        if trial is not None and trial.exchange is exchange:
            trial.complete()
            self._connection.save_evidence(trial.evidence)

    def look(self) -> bool:
        """See how far the client has come; whether there is something new to write.

        Bytes are acknowledged in their order, so only the oldest answers that are not settled, and the one under way,
        can have changed.
        """
        unsettled = self._unsettled
        if not unsettled or not unsettled[0].begun:
            return False
        acknowledged = self._acknowledged()
        news = False
        while unsettled:
            trial = unsettled[0]
            news |= self._measure(trial, acknowledged)
            if not trial.whole or (acknowledged is not None and trial.evidence.acked != trial.evidence.sent):
                break
            unsettled.popleft()
        if len(unsettled) > 1:
            news |= self._measure(unsettled[-1], acknowledged)
        return news

    def _measure(self, trial: Trial, acknowledged: int | None) -> bool:
        news = trial.measure(acknowledged)
        if news:
            self._connection.save_evidence(trial.evidence)
        return news

    def _acknowledged(self) -> int | None:
        """How many bytes of the outgoing stream the client's system has; None where that isn't known."""
        acknowledged = tcp.acknowledged(self._sock)
        return None if acknowledged is None or self.before is None else acknowledged - self.before

    @property
    def waiting(self) -> bool:
        """Whether it is not known yet what the client takes of an answer."""
        return bool(self._unsettled)

    def end(self, now: int) -> None:
        """The connection has ended; its record says how. `now` is in ns since the epoch."""
        connection, trial = self._connection, self._last
        acknowledged = self._acknowledged()
        for unsettled in self._unsettled:
            self._measure(unsettled, acknowledged)
            if not unsettled.whole:
                unsettled.ended_ns = now
        if trial is None:
            return
        evidence = trial.evidence
        if connection.bytes_out == trial.start + evidence.sent:  # nothing was said after it
            evidence.ended_by, evidence.how = connection.closed_by, connection.how
            since = self._since(trial)
            evidence.after_ns = None if since is None else self._end_ns(now) - since
            self._connection.save_evidence(evidence)

    def _end_ns(self, now: int) -> int:
        connection = self._connection
        if connection.how == "fin":
            fin = connection.fin_in_ns if connection.closed_by == "client" else connection.fin_out_ns
            return fin or now
        return now

    def _since(self, trial: Trial) -> int | None:
        exchange = trial.exchange
        if trial.evidence.sent:
            return self._connection.last_out_ns
        return exchange.received_ns or exchange.started_ns


def planned(program: Program | LiveProgram) -> int | None:
    """How many bytes a program sends when it is played to its end; None when nobody can know."""
    if not isinstance(program, Program) or isinstance(program, Pass):
        return None
    length = 0
    for op in program.ops:
        if isinstance(op, Send):
            length += len(op.data)
        elif isinstance(op, SendFile):
            length += op.length
        elif isinstance(op, Hold) and op.otherwise is not None:
            return None  # there are two answers, and which one it is shows when the time is over
    return length
