"""What a program has said to servers, in a few lines, and as JSON lines: both are read from the capture.

Everything that came from outside is safe text. A program may speak to any number of hosts and fail in any number of
ways: what is kept and shown of them is bounded, what is counted isn't.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import ExchangeRow, State
from inspectd.capture.reader import BytesGone, Capture
from inspectd.capture.urls import url_in_tunnel
from inspectd.cli.follow import Follower
from inspectd.cli.lines import JsonLines, json_line, size
from inspectd.text.safe import clip, pad, safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from inspectd.capture.model import ConnectionRow
    from inspectd.cli.own_engine import OwnEngine

HOSTS_KEPT: Final = 1000
"""Hosts that are told apart; further ones are counted together."""
HOSTS_SHOWN: Final = 12
FAILURES_SHOWN: Final = 6
_TEXT: Final = 100
"""Cells of a name."""
_URL: Final = 200
_SENTENCE: Final = 600
"""Cells of a URL, and of a sentence with one: what to do about it stands at its end."""
_OTHERS: Final = "other hosts"
_REFUSED: Final = "tls-refused"


@dataclass
class Summary:
    """Counts, and the first few failures."""

    exchanges: int = 0
    tunnels: int = 0
    """Tunnels that were looked into: what was inside is counted by itself."""
    sent: int = 0
    received: int = 0
    first_ns: int = 0
    last_ns: int = 0
    hosts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    """Where tunnels went whose bytes were passed on as they were."""
    refused: Counter[str] = field(default_factory=Counter)
    """Names whose certificate from the authority was refused."""
    connections: Counter[str] = field(default_factory=Counter)
    """What else came that was no request, by the sentence about it."""

    def exchange(self, row: ExchangeRow, capture: Capture) -> None:
        """Count one exchange."""
        self.first_ns = min(self.first_ns or row.started_ns, row.started_ns)
        self.last_ns = max(self.last_ns, row.finished_ns or row.started_ns)
        forward = capture.forward(row.id)
        if row.method == "CONNECT" and (row.status or "").startswith("2"):
            if forward is None:
                self.tunnels += 1
            else:
                self._unread(row, capture)
            return
        self.exchanges += 1
        self.sent += row.req_len or 0
        self.received += row.res_len or 0
        host = (forward.origin if forward is not None else row.host) or "?"
        if host not in self.hosts and len(self.hosts) >= HOSTS_KEPT:
            host = _OTHERS
        self.hosts.setdefault(host, Counter())[_outcome(row)] += 1
        if forward is not None and forward.failure:
            target = url_in_tunnel(capture, row) or row.target or "?"
            _count(self.failures, f"{row.method or '?'} {clip(safe(target), _URL)}: {forward.failure}")

    def _unread(self, row: ExchangeRow, capture: Capture) -> None:
        _count(self.unread, row.target or "?")
        connection = capture.connection(row.connection)
        if connection is not None:
            self.sent += connection.bytes_in
            self.received += connection.bytes_out

    def connection(self, row: ConnectionRow, capture: Capture) -> None:
        """Count a connection that never became a request."""
        if capture.upstream(row.id) is not None:
            return
        self.first_ns = min(self.first_ns or row.opened_ns, row.opened_ns)
        self.last_ns = max(self.last_ns, row.closed_ns or row.opened_ns)
        if row.kind == _REFUSED:
            tls = capture.tls(row.id)
            _count(self.refused, (tls.sni if tls is not None else None) or "a host without a name")
        elif row.sentence and row.bytes_in:
            _count(self.connections, row.sentence)


def _count(counter: Counter[str], what: str) -> None:
    if what in counter or len(counter) < HOSTS_KEPT:
        counter[what] += 1


def _outcome(row: ExchangeRow) -> str:
    if not row.state & State.RESPONSE_STARTED:
        return "no answer" if row.state & State.REQUEST_COMPLETE else "cut short"
    status = row.status or "no status"
    return status if row.state & State.RESPONSE_COMPLETE else f"{status} (cut)"


def summed_up(engine: OwnEngine) -> Summary:
    """Read the capture from where the engine began. Raises `CaptureError`."""
    summary = Summary()
    with Capture.open(engine.listening.capture) as capture:
        for row in _rows(engine, capture):
            if isinstance(row, ExchangeRow):
                summary.exchange(row, capture)
            else:
                summary.connection(row, capture)
    return summary


def _rows(engine: OwnEngine, capture: Capture) -> Iterator[ExchangeRow | ConnectionRow]:
    return Follower(capture, after=engine.after, since_ns=engine.since_ns).finished(final=True)


def summary_lines(engine: OwnEngine, command: Sequence[str]) -> Iterator[str]:
    """The lines of the summary, the way to the capture last."""
    import shlex

    summary = summed_up(engine)
    yield f"inspectd: {_headline(summary)}"
    if not (summary.exchanges or summary.tunnels or summary.unread or summary.connections):
        yield (
            f"  Nothing of {clip(safe(command[0]), 40)} came through the proxy: it asked no server, or doesn't read"
            " the variables. inspectd run --help tells who does."
        )
    ranked = sorted(summary.hosts.items(), key=lambda item: (item[0] == _OTHERS, -item[1].total()))
    width = max((len(str(outcomes.total())) for _, outcomes in ranked), default=1)
    names = [clip(safe(host), 48) for host, _ in ranked[:HOSTS_SHOWN]]
    column = max(map(len, names), default=0)
    for name, (_, outcomes) in zip(names, ranked, strict=False):
        told = ", ".join(_times(clip(safe(each), 24), count) for each, count in outcomes.most_common(8))
        yield f"  {outcomes.total():>{width}}  {pad(name, column)}  {told}"
    if len(ranked) > HOSTS_SHOWN:
        yield f"  and {len(ranked) - HOSTS_SHOWN} more hosts"
    yield from _shown("left unread", summary.unread)
    yield from _shown("failed", summary.failures)
    for name, count in summary.refused.most_common(FAILURES_SHOWN):
        shown = clip(safe(name), _TEXT)
        yield f"  refused our certificate: {_times(shown, count)}; --no-intercept {shown} leaves it alone"
    yield from _shown("no request", summary.connections)
    path = engine.listening.capture
    yield f"  capture: {safe(path)}"
    yield f"  look at it: inspectd open {safe(shlex.quote(path))}"


def _headline(summary: Summary) -> str:
    words = "no exchange"
    if summary.exchanges:
        words = f"{_many(summary.exchanges, 'exchange')} with {_many(len(summary.hosts), 'host')}"
    if summary.unread:
        words += f", {_many(summary.unread.total(), 'tunnel')} left unread"
    if not summary.first_ns:
        return words
    seconds = (summary.last_ns - summary.first_ns) / 1e9
    return f"{words} in {seconds:.2f} s: {size(summary.sent)} bytes sent, {size(summary.received)} received"


def _shown(word: str, counted: Counter[str]) -> Iterator[str]:
    for what, count in counted.most_common(FAILURES_SHOWN):
        yield f"  {word}: {_times(clip(safe(what), _SENTENCE), count)}"
    if len(counted) > FAILURES_SHOWN:
        yield f"  {word}: and {len(counted) - FAILURES_SHOWN} more"


def _times(what: str, count: int) -> str:
    return what if count == 1 else f"{what} ({count}x)"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def write_lines(engine: OwnEngine, out: TextIO) -> None:
    """Write a JSON line for everything that came, oldest first. Raises `CaptureError` and OSError."""
    lines = JsonLines()
    with Capture.open(engine.listening.capture) as capture:
        for row in _rows(engine, capture):
            try:
                made = (
                    lines.exchange(row, capture)
                    if isinstance(row, ExchangeRow)
                    else lines.connection(row, capture)
                )
            except BytesGone:
                made = json_line({"type": "removed", "exchanges": 1})
            out.write(made)
