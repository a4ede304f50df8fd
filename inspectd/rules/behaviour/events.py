"""Server-sent events (HTML §9.2): a stream of events, comments and pauses, each sent in one piece.

Text of several lines is a `data` line each. What would end a line of `event` or `id` is refused: a client would read
something else. `raw` is sent as it is, for streams that are wrong on purpose.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from inspectd.rules.behaviour import saying
from inspectd.rules.behaviour.words import WordsError, gathered
from inspectd.rules.draft import CraftError, Live, Script
from inspectd.rules.program import Send, Stall, Wait
from inspectd.rules.tables import EventsTable, EventTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from inspectd.rules.behaviour.words import Text, Words
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.program import Hold

# end-of-line = ( CR LF / LF / CR )                                            ; HTML §9.2.5
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BREAKS: Final = re.compile(rb"[\r\n\0]")


def step(given: Sequence[str | EventTable] | EventsTable, words: Words) -> Step:
    """The step that makes the content a stream of events. Raises `CraftError`."""
    stream = given if isinstance(given, EventsTable) else EventsTable(send=tuple(given))
    every = saying.seconds("events.every", stream.every)
    where = "events.send" if isinstance(given, EventsTable) else "events"
    parts = gathered(
        partial(_part, f"{where}[{index}]", event, words) for index, event in enumerate(stream.send)
    )
    pauses = [pause for _, pause in parts]
    if stream.repeat and not parts:
        raise CraftError(where, "there is nothing to repeat", "Give it an event.")
    if stream.repeat and not sum(every if pause is None else pause for pause in pauses):
        raise CraftError(
            "events.repeat", "it would repeat without a pause", 'Give every = "1s", or an event an after.'
        )

    def events(call: Call, draft: Draft) -> Draft:
        if draft.get(b"content-type") is None:
            saying.add(draft, b"Content-Type: text/event-stream")
        if draft.get(b"cache-control") is None:
            saying.add(draft, b"Cache-Control: no-store")
        steps: list[Send | Wait] = []
        for index, (text, pause) in enumerate(parts):
            wait = pause if pause is not None else every if index else 0
            if wait:
                steps.append(Wait(wait))
            if text is not None:
                steps.append(Send(text(call)))
        if stream.repeat:
            first = parts[0][1] if parts[0][1] is not None else every
            between = (
                Wait(first),
                *(one for index, one in enumerate(steps) if index or isinstance(one, Send)),
            )
            draft.content = Live(lambda: _again(steps, between))
        else:
            draft.content = Script((*steps, *(() if stream.close else (Stall(),))))
        return draft

    return events


async def _again(
    first: list[Send | Wait], again: tuple[Send | Wait, ...]
) -> AsyncIterator[Send | Wait | Hold | Stall]:
    for one in first:
        yield one
    while True:
        for one in again:
            yield one


def _part(key: str, event: str | EventTable, words: Words) -> tuple[Text | None, float | None]:
    """The bytes of an event, None for a mere pause, and how long to wait before it (None: as between any two)."""
    if not isinstance(event, EventTable):
        return _event([_lines(b"data", words.text(key, event))]), None
    pause = None if event.after is None else saying.seconds(f"{key}.after", event.after)
    said: list[Text] = []
    if event.comment is not None:
        said.append(_lines(b"", words.text(f"{key}.comment", event.comment)))
    if event.event is not None:
        said.append(_line(f"{key}.event", b"event", event.event, words))
    if event.id is not None:
        said.append(_line(f"{key}.id", b"id", event.id, words))
    if event.retry is not None:
        retry = b"retry: %d\n" % event.retry
        said.append(lambda call: retry)  # noqa: ARG005
    if event.data is not None:
        said.append(_lines(b"data", words.text(f"{key}.data", event.data)))
    whole = _event(said) if said else None
    if event.raw is None:
        return whole, pause
    raw = words.raw(f"{key}.raw", event.raw)
    return (raw if whole is None else lambda call: whole(call) + raw(call)), pause


def _event(lines: list[Text]) -> Text:
    """Some lines and the blank one that ends an event."""
    return lambda call: b"".join(line(call) for line in lines) + b"\n"


def _lines(name: bytes, text: Text) -> Text:
    """A line for each line of a text."""
    return lambda call: b"".join(name + b": " + line + b"\n" for line in _LINE_END.split(text(call)))


def _line(key: str, name: bytes, spelled: str, words: Words) -> Text:
    """One line, and no more."""
    trouble, mend = f"{key} has a line end or NUL in it", "A client would read another event."
    if _BREAKS.search(spelled.encode("utf-8", "replace")):
        raise CraftError(key, trouble, mend)
    text = words.text(key, spelled)

    def line(call: Call) -> bytes:
        data = text(call)
        if _BREAKS.search(data):
            raise WordsError(trouble, mend)
        return name + b": " + data + b"\n"

    return line
