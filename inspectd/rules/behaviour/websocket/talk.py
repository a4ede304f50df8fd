"""One conversation over a WebSocket: what is said by itself, what is answered, and how it ends (RFC 6455 §5 to §7).

Steps come out, and bytes of the client come in through the inbox: nothing here waits or touches a socket. What a client
sends is heard only while there is room for what it leads to, so that no flood fills memory.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import JOINED
from inspectd.rules.behaviour.websocket.peer import Closed, Failed, Pinged, Ponged
from inspectd.rules.behaviour.websocket.script import Frames, Message, Pause
from inspectd.rules.program import Close, HalfClose, Listen, Reset, Send, Stall, Wait
from inspectd.wire.websocket import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from inspectd.rules.behaviour.websocket.peer import Heard, Peer
    from inspectd.rules.behaviour.websocket.script import Said
    from inspectd.rules.inbox import Inbox
    from inspectd.rules.program import Op

CLOSING_SECONDS: Final = 2.0
"""How long a client gets to answer a Close frame, or to see why its connection ends."""
STOPPING_SECONDS: Final = 0.5
"""The same when the engine stops."""
AGENDA: Final = 1000
"""Delayed answers that may wait; while there are as many, the client isn't heard."""
TURN: Final = 200
"""Things that are heard or said before other connections have their turn."""
_LOOK_UP: Final = 0.1  # seconds after which a stop is noticed while nobody listens

GOING_AWAY: Final = 1001
NO_PONG: Final = 1011


@dataclass(frozen=True, slots=True)
class Manners:
    """How a conversation is held, beside what is said. Times are in seconds, 0 for never."""

    echo: bool = False
    pong: bool = True
    close_answer: bool = True
    ping_every: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """Something to say, so many seconds after what came before it."""

    pause: float
    said: Said


