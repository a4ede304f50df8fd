"""Pane 7: the life of the socket step by step, from socket() to the last FIN, in words a student understands."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd import explain
from inspectd.capture.model import State
from inspectd.text.safe import clip, safe
from inspectd.tui.widgets.panes.forwarded import forwarded_blocks
from inspectd.tui.widgets.panes.pane import TextPane, sentence_page
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Page, Paragraph
from inspectd.tui.widgets.panes.times import clock, count, duration, since
from inspectd.tui.widgets.wireview import Run
from inspectd.wire.tls import ClientHello, client_hello, is_grease, ja3, ja4

if TYPE_CHECKING:
    from inspectd.capture.model import ConnectionRow, ExchangeRow, ListenerRow, TlsRow
    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.wireview import LineSource

_READS_LISTED: Final = 60
_READS_BYTES: Final = 4 * 1024 * 1024
_OPTION: Final = re.compile(r"[A-Z0-9]+_[A-Z0-9_]+")
_LOOSE_SHOWN: Final = 120
_HELLO_SHOWN: Final = 400
_END: Final = (1 << 62, 1 << 62)
_TIME: Final = 13
_CALL: Final = 13

_HOW: Final = {
    "fin": "with FIN: everything that was sent had its chance to arrive",
    "rst": "with RST: at once, and whatever was still on its way is lost",
    "timeout": "because nothing came for too long",
    "error": "because of an error",
}


class Step(NamedTuple):
    """One thing that happened: when (ns since the epoch), the call or packet, details, and its explanation's name."""

    ns: int
    call: str
    detail: str
    explained: str
    style: str = "strong"


class Connection(TextPane):
    """The socket's life."""

    title = "Connection"
    short = "Conn"

    def page(self, subject: Subject, side: Side) -> LineSource:  # noqa: ARG002
        """The listener's steps, the connection's, and its exchanges."""
        if subject.connection is None:
            return sentence_page("Nothing is known about the connection.")
        connection = subject.connection
        blocks: list[Block] = _title(connection)
        blocks += forwarded_blocks(subject.forward, subject.server)
        told: set[str] = set()
        if subject.listener is not None:
            blocks += [
                GAP,
                Line(Run("The listener", "heading"), Run(f"  {safe(subject.listener.address)}", "target")),
            ]
            for step in listener_steps(subject.listener):
                blocks += _step_blocks(step, clock(step.ns), told)
        blocks += [
            GAP,
            Line(
                Run("This connection", "heading"), Run(f"  accepted at {clock(connection.opened_ns)}", "dim")
            ),
        ]
        for step in connection_steps(subject, connection):
            when = since(step.ns, connection.opened_ns) if step.ns else "before"
            blocks += _step_blocks(step, when, told)
        if connection.closed_ns is None:
            blocks.append(Line(Run(f"{'now':>{_TIME}}  ", "dim"), Run("open", "good")))
        blocks += _tls_blocks(subject.tls)
        blocks += _hello_blocks(subject)
        blocks += _loose_blocks(subject, connection)
        blocks += _exchange_blocks(subject)
        return Page(blocks)


def _title(connection: ConnectionRow) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            Run(f"c{connection.id}  ", "strong"),
            Run(safe(connection.peer) or "a client", "value"),
            Run(" → ", "dim"),
            Run(safe(connection.local), "target"),
            Run(
                f"   {count(connection.bytes_in, 'byte')} in, {count(connection.bytes_out, 'byte')} out, "
                f"{count(connection.exchanges, 'exchange')}",
                "dim",
            ),
        )
    ]
    if connection.inside is not None:
        blocks.append(
            Paragraph(
                Run("read in a tunnel", "reading"), Run(f"  that connection c{connection.inside} carries")
            )
        )
    if connection.sentence:
        kind = [Run(f"{safe(connection.kind)}  ", "reading")] if connection.kind else []
        blocks.append(Paragraph(*kind, Run(safe(connection.sentence, doubling=False))))
    return blocks


def listener_steps(listener: ListenerRow) -> list[Step]:
    """What was done once, before any client came: socket(), options, bind(), listen()."""
    try:
        listed = json.loads(listener.steps)
    except ValueError:
        return []
    steps = []
    for entry in listed if isinstance(listed, list) else ():
        if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], int)):
            continue
        call, detail = str(entry[1]), str(entry[2])
        option = _OPTION.match(detail) if call == "setsockopt" else None
        steps.append(Step(entry[0], f"{call}()", detail, option[0] if option else call))
    return steps


