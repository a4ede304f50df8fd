"""The messages of a WebSocket and the events of an event stream: lines for people, facts for JSON.

Lines are safe text. In JSON, bytes are text of one character a byte (ISO-8859-1), as everywhere in the output.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from inspectd import explain
from inspectd.capture.messages import events, is_event_stream, is_websocket, websocket
from inspectd.capture.model import INCOMING
from inspectd.cli.message_text import BODY_SHOWN, body_lines
from inspectd.text.instant import brief
from inspectd.text.instant import instant as rfc3339
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.capture.messages import EventCursor, TimedEvent, TimedMessage, WebSocketCursor
    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.wire.oddity import Oddity
    from inspectd.wire.websocket import Deflate, Frame, WsMessage

SHOWN: Final = 20
"""Messages or events that are shown unless all are asked for."""
Paint: TypeAlias = "Callable[[str, str], str]"
_BRIEFLY: Final = 1024
"""Bytes of a payload that are shown unless all messages are asked for."""
_ON_ITS_LINE: Final = 100
"""Bytes of a payload that stands on the line of its message."""


# ------------------------------------------------------------------------------------------------------- lines


def conversation_lines(
    capture: Capture, row: ExchangeRow, paint: Paint, *, limit: int | None
) -> Iterator[str]:
    """What was said after the head, when it was a WebSocket or an event stream: the first `limit` of it, or all."""
    kept = BODY_SHOWN if limit is None else _BRIEFLY
    if is_websocket(capture, row):
        yield from _websocket_lines(websocket(capture, row, limit=kept), paint, limit)
    elif is_event_stream(capture, row):
        yield from _event_lines(events(capture, row, limit=kept), paint, limit)


def _websocket_lines(cursor: WebSocketCursor, paint: Paint, limit: int | None) -> Iterator[str]:
    yield ""
    about = explain.websocket.agreement(cursor.deflate)
    yield paint(f"messages · {about.title}", "bold")
    if about.paragraph:
        yield paint(f"  {about.paragraph}", "dim")
    for problem in cursor.deflate.problems if cursor.deflate is not None else ():
        yield paint(f"  {safe(problem)}", "magenta")
    since = cursor.row.answered_ns or cursor.row.started_ns
    told = cursor.rest()
    number = 0
    for each in islice(told, limit):
        number += 1
        yield from _message_lines(number, each, since, paint)
    if limit is not None and next(told, None) is not None:
        yield paint(f"… more messages follow: --messages shows all, not the first {limit}", "dim")
        return
    for each in cursor.unfinished():
        number += 1
        yield from _message_lines(number, each, since, paint)
    if not number:
        yield paint("  none yet" if not cursor.ended else "  none", "magenta")
    for direction, oddity in cursor.oddities:
        yield paint(f"  {'client' if direction == INCOMING else 'server'}: {_said(oddity)}", "magenta")
    if cursor.problem:
        yield paint(f"  {cursor.problem}", "magenta")


def _message_lines(number: int, told: TimedMessage, since: int, paint: Paint) -> Iterator[str]:
    message = told.message
    prefix = paint("> ", "cyan") if told.direction == INCOMING else paint("< ", "green")
    facts = f"{number:>4} {'+' + brief(told.ns - since):>11}  {facts_of_message(message)}"
    body = payload_lines(message)
    if message.kind == "close":
        yield prefix + paint(facts, "dim")
        yield from (prefix + f"     {line}" for line in _close_lines(message))
    elif len(body) == 1 and len(body[0]) <= _ON_ITS_LINE:
        yield f"{prefix}{paint(facts + ':', 'dim')} {body[0]}"
    else:
        yield prefix + paint(facts, "dim")
        yield from (prefix + f"     {line}" for line in body)
        if message.truncated:
            yield prefix + paint(f"     … {message.size - len(message.payload)} more bytes", "dim")
    for oddity in message.oddities:
        yield prefix + paint(f"     {_said(oddity)}", "magenta")


def payload_lines(message: WsMessage) -> list[str]:
    """The payload as safe text: what was sent as text is shown as text, whatever it is."""
    if message.kind == "text" and message.payload:
        return [safe(line.removesuffix(b"\r")) for line in message.payload.removesuffix(b"\n").split(b"\n")]
    return list(body_lines(message.payload)) if message.payload else []


def facts_of_message(message: WsMessage) -> str:
    """What a message is, in a few words: `text, 5 bytes, opcode 1, masked`."""
    return ", ".join((message.kind, _bytes(message.size), *_flags(message)))


def _flags(message: WsMessage) -> Iterator[str]:
    frame = message.frames[0]
    flags = "".join(f" {name}" for name in ("rsv1", "rsv2", "rsv3") if getattr(frame, name))
    yield f"opcode {message.opcode}{flags}"
    yield "masked" if message.masked else "not masked"
    if message.fragments > 1:
        yield f"{message.fragments} frames"
    elif not frame.fin:
        yield "no fin"
    if message.compressed:
        yield f"compressed to {_bytes(message.wire_size)}"
    if not message.complete:
        yield "not complete"


def _close_lines(message: WsMessage) -> Iterator[str]:
    if message.close_code is None:
        yield from body_lines(message.payload) if message.payload else ("no code",)
        return
    found = explain.close_code(message.close_code)
    yield f"{found.title}: {found.sentence}"
    if message.close_reason:
        yield f"reason: {safe(message.close_reason)}"


def _event_lines(cursor: EventCursor, paint: Paint, limit: int | None) -> Iterator[str]:
    yield ""
    yield paint("events", "bold")
    since = cursor.row.answered_ns or cursor.row.started_ns
    told = cursor.rest()
    number = 0
    for number, each in enumerate(islice(told, limit), 1):
        yield from _one_event(number, each, since, paint)
    if limit is not None and next(told, None) is not None:
        yield paint(f"… more events follow: --messages shows all, not the first {limit}", "dim")
        return
    if not number:
        yield paint("  none yet" if not cursor.ended else "  none", "magenta")
    if cursor.problem:
        yield paint(f"  {safe(cursor.problem)}", "magenta")


def _one_event(number: int, told: TimedEvent, since: int, paint: Paint) -> Iterator[str]:
    event = told.event
    prefix = paint("< ", "green")
    words = [safe(event.event or b"message")] if event.data_lines or event.event is not None else []
    if event.data_lines:
        words.append(_bytes(event.size))
    if event.id is not None:
        words.append(f"id {safe(event.id) or '(empty)'}")
    if event.retry is not None:
        words.append(f"retry after {event.retry} ms")
    if event.comment is not None:
        words.append("comment" + "".join(f" {safe(line)}" for line in event.comment.split(b"\n")[:1]))
    if not event.complete:
        words.append("not complete")
    facts = f"{number:>4} {'+' + brief(told.ns - since):>11}  {', '.join(words)}"
    body = list(body_lines(event.data)) if event.data else []
    if len(body) == 1 and len(body[0]) <= _ON_ITS_LINE:
        yield f"{prefix}{paint(facts + ':', 'dim')} {body[0]}"
    else:
        yield prefix + paint(facts, "dim")
        yield from (prefix + f"     {line}" for line in body)
        if event.truncated:
            yield prefix + paint(f"     … {event.size - len(event.data)} more bytes", "dim")
    for oddity in event.oddities:
        yield prefix + paint(f"     {_said(oddity)}", "magenta")


def _said(oddity: Oddity) -> str:
    return f"{oddity.sentence} ({oddity.section})"


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"


# ------------------------------------------------------------------------------------------------------- JSON


def conversation_facts(capture: Capture, row: ExchangeRow, *, limit: int | None) -> dict[str, Any]:
    """`"messages"` of a WebSocket or `"events"` of an event stream, and what belongs to them; nothing for others."""
    if is_websocket(capture, row):
        cursor = websocket(capture, row)
        told, more = _first(cursor.rest(), limit)
        arriving = [] if more else cursor.unfinished()
        return {
            "messages": [message_facts(each, cursor.starts[each.direction]) for each in (*told, *arriving)],
            "more_messages": more,
            "websocket": {
                "deflate": None if cursor.deflate is None else deflate_facts(cursor.deflate),
                "oddities": [
                    {"from": _who(direction)} | oddity_facts(oddity, cursor.starts[direction])
                    for direction, oddity in cursor.oddities
                ],
                "problem": cursor.problem or None,
            },
        }
    if is_event_stream(capture, row):
        stream = events(capture, row)
        found, more = _first(stream.rest(), limit)
        return {
            "events": [_event_facts(each) for each in found],
            "more_events": more,
            "events_problem": stream.problem or None,
        }
    return {}


def _first(told: Iterator[Any], limit: int | None) -> tuple[list[Any], bool]:
    """The first `limit`, and whether there are more."""
    found = list(islice(told, limit))
    return found, limit is not None and next(told, None) is not None


def message_facts(told: TimedMessage, start: int) -> dict[str, Any]:
    """A message; `start` is where its stream's frames begin, and its own offsets count from the stream's first byte."""
    message = told.message
    return {"from": _who(told.direction), "time": rfc3339(told.ns)} | payload_facts(message, start)


def payload_facts(message: WsMessage, start: int) -> dict[str, Any]:
    """A message without who sent it and when."""
    return {
        "kind": message.kind,
        "opcode": message.opcode,
        "start": start + message.start,
        "end": start + message.end,
        "complete": message.complete,
        "masked": message.masked,
        "compressed": message.compressed,
        "fragments": message.fragments,
        "size": message.size,
        "wire_size": message.wire_size,
        "payload": message.payload.decode("latin-1"),
        "truncated": message.truncated,
        "close_code": message.close_code,
        "close_reason": message.close_reason,
        "frames": [frame_facts(frame, start) for frame in message.frames],
        "oddities": [oddity_facts(oddity, start) for oddity in message.oddities],
    }


def frame_facts(frame: Frame, start: int) -> dict[str, Any]:
    """A frame without its oddities."""
    return {
        "start": start + frame.start,
        "payload_start": start + frame.payload_start,
        "end": start + frame.end,
        "fin": frame.fin,
        "rsv": [frame.rsv1, frame.rsv2, frame.rsv3],
        "opcode": frame.opcode,
        "mask": frame.mask.hex() if frame.masked else None,
        "length": frame.length,
        "complete": frame.complete,
    }


def oddity_facts(oddity: Oddity, start: int) -> dict[str, Any]:
    """What is wrong, and where."""
    return oddity._asdict() | {"start": start + oddity.start, "end": start + oddity.end}


def deflate_facts(deflate: Deflate) -> dict[str, Any]:
    """What was agreed about compression."""
    return {
        "server_no_context_takeover": deflate.server_no_context_takeover,
        "client_no_context_takeover": deflate.client_no_context_takeover,
        "server_max_window_bits": deflate.server_max_window_bits,
        "client_max_window_bits": deflate.client_max_window_bits,
        "problems": list(deflate.problems),
    }


def _event_facts(told: TimedEvent) -> dict[str, Any]:
    event = told.event
    return {
        "time": rfc3339(told.ns),
        "start": event.start,
        "end": event.end,
        "event": _latin(event.event),
        "data": _latin(event.data),
        "size": event.size,
        "id": _latin(event.id),
        "retry": event.retry,
        "comment": _latin(event.comment),
        "dispatched": event.dispatched,
        "complete": event.complete,
        "oddities": [oddity_facts(oddity, 0) for oddity in event.oddities],
    }


def _latin(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")


def _who(direction: int) -> str:
    return "client" if direction == INCOMING else "server"
