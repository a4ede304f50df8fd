"""A rule of a test: what it is for, what it answers, and what has come to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self, Unpack

import msgspec

from inspectd.errors import InspectdError
from inspectd.rules.match import compile_match
from inspectd.rules.tables import MatchTable
from inspectd.testing.answer import Verbs
from inspectd.testing.gate import Gate
from inspectd.testing.hiding import hidden
from inspectd.testing.waiting import Waiting
from inspectd.testing.words import AnswerWords, WebSocketWords, WordsError, keys, one_answer, websocket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inspectd.rules.book import Rule as BookRule
    from inspectd.testing.seen import Evidence, SeenConnection, SeenRequest
    from inspectd.testing.server import Inspectd
    from inspectd.testing.words import Words

__tracebackhide__ = hidden

_CHOICE = ("each", "then", "pick")
_CONTENT = (
    *_CHOICE, "respond", "body", "body-hex", "body-file", "body-repeat", "json", "raw", "raw-file", "raw-hex", "folder",
    "events", "mirror", "redirect", "websocket", "proxy", "proxy-host", "patch",
)  # fmt: skip
"""What an answer says as a whole: to say something else takes its place."""


class Place(NamedTuple):
    """The line of a test that made a rule."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


class Rule(Verbs):
    """One rule. A verb changes it at once: it answers so from the next request on."""

    def __init__(
        self,
        server: Inspectd,
        match: str | dict[str, Any],
        place: Place,
        condition: Callable[[SeenRequest], Any] | None = None,
    ) -> None:
        super().__init__()
        self._server = server
        self.place = place
        self.condition = condition
        """A Python function that has to hold as well."""
        self.function: Callable[[SeenRequest], Any] | None = None
        """A Python function that answers."""
        self._compiled: BookRule | None = None
        self.table["match"] = match
        try:
            compile_match(match if isinstance(match, str) else msgspec.convert(match, MatchTable))
        except msgspec.ValidationError as error:
            raise server.complaint(self.table, error) from None
        except InspectdError as error:
            raise WordsError(error.what, error.mend) from None
        server.add(self)

    @property
    def compiled(self) -> BookRule:
        """The rule as the engine has it. One that was only just made is compiled when somebody asks."""
        if self._compiled is None:
            self._changed()
        assert self._compiled is not None
        return self._compiled

    def _changed(self) -> None:
        self._compiled = self._server.compiled(self)

    # -- what is said

    def _say(self, content: dict[str, Any], function: Callable[[SeenRequest], Any] | None = None) -> Self:
        """Say this instead of what was said before."""
        before = self.table, self.function
        self.table = {key: value for key, value in self.table.items() if key not in _CONTENT}
        self.function = function
        try:
            return self._with(**content)
        except BaseException:
            self.table, self.function = before
            raise

    def reply(self, *answers: Words, then: str | None = None, **words: Unpack[AnswerWords]) -> Self:
        """Answer with a status, or with one answer after the other.

        `reply("503 Busy", "503 Busy", "200 OK")` gives the last one again and again; `then` says something else:
        `cycle`, `close`, `next` (the next rule that matches) or a status. Fields, a body and the rest (`AnswerWords`)
        belong to a single answer; `answer(...)` makes one that has its own, for a place among several.
        """
        if len(answers) > 1:
            if {"body", "json", "body_file"} & words.keys():
                raise WordsError(
                    "one body for several answers", "Give each its own: answer('200 OK', body='...')."
                )
            content: dict[str, Any] = {"each": [one_answer(each) for each in answers], **keys(words)}
            if any("weight" in each for each in content["each"]):
                content["pick"] = "weighted"
        else:
            content = {**(one_answer(answers[0]) if answers else {}), **keys(words)}
            if then is not None:
                content = {"each": [content]}
        if then is not None:
            content["then"] = then
        return self._say(content)

    def json(self, value: Any, status: str | int = "200 OK", **words: Unpack[AnswerWords]) -> Self:
        """Answer with JSON."""
        words["json"] = value
        return self._say({"respond": str(status), **keys(words)})

    def raw(self, *answers: bytes) -> Self:
        """Answer with exactly these bytes; with the next ones the next time, and then with the last again."""
        tables = [one_answer(each) for each in answers]
        return self._say(tables[0] if len(tables) == 1 else {"each": tables})

    def websocket(self, send: Iterable[Any] = (), **words: Unpack[WebSocketWords]) -> Self:
        """Be a WebSocket server that sends these messages, and answers as the words say.

        Text is a text message, bytes a binary one, and a dict what an item of `send` is in a rule file:
        `websocket(["hello", b"\\0", {"close": 1001, "after": "1s"}], echo=True)`. What the client said is in
        `rule.requests[0].messages`.
        """
        return self._say({"websocket": websocket_of(send, words)})

    def proxy(self, url: str, *, host: str | None = None, patch: Mapping[str, Any] | None = None) -> Self:
        """Let a real server answer: `proxy("http://localhost:3000", patch={"respond": "503 Busy"})`.

        `patch` has the keys that it has in a rule file, and changes what the server says; the rest of it passes byte
        for byte. `host` is the value of Host that the server is sent instead of the client's.
        """
        given = {"proxy-host": host, "patch": dict(patch) if patch is not None else None}
        return self._say({"proxy": url} | {key: value for key, value in given.items() if value is not None})

    def call(self, function: Callable[[SeenRequest], Any]) -> Self:
        """Answer with what a function of the request returns.

        That is a status (`"503 Busy"`), `(status, body)`, `(status, headers, body)`, the whole answer as bytes, a dict
        or list for JSON, or `answer(...)`. A coroutine function runs in the server's event loop, any other in a thread.
        An exception fails the test; the client gets a 500.
        """
        return self._say({}, function)

    def hold(self, timeout: str | float = "30s") -> Gate:
        """Let requests wait until the test decides; after `timeout` they get the rule's answer."""
        self._with(hold={"timeout": timeout})
        return Gate(self._server, self)

    # -- whom it answers, and when

    def times(self, count: int) -> Self:
        """Answer so many requests; later ones are for the next rule that matches."""
        if count < 1:
            raise WordsError(f"times({count})", "A rule answers once at least.")
        each = self.table.get("each") or [
            {key: value for key, value in self.table.items() if key in _CONTENT and key not in _CHOICE}
        ]
        answers = [each[number % len(each)] for number in range(count)]
        return self._say({"each": answers, "then": "next"}, self.function)

    def per(self, who: str) -> Self:
        """Who has a place of their own in a sequence: `rule`, `connection`, `client` or `header:NAME`."""
        return self._with(per=who)

    def weighted(self, seed: int = 0) -> Self:
        """Choose among the answers by chance, the same in every run; `answer(..., weight=3)` comes more often."""
        return self._with(pick="weighted", seed=seed)

    def when(self, moment: str) -> Self:
        """Answer when the request is complete (`request`), when its head is (`head`), or after `content 1000`."""
        return self._with(when=moment)

    def invite(self, invited: bool) -> Self:  # noqa: FBT001  it reads as it is meant: invite(False)
        """Whether `Expect: 100-continue` is answered with 100."""
        return self._with(invite=invited)

    def named(self, name: str) -> Self:
        """Give it a name for reports, instead of its file and line."""
        return self._with(name=name)

    # -- what has come to it

    @property
    def id(self) -> str:
        """Its name, or the file and line that made it."""
        return self.compiled.id

    @property
    def requests(self) -> list[SeenRequest]:
        """The requests that it answered, in order."""
        return [request for request in self._server.requests if request.rule == self.id]

    @property
    def calls(self) -> int:
        """How many requests it answered."""
        return len(self.requests)

    @property
    def gaps(self) -> list[float]:
        """Seconds from the end of an answer to the first byte of the next request: how long a client waits to retry."""
        return self._server.gaps_of(self.requests)

    @property
    def connections(self) -> list[SeenConnection]:
        """The connections that brought its requests."""
        wanted = {request.connection for request in self.requests}
        return [connection for connection in self._server.connections if connection.id in wanted]

    @property
    def evidence(self) -> list[Evidence]:
        """What the client did with each of its answers, as far as it is known now."""
        return [request.evidence for request in self.requests]

    def wait(self, count: int = 1, timeout: float = 5.0) -> list[SeenRequest]:
        """Wait until it has answered so many requests; these. AssertionError when the time is over."""
        waiting = Waiting(
            lambda: self.requests,
            f"to the rule {self}",
            "await rule.await_(...)",
            lambda: self._server.explain_silence(self),
        )
        return self._server.wait_until(waiting, count, timeout)

    async def await_(self, count: int = 1, timeout: float = 5.0) -> list[SeenRequest]:  # noqa: ASYNC109
        """`wait` for tests whose client runs in the event loop of the test."""
        import asyncio

        return await asyncio.to_thread(self.wait, count, timeout)

    def assert_called(self, times: int | None = None) -> None:
        """AssertionError unless it answered a request, or exactly so many."""
        calls = self.calls
        if times is None and not calls:
            raise AssertionError(f"nothing came to the rule {self}{self._server.explain_silence(self)}")
        if times is not None and calls != times:
            raise AssertionError(f"the rule {self} answered {calls} requests, not {times}")

    def __str__(self) -> str:
        match = self.table["match"]
        text = match if isinstance(match, str) else self.compiled.matcher.text
        return f"{text!r} ({self.id})"

    def __repr__(self) -> str:
        return f"<rule {self}>"