class Talk:
    """A conversation. `script` is what is said by itself; `react` finds what is said to a message."""

    def __init__(
        self,
        inbox: Inbox,
        peer: Peer,
        manners: Manners,
        script: Iterator[Spoken],
        react: Callable[[str | bytes], tuple[Spoken, ...] | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._peer = peer
        self._manners = manners
        self._script: Iterator[Spoken] | None = script
        self._next: Spoken | None = None
        self._due = 0.0  # when `_next` is said
        self._react = react
        self._clock = clock
        self._heard: Iterator[Heard | None] = iter(())
        self._agenda: list[tuple[float, int, Said]] = []
        self._numbers = count()
        self._out: deque[Send | HalfClose | Close | Stall | Reset] = deque()
        self._gathered: list[bytes] = []
        self._size = 0
        self._moves = 0  # since others had their turn
        self._sent_close = False
        self._got_close = False
        self._parted = False  # nothing is said any more
        self._over = False
        self._deadline: float | None = None  # when this side has waited long enough
        self._last_heard = 0.0
        self._ping_due = 0.0
        self._unanswered = False  # a ping

    async def steps(self) -> AsyncIterator[Op]:
        """What happens, step by step."""
        now = self._clock()
        self._last_heard = now
        self._ping_due = now + self._manners.ping_every
        self._turn_page(now)
        while True:
            moved = self._listen(now)
            moved = self._speak(now) or moved
            if self._size >= JOINED or not moved or self._over:
                self._gather()
            while self._out:
                self._moves = 0
                yield self._out.popleft()
            if self._over:
                return
            self._moves += 1
            if moved and self._moves >= TURN:
                self._moves = 0
                yield Listen(self._inbox, 0.0)
            now = self._clock()
            if not moved:
                patience = self._patience(now)
                if self._full and patience is not None:
                    yield Wait(min(patience, _LOOK_UP))
                else:
                    yield Listen(self._inbox, patience)
                now = self._clock()

    @property
    def _full(self) -> bool:
        return len(self._agenda) >= AGENDA

    # -- listening

    def _listen(self, now: float) -> bool:
        """Take notice of one thing that the client, or the engine, did; whether there was any."""
        inbox = self._inbox
        if inbox.stopping:
            inbox.stopping = False
            self._go_away(now)
            return True
        if self._full:
            return False
        try:
            heard = next(self._heard)
        except StopIteration:
            return self._fetch(now)
        if heard is None:
            self._moves = TURN
            return True
        if not self._parted:
            self._notice(heard, now)
        elif isinstance(heard, Closed):
            self._closed(heard)
        return True

    def _fetch(self, now: float) -> bool:
        """Take what lies in the inbox; whether anything did."""
        data = self._inbox.take()
        if data:
            self._last_heard = now
            self._heard = self._peer.hear(data)
            return True
        if self._inbox.ended:
            self._leave()
        return False

    def _notice(self, heard: Heard, now: float) -> None:
        match heard:
            case Closed():
                self._closed(heard)
            case Failed(code):
                self._outcome(f"the client broke the rules: closed with {code}")
                self._close(code, heard.why)
                self._part(now)
            case Pinged(payload):
                if self._manners.pong:
                    self._put(encode.frame(payload, encode.PONG))
            case Ponged():
                self._unanswered = False
            case _:
                self._answer(heard, now)

    def _answer(self, message: str | bytes, now: float) -> None:
        reply = self._react(message)
        if reply is not None:
            due = now
            for spoken in reply:
                due += spoken.pause
                if due <= now:
                    self._say(spoken.said)
                else:
                    heappush(self._agenda, (due, next(self._numbers), spoken.said))
        elif self._manners.echo:
            self._say(Message(message))

    def _closed(self, heard: Closed) -> None:
        self._got_close = True
        code = "without a code" if heard.code is None else f"with {heard.code}"
        self._outcome(f"the client closed {code}" if not self._sent_close else "")
        if not self._sent_close and self._manners.close_answer:
            self._put(encode.frame(encode.closing(heard.code), encode.CLOSE))
            self._sent_close = True
        if self._sent_close:
            self._end(Close())

    def _leave(self) -> None:
        """The client said FIN."""
        self._outcome("" if self._got_close or self._sent_close else "the client left without a Close frame")
        self._end(Close())

    # -- speaking

    def _speak(self, now: float) -> bool:
        """Say what is due; whether anything was."""
        if self._over:
            return False
        if self._deadline is not None and now >= self._deadline:
            self._end(Close())
            return True
        if self._parted:
            return False
        moved = False
        if self._next is not None and self._due <= now:
            said = self._next.said
            self._turn_page(now)
            self._say(said)
            moved = True
        if self._agenda and self._agenda[0][0] <= now:
            self._say(heappop(self._agenda)[2])
            moved = True
        if self._sent_close:
            if self._next is None and not self._agenda and self._deadline is None:
                self._deadline = now + CLOSING_SECONDS
            return moved
        return self._watch(now) or moved

    def _watch(self, now: float) -> bool:
        """Look whether the client is still there."""
        manners = self._manners
        if manners.idle and now - self._last_heard >= manners.idle:
            self._outcome(f"the client was silent: closed with {GOING_AWAY}")
            self._close(GOING_AWAY, "nothing came for too long")
            self._quiet()
            return True
        if manners.ping_every and now >= self._ping_due:
            if self._unanswered:
                self._outcome(f"no pong came: closed with {NO_PONG}")
                self._close(NO_PONG, "no pong came")
                self._quiet()
                return True
            self._put(encode.frame(b"inspectd", encode.PING))
            self._unanswered = True
            self._ping_due = now + manners.ping_every
            return True
        return False

    def _turn_page(self, now: float) -> None:
        """Take the next thing to say from the script."""
        self._next = next(self._script, None) if self._script is not None else None
        if self._next is not None:
            # Counted from one due time to the next, so that late timers don't add up.
            self._due = max((self._due or now) + self._next.pause, now)

    def _say(self, said: Said) -> None:
        match said:
            case Message(payload):
                data = None if self._sent_close or self._got_close else self._peer.say(payload)
                self._put(said.frames() if data is None else data)
            case Frames(data, code):
                self._put(data)
                if code is not None and not self._sent_close:
                    self._sent_close = True
                    self._outcome(f"closed {f'with {code}' if code else 'without a code'}")
                    if self._got_close:
                        self._end(Close())
            case Pause():
                pass
            case HalfClose():
                self._gather()
                self._out.append(said)
                self._quiet()
                self._parted = True
            case _:
                self._outcome("ended without a Close frame")
                self._end(said)

    def _close(self, code: int, reason: str) -> None:
        if not self._sent_close:
            self._put(encode.frame(encode.closing(code, reason.encode()[:123]), encode.CLOSE))
            self._sent_close = True

    # -- the end

    def _go_away(self, now: float) -> None:
        """The engine stops."""
        if self._got_close or self._parted:
            self._end(Close())
            return
        if not self._sent_close:
            self._outcome(f"inspectd stopped: closed with {GOING_AWAY}")
        self._close(GOING_AWAY, "inspectd stops")
        self._quiet()
        self._parted = True
        self._deadline = now + STOPPING_SECONDS

    def _part(self, now: float) -> None:
        """Nothing more is said, and the client gets the time to see why: a RST would eat the Close frame."""
        self._quiet()
        self._parted = True
        self._gather()
        self._out.append(HalfClose())
        self._deadline = now + CLOSING_SECONDS

    def _quiet(self) -> None:
        """Nothing that was planned is said any more."""
        self._script = self._next = None
        self._agenda.clear()

    def _end(self, how: Close | Reset | Stall) -> None:
        if not self._over:
            self._over = True
            self._gather()
            self._out.append(how)

    def _outcome(self, words: str) -> None:
        """Remember what the conversation came to: the first reason for its end is the one that counts."""
        if words and not self._inbox.outcome:
            self._inbox.outcome = words

    # -- what leaves

    def _put(self, data: bytes) -> None:
        self._gathered.append(data)
        self._size += len(data)

    def _gather(self) -> None:
        """Make what was said one step."""
        if self._gathered:
            self._out.append(Send(b"".join(self._gathered)))
            self._gathered.clear()
            self._size = 0

    def _patience(self, now: float) -> float | None:
        """How many seconds there is nothing to do, if nobody says anything; None for ever."""
        dues = []
        if self._deadline is not None:
            dues.append(self._deadline)
        if not self._parted:
            if self._next is not None:
                dues.append(self._due)
            if self._agenda:
                dues.append(self._agenda[0][0])
            if not self._sent_close:
                if self._manners.ping_every:
                    dues.append(self._ping_due)
                if self._manners.idle:
                    dues.append(self._last_heard + self._manners.idle)
        return max(min(dues) - now, 0.0) if dues else None
