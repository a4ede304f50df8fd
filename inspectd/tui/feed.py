"""The rows of the traffic table, kept in step with a capture that somebody else is writing.

The feed holds one 8-byte key a row and reads the rows themselves by primary key, a screenful at a time: a
million exchanges cost 8 MB and no query grows with them. A key is the id of an exchange, or the negative id of
a connection that never became one. Nothing here knows Textual; nothing here writes.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from inspectd.capture.answered import BY_HAND
from inspectd.capture.model import ConnectionRow, ExchangeRow, State
from inspectd.capture.urls import scheme_in_tunnel, whole_target
from inspectd.capture.wanted import NOTHING_WANTED, wanted
from inspectd.errors import InspectdError
from inspectd.text.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inspectd.capture.model import EvidenceRow, TlsRow
    from inspectd.lint import Severity

Row: TypeAlias = ExchangeRow | ConnectionRow
Noted: TypeAlias = "tuple[str, Severity]"
"""The id of the finding that a row shows, and how bad it is."""

ROWS_KEPT: Final = 4096
"""Rows held in memory: many screenfuls, and a bound."""
RECENT: Final = 256
"""Rows at the end among which unfinished ones are looked for when a filter is set."""
RECENT_LOOKED_AT: Final = 64
"""Rows at the end that are looked at again with every change: is one held, did one come again, or end in a reset?"""
UNDECIDED_KEPT: Final = 2048
"""Unfinished rows that a filter looks at again."""
DENSE_FROM: Final = 32_768
"""Rows from which on ids are taken to be dense at first, so that a large capture is shown at once."""
UNLOOKED_KEPT: Final = 128
"""Rows that wait to be looked at for findings: a screenful, those asked for last."""
TRIED_AT_ONCE: Final = 64
"""Rows whose messages are read for a filter in one turn of the screen."""
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""Case as SQLite's LIKE sees it: ASCII only."""


class CaptureReader(Protocol):
    """What the feed asks of a capture; `capture.reader.Capture` offers it."""

    def changed(self) -> bool: ...
    def newest_exchange(self) -> int: ...
    def exchange_ids(self, after: int = 0) -> array[int]: ...
    def exchanges(self, ids: Sequence[int]) -> list[ExchangeRow]: ...
    def exchanges_after(self, id: int, limit: int) -> list[ExchangeRow]: ...  # noqa: A002
    def connections(self, ids: Sequence[int]) -> list[ConnectionRow]: ...
    def connection(self, number: int, /) -> ConnectionRow | None: ...
    def list_connections_after(self, after: int = 0) -> list[ConnectionRow]: ...
    def tls(self, connection: int, /) -> TlsRow | None: ...
    def evidence_of(self, exchanges: Sequence[int]) -> dict[int, EvidenceRow]: ...
    def request_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def response_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Change:
    """What a poll found: `appended` rows at the end, `reordered` when positions before the end moved."""

    appended: int = 0
    reordered: bool = False
    cleared: bool = False


class Deed(NamedTuple):
    """What a client did with a crafted answer, in short.

    `attempt` counts how often it asked, `gap_ns` says how long after the answer before, and `reset_by` who ended the
    connection with a reset (`client`, `server`). `left`: it closed its side while it was held. `closed`: the connection
    ended with FIN by this side and without a byte. `rule` is what the evidence names, where it says that it was held.
    `endless`: the client left an answer of which nobody knows how long it would have been.
    """

    attempt: int = 1
    gap_ns: int | None = None
    reset_by: str | None = None
    left: bool = False
    closed: bool = False
    rule: str = ""
    endless: bool = False


NOTHING_TO_TELL: Final = Deed()


class Shape(NamedTuple):
    """What the rows have in them, as far as they were read: the columns are laid out for it."""

    dest: bool = True
    """Some came with Sec-Fetch-Dest or Sec-Fetch-Mode, or came again."""
    urls: bool = False
    """Some name the server, as what is asked of a proxy does."""


def is_finished(row: Row) -> bool:
    """Whether a row can't change any more, so that it needs no second look."""
    if isinstance(row, ConnectionRow):
        return row.closed_ns is not None
    if row.state & State.HELD:
        return False
    done = State.REQUEST_COMPLETE | State.RESPONSE_COMPLETE
    return bool(row.state & State.ABORTED) or (row.state & done) == done


