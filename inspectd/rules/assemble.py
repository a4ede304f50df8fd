"""From a draft to a program: framing, interim responses, pace and faults, in this order.

This is the one place that knows how content becomes the bytes of a message (RFC 9112 §6). Nothing is repaired: what is
added to the words of a rule is listed in the program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.rules.answer import (
    JOINED,
    LARGE_FILE,
    automatic_fields,
    has_no_content,
    head_bytes,
    read_slice,
    status_code,
)
from inspectd.rules.draft import Conversation, FileSlice, Live, Script
from inspectd.rules.faults import ANSWER_END, Breaker, Layout, Mark
from inspectd.rules.program import Close, Hold, LiveProgram, Program, Send, SendFile, Stall, Wait
from inspectd.rules.timing import AT_ONCE, Timing, join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from inspectd.rules.chunking import Chunking
    from inspectd.rules.codings import Codings
    from inspectd.rules.draft import Call, Content, Draft
    from inspectd.rules.faults import Fault, Item
    from inspectd.rules.program import Op

REPEATED: Final = 4 << 20
"""Bytes that content which is repeated may have in one piece."""

_OF_THE_RULE: Final = frozenset({200, 206})  # final answers that have the content of the rule


class Stamp(NamedTuple):
    """Where a program comes from (see `Program`). Only of an answer given as a whole it is the program's `label`."""

    label: str
    rule: str = ""
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """How an answer is sent, once its words are known.

    `interim` are the heads of interim responses and the waits between them. `content_type` is what the content of the
    rule is, for a field that may be added; `repeat` how often that content stands in a row. `closes` asks for
    the end of the connection after the answer.
    """

    stamp: Stamp
    coding: Codings | None = None
    chunking: Chunking | None = None
    interim: tuple[Send | Wait, ...] = ()
    timing: Timing = AT_ONCE
    faults: tuple[Fault, ...] = ()
    content_type: str = ""
    repeat: int = 1
    closes: bool = False

    @property
    def plain(self) -> bool:
        """The head and the content follow each other at once, and nothing else is sent."""
        return self.timing is AT_ONCE and not (self.faults or self.interim or self.chunking)


def assemble(draft: Draft, call: Call, finish: Finish) -> Program | LiveProgram:
    """The program that says what the draft says. Raises `InspectdError` when that can't be done."""
    said = _say(draft, call, finish)
    content = b"" if said.content is None else said.content
    if finish.plain and not draft.before and isinstance(content, bytes) and len(content) <= JOINED:
        return _plain(said, content, finish.stamp)
    start = sum(len(op.data) for op in finish.interim if isinstance(op, Send))
    layout = Layout(start, start + len(draft.status_line) + 2, start + len(said.head), None)
    heads: tuple[Op, ...] = (
        *_waited(draft, call, finish),
        *_before(finish),
        *finish.interim,
        Send(said.head),
    )
    stamp = finish.stamp
    if isinstance(said.content, Conversation):
        breaker = Breaker(finish.faults, layout, sent=call.request.sent)
        talk = _talk(heads, said.content, finish, breaker)
        shown = (*heads, *said.content.shown)
        return LiveProgram(talk, stamp.label, said.added, stamp.rule, stamp.hold, said.content.inbox, shown)
    if isinstance(said.content, Live):
        breaker = Breaker(finish.faults, layout, sent=call.request.sent)
        ops = _live(heads, said.content, finish, breaker, closes=said.closes)
        return LiveProgram(ops, said.label, said.added, stamp.rule, stamp.hold)
    body = list(_content(said.content, finish))
    layout = replace(layout, total=layout.head + sum(map(length, body)))
    items: list[Item] = [finish.timing.on(op, head=True) for op in heads]
    items += [item if isinstance(item, Mark) else finish.timing.on(item, head=False) for item in body]
    items.append(ANSWER_END)
    if said.closes:
        items.append(Close())
    breaker = Breaker(finish.faults, layout, sent=call.request.sent)
    return _program(items, breaker, finish, said.label, said.added, said.idle)