def connection_steps(subject: Subject, connection: ConnectionRow) -> list[Step]:
    """What happened on this connection, in order of time. Steps of time 0 happened at a time nobody noted."""
    unix = connection.local.startswith("unix:")
    steps: list[Step] = []
    if unix:
        steps.append(
            Step(0, "connect", "a client of this machine, through the file system", "unix-socket", "target")
        )
    else:
        rtt = f"round trip {duration(connection.rtt_us * 1000)}" if connection.rtt_us is not None else ""
        detail = "SYN, SYN-ACK, ACK: done by the kernel, before the program knows"
        steps.append(Step(0, "handshake", f"{detail}; {rtt}" if rtt else detail, "handshake", "target"))
        if connection.queue_len is not None:
            most = f" of at most {connection.queue_max:,}" if connection.queue_max is not None else ""
            waiting = f"{count(connection.queue_len, 'connection')}{most} waiting when this one was taken"
            steps.append(Step(0, "accept queue", waiting, "accept-queue", "target"))
    steps.append(
        Step(
            connection.opened_ns, "accept()", f"a new socket for {connection.peer or 'the client'}", "accept"
        )
    )
    tls = subject.tls
    if tls is not None and tls.shaken_ns is not None:
        steps.append(
            Step(tls.shaken_ns, "TLS", f"handshake complete: {tls.version}", "tls-handshake", "good")
        )
    steps += _transfers(subject)
    if connection.kind == "preconnect" and not connection.bytes_in:
        steps.append(
            Step(
                connection.opened_ns,
                "no byte",
                "opened in advance, in case it is needed",
                "preconnect",
                "dim",
            )
        )
    if connection.fin_in_ns is not None:
        by = "the client has sent everything"
        steps.append(Step(connection.fin_in_ns, "← FIN", by, "fin", "target"))
    if connection.fin_out_ns is not None:
        steps.append(Step(connection.fin_out_ns, "→ FIN", "inspectd has sent everything", "fin"))
    if connection.closed_ns is not None:
        steps.append(_closing(connection))
    known = [step for step in steps if step.ns]
    return [step for step in steps if not step.ns] + sorted(known, key=lambda step: step.ns)


def _closing(connection: ConnectionRow) -> Step:
    by = {"client": "by the client", "server": "by inspectd"}.get(connection.closed_by or "", "")
    how = _HOW.get(connection.how or "", connection.how or "")
    if connection.how == "rst":
        arrow = "←" if connection.closed_by == "client" else "→"
        return Step(connection.closed_ns or 0, f"{arrow} RST", f"{by}, {how}".strip(", "), "rst", "bad")
    return Step(connection.closed_ns or 0, "close()", f"{by}, {how}".strip(", "), "close")


def _transfers(subject: Subject) -> list[Step]:
    """Each recv() and send(); the middle of a long life is left out."""
    incoming = subject.connection_reads("request", _READS_BYTES)
    outgoing = subject.connection_reads("response", _READS_BYTES)
    steps = [Step(each.ns, "recv()", _range(each.offset, each.length), "recv", "target") for each in incoming]
    steps += [Step(each.ns, "send()", _range(each.offset, each.length), "send") for each in outgoing]
    steps.sort(key=lambda step: step.ns)
    if len(steps) <= _READS_LISTED:
        return steps
    half = _READS_LISTED // 2
    left_out = len(steps) - 2 * half
    middle = Step(steps[half].ns, "…", f"{left_out:,} more of recv() and send(), see 6 Timing", "", "dim")
    return [*steps[:half], middle, *steps[-half:]]


def _range(offset: int, length: int) -> str:
    return (
        f"{count(length, 'byte')}, number {offset:,} to {offset + length - 1:,} of the stream"
        if length
        else "0 bytes"
    )


def _step_blocks(step: Step, when: str, told: set[str]) -> list[Block]:
    """The step and, the first time, what it is."""
    blocks: list[Block] = [
        Paragraph(
            Run(f"{when:>{_TIME}}  ", "dim"),
            Run(f"{step.call:<{_CALL}} ", step.style),
            Run(safe(step.detail), "plain"),
            hang=_TIME + _CALL + 3,
        )
    ]
    if step.explained and step.explained not in told:
        told.add(step.explained)
        meaning = explain.step(step.explained)
        blocks.append(Paragraph(Run(safe(meaning.sentence), "dim"), indent=_TIME + 2))
    return blocks