class Feed:
    """Keys of all rows in the order of the list, the shown subset when a filter is set, and a row cache."""

    def __init__(self, capture: CaptureReader) -> None:
        self.capture = capture
        self.all: array[int] = array("q")
        self.shown: array[int] = self.all
        """The keys on screen: `all` itself, or what a filter let through."""
        self._rows: OrderedDict[int, tuple[int, Row]] = OrderedDict()
        self._deeds: OrderedDict[int, Deed] = OrderedDict()
        self._schemes: OrderedDict[int, str | None] = OrderedDict()
        self._noted: dict[int, Noted | None] = {}
        self._unlooked: OrderedDict[int, None] = OrderedDict()
        self._generation = 0
        self._newest = 0
        self._newest_connection = 0
        self.shape = Shape(dest=False)
        """What was seen so far; it only ever grows."""
        self._after: dict[int, int] = {}
        self._first: tuple[int, int] | None = None
        self._connections_due = 0.0
        self._connections_upto = 0
        self._words: tuple[str, ...] = ()
        self._tests = NOTHING_WANTED
        self._untried: deque[int] = deque()
        self._undecided: set[int] = set()
        self._waiting: list[int] = []
        self.left: frozenset[int] = frozenset()
        """Exchanges that are held while their clients have closed their sides: the engine says so, no capture does."""
        self.problem: InspectdError | None = None
        """Why rows could not be read, until somebody has said it."""
        self.assumed_upto = 0
        """Ids up to this one are taken to be dense and wait for `settle`; 0 when they are known."""
        self.searching = False
        """Whether older rows are still being searched for the filter's words."""
        self.reload()

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def filtered(self) -> bool:
        """Whether `shown` is a subset."""
        return bool(self._words or self._tests.tests)

    @property
    def newest(self) -> int:
        """Id of the newest exchange known, 0 when there is none."""
        return self._newest

    @property
    def digits(self) -> int:
        """Characters of the longest number of a row: 1234, or c123 of a connection."""
        return max(len(str(self._newest)), len(f"c{self._newest_connection}") if self._after else 0)

    @property
    def connection_rows(self) -> int:
        """How many rows are connections without a request."""
        return len(self._after)

    # reading rows

    def key(self, index: int) -> int:
        """The key of the row at `index` of what is shown."""
        return self.shown[index]

    def get(self, index: int) -> Row | None:
        """The row at `index`, or None when the capture no longer holds it (`--keep` drops the oldest)."""
        return self.row(self.shown[index])

    def row(self, key: int) -> Row | None:
        """The row with this key, read again if it could have changed."""
        entry = self._rows.get(key)
        if entry is None or self._stale(entry):
            self._read([key])
            entry = self._rows.get(key)
        return None if entry is None else entry[1]

    def prefetch(self, first: int, last: int) -> None:
        """Read what is missing of the rows from `first` up to, not including, `last`, in one query a table."""
        wanted = [
            key
            for key in self.shown[max(0, first) : last]
            if (entry := self._rows.get(key)) is None or self._stale(entry)
        ]
        if wanted:
            self._read(wanted)

    def named(self, row: Row) -> Row:
        """The row as it is listed: what was read in a tunnel with its whole URL."""
        if isinstance(row, ConnectionRow):
            return row
        if row.connection not in self._schemes:
            connection = self.capture.connection(row.connection)
            self._schemes[row.connection] = scheme_in_tunnel(self.capture, connection)
            while len(self._schemes) > ROWS_KEPT:
                self._schemes.popitem(last=False)
        scheme = self._schemes[row.connection]
        if scheme is None:
            return row
        self._note_shape(urls=True)
        return msgspec.structs.replace(row, target=whole_target(row, scheme))

    def _note_shape(self, *, dest: bool = False, urls: bool = False) -> None:
        self.shape = Shape(self.shape.dest or dest, self.shape.urls or urls)

    def deed(self, key: int) -> Deed | None:
        """What is known of what the client did with the answer of this row; None when there is nothing to tell."""
        deed = self._deeds.get(key)
        return (deed or Deed())._replace(left=True) if key in self.left else deed

    def _read_deeds(self, exchanges: Sequence[int]) -> None:
        for exchange, evidence in self.capture.evidence_of(exchanges).items():
            reset_by = evidence.ended_by if evidence.how == "rst" else None
            closed = evidence.how == "fin" and evidence.ended_by == "server" and not evidence.sent
            rule = BY_HAND if evidence.rule == BY_HAND else ""
            endless = evidence.planned is None and evidence.ended_by == "client"
            deed = Deed(
                evidence.attempt, evidence.gap_ns, reset_by, closed=closed, rule=rule, endless=endless
            )
            if deed != NOTHING_TO_TELL._replace(gap_ns=evidence.gap_ns):
                self._deeds[exchange] = deed
                self._note_shape(dest=deed.attempt > 1)
        while len(self._deeds) > ROWS_KEPT:
            self._deeds.popitem(last=False)

    # findings: looked for when there is time

    def noted(self, key: int) -> Noted | None:
        """The finding to show in this row; None when there is nothing, or nobody has looked yet.

        Asking makes `look` find out, once the row can't change any more.
        """
        if key <= 0:
            return None
        if key not in self._noted:
            self._unlooked[key] = None
            self._unlooked.move_to_end(key)
            while len(self._unlooked) > UNLOOKED_KEPT:
                self._unlooked.popitem(last=False)
            return None
        return self._noted[key]

    def look(self, seconds: float) -> list[int]:
        """Look for what is found in the rows that were asked about, for about so long. Keys of those to draw again."""
        from inspectd.capture.findings import outstanding

        until = time.monotonic() + seconds
        changed = []
        while self._unlooked and time.monotonic() < until:
            key, _ = self._unlooked.popitem()
            row = self.row(key)
            if not isinstance(row, ExchangeRow) or not is_finished(row):
                continue
            found = self._noted[key] = outstanding(self.capture, row)
            if found is not None:
                changed.append(key)
        while len(self._noted) > ROWS_KEPT:
            del self._noted[next(iter(self._noted))]
        return changed

    def held(self) -> list[int]:
        """Keys of the newest rows that wait for a person."""
        recent = [key for key in self.all[-RECENT_LOOKED_AT:] if key > 0]
        stale = [key for key in recent if (entry := self._rows.get(key)) is None or self._stale(entry)]
        if stale:
            self._read(stale)
        return [key for key in recent if self.is_held(key)]

    def is_held(self, key: int | None) -> bool:
        """Whether the row with this key waits for a person, as far as it was read."""
        entry = None if key is None else self._rows.get(key)
        return entry is not None and isinstance(entry[1], ExchangeRow) and bool(entry[1].state & State.HELD)

    def index_of(self, key: int) -> int | None:
        """Where the row with this key is shown, in logarithmic time."""
        order = self._order(key)
        at = bisect_left(self.shown, order, key=self._order)
        while at < len(self.shown) and self._order(self.shown[at]) == order:
            if self.shown[at] == key:
                return at
            at += 1
        return None

    def nearest(self, key: int) -> int:
        """The index of `key`, or of the row that stands where it would be; -1 when nothing is shown."""
        at = self.index_of(key)
        if at is not None:
            return at
        return min(bisect_left(self.shown, self._order(key), key=self._order), len(self.shown) - 1)

    def _order(self, key: int) -> int:
        # A connection stands behind the exchange that was the newest when it was understood.
        return key * 2 if key > 0 else self._after.get(-key, 0) * 2 + 1

    def _stale(self, entry: tuple[int, Row]) -> bool:
        return entry[0] != self._generation and not is_finished(entry[1])

    def _read(self, keys: Iterable[int]) -> None:
        exchanges: list[int] = []
        connections: list[int] = []
        for key in keys:
            (exchanges.append(key) if key > 0 else connections.append(-key))
            self._rows.pop(key, None)
        generation = self._generation
        try:
            if exchanges:
                for exchange in self.capture.exchanges(exchanges):
                    self._rows[exchange.id] = (generation, exchange)
                    self._note_shape(
                        dest=bool(exchange.dest or exchange.mode),
                        urls=exchange.method == "CONNECT" or is_url(exchange.target or ""),
                    )
                self._read_deeds(exchanges)
            if connections:
                for connection in self.capture.connections(connections):
                    self._rows[-connection.id] = (generation, connection)
        except InspectdError as problem:
            # Rows are read while the screen is drawn: what can't be read is drawn as missing, and said.
            self.problem = problem
        while len(self._rows) > ROWS_KEPT:
            self._rows.popitem(last=False)

    # filtering

    def show_all(self) -> None:
        """Let every row through."""
        self.shown = self.all
        self._words = ()
        self._tests = NOTHING_WANTED
        self._undecided.clear()
        self._untried.clear()
        self.searching = False

    def begin_filter(self, words: str) -> int:
        """Show only rows in which all words occur. Returns the id up to which older rows are to be searched.

        Rows that come from now on are tried as they come; a search brings the older ones by `add_older`. Raises
        NotATestError, and changes nothing, when a test of findings can't be meant so.
        """
        self._tests = wanted(words)
        self._words = tuple(word.translate(_LOWER) for word in self._tests.words)
        self._untried.clear()
        self.shown = array("q")
        self.searching = True
        self._waiting = []
        recent = ((key, self.row(key)) for key in self.all[-RECENT:])
        self._undecided = {key for key, row in recent if row is not None and not is_finished(row)}
        return self._newest

    def add_connections(self, connections: Iterable[int]) -> None:
        """Take in the connections that a search found. They are shown with the exchanges around them."""
        self._waiting = [connection for connection in connections if connection in self._after]

    def add_older(self, ids: array[int], *, more: bool) -> None:
        """Take in exchanges that a search found: ascending, and all older than those it found before."""
        first = ids[0] if ids else self._newest + 1
        now = [connection for connection in self._waiting if self._after[connection] >= first or not more]
        if now:
            self._waiting = [connection for connection in self._waiting if connection not in set(now)]
        found = self._in_list_order(ids, now)
        found.extend(self.shown)
        self.shown = found
        self.searching = more

    def _put(self, keys: Iterable[int]) -> None:
        """Put a few keys where they belong among the rows that are shown."""
        for key in keys:
            if self.index_of(key) is None:
                self.shown.insert(bisect_right(self.shown, self._order(key), key=self._order), key)

    def matches(self, row: Row) -> bool:
        """Whether every word occurs: the same rule as `Capture.search`, for one row."""
        if isinstance(row, ConnectionRow):
            parts: tuple[str | None, ...] = (row.kind, row.sentence, row.peer)
        else:
            parts = (row.method, row.target, row.status, row.reason, row.client, row.host, row.dest, row.mode)
        text = "\n".join(part or "" for part in parts).translate(_LOWER)
        return all(word in text for word in self._words) and (not self._tests.tests or self._found_in(row))

    def _found_in(self, row: Row) -> bool:
        """Whether what was asked for is found in its messages."""
        from inspectd.capture.findings import marks, marks_of_connection

        if isinstance(row, ConnectionRow):
            return self._tests.met(marks_of_connection(self.capture, row))
        return self._tests.met(marks(self.capture, row, self._tests.kinds))

    def _due(self, fresh: Iterable[int]) -> Iterable[int]:
        """Those of the rows that wait to be tried whose turn it is: few at once where their messages must be read."""
        if not self._tests.tests:
            return fresh
        self._untried.extend(fresh)
        return [self._untried.popleft() for _ in range(min(TRIED_AT_ONCE, len(self._untried)))]

    def _try(self, keys: Iterable[int]) -> array[int]:
        """Those of `keys` whose rows match; rows that could match later are remembered."""
        out = array("q")
        wanted = list(keys)
        exchanges = self.capture.exchanges([key for key in wanted if key > 0])
        connections = self.capture.connections([-key for key in wanted if key < 0])
        found: dict[int, Row] = {row.id: row for row in exchanges}
        found |= {-row.id: row for row in connections}
        for key in wanted:
            row = found.get(key)
            if row is None:
                continue
            if self.matches(row):
                out.append(key)
            elif not is_finished(row) and len(self._undecided) < UNDECIDED_KEPT:
                self._undecided.add(key)
        return out

    def _try_undecided(self) -> bool:
        """Look again at rows that did not match while they were unfinished."""
        if not self._undecided or self.searching:
            return False
        again, self._undecided = self._undecided, set()
        before = len(self.shown)
        self._put(self._try(again))
        return len(self.shown) != before

    # keeping in step

    def reload(self) -> None:
        """Read every key again: at the start, and when the capture was cleared."""
        self.capture.changed()
        self._generation += 1
        self._rows.clear()
        self._deeds.clear()
        self._noted.clear()
        self._unlooked.clear()
        self._untried.clear()
        ids = self._first_ids()
        self._newest = self._connections_upto = ids[-1] if ids else 0
        connections = self.capture.list_connections_after(0)
        self._after = {row.id: row.after for row in connections}
        self._newest_connection = max(self._after, default=0)
        self.all = self._in_list_order(ids, [row.id for row in connections])
        self.shown = array("q") if self.filtered else self.all
        self._remember_first()

    def _first_ids(self) -> array[int]:
        """The ids there are. In a large capture they are taken to be dense, which they are unless marked rows
        outlived their neighbours; `settle` puts that right when somebody has read them one by one.
        """
        newest = self.capture.newest_exchange()
        first = self.capture.exchanges_after(0, 1)
        self.assumed_upto = 0
        if not first or newest - first[0].id < DENSE_FROM:
            return self.capture.exchange_ids(0)
        self.assumed_upto = newest
        return array("q", range(first[0].id, newest + 1))

    def settle(self, ids: array[int]) -> bool:
        """Take in all ids up to `assumed_upto` as they were read one by one; whether that changed anything."""
        upto, self.assumed_upto = self.assumed_upto, 0
        ids = ids[: bisect_right(ids, upto)]
        known = array("q", (key for key in self.all if 0 < key <= upto))
        if not upto or known == ids[bisect_left(ids, known[0] if known else 0) :]:
            return False
        ids.extend(key for key in self.all if key > upto)
        self.all = self._in_list_order(ids, list(self._after))
        if not self.filtered:
            self.shown = self.all
        return True

    def _in_list_order(self, ids: array[int], connections: Iterable[int]) -> array[int]:
        """Ascending exchange ids with connections put in behind the exchange they came after."""
        after = self._after
        out = array("q")
        done = 0
        for connection in sorted(connections, key=lambda id: (after[id], id)):  # noqa: A006
            upto = max(done, bisect_right(ids, after[connection]))
            out.extend(ids[done:upto])
            out.append(-connection)
            done = upto
        out.extend(ids[done:])
        return out

    def poll(self) -> Change | None:
        """Take in what was written since the last poll; None when nothing was. Cheap enough for 30 Hz."""
        if not self.capture.changed() and not self._untried:
            return None
        self._generation += 1
        newest = self.capture.newest_exchange()
        if newest < self._newest or self._was_cleared():
            self.reload()
            return Change(cleared=True, reordered=True)
        reordered = self._drop_gone()
        before = self._newest
        ids: array[int] = array("q")
        if newest > before:
            ids = self.capture.exchange_ids(before)
            self._newest = ids[-1] if ids else before
        connections = self._new_connections(before)
        fresh = self._in_list_order(ids, connections)
        # A connection may belong before rows that are listed already.
        late = any(self._after[connection] < before for connection in connections)
        if late:
            self.all = self._in_list_order(
                array("q", (key for key in (*self.all, *ids) if key > 0)), list(self._after)
            )
            if not self.filtered:
                self.shown = self.all
        else:
            self.all.extend(fresh)
        shown = len(fresh)
        if self.filtered:
            matching = self._try(self._due(fresh))
            shown = len(matching)
            if late:
                self._put(matching)
            else:
                self.shown.extend(matching)
            reordered = self._try_undecided() or reordered
        if self._first is None:
            self._remember_first()
        # Evidence is known later than the row it belongs to is finished.
        self._read_deeds([key for key in self.all[-RECENT_LOOKED_AT:] if key > 0])
        return Change(appended=shown, reordered=reordered or late)

    def _new_connections(self, before: int) -> list[int]:
        """Connections that became rows of the list since the last poll, and no more often than they cost little."""
        now = time.monotonic()
        if now < self._connections_due:
            return []
        rows = self.capture.list_connections_after(min(before, self._connections_upto))
        self._connections_due = now + 10 * (time.monotonic() - now)
        self._connections_upto = before
        fresh = [row for row in rows if row.id not in self._after]
        for row in fresh:
            self._after[row.id] = row.after
            self._newest_connection = max(self._newest_connection, row.id)
        return [row.id for row in fresh]

    def _remember_first(self) -> None:
        first = self.capture.exchanges_after(0, 1)
        self._first = (first[0].id, first[0].started_ns) if first else None

    def _was_cleared(self) -> bool:
        """Whether the oldest row we know is now another one under the same id."""
        if self._first is None:
            return False
        rows = self.capture.exchanges([self._first[0]])
        return bool(rows) and rows[0].started_ns != self._first[1]

    def _drop_gone(self) -> bool:
        """Follow the capture when it let go of its oldest rows."""
        if self._first is None:
            return False
        first = self.capture.exchanges_after(0, 1)
        if not first or first[0].id == self._first[0]:
            return False
        self._first = (first[0].id, first[0].started_ns)
        upto = bisect_left(self.all, first[0].id * 2, key=self._order)
        if self.filtered:
            del self.shown[: bisect_left(self.shown, first[0].id * 2, key=self._order)]
        for key in self.all[:upto]:
            if key < 0:
                self._after.pop(-key, None)
        del self.all[:upto]
        return True