def _plain(said: _Said, content: bytes, stamp: Stamp) -> Program:
    """What all the rest comes to when an answer is one piece of bytes that leaves at once."""
    ops: tuple[Op, ...] = (Send(said.head + content),)
    if said.closes:
        ops = (*ops, Close())
    return Program(ops, said.label, said.added, stamp.rule, stamp.hold, said.idle)


def status_label(status_line: bytes) -> str:
    """A status line in a few words: without the version where that is the usual one."""
    return status_line.decode("utf-8", "backslashreplace").removeprefix("HTTP/1.1 ")


class _Said(NamedTuple):
    """A draft as a message; content of None is not sent."""

    head: bytes
    content: Content | None
    label: str
    added: tuple[str, ...]
    closes: bool
    idle: tuple[str, ...]


def _say(draft: Draft, call: Call, finish: Finish) -> _Said:
    asked = call.request.head
    code = status_code(draft.status_line)
    more: list[bytes] = []
    content: Content
    if finish.coding is None or draft.final:
        content = repeated(draft.content, finish.repeat)
    else:
        content = finish.coding.encode(draft.content, finish.repeat)
        if finish.coding.field_line and draft.get(b"content-encoding") is None:
            more.append(finish.coding.field_line)
    size = content_size(content)
    if (
        finish.content_type
        and "content-type" in draft.auto
        and (not draft.final or code in _OF_THE_RULE)
        and draft.get(b"content-type") is None
    ):
        more.insert(0, b"Content-Type: " + finish.content_type.encode())
    fields = (*draft.fields, *more)
    automatic, closes = automatic_fields(
        draft.status_line,
        fields,
        draft.auto,
        size=size,
        method=asked.method,
        old_client=asked.version == b"HTTP/1.0",
        persist=call.persist and not draft.closes and not finish.closes,
        now=call.now,
        chunked=finish.chunking is not None,
    )
    added = (*draft.added, *(line.decode("utf-8", "replace") for line in more), *automatic)
    head = head_bytes(draft.status_line, fields, automatic)
    bodiless = has_no_content(asked.method, code) and not isinstance(content, Conversation)
    idle: tuple[str, ...] = ()
    if bodiless and asked.method != b"HEAD" and size != 0:
        idle = (f"The content is not sent: an answer of {code} ends with its head.",)
    return _Said(head, None if bodiless else content, status_label(draft.status_line), added, closes, idle)


def _waited(draft: Draft, call: Call, finish: Finish) -> tuple[Op, ...]:
    """What runs ahead of the answer, with the other answer for the end of the time where there is one."""
    if draft.otherwise is None:
        return draft.before
    plain = Finish(finish.stamp, closes=finish.closes)
    other = assemble(draft.otherwise, call, plain)
    ops = other.ops if isinstance(other, Program) else ()
    return tuple(replace(op, otherwise=ops) if isinstance(op, Hold) else op for op in draft.before)


def assemble_whole(
    ops: Iterable[Op], layout: Layout, call: Call, finish: Finish, added: tuple[str, ...] = ()
) -> Program:
    """A program whose bytes are given as a whole: only waiting, pace and faults apply to it.

    `layout` says where the parts of these bytes are. A `Close` among the steps stays.
    """
    items: list[Item] = [*_before(finish)]
    position = 0
    endings: list[Item] = []
    for op in ops:
        if isinstance(op, Close):
            endings = [op]
            continue
        size = length(op)
        if isinstance(op, Send) and position < layout.head < position + size:
            border = layout.head - position
            items.append(finish.timing.on(Send(op.data[:border]), head=True))
            items.append(finish.timing.on(Send(op.data[border:]), head=False))
        else:
            items.append(finish.timing.on(op, head=position < layout.head))
        position += size
    items.append(ANSWER_END)
    items += endings or ([Close()] if finish.closes else [])
    breaker = Breaker(finish.faults, layout, sent=call.request.sent)
    return _program(items, breaker, finish, finish.stamp.label, added)