def _tls_blocks(tls: TlsRow | None) -> list[Block]:
    """What was agreed upon before the first byte of HTTP, or why nothing was."""
    if tls is None:
        return []
    blocks: list[Block] = [GAP, Line(Run("TLS", "heading"), Run(f"  {tls.version or 'not agreed'}", "dim"))]
    facts = (
        ("ClientHello", tls.hello and count(len(tls.hello), "byte")),
        ("name asked", tls.sni or (tls.hello and "none: the client knows this server by its address")),
        ("certificate", tls.certificate and f"for {tls.certificate}"),
        ("cipher", tls.cipher),
        ("protocol", tls.alpn and f"{tls.alpn}, agreed by ALPN"),
        ("alert", tls.alert),
    )
    blocks += [
        Paragraph(Run(f"  {name:<{_TIME}}", "dim"), Run(safe(value), "plain"), hang=_TIME + 2)
        for name, value in facts
        if value
    ]
    if tls.sentence:
        blocks.append(Paragraph(Run(safe(tls.sentence), "warning"), indent=2))
    return blocks


def _hello_blocks(subject: Subject) -> list[Block]:
    """What the client offered in its ClientHello, on a port with TLS or without; nothing for others."""
    kept = subject.tls
    data = kept.hello if kept is not None else subject.request if subject.side("request").tls_pieces else b""
    hello = client_hello(data, eof=True)
    if not isinstance(hello, ClientHello):
        return []
    named = explain.tls
    suites = [suite for suite in hello.cipher_suites if not is_grease(suite)]
    facts: tuple[tuple[str, str | bytes], ...] = (
        ("for", hello.server_name or b""),
        ("versions", ", ".join(named.version(each).title for each in hello.versions)),
        ("protocols", b", ".join(hello.protocols)),
        ("ciphers", f"{len(suites)}, first {named.cipher_suite(suites[0]).title}" if suites else ""),
        ("key shares", ", ".join(named.group(group).title for group, _ in hello.key_shares[:8])),
        ("JA4", ja4(hello)),
        ("JA3", ja3(hello)[1]),
        *(("problem", problem) for problem in hello.problems),
    )
    return [
        GAP,
        Line(Run("The client's hello", "heading"), Run(f"  {count(hello.end, 'byte')}", "dim")),
        *(
            Paragraph(
                Run(f"  {name:<{_TIME}}", "dim"),
                Run(clip(safe(value), _HELLO_SHOWN), "plain"),
                hang=_TIME + 2,
            )
            for name, value in facts
            if value
        ),
    ]


def _exchange_blocks(subject: Subject) -> list[Block]:
    """What was said on this connection."""
    rows = subject.siblings
    if not rows:
        return []
    blocks: list[Block] = [GAP, Line(Run("Exchanges on this connection", "heading"))]
    here = subject.row.id if subject.row is not None else -1
    connection = subject.connection
    if connection is not None and connection.exchanges > len(rows):
        blocks.append(Line(Run(f"  … {connection.exchanges - len(rows):,} before these", "dim")))
    return [*blocks, *(_exchange_line(row, here=row.id == here) for row in rows)]


def _loose_blocks(subject: Subject, connection: ConnectionRow) -> list[Block]:
    """Bytes of the client that belong to no request: blank lines, garbage, half a head, a tunnel."""
    rows = subject.siblings
    if len(rows) != connection.exchanges or not rows:
        return []
    blocks: list[Block] = []
    at = 0
    for start, end in [
        *sorted((row.req_offset, row.req_offset + (row.req_len or row.req_run)) for row in rows),
        _END,
    ]:
        start = min(start, connection.bytes_in)
        if start > at:
            shown = clip(
                safe(subject.connection_bytes("request", at, _LOOSE_SHOWN)[: start - at]), _LOOSE_SHOWN
            )
            blocks.append(Line(Run(f"  {_range(at, start - at)}  ", "dim"), Run(shown, "warning")))
        at = max(at, end)
    return [GAP, Line(Run("Bytes that belong to no request", "heading")), *blocks] if blocks else []


def _exchange_line(row: ExchangeRow, *, here: bool) -> Line:
    status = row.status or ("aborted" if row.state & State.ABORTED else "…")
    return Line(
        Run("▌ " if here else "  ", "brand"),
        Run(f"#{row.id} ", "strong" if here else "dim"),
        Run(safe(row.method or "?"), "method"),
        Run(" "),
        Run(safe((row.target or "")[:300]), "target"),
        Run("  "),
        Run(safe(f"{status} {row.reason or ''}".rstrip()), f"status-{safe(row.status or '')}"),
        Run("  this one" if here else "", "dim"),
    )
