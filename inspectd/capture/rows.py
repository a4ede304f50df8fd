"""Reading the rows of a capture by their keys. `reader.Capture` adds what is computed from them: lists, bytes, finds.

Nothing is ever asked for by OFFSET, and no read transaction outlives a call.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from inspectd.capture import store, trouble
from inspectd.capture.model import ConnectionRow, EvidenceRow, ForwardRow, ListenerRow, TlsRow, UpstreamRow

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

KEYS_AT_ONCE: Final = 500
"""Keys that one query asks for."""

_CONNECTION: Final = ConnectionRow.__struct_fields__
_LISTENER: Final = ListenerRow.__struct_fields__
_EVIDENCE: Final = EvidenceRow.__struct_fields__
_TLS: Final = TlsRow.__struct_fields__
_UPSTREAM: Final = UpstreamRow.__struct_fields__
_FORWARD: Final = ForwardRow.__struct_fields__
_SELECT_CONNECTION: Final = f"SELECT {', '.join(_CONNECTION)} FROM connection"  # noqa: S608
_SELECT_EVIDENCE: Final = f"SELECT {', '.join(_EVIDENCE)} FROM evidence"  # noqa: S608

_T = TypeVar("_T")


class Rows:
    """A capture file, open for reading, and its rows."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    # -- life

    @classmethod
    def open(cls, path: os.PathLike[str] | str) -> Self:
        """Open a capture; `CaptureError` when that can't be done. See `store.open_reader`."""
        return cls(Path(path), store.open_reader(path))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Make a query that runs in another thread stop with `CaptureError`."""
        self._db.interrupt()

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) is None and "decode" in str(error):
                # Text that isn't UTF-8 never comes from our writer; a damaged file must still be readable.
                self._db.text_factory = _tolerant_text
                return self._db.execute(sql, values).fetchall()
            raise trouble.damage(self.path, error) from None
        except UnicodeDecodeError as error:
            raise trouble.damage(self.path, error) from None

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    # -- connections and listeners

    def connection(self, number: int, /) -> ConnectionRow | None:
        """The connection with this id."""
        found = self.connections((number,))
        return found[0] if found else None

    def connections(self, ids: Sequence[int]) -> list[ConnectionRow]:
        """The connections with these ids, in this order; those that don't exist are left out."""
        return in_order(ids, self._by_key(_SELECT_CONNECTION, ids), _connection)

    def list_connections_after(self, after: int = 0, limit: int = -1) -> list[ConnectionRow]:
        """Connections that are rows of the list (`kind` is set), from behind exchange `after` on."""
        return [
            _connection(row)
            for row in self._all(
                f"{_SELECT_CONNECTION} WHERE kind IS NOT NULL AND after >= ? ORDER BY after, id LIMIT ?",
                (after, limit),
            )
        ]

    def iter_connections(self) -> Iterator[ConnectionRow]:
        """All connections that are rows of the list, in the order of `list_connections_after`; flat memory."""
        after, number = -1, 0
        while rows := self._all(
            f"{_SELECT_CONNECTION} WHERE kind IS NOT NULL AND (after, id) > (?, ?) ORDER BY after, id LIMIT ?",
            (after, number, KEYS_AT_ONCE),
        ):
            found = [_connection(row) for row in rows]
            yield from found
            after, number = found[-1].after, found[-1].id

    def listeners(self) -> list[ListenerRow]:
        """Every listener the capture knows, oldest first."""
        rows = self._all(f"SELECT {', '.join(_LISTENER)} FROM listener ORDER BY id")  # noqa: S608
        return [ListenerRow(**dict(zip(_LISTENER, row, strict=True))) for row in rows]

    def _by_key(self, select: str, ids: Sequence[int], *, key: str = "id") -> Iterator[Any]:
        for first in range(0, len(ids), KEYS_AT_ONCE):
            keys = ids[first : first + KEYS_AT_ONCE]
            yield from self._all(f"{select} WHERE {key} IN ({', '.join('?' * len(keys))})", keys)

    def tls(self, connection: int, /) -> TlsRow | None:
        """How this connection was encrypted, or failed to be; None when nobody tried."""
        row = self._one(f"SELECT {', '.join(_TLS)} FROM tls WHERE connection = ?", (connection,))  # noqa: S608
        return None if row is None else TlsRow(**dict(zip(_TLS, row, strict=True)))

    def upstream(self, connection: int, /) -> UpstreamRow | None:
        """Whose requests this connection carries to which server; None when it is a client's."""
        row = self._one(f"SELECT {', '.join(_UPSTREAM)} FROM upstream WHERE connection = ?", (connection,))  # noqa: S608
        return None if row is None else UpstreamRow(**dict(zip(_UPSTREAM, row, strict=True)))

    def forward(self, exchange: int, /) -> ForwardRow | None:
        """What became of this exchange at a server; None unless it was forwarded."""
        return self.forwards((exchange,)).get(exchange)

    def forwards(self, exchanges: Sequence[int]) -> dict[int, ForwardRow]:
        """Those of these exchanges that were forwarded, by their ids."""
        found = self._by_key(f"SELECT {', '.join(_FORWARD)} FROM forward", exchanges, key="exchange")  # noqa: S608
        return {row[0]: ForwardRow(**dict(zip(_FORWARD, row, strict=True))) for row in found}

    # -- evidence

    def evidence(self, exchange: int, /) -> EvidenceRow | None:
        """What the client did with the answer of this exchange; None unless a rule or a person made that."""
        return self.evidence_of((exchange,)).get(exchange)

    def evidence_of(self, exchanges: Sequence[int]) -> dict[int, EvidenceRow]:
        """The evidence that there is of these exchanges, by their ids."""
        found = self._by_key(_SELECT_EVIDENCE, exchanges, key="exchange")
        return {row[0]: _evidence(row) for row in found}

    def attempts(self, exchange: int, /, *, limit: int = 1000) -> list[EvidenceRow]:
        """Every time the client asked for the same thing, this exchange among them, the oldest first.

        At most `limit` before it and as many after it; retention may have cut the chain. Empty without evidence.
        """
        rows = self._all(
            "WITH RECURSIVE sooner (id, before) AS ("  # noqa: S608
            "SELECT exchange, previous FROM evidence WHERE exchange = ?1 "
            "UNION SELECT e.exchange, e.previous FROM sooner JOIN evidence e ON e.exchange = sooner.before LIMIT ?2), "
            "later (id) AS (SELECT exchange FROM evidence WHERE exchange = ?1 "
            "UNION SELECT e.exchange FROM later JOIN evidence e ON e.previous = later.id LIMIT ?2) "
            f"{_SELECT_EVIDENCE} WHERE exchange IN (SELECT id FROM sooner UNION SELECT id FROM later) "
            "ORDER BY exchange",
            (exchange, limit + 1),
        )
        return [_evidence(row) for row in rows]


def _evidence(row: Sequence[Any]) -> EvidenceRow:
    return EvidenceRow(**dict(zip(_EVIDENCE, row, strict=True)))


def _connection(row: Sequence[Any]) -> ConnectionRow:
    return ConnectionRow(**dict(zip(_CONNECTION, row, strict=True)))


def in_order(ids: Sequence[int], rows: Iterator[Any], make: Callable[[Any], _T]) -> list[_T]:
    by_id = {row[0]: row for row in rows}
    return [make(by_id[number]) for number in ids if number in by_id]


def _tolerant_text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