def _program(
    items: list[Item],
    breaker: Breaker,
    finish: Finish,
    label: str,
    added: tuple[str, ...],
    idle: tuple[str, ...] = (),
) -> Program:
    stamp = finish.stamp
    ops = join(op for item in items for op in breaker.feed(item))
    breaker.over()
    return Program(ops, label, added, stamp.rule, stamp.hold, (*idle, *breaker.idle))


async def _live(
    heads: tuple[Op, ...], content: Live, finish: Finish, breaker: Breaker, *, closes: bool
) -> AsyncIterator[Op]:
    timing = finish.timing
    for head in heads:
        for op in breaker.feed(timing.on(head, head=True)):
            yield op
    chunker = finish.chunking.start() if finish.chunking is not None else None
    steps = content.steps()
    try:
        async for step in steps:
            if breaker.ended:
                break
            items: Iterable[Item] = (step,) if chunker is None else chunker.step(step)
            for op in _paced(items, breaker, timing):
                yield op
    finally:
        if close := getattr(steps, "aclose", None):
            await close()
    ending: list[Item] = [*(chunker.end() if chunker is not None else ()), ANSWER_END]
    if closes:
        ending.append(Close())
    for op in _paced(ending, breaker, timing):
        yield op


async def _talk(
    heads: tuple[Op, ...], content: Conversation, finish: Finish, breaker: Breaker
) -> AsyncIterator[Op]:
    for head in heads:
        for op in breaker.feed(finish.timing.on(head, head=True)):
            yield op
    steps = content.steps()
    try:
        async for step in steps:
            for op in breaker.feed(finish.timing.on(step, head=False)):
                yield op
            if breaker.ended:
                break
    finally:
        if close := getattr(steps, "aclose", None):
            await close()


def _paced(items: Iterable[Item], breaker: Breaker, timing: Timing) -> Iterator[Op]:
    for item in items:
        yield from breaker.feed(item if isinstance(item, Mark) else timing.on(item, head=False))


def _before(finish: Finish) -> tuple[Wait, ...]:
    return (Wait(finish.timing.before),) if finish.timing.before else ()


def _content(content: bytes | FileSlice | Script | None, finish: Finish) -> Iterator[Item]:
    if content is None:
        return
    if isinstance(content, FileSlice) and content.length <= LARGE_FILE:
        content = read_slice(content.path, content.offset, content.length)
    if finish.chunking is not None:
        marked = any(fault.place.part == "chunk" for fault in finish.faults)
        yield from finish.chunking.start(marked=marked).content(content)
    elif isinstance(content, Script):
        yield from content.steps
    elif isinstance(content, FileSlice):
        yield SendFile(content.path, content.offset, content.length)
    elif content:
        yield Send(content)


def length(item: Item) -> int:
    """How many bytes a step sends."""
    if isinstance(item, Send):
        return len(item.data)
    return item.length if isinstance(item, SendFile) else 0


def content_size(content: Content | None) -> int | None:
    """How many bytes of content there are; None when nobody knows, or when they never end."""
    if content is None:
        return 0
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, FileSlice):
        return content.length
    if isinstance(content, (Live, Conversation)) or any(isinstance(step, Stall) for step in content.steps):
        return None
    return sum(map(length, content.steps))


def repeated(content: Content, times: int) -> Content:
    """The content so many times. However often that is, it takes little memory: pieces are shared."""
    if times == 1 or not isinstance(content, bytes) or not content:
        return content
    if len(content) * times <= REPEATED:
        return content * times
    copies = max(1, REPEATED // len(content))
    whole, rest = divmod(times, copies)
    return Script((Send(content * copies),) * whole + ((Send(content * rest),) if rest else ()))
