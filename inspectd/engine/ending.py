"""How a connection ended, in the words of its row: whose FIN or RST came first, and what it was when it wasn't HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord


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


def describe(record: ConnectionRecord, now: int) -> None:
    """Say what a connection was that ends `now` (ns since the epoch) without an exchange."""
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
