"""What was recorded, over the control API: looking it up, waiting for it, verifying it.

The capture is read like by every other viewer, on a thread of its own and a stretch at a time, so that neither the data
path nor another question waits for a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inspectd.capture.model import State
from inspectd.capture.reader import BytesGone, Capture
from inspectd.control.routing import RefusalError
from inspectd.control.traffic_messages import (
    ExchangeDetail,
    ExchangeShown,
    ExchangesShown,
    NearMiss,
    Verified,
    VerifyRequest,
    Waited,
    WaitRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from inspectd.capture.model import ExchangeRow
    from inspectd.control.conversation_messages import ConversationShown
    from inspectd.control.routing import Asked
    from inspectd.engine.server import Engine
    from inspectd.rules.match import Matcher
    from inspectd.rules.request import Request

STRETCH: Final = 200
"""Exchanges that are looked at before others get their turn."""
SHOWN: Final = 100
"""Exchanges that an answer holds at most when they were counted."""
NEAR: Final = 3
"""Near misses that are told."""
MISSES: Final = 500
"""Of so many of the newest exchanges that didn't match it is found out how near they came."""
OTHER: Final = 10_000
"""Methods and targets that are remembered not to match."""
TICK: Final = 0.1
"""Seconds between two looks when nothing is heard: the end of a connection tells nobody."""
BREATH: Final = 0.005
"""Seconds between two looks at least: under load what comes is looked at together."""
STOP_SECONDS: Final = 5.0
LONGEST_WAIT: Final = 3600.0

_OVER: Final = State.RESPONSE_COMPLETE | State.ABORTED

T = TypeVar("T")


