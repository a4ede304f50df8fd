"""`inspectd show`: one exchange for a person, as JSON, or as the exact bytes of one of its messages."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from inspectd.capture.answered import answerer, client_left
from inspectd.capture.messages import is_websocket
from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import Capture
from inspectd.cli.conversation_text import SHOWN, conversation_facts, conversation_lines
from inspectd.cli.group import SectionCommand
from inspectd.cli.hello_text import hello_of, summary_lines
from inspectd.cli.lines import JsonLines, content_length, instant
from inspectd.cli.marks import missing
from inspectd.cli.message_text import BODY_SHOWN, body_lines, message_lines
from inspectd.cli.output import draws_glyphs, painter, require_stdout, wants_colour
from inspectd.cli.upstream_text import forward_lines, inside_lines, upstream_lines
from inspectd.errors import InspectdError
from inspectd.text.instant import brief
from inspectd.text.safe import safe
from inspectd.text.shell import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.capture.model import ConnectionRow, EvidenceRow, ExchangeRow
    from inspectd.wire.span import Kind

_ID: Final = re.compile(r"(c?)([1-9][0-9]{0,17})")
_NOT_FOR_A_TERMINAL: Final = re.compile(rb"[^\x20-\x7e\t\r\n]|\r(?!\n)")
"""Anything that a terminal could take for a command: all but printable ASCII, tabs and line ends."""

_KINDS: Final[tuple[Kind, ...]] = ("request", "response")
_HOW: Final = {
    "fin": "closed by the {who}",
    "rst": "reset by the {who}",
    "timeout": "closed by the {who} because nothing happened for too long",
    "error": "ended by an error on the side of the {who}",
}


@click.command("show", cls=SectionCommand)
@click.argument("capture", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("number", metavar="ID")
@click.option(
    "--bytes",
    "side",
    type=click.Choice(["request", "response"]),
    help="Write exactly the bytes of this message, and nothing else.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line, schema version 1.")
@click.option(
    "--messages",
    "all_messages",
    is_flag=True,
    help=f"All messages of a WebSocket or events of an event stream, not the first {SHOWN}.",
)
def command(capture: Path, number: str, *, side: str | None, as_json: bool, all_messages: bool) -> None:
    """Print one exchange, or with an ID like c12 a connection. `inspectd list` prints the ids.

    Behind the heads of a WebSocket come its messages, unmasked and inflated; behind an event stream its events.
    """
    if side is not None and as_json:
        raise click.UsageError("--bytes writes bytes, --json a line about them: choose one.")
    require_stdout("inspectd show FILE ID >file")
    match = _ID.fullmatch(number)
    if match is None:
        raise click.BadParameter(
            f"{number!r} is no id: exchanges have numbers like 12, connections ids like c12.", param_hint="ID"
        )
    with Capture.open(capture) as opened:
        if match[1]:
            show_connection(opened, find_connection(opened, int(match[2])), side, as_json=as_json)
        else:
            limit = None if all_messages else SHOWN
            show_exchange(opened, find_exchange(opened, int(match[2])), side, as_json=as_json, limit=limit)


def find_exchange(capture: Capture, number: int) -> ExchangeRow:
    """The exchange, or `InspectdError` with the ids there are."""
    row = capture.exchange(number)
    if row is None:
        first, newest = capture.exchanges_after(0, 1), capture.newest_exchange()
        there = f"its exchanges are {first[0].id} to {newest}" if first else "it holds no exchange"
        raise InspectdError(
            f"{capture.path}: there is no exchange {number}; {there}", f"inspectd list {capture.path}"
        )
    return row


def find_connection(capture: Capture, number: int) -> ConnectionRow:
    """The connection, or `InspectdError`."""
    row = capture.connection(number)
    if row is None:
        raise InspectdError(
            f"{capture.path}: there is no connection c{number}", f"inspectd list {capture.path}"
        )
    return row


# ---------------------------------------------------------------------------------------------------- bytes


def write_bytes(chunks: Callable[[], Iterator[bytes]]) -> None:
    """Write bytes from the wire as they are; not to a terminal that they could control."""
    if sys.stdout.isatty() and _controls(chunks()):
        raise InspectdError(
            "these bytes could control your terminal, so they don't go there",
            "write them to a file (`> message.bin`) or through a viewer (`| xxd`), or leave out --bytes",
        )
    out = sys.stdout.buffer
    for chunk in chunks():
        out.write(chunk)
    out.flush()


def _controls(chunks: Iterator[bytes]) -> bool:
    before = b""
    for chunk in chunks:
        if _NOT_FOR_A_TERMINAL.search((before + chunk).removesuffix(b"\r")):
            return True
        before = b"\r" if chunk.endswith(b"\r") else b""
    return bool(before)


# ---------------------------------------------------------------------------------------------------- one exchange


def show_exchange(
    capture: Capture, row: ExchangeRow, side: str | None, *, as_json: bool, limit: int | None = SHOWN
) -> None:
    """Write what was asked for about an exchange; of its messages and events the first `limit`, or all."""
    if side is not None:
        read = capture.iter_request_bytes if side == "request" else capture.iter_response_bytes
        write_bytes(lambda: read(row))
    elif as_json:
        sys.stdout.write(JsonLines().exchange(row, capture, conversation_facts(capture, row, limit=limit)))
    else:
        paint = painter(colour=wants_colour())
        for line in exchange_lines(capture, row, paint):
            sys.stdout.write(f"{line}\n")
        for line in conversation_lines(capture, row, paint, limit=limit):
            sys.stdout.write(f"{line}\n")


def exchange_lines(capture: Capture, row: ExchangeRow, paint: Callable[[str, str], str]) -> Iterator[str]:
    """An exchange for a person: where and when, the request, the response. Everything is safe text."""
    connection = capture.connection(row.connection)
    yield paint(f"exchange {row.id}", "bold") + (f" · {safe(row.client)}" if row.client else "")
    yield from (paint(line, "dim") for line in time_lines(row))
    evidence = capture.evidence(row.id)
    if answered := answer_line(row, evidence):
        lost = missing(row, evidence, content_length(row, capture))
        yield paint(f"{answered}, {lost}" if lost else answered, "dim")
    if connection is not None:
        yield paint(
            f"request {row.number} of connection c{connection.id}: {connection_sentence(connection)}", "dim"
        )
        yield from (paint(line, "dim") for line in inside_lines(capture, connection))
        yield from (paint(line, "dim") for line in tls_lines(capture, connection))
    forward = capture.forward(row.id)
    if forward is not None:
        yield from (paint(line, "dim") for line in forward_lines(forward, capture))
    yield ""
    yield from message_lines(
        row.req_head,
        row.req_len or 0,
        partial(capture.request_bytes, row),
        prefix=paint("> ", "cyan"),
        remark=lambda text: paint(text, "dim"),
    )
    if not row.state & State.REQUEST_COMPLETE:
        if row.state & State.ABORTED:
            ending = "the request was cut short here"
        else:
            whole = row.state & State.RESPONSE_COMPLETE
            ending = "it was answered here, and not read on" if whole else "more is to come"
        yield paint(f"  {ending}", "magenta")
    yield ""
    if row.res_len:
        yield from message_lines(
            row.res_head or 0,
            row.res_len,
            partial(capture.response_bytes, row),
            prefix=paint("< ", "green"),
            remark=lambda text: paint(text, "dim"),
            content=not is_websocket(capture, row),  # frames are told as messages
        )
        if not row.state & State.RESPONSE_COMPLETE:
            said = "the client left here" if client_left(row, evidence) else "the response was cut short here"
            yield paint(f"  {said if row.state & State.ABORTED else 'more is to come'}", "magenta")
    else:
        over = bool(row.state & State.ABORTED) or (evidence is not None and evidence.ended_by is not None)
        yield paint("  no answer was sent" if over else "  no answer yet", "magenta")
    yield from finding_lines(capture, row, paint)
    yield from attempt_lines(capture, row, paint)


_SEVERITIES: Final = {"error": "red", "warning": "yellow", "info": "dim"}


def finding_lines(capture: Capture, row: ExchangeRow, paint: Callable[[str, str], str]) -> Iterator[str]:
    """What is found in the request and in the response, a line each, the worst first."""
    from inspectd.capture.findings import noted_in
    from inspectd.lint import entry

    for kind in _KINDS:
        found = noted_in(capture, row, kind)
        if not found:
            continue
        yield ""
        yield paint(f"found in the {kind}", "bold")
        for each in sorted(found, key=lambda each: -entry(each.id).level):
            about = entry(each.id)
            detail = f" ({each.detail})" if each.detail else ""
            spec = about.spec if draws_glyphs() else about.spec.replace("§", "section ")
            title = paint(f"{about.severity:7}", _SEVERITIES.get(about.severity, "dim"))
            yield f"  {title} at {each.start:x}: {about.summary}{detail} [{about.id}, {spec}]"


def attempt_lines(capture: Capture, row: ExchangeRow, paint: Callable[[str, str], str]) -> Iterator[str]:
    """What the client did with a crafted answer: a line for each time that it asked for the same."""
    attempts = capture.attempts(row.id)
    if not attempts:
        return
    yield ""
    yield paint(f"rule {safe(attempts[-1].rule)}", "bold")
    for each in attempts:
        here = each.exchange == row.id and len(attempts) > 1
        pointer = ("▸" if draws_glyphs() else "*") if here else " "
        yield f"{pointer} attempt {each.attempt}, exchange {each.exchange}: {attempt_sentence(each)}"


def attempt_sentence(evidence: EvidenceRow) -> str:
    """How much of an answer a client took, and who ended the connection with it, how and when."""
    parts = [] if evidence.gap_ns is None else [f"came after {brief(evidence.gap_ns)}"]
    parts.append("on a reused connection" if evidence.reused else "on a new connection")
    planned = "" if evidence.planned is None else f" of {evidence.planned}"
    parts.append(f"{evidence.sent}{planned} bytes sent")
    if evidence.acked is not None:
        parts.append(f"{evidence.acked} acknowledged")
    if evidence.ended_by is not None:
        who = "client" if evidence.ended_by == "client" else "server"
        parts.append(_HOW.get(evidence.how or "", "closed by the {who}").format(who=who))
        if evidence.after_ns is not None:
            when = "after" if evidence.after_ns >= 0 else "before"
            what = "the last byte" if evidence.sent else "the request"
            parts.append(f"{brief(abs(evidence.after_ns))} {when} {what}")
    return ", ".join(parts)


def time_lines(row: ExchangeRow) -> Iterator[str]:
    """When it began, and how long its parts took."""
    parts = [f"started {instant(row.started_ns)}"]
    for what, ns in (
        ("request read", row.received_ns),
        ("answer begun", row.answered_ns),
        ("answer sent", row.finished_ns),
    ):
        if ns is not None:
            parts.append(f"{what} after {brief(ns - row.started_ns)}")
    yield " · ".join(parts)


def answer_line(row: ExchangeRow, evidence: EvidenceRow | None) -> str:
    """Who answered, and with what: `answered by rule api.toml:4: 200 OK`, as safe text; empty without an answer."""
    if not row.label:
        return ""
    how, name, what = answerer(evidence.rule if evidence is not None else "", row.label)
    return safe(f"{how} {name}".strip() + (f": {what}" if what else ""), doubling=False)


# ---------------------------------------------------------------------------------------------------- one connection


def show_connection(capture: Capture, row: ConnectionRow, side: str | None, *, as_json: bool) -> None:
    """Write what was asked for about a connection; its request and response are all that came and went."""
    if side is not None:
        direction = INCOMING if side == "request" else OUTGOING
        write_bytes(lambda: capture.iter_stream_bytes(row.id, direction))
        return
    if as_json:
        sys.stdout.write(JsonLines().connection(row, capture))
        return
    paint = painter(colour=wants_colour())
    write = sys.stdout.write
    write(paint(f"connection c{row.id}", "bold") + (f" · {safe(row.kind)}" if row.kind else "") + "\n")
    if row.sentence:
        write(f"{safe(row.sentence, newline=True, doubling=False)}\n")
    tls = capture.tls(row.id)
    encrypted = tls is not None and bool(tls.hello or tls.shown)
    write(paint(connection_sentence(row, encrypted=encrypted), "dim") + "\n")
    for line in (*inside_lines(capture, row), *upstream_lines(capture, row)):
        write(paint(line, "dim") + "\n")
    for line in tls_lines(capture, row):
        write(paint(line, "dim") + "\n")
    hello = hello_of(capture, row)
    if hello is not None:
        write("\n" + "".join(f"{line}\n" for line in summary_lines(hello)))
        if row.kind == "tls":
            bytes_of = f"inspectd show {quote(os.fsencode(capture.path))} c{row.id} --bytes request"
            write(paint(f"every byte   {bytes_of} | inspectd anatomy", "dim") + "\n")
    for mark, colour, direction, total in (
        (">", "cyan", INCOMING, row.bytes_in),
        ("<", "green", OUTGOING, row.bytes_out),
    ):
        if not total:
            continue
        write("\n")
        data = capture.stream_bytes(row.id, direction, 0, BODY_SHOWN)
        for line in body_lines(data):
            write(paint(f"{mark} ", colour) + line + "\n")
        if total > len(data):
            write(paint(f"… {total - len(data)} more bytes", "dim") + "\n")


def tls_lines(capture: Capture, row: ConnectionRow) -> Iterator[str]:
    """How the connection was encrypted, or failed to be; nothing on a listener in clear text."""
    tls = capture.tls(row.id)
    if tls is None:
        return
    parts = [safe(part) for part in (tls.version, tls.cipher, tls.alpn) if part]
    parts.append(f"name asked for: {safe(tls.sni)}" if tls.sni else "no name asked for")
    if tls.certificate:
        parts.append(f"certificate for {safe(tls.certificate)}")
    if tls.shaken_ns is not None:
        parts.append(f"handshake complete after {brief(tls.shaken_ns - row.opened_ns)}")
    if tls.hello:
        yield f"TLS: {', '.join(parts)}, ClientHello of {len(tls.hello)} bytes"
    if tls.sentence and tls.sentence != row.sentence:
        yield safe(tls.sentence)


def connection_sentence(row: ConnectionRow, *, encrypted: bool = False) -> str:
    """Who spoke to whom, how much, and how it ended."""
    parts = [f"from {safe(row.peer)} to {safe(row.local)}", f"opened {instant(row.opened_ns)}"]
    if row.rtt_us is not None:
        parts.append(f"round trip {brief(row.rtt_us * 1000)}")
    exchanges = "1 exchange" if row.exchanges == 1 else f"{row.exchanges} exchanges"
    carried = f"{row.bytes_in} bytes in, {row.bytes_out} bytes out"
    if encrypted:
        carried = f"inside TLS {carried if row.bytes_in or row.bytes_out else 'nothing'}"
    parts.append(f"{exchanges}, {carried}")
    if row.closed_ns is None:
        parts.append("still open when this was written")
    else:
        who = "client" if row.closed_by == "client" else "server"
        how = _HOW.get(row.how or "", "closed by the {who}").format(who=who)
        parts.append(f"{how} after {brief(row.closed_ns - row.opened_ns)}")
    return ", ".join(parts)
