"""The server of a test: rules in, exact answers out, and what the client did to look at.

    with Inspectd() as server:
        server.on("POST /pay").reply("503 Busy", "200 OK")
        client.pay(server.url("/pay"))
        assert server.requests[1].head.startswith(b"POST /pay HTTP/1.1\\r\\n")

It is the engine of `inspectd` with its capture. Nothing passes silently: a request that no rule is for, and a Python
function that raises, make `check` fail, which the end of the `with` block and the pytest plugin call.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

import msgspec

from inspectd.errors import InspectdError
from inspectd.rules.book import make_rule
from inspectd.rules.craft import compile_reply
from inspectd.rules.draft import Call
from inspectd.rules.match import compile_match
from inspectd.rules.tables import AnswerTable, RuleTable
from inspectd.testing import report
from inspectd.testing.accept import Accept
from inspectd.testing.again import compiled_once
from inspectd.testing.functions import with_function
from inspectd.testing.hiding import hidden, leave_to_function
from inspectd.testing.kept import keep
from inspectd.testing.log import Failed, Trouble
from inspectd.testing.record import Record
from inspectd.testing.recorder import Recorder
from inspectd.testing.rule import Place, Rule
from inspectd.testing.seen import SeenConnection
from inspectd.testing.stage import LISTEN, Stage
from inspectd.testing.waiting import Waiting
from inspectd.testing.where import Where, with_where
from inspectd.testing.words import MatchWords, WordsError, match_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from inspectd.rules.book import Rule as BookRule
    from inspectd.rules.craft import Reply
    from inspectd.rules.match import Matcher
    from inspectd.rules.request import Request
    from inspectd.testing.log import Log
    from inspectd.testing.seen import SeenRequest

__tracebackhide__ = hidden

_SOURCE: Final = "test"


class Unexpected(AssertionError):  # noqa: N818  what happened, as in AssertionError's own reports
    """Something came to the server, or happened in it, that the test did not provide for."""


class Inspectd:
    """A server on a free port of 127.0.0.1.

    Use it as `with Inspectd() as server`, as `async with`, or as the pytest fixture `inspectd`. `listen` is
    `HOST:PORT`, `capture` a file to keep the traffic in, `base` the folder that relative paths start from.
    """

    def __init__(
        self,
        *,
        listen: str = LISTEN,
        capture: Path | str | None = None,
        base: Path | str | None = None,
        stage: Stage | None = None,
    ) -> None:
        self._listen = listen
        self._kept = Path(capture) if capture is not None else None
        self._own_stage = stage is None
        self._base = Path(base) if base is not None else Path.cwd()
        self._rules: list[Rule | BookRule] = []
        self._names: dict[str, Rule | BookRule] = {}
        self._stale = False
        self._changing = threading.RLock()
        self._allowed = False
        self._told = (0, 0)
        self._recorder = Recorder(self._prepare)
        self.stage: Stage
        """The engine behind it."""
        if stage is not None:
            self._begin(stage)
            stage.answer_with(self._recorder)

    # -- life

    def _begin(self, stage: Stage) -> None:
        self.stage = stage
        stage.listener = self.log.changed
        self._recorder.record = self._record = Record(stage)
        self.accept = Accept(stage)
        """What happens to connections before a byte is read: `reset`, `close`, `wait`, `refuse`."""

    def start(self) -> Self:
        """Listen. `stop` ends it; `with` does both."""
        if self._own_stage:
            stage = Stage(self._recorder, listen=self._listen, capture=self._kept)
            self._begin(stage)
        return self

    def stop(self) -> None:
        """End all connections and close the port. The capture goes, unless it was given a name."""
        if self._own_stage:
            self.stage.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.check()
            else:
                error.add_note(self.traffic())
        finally:
            self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    # -- where it is

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.stage.address[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.stage.address[1]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for `socket.create_connection`."""
        return self.stage.address

    def url(self, path: str = "/") -> str:
        """The URL of a path (with a query, if wanted) of this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{path if path.startswith(('/', '?')) else '/' + path}"

    @property
    def capture(self) -> Path:
        """The capture file, which `inspectd open` opens, with everything that has happened until now."""
        self.stage.commit()
        return self.stage.capture

    # -- rules

    def on(
        self,
        match: str = "*",
        *,
        where: Callable[[SeenRequest], Any] | None = None,
        **conditions: Unpack[MatchWords],
    ) -> Rule:
        """A rule for `"GET /path"`, `"GET|HEAD /shop/*"`, `"/path"` (any method) or `"*"`; first match wins.

        Further conditions are the keys of `match` in a rule file: `header={"Accept": "*json*"}`, `query={"a": "1"}`,
        `json={"$.id": 7}`, `body_regex=...`, `first=False`. `where` is a function of the request. Until a verb says
        otherwise the answer is 200 OK without content.
        """
        caller = sys._getframe(1)  # noqa: SLF001  the line of the test is the name of the rule
        place = Place(Path(caller.f_code.co_filename).name, caller.f_lineno)
        return Rule(self, match_of(match, conditions), place, where)

    def load(self, path: Path | str) -> None:
        """Add the rules of a file behind those that are there. Raises RuleFileError with all that is wrong in it."""
        from inspectd.rules.file import load_file

        loaded = load_file(self._base / path)
        with self._changing:
            self._rules += loaded.rules
            self._names.update((rule.id, rule) for rule in loaded.rules)
            self._stale = True
        if loaded.accept is not None:
            self.accept.put(loaded.accept)

    def to_toml(self) -> str:
        """The rules as a rule file, for `inspectd --rules`. Raises InspectdError when one needs Python."""
        from inspectd.rules.file import to_toml

        tables = []
        for rule in self._rules:
            if isinstance(rule, Rule) and (rule.function or rule.condition):
                raise InspectdError(
                    f"the rule {rule} calls a Python function, which a rule file can't hold",
                    "Say it with match, reply and the other verbs, or leave it out.",
                )
            table = rule.compiled.table if isinstance(rule, Rule) else rule.table
            if table is not None:
                tables.append(table)
        return to_toml(tables)

    def clear(self) -> None:
        """Forget the rules and what has come. Connections stay open, and so does the port."""
        with self._changing:
            self._rules = []
            self._names = {}
            self._stale = True
        self.accept.normal()
        self._recorder.clear()
        self._told = (0, 0)

    def compiled(self, rule: Rule) -> BookRule:
        """Compile a rule of the test, and use it from the next request on."""
        with self._changing:
            name = self._free_name(rule, str(rule.table.get("name") or rule.place))
            made = compiled_once(
                rule.table, (rule.place, name, self._base), lambda: self._compile(rule, name)
            )
            if rule.condition is not None:
                made.matcher = with_where(made.matcher, Where(self, rule, rule.condition))
            if rule.function is not None:
                made = with_function(rule, made, self, rule.function)
            self._stale = True
            return made

    def _compile(self, rule: Rule, name: str) -> BookRule:
        source, line = rule.place
        try:
            table = msgspec.convert(rule.table, RuleTable)
            return make_rule(table, source=source, line=line, base=self._base, name=name)
        except msgspec.ValidationError as error:
            raise self.complaint(rule.table, error) from None
        except InspectdError as error:
            raise WordsError(error.what, error.mend) from None

    def add(self, rule: Rule) -> None:
        """Use a rule, behind those that are there."""
        with self._changing:
            self._free_name(rule, str(rule.place))
            self._rules.append(rule)
            self._stale = True

    def complaint(self, table: Mapping[str, Any], error: Exception) -> InspectdError:
        """What is wrong with a table, said as it is said of a rule file."""
        from inspectd.rules.file import RuleFileError, load_tables

        try:
            load_tables([table], source="a rule of the test", base=self._base)
        except RuleFileError as said:
            what = [f"{problem.key.partition('.')[2]}: {problem.what}" for problem in said.problems]
            return WordsError("\n".join(what), said.problems[0].mend)
        return WordsError(str(error))

    def _free_name(self, rule: Rule, name: str) -> str:
        found, number = name, 1
        while self._names.setdefault(found, rule) is not rule:
            number += 1
            found = f"{name}#{number}"
        return found

    def _prepare(self) -> None:
        """In the engine's loop, before a request is answered: put what was said last into the book."""
        if self._stale:
            with self._changing:
                rules = [rule.compiled if isinstance(rule, Rule) else rule for rule in self._rules]
                self._stale = False
                self._recorder.book.replace(_SOURCE, rules)

    def reply_of(self, table: dict[str, Any], rule: str) -> Reply:
        """An answer outside of a rule file, compiled."""
        try:
            words = msgspec.convert(table, AnswerTable)
        except msgspec.ValidationError as error:
            raise self.complaint(table, error) from None
        try:
            return compile_reply(words, base=self._base, rule=rule)
        except InspectdError as error:
            raise WordsError(error.what, error.mend) from None

    def call_of(self, request: Request) -> Call:
        """A request that is answered now."""
        return Call(request, time.time(), request.head.keep_alive and request.complete)

    # -- what has come

    @property
    def log(self) -> Log:
        """What has come, as it came."""
        return self._recorder.log

    @property
    def requests(self) -> list[SeenRequest]:
        """Every request, in the order of their answers."""
        return list(self.log.requests)

    @property
    def unmatched(self) -> list[SeenRequest]:
        """The requests that no rule was for."""
        return [each.request for each in self.log.unmatched]

    @property
    def connections(self) -> list[SeenConnection]:
        """Every connection, also one without a request, in the order they were accepted."""
        requests = self.requests
        return [
            SeenConnection(row, [each for each in requests if each.connection == row.id], self._record)
            for row in self._record.connections()
        ]

    @property
    def gaps(self) -> list[float]:
        """Seconds from the end of each answer to the first byte of the next request; negative when it came before."""
        return self.gaps_of(self.requests)

    def gaps_of(self, requests: Sequence[SeenRequest]) -> list[float]:
        """The gaps between these requests."""
        return self._record.gaps([request.key for request in requests])

    def seen(self, match: str = "*", **conditions: Unpack[MatchWords]) -> list[SeenRequest]:
        """The requests that a match is for, whichever rule answered them."""
        said = match_of(match, conditions)
        from inspectd.rules.tables import MatchTable

        matcher = compile_match(said if isinstance(said, str) else msgspec.convert(said, MatchTable))
        return [each for each in self.requests if matcher.test(each.request) is not None]

    def seen_of(self, request: Request) -> SeenRequest:
        """A request of the engine as the test sees it."""
        return self._recorder.seen_of(request)

    # -- waiting

    def wait_for(self, count: int = 1, match: str = "*", timeout: float = 5.0) -> list[SeenRequest]:
        """Wait until so many requests have come that a match is for; these. AssertionError when the time is over."""
        waiting = Waiting(
            lambda: self.seen(match),
            f"for {match!r}",
            "await inspectd.await_for(...)",
            lambda: self._nearest(compile_match(match)),
        )
        return self.wait_until(waiting, count, timeout)

    async def await_for(
        self,
        count: int = 1,
        match: str = "*",
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> list[SeenRequest]:
        """`wait_for` for tests whose client runs in the event loop of the test."""
        return await asyncio.to_thread(self.wait_for, count, match, timeout)

    def wait_until(self, waiting: Waiting, count: int, timeout: float) -> list[SeenRequest]:
        """Wait until so many requests are found."""
        look = waiting.look
        what = f"until {count if count > 1 else 'a'} request{'s' * (count > 1)} {waiting.what} came"
        late = partial(waiting.late, count, timeout)
        self.wait(lambda: len(look()) >= count, timeout, what, waiting.instead, late)
        return look()

    def wait(
        self,
        condition: Callable[[], bool],
        timeout: float,
        what: str,
        instead: str,
        late: Callable[[], str] | None = None,
    ) -> None:
        """Wait for a condition; AssertionError, which says what `late` says, when the time is over.

        A wait that would stop the event loop that it waits for is an error at once.
        """
        if condition():
            return
        if _in_event_loop():
            raise InspectdError(
                f"waiting here ({what}) would block the event loop of the test, and its client with it",
                f"Write {instead}.",
            )
        if not self.log.wait(condition, timeout):
            raise AssertionError(late() if late is not None else f"waited {timeout:g} s in vain: {what}")

    # -- judging

    def allow_unmatched(self, allowed: bool = True) -> None:  # noqa: FBT001, FBT002  it reads as it is meant
        """Let requests that no rule is for pass: they get a 404, and the test doesn't fail for them."""
        self._allowed = allowed

    def failed(self, request: SeenRequest, rule: Rule, error: BaseException) -> None:
        """A function of the test raised."""
        leave_to_function(error)
        self.log.note(Failed(request, str(rule), error))

    def assert_all_called(self) -> None:
        """AssertionError that names each rule to which nothing came, and what came instead."""
        idle = [rule for rule in self._rules if not any(each.rule == rule.id for each in self.requests)]
        if idle:
            lines = [f"nothing came to {_named(rule)}{self.explain_silence(rule)}" for rule in idle]
            raise AssertionError("\n".join(lines))

    def explain_silence(self, rule: Rule | BookRule) -> str:
        """Why the requests that came weren't for a rule, the nearest first."""
        return self._nearest((rule.compiled if isinstance(rule, Rule) else rule).matcher)

    def _nearest(self, matcher: Matcher) -> str:
        near = sorted(self.requests, key=lambda each: -matcher.closeness(each.request))[:3]
        if not near:
            return "; no request came at all"
        lines = []
        for each in near:
            why = "; ".join(matcher.why_not(each.request)) or f"the rule {each.rule} answered it"
            lines.append(f"\n  {each}: {why}")
        return "".join(lines)

    @property
    def troubled(self) -> bool:
        """Whether `check` would raise."""
        unmatched, failed = self._told
        return len(self.log.failed) > failed or (not self._allowed and len(self.log.unmatched) > unmatched)

    def check(self) -> None:
        """Raise Unexpected for requests that no rule was for and for functions that raised, once for each."""
        __tracebackhide__ = True
        problem = self.problem()
        if problem is not None:
            raise problem

    def trouble(self) -> Trouble:
        """What nobody has been told of yet; it is told once."""
        unmatched, failed = self._told
        self._told = (len(self.log.unmatched), len(self.log.failed))
        return Trouble(self.log.failed[failed:], [] if self._allowed else self.log.unmatched[unmatched:])

    def problem(self) -> Unexpected | None:
        """What `check` would raise; it is told once."""
        trouble = self.trouble()
        if not trouble:
            return None
        problem = Unexpected(str(trouble))
        problem.__cause__ = trouble.failed[0].error if trouble.failed else None
        return problem

    def traffic(self, kept: Path | None = None) -> str:
        """What went over the wire, in safe text, a few lines for each exchange."""
        return report.traffic(self._record, {each.key: each for each in self.requests}, kept)

    def keep(self, path: Path) -> Path:
        """Copy the capture of this server's traffic to a file, which `inspectd open` opens."""
        return keep(self._record, path)


def _named(rule: Rule | BookRule) -> str:
    return str(rule) if isinstance(rule, Rule) else f"{rule.match!r} ({rule.id})"


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