class Record:
    """The engine's capture, open for reading on one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "inspectd control")
        self._capture: Capture | None = None

    async def read(self, work: Callable[[Capture], T]) -> T:
        """What `work` finds, everything that has happened until now included."""
        self._engine.flush()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def _run(self, work: Callable[[Capture], T]) -> T:
        if self._capture is None:
            self._capture = Capture.open(self._engine.capture)
        return work(self._capture)

    def close(self) -> None:
        """Close the file, when what is under way is done."""
        self._thread.submit(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._capture is not None:
            self._capture.close()


class ExchangesApi:
    """Answers `/v1/exchanges`, `/v1/wait` and `/v1/verify`. `stopping` says that nothing more will come."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._record = Record(engine)
        self._stopping = False
        self._waiting: set[asyncio.Event] = set()
        self._left = asyncio.Event()
        self.handlers: dict[str, Callable[[Asked], Any]] = {
            "exchanges": self._list,
            "exchange": self._one,
            "messages": self._messages,
            "wait": self._wait,
            "verify": self._verify,
        }

    async def stop(self) -> None:
        """Let everybody who waits know that the engine ends, and give them a moment to go."""
        self._stopping = True
        for news in self._waiting:
            news.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._waiting:
                    self._left.clear()
                    await self._left.wait()

    def close(self) -> None:
        """Let go of the capture."""
        self._record.close()

    # -- looking things up

    async def _list(self, asked: Asked) -> ExchangesShown:
        query = asked.query()
        if unknown := sorted(query.keys() - {"after", "limit", "method", "target"}):
            raise RefusalError(400, f"there is no parameter {unknown[0]!r}", "after, limit, method, target.")
        after = _number(query, "after", 0, 0, 1 << 62)
        limit = _number(query, "limit", 100, 1, 1000)
        method, target = query.get("method"), query.get("target")
        found: list[ExchangeShown] = []
        newest, more = 0, False
        while True:
            shown, after, newest = await self._record.read(
                lambda capture, after=after: _stretch(capture, after, method, target)  # type: ignore[misc]
            )
            found += shown
            if len(found) > limit or after >= newest:
                break
        more = len(found) > limit
        return ExchangesShown(exchanges=tuple(found[:limit]), newest=newest, more=more)

    async def _one(self, asked: Asked) -> ExchangeDetail:
        number = asked.id()
        found = await self._record.read(lambda capture: _detail(capture, number))
        if found is None:
            raise RefusalError(404, f"there is no exchange {number}", "See GET /v1/exchanges.")
        return found

    async def _messages(self, asked: Asked) -> ConversationShown:
        from inspectd.control.conversation import Conversation

        number = asked.id()
        query = asked.query()
        if unknown := sorted(query.keys() - {"after", "limit"}):
            raise RefusalError(400, f"there is no parameter {unknown[0]!r}", "after, limit.")
        said = Conversation(
            number, _number(query, "after", 0, 0, 1 << 62), _number(query, "limit", 100, 1, 1000)
        )
        if not await self._record.read(said.open):
            raise RefusalError(404, f"there is no exchange {number}", "See GET /v1/exchanges.")
        while await self._record.read(said.read):
            pass
        return said.shown()

    # -- waiting and verifying

    async def _wait(self, asked: Asked) -> Waited:
        wish = asked.content(WaitRequest)
        seconds = _seconds(wish.timeout)
        news = asyncio.Event()
        self._waiting.add(news)
        # Only while somebody waits: it costs each exchange a little.
        end = self._engine.subscribe(lambda *_: news.set())
        try:
            look = Look(await asyncio.to_thread(_matcher, wish.match), wish.after, wish.state)
            await self._look_until(look, wish.count, news, seconds)
        finally:
            end()
            self._waiting.discard(news)
            self._left.set()
        ok = len(look.matched) >= wish.count
        held = {each.id for each in self._engine.holds.held}
        near = () if ok else await self._record.read(lambda capture: look.near_misses(capture, held))
        return Waited(
            ok=ok,
            count=len(look.matched),
            newest=look.newest,
            exchanges=tuple(look.shown(SHOWN)),
            near_misses=near,
        )

    async def _look_until(self, look: Look, count: int, news: asyncio.Event, seconds: float) -> None:
        """Look at what comes until enough has come, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            news.clear()
            began = loop.time()
            await self._look(look)
            taken = loop.time() - began
            left = deadline - loop.time()
            if len(look.matched) >= count or left <= 0:
                return
            if self._stopping:
                raise RefusalError(503, "the engine ends: nothing more will come")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, TICK)):
                    await news.wait()
            # At most a third of the time is spent looking.
            await asyncio.sleep(min(left, max(BREATH, 2 * taken)))

    async def _look(self, look: Look) -> None:
        """Look once at everything that is new, or not settled yet. What comes meanwhile is not waited for."""
        held = {each.id for each in self._engine.holds.held}
        newest = await self._record.read(lambda capture: look.again(capture, held))
        while look.newest < newest and await self._record.read(lambda capture: look.on(capture, held)):
            pass

    async def _verify(self, asked: Asked) -> Verified:
        wish = asked.content(VerifyRequest)
        if wish.count is not None and (wish.at_least is not None or wish.at_most is not None):
            raise RefusalError(400, "count stands alone", "Give count, or at_least and at_most.")
        look = Look(await asyncio.to_thread(_matcher, wish.match), wish.after, "arrived")
        await self._look(look)
        count = len(look.matched)
        least = wish.count if wish.count is not None else wish.at_least
        most = wish.count if wish.count is not None else wish.at_most
        if least is None:
            least = 1 if most is None else 0
        ok = least <= count and (most is None or count <= most)
        near = () if count >= least else await self._record.read(look.near_misses)
        return Verified(
            ok=ok,
            count=count,
            exchanges=tuple(look.shown(SHOWN)),
            near_misses=near,
        )


@dataclass(slots=True)
class Look:
    """A look at exchanges, again and again: which of those after `newest` match and are as far as `state` says."""

    matcher: Matcher
    newest: int
    state: str
    matched: dict[int, ExchangeShown] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    """Those that match, as far as can be known, and aren't that far yet."""
    missed: deque[int] = field(default_factory=lambda: deque(maxlen=MISSES))
    """The newest of those that don't match."""
    _other: set[tuple[str, str]] = field(default_factory=set)
    """Methods and targets that don't match, whatever else is in the request: its bytes needn't be read."""

    def again(self, capture: Capture, held: set[int]) -> int:
        """Look again at those that weren't settled; the id of the newest exchange there is."""
        numbers, self.unsettled = sorted(self.unsettled), set()
        for row in capture.exchanges(numbers):
            self._see(capture, row, held)
        return capture.newest_exchange()

    def on(self, capture: Capture, held: set[int]) -> bool:
        """Look at what has come since, a stretch of it; whether there is more."""
        new = capture.exchanges_after(self.newest, STRETCH)
        for row in new:
            self._see(capture, row, held)
        self.newest = new[-1].id if new else self.newest
        return len(new) == STRETCH

    def _see(self, capture: Capture, row: ExchangeRow, held: set[int]) -> None:
        if not row.state & (State.REQUEST_COMPLETE | _OVER) and row.id not in held:
            self.unsettled.add(row.id)
            return
        if (row.method, row.target) in self._other:
            self.missed.append(row.id)
            return
        request = _request(capture, row)
        if request is None:
            return
        if self.matcher.test(request) is None:
            self.missed.append(row.id)
            self._note(row, request)
        elif self._far_enough(capture, row, held):
            from inspectd.control.showing import exchange_shown

            self.matched[row.id] = exchange_shown(row, capture.evidence(row.id))
        else:
            self.unsettled.add(row.id)

    def _note(self, row: ExchangeRow, request: Request) -> None:
        """Remember a method and target that don't match by themselves, if the row has all of them."""
        from inspectd.rules.subject import Subject

        method, target = row.method or "", row.target or ""
        whole = method.encode() == request.head.method and target.encode() == request.head.target
        # Bytes that are no text are shown with a backslash, as a backslash itself is.
        sure = whole and "\\" not in method + target and len(self._other) < OTHER
        if sure and self.matcher.captured(Subject(request)) is None:
            self._other.add((method, target))

    def _far_enough(self, capture: Capture, row: ExchangeRow, held: set[int]) -> bool:
        if self.state == "arrived":
            return True
        if self.state == "held":
            return row.id in held
        if self.state == "answered":
            return bool(row.state & _OVER)
        connection = capture.connection(row.connection)
        return connection is None or connection.closed_ns is not None

    def near_misses(self, capture: Capture, held: Collection[int] = ()) -> tuple[NearMiss, ...]:
        """What came closest without being what is looked for, the closest first, the newest of equals.

        Closest is what matches and isn't as far as it is to be; `held` are those that wait for somebody to decide.
        """
        late = list(itertools.islice(self._late(capture, held), NEAR))
        order: list[tuple[float, int]] = []
        for row in capture.exchanges(sorted(self.missed)):
            request = _request(capture, row)
            if request is not None:
                order.append((-self.matcher.closeness(request), -row.id))
        order.sort()
        other = capture.exchanges([-last for _, last in order[: NEAR - len(late)]])
        return (*late, *map(partial(self._miss, capture), other))

    def _late(self, capture: Capture, held: Collection[int]) -> Iterator[NearMiss]:
        """What matches and isn't as far as it is to be, the newest first."""
        for row in reversed(capture.exchanges(sorted(self.unsettled)[-MISSES:])):
            request = _request(capture, row)
            if request is not None and self.matcher.test(request) is not None:
                yield NearMiss(
                    exchange=row.id,
                    method=row.method,
                    target=row.target,
                    why_not=(self._not_yet(row, held=row.id in held),),
                )

    def _not_yet(self, row: ExchangeRow, *, held: bool) -> str:
        """Why an exchange that matches is not as far as it is to be."""
        if not row.state & (State.REQUEST_COMPLETE | _OVER) and not held:
            return "its request has not come whole yet"
        if self.state == "held":
            return "it is not held: it was answered" if row.state & _OVER else "it is not held"
        if held:
            return "it is held, and nobody has decided yet"
        if not row.state & _OVER:
            return "its answer is not over yet" if row.state & State.RESPONSE_STARTED else "not answered yet"
        whole = "answered" if row.state & State.RESPONSE_COMPLETE else "its answer was cut short"
        return f"{whole}, its connection is still open"

    def _miss(self, capture: Capture, row: ExchangeRow) -> NearMiss:
        request = _request(capture, row)
        why_not = () if request is None else tuple(self.matcher.why_not(request))
        return NearMiss(exchange=row.id, method=row.method, target=row.target, why_not=why_not)

    def shown(self, limit: int) -> list[ExchangeShown]:
        """What matches, in the order of the ids."""
        return [self.matched[number] for number in sorted(self.matched)[:limit]]


