"""A rule that is a WebSocket server: the handshake, then a conversation instead of content (RFC 6455).

`step` makes it from a table. Nothing of wsproto is loaded before there is such a rule.
"""

from __future__ import annotations

from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

from inspectd.errors import InspectdError
from inspectd.rules.behaviour import saying
from inspectd.rules.behaviour.websocket import handshake, script
from inspectd.rules.behaviour.websocket.peer import Peer
from inspectd.rules.behaviour.websocket.script import Frames, Message, Pause
from inspectd.rules.behaviour.websocket.talk import Manners, Spoken, Talk
from inspectd.rules.behaviour.words import gathered
from inspectd.rules.draft import Conversation, CraftError
from inspectd.rules.inbox import Inbox
from inspectd.rules.program import HalfClose, Listen, Send, Wait
from inspectd.rules.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inspectd.rules.behaviour.websocket.script import Line, Reaction
    from inspectd.rules.behaviour.words import Words
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.program import Op
    from inspectd.rules.tables import WebSocketTable

LARGEST: Final = 64 << 20
"""Bytes of a message that may be asked to be kept at most."""


def step(table: WebSocketTable, words: Words, *, own_status: bool) -> Step:
    """The step that makes the answer a WebSocket. Raises `CraftProblems`.

    With `own_status` the rule has given the status line itself.
    """
    protocols = (table.protocol,) if isinstance(table.protocol, str) else table.protocol
    key = "websocket"
    makes: list[Callable[[], Any]] = [
        partial(script.lines, f"{key}.send", table.send, words),
        partial(_pause, table),
        partial(_manners, table),
        partial(_largest, table),
        partial(gathered, [partial(saying.one_line, f"{key}.protocol", one) for one in protocols]),
        partial(
            gathered, [partial(script.reaction, f"{key}.on[{n}]", on, words) for n, on in enumerate(table.on)]
        ),
    ]
    said, every, manners, largest, chosen, reactions = gathered(makes)

    def websocket(call: Call, draft: Draft) -> Draft:
        refused = handshake.refusal(call.request, draft)
        if refused is not None:
            return refused
        spoken = _spoken(said, call, every)
        answers = [(reaction, _spoken(reaction.lines, call, 0.0)) for reaction in reactions]
        deflate = handshake.accept(call.request, draft, table, chosen)
        if not own_status:
            draft.status_line = b"HTTP/1.1 101 Switching Protocols"
        inbox = Inbox()
        peer = Peer(deflate, largest=largest, keep=manners.echo or bool(reactions))
        talk = Talk(inbox, peer, manners, _script(spoken, every, table), partial(_react, answers))
        draft.content = Conversation(talk.steps, inbox, tuple(_shown(spoken, inbox)))
        return draft

    return websocket


def _pause(table: WebSocketTable) -> float:
    every = saying.seconds("websocket.every", table.every)
    if not table.repeat:
        return every
    if not table.send:
        raise CraftError("websocket.repeat", "there is nothing to repeat", "Give send a message.")
    pauses = [
        saying.seconds("websocket.send", one.after)
        for one in table.send
        if not isinstance(one, str) and one.after
    ]
    if not every and not any(pauses):
        mend = 'Give every = "1s", or a message an after.'
        raise CraftError("websocket.repeat", "messages again and again without a pause", mend)
    return every


def _manners(table: WebSocketTable) -> Manners:
    ping, idle = gathered(
        [
            partial(saying.seconds, "websocket.ping-every", table.ping_every),
            partial(saying.seconds, "websocket.idle", table.idle),
        ]
    )
    return Manners(table.echo, table.pong, table.close_answer, ping, idle)


def _largest(table: WebSocketTable) -> int:
    try:
        largest = size(table.largest)
    except InspectdError as error:
        raise CraftError("websocket.largest", error.what, error.mend) from None
    if largest > LARGEST:
        raise CraftError(
            "websocket.largest", "messages of more than 64 MiB", "They are kept in memory: take less."
        )
    return largest


def _spoken(lines: Sequence[Line], call: Call, every: float) -> tuple[Spoken, ...]:
    """What is said for this call. Between two lines passes `every`, unless one has a pause of its own."""
    return tuple(
        Spoken(line.pause if line.pause is not None else every if index else 0.0, line.say(call))
        for index, line in enumerate(lines)
    )


def _script(spoken: tuple[Spoken, ...], every: float, table: WebSocketTable) -> Iterator[Spoken]:
    if not table.repeat:
        return iter(spoken)
    first = table.send[0]
    own = not isinstance(first, str) and first.after is not None
    again = (spoken[0] if own else Spoken(every, spoken[0].said), *spoken[1:])
    return chain(spoken, chain.from_iterable(repeat(again)))


def _react(
    answers: Sequence[tuple[Reaction, tuple[Spoken, ...]]], message: str | bytes
) -> tuple[Spoken, ...] | None:
    """What is said to a message; None when no item of `on` is for it."""
    return next((spoken for reaction, spoken in answers if reaction.fits(message)), None)


def _shown(spoken: Sequence[Spoken], inbox: Inbox) -> Iterator[Op]:
    """What is said by itself, as steps of a time line."""
    for one in spoken:
        if one.pause:
            yield Wait(one.pause)
        match one.said:
            case Message():
                yield Send(one.said.frames())
            case Frames(data):
                yield Send(data)
            case Pause():
                pass
            case act:
                yield act
                if not isinstance(act, HalfClose):
                    return
    yield Listen(inbox)
