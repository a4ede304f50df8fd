"""How a connection ended, in the words of its row: whose FIN or RST came first, and what it was when it wasn't HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.capture.model import LEFT_OVER
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord


BEHIND_KEPT: Final = 128
"""Bytes behind the last request that are quoted."""


def behind(record: ConnectionRecord, data: bytes) -> bytes:
    """The first bytes of a read, the last one, that lie behind the last request; none while that still arrives."""
    latest = record.latest
    if latest is None or latest.req_len is None:
        return b""
    end = latest.req_offset + latest.req_len
    return data[max(0, end - (record.bytes_in - len(data))) :][:BEHIND_KEPT]


def who_ended_it(record: ConnectionRecord, closing: str | None, *, reset: bool) -> tuple[str, str]:
    """The columns `closed_by` and `how`. `closing` is how this side meant to end it, `reset` that the client did."""
    if reset:
        return "client", "rst"
    if closing == "rst":
        return "server", "rst"
    ours, theirs = record.fin_out_ns, record.fin_in_ns
    if closing == "timeout" and theirs is None:
        return "server", "timeout"
    if ours is not None and (theirs is None or ours < theirs):
        return "server", closing or "fin"
    return "client", "fin"


def describe(record: ConnectionRecord, now: int, left: bytes = b"") -> None:
    """Say what a connection was that ends `now` (ns since the epoch) without an exchange, or with bytes to spare.

    `left` are the first bytes behind its last request, where no more requests were read.
    """
    if record.bytes_in == 0 and record.kind in {None, "preconnect"}:
        who = "by inspectd" if record.closed_by == "server" else "by the client"
        seconds = (now - record.opened_ns) / 1e9
        when = "at once" if seconds < 0.05 else f"{seconds:.1f} s later"
        record.describe(
            "preconnect",
            f"opened, closed {who} {when}, not a byte sent: a browser's connection ahead of need, "
            "or a port check",
        )
    elif record.exchanges == 0 and record.kind is None:
        record.describe("other", f"{record.bytes_in} bytes, and no request among them")
    elif left.strip() and record.kind in {None, "preconnect"}:
        _describe_left(record, left)


def _describe_left(record: ConnectionRecord, left: bytes) -> None:
    latest = record.latest
    if latest is None or latest.status == "101" or (latest.method == "CONNECT" and latest.status == "200"):
        return  # they are another protocol's
    count = record.bytes_in - latest.req_offset - (latest.req_len or 0)
    if count > 0:
        what = "1 byte was" if count == 1 else f"{count:,} bytes were"
        line = safe(left.lstrip().partition(b"\n")[0].rstrip(b"\r"))
        record.describe(
            LEFT_OVER, f"{what} left over behind exchange {latest.id} and not read as a request: {line}"
        )