def _request(capture: Capture, row: ExchangeRow) -> Request | None:
    from inspectd.control.recorded import recorded_request

    try:
        return recorded_request(capture, row, capture.connection(row.connection))
    except BytesGone:
        return None


def _matcher(match: str | dict[str, Any]) -> Matcher:
    from inspectd.rules.match import MatchErrors, compile_match
    from inspectd.rules.tables import MatchTable

    try:
        return compile_match(match if isinstance(match, str) else msgspec.convert(match, MatchTable))
    except msgspec.ValidationError as problem:
        raise RefusalError(400, f"match: {problem}") from problem
    except MatchErrors as problems:
        said = "; ".join(f"{'.'.join(('match', *each.key))}: {each.what}" for each in problems.errors)
        raise RefusalError(400, said, problems.errors[0].mend) from problems


def _seconds(value: str | float) -> float:
    from inspectd.rules.units import duration

    return min(duration(value), LONGEST_WAIT)


def _number(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise RefusalError(400, f"{name}={text!r} is not between {least} and {most}")
    return int(text)


def _stretch(
    capture: Capture, after: int, method: str | None, target: str | None
) -> tuple[list[ExchangeShown], int, int]:
    """What is wanted of a stretch of exchanges, the last id that was looked at, the newest id."""
    from inspectd.control.showing import exchange_shown

    rows = capture.exchanges_after(after, STRETCH)
    wanted = [
        row
        for row in rows
        if (method is None or row.method == method)
        and (target is None or _like(row.target or "", target.split("*")))
    ]
    newest = capture.newest_exchange()
    evidence = capture.evidence_of([row.id for row in wanted])
    shown = [exchange_shown(row, evidence.get(row.id)) for row in wanted]
    return shown, rows[-1].id if rows else max(newest, after), newest


def _like(text: str, parts: Sequence[str]) -> bool:
    """Whether a text consists of these parts, with anything between two of them."""
    first, *middle = parts
    if not middle:
        return text == first
    *middle, last = middle
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _detail(capture: Capture, number: int) -> ExchangeDetail | None:
    from inspectd.control.showing import detail_shown

    row = capture.exchange(number)
    try:
        return None if row is None else detail_shown(capture, row)
    except BytesGone:
        return None
