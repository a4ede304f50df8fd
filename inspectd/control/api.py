"""The control API of a running engine, version 1: HTTP + JSON on a private listener that is not in the capture.

What can be asked stands in `operations`; rules, holds and recorded exchanges have files of their own.

Who may ask: on the Unix socket whoever the file system lets in (0600 in a 0700 directory); on a TCP port whoever has
the bearer token, and only under a loopback name, so that a page in the browser under test can neither call the port
nor reach it by rebinding a name. A request that carries `Origin` or `Sec-Fetch-Site` comes from a page and is refused
at either door; no CORS field is ever sent.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inspectd import __version__
from inspectd.control.answer import preview_of, responder_for
from inspectd.control.event_stream import EventStream
from inspectd.control.exchanges_api import ExchangesApi
from inspectd.control.holds_api import HoldsApi
from inspectd.control.messages import AnswerRequest, CurrentAnswer, Done, Problem, Status
from inspectd.control.routing import RefusalError, find, json_answer, text
from inspectd.control.rules_api import RulesApi, WrongRulesError
from inspectd.engine.holds import UnknownHold
from inspectd.errors import InspectdError
from inspectd.rules.answer import problem_answer
from inspectd.rules.passing import Passing
from inspectd.rules.program import Close, LiveProgram, Program
from inspectd.rules.responder import ORDINARY, Plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from inspectd.control.operations import Operation
    from inspectd.control.routing import Asked
    from inspectd.control.rules_in_use import RulesInUse
    from inspectd.engine.server import Engine
    from inspectd.rules.answer import Answer
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request
    from inspectd.rules.responder import Responder

T = TypeVar("T")

_LOOPBACK_HOST: Final = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?+", re.IGNORECASE)
_BEARER: Final = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
_CAPTURE_CHECK_SECONDS: Final = 0.5

CONTENT_KEPT: Final = 8 << 20
"""Octets of content that a request may have: a rule file with many large answers in it."""
GIVEN_UP: Final = frozenset({"exchanges", "exchange", "wait", "verify"})
"""What is not gone on with when the client has left: it only looks."""
_AT_ONCE: Final = Plan(answer_at=0, invite=False)


class Api:
    """Answers the control API of one engine. `stop` ends the engine's process when it is called."""

    def __init__(self, engine: Engine, rules: RulesInUse, stop: Callable[[], None]) -> None:
        self._engine = engine
        self._rules = rules
        self._stop = stop
        self._events = EventStream()
        self._exchanges = ExchangesApi(engine)
        rules.tell = self._events.publish
        self._handlers: dict[str, Callable[[Asked], Any]] = {
            "status": self._status,
            "answer": self._current,
            "set_answer": self._set_answer,
            "restore_answer": self._restore_answer,
            "preview": self._preview,
            "clear": self._clear,
            "stop": self._end,
            "events": self._listen,
            "openapi": self._openapi,
            **RulesApi(engine, rules).handlers,
            **HoldsApi(engine, rules, self._events.publish).handlers,
            **self._exchanges.handlers,
        }

    async def close(self) -> None:
        """Tell whoever listens or waits that the engine stops, and end their streams."""
        self._events.publish("stopping", {})
        await self._exchanges.stop()
        await self._events.close()

    def closed(self) -> None:
        """The engine has stopped: let go of the capture."""
        self._exchanges.close()

    async def watch_capture(self, tell: Callable[[str], None]) -> None:
        """Publish a `capture` event, and `tell` what is wrong, whenever the capture begins or ceases to fail.

        Runs until it is cancelled.
        """
        known = None
        while True:
            error = self._engine.problem
            if error != known:
                known = error
                tell(error or "the capture can be written again")
                self._events.publish("capture", {"error": error})
            await asyncio.sleep(_CAPTURE_CHECK_SECONDS)

    # -- from a request to its answer

    def answer(self, request: Request, token: bytes | None, *, persist: bool = True) -> Program | LiveProgram:
        """The answer to one request; `token` is what a TCP port asks for. Never raises.

        It closes the connection unless that may `persist`.
        """
        try:
            admit(request, token)
            operation, asked = find(request)
            if not request.complete or request.content_length > len(request.content):
                raise RefusalError(413, "the content is too large", "Send a large body as body_file.")
            if operation.takes is not None and operation.needs_content and not request.content:
                raise RefusalError(400, "the content is missing", f"Send JSON, like {_example(operation)}")
            value = self._handlers[operation.name](asked)
        except Exception as problem:  # noqa: BLE001 - whatever fails here must not take the engine down
            return _refused(problem, bare=request.head.method == b"HEAD")
        if asyncio.iscoroutine(value):
            if operation.name not in GIVEN_UP:
                value = _to_the_end(value)
            return LiveProgram(_later(value, persist=persist), label="control")
        return _finished(value, persist=persist)

    # -- what can be asked of the engine itself

    def _status(self, asked: Asked) -> Status:
        engine, start = self._engine, self._rules.at_start
        forwarding = engine.config.forwarding
        return Status(
            version=__version__,
            pid=os.getpid(),
            addresses=tuple(engine.addresses),
            capture=str(engine.capture),
            answer=self._current(asked),
            exchanges=engine.exchanges,
            connections_open=engine.open_connections,
            unrecorded=engine.unrecorded,
            mode="answer" if forwarding is None else "proxy" if forwarding.origin is None else "reverse",
            server=None if forwarding is None else forwarding.url,
            insecure=forwarding is not None and not forwarding.verify,
            at_start=None if start is self._rules.fallback else text(start.description),
            started_ns=engine.started_ns,
            capture_error=engine.problem,
            rules=self._rules.count,
            rules_error=self._rules.error,
            held=len(engine.holds.held),
            hold_next=engine.holds.next_count,
        )

    def _current(self, _: Asked | None = None) -> CurrentAnswer:
        responder = self._engine.responder
        otherwise = None if self._rules.book is None else text(self._rules.fallback.description)
        return CurrentAnswer(
            description=text(responder.description),
            status_line=text(responder.status_line) or None,
            otherwise=otherwise,
            passes=isinstance(self._rules.fallback, Passing),
        )

    def _set_answer(self, asked: Asked) -> CurrentAnswer:
        return self._answer_with(responder_for(asked.content(AnswerRequest), self._rules.in_use))

    def _restore_answer(self, _: Asked) -> CurrentAnswer:
        return self._answer_with(self._rules.at_start)

    def _answer_with(self, responder: Responder) -> CurrentAnswer:
        self._rules.set_fallback(responder)
        current = self._current()
        self._events.publish("answer", current)
        return current

    def _preview(self, asked: Asked) -> Any:
        return preview_of(asked.content(AnswerRequest), now=time.time(), rules=self._rules.in_use)

    def _clear(self, _: Asked) -> Done:
        self._engine.clear()
        self._events.publish("clear", {})
        return Done()

    def _end(self, _: Asked) -> Program:
        self._stop()
        answer = json_answer(200, Done())
        return replace(answer, ops=(*answer.ops, Close()))

    def _listen(self, _: Asked) -> LiveProgram:
        return self._events.listen("answer", self._current())

    async def _openapi(self, _: Asked) -> Any:
        from inspectd.control.openapi import document

        return await asyncio.to_thread(document)


def _finished(value: Any, *, persist: bool) -> Program | LiveProgram:
    if isinstance(value, LiveProgram):
        return value
    program = value if isinstance(value, Program) else json_answer(200, value)
    if persist or isinstance(program.ops[-1], Close):
        return program
    return replace(program, ops=(*program.ops, Close()))


def _refused(problem: Exception, *, bare: bool = False) -> Program:
    """What went wrong, as an answer."""
    if isinstance(problem, RefusalError):
        return json_answer(problem.status, problem.problem, allow=problem.allow, bare=bare)
    if isinstance(problem, InspectdError):
        status = 404 if isinstance(problem, UnknownHold) else 400
        wrong = problem.problems if isinstance(problem, WrongRulesError) else ()
        said = Problem(error=text(problem.what), mend=text(problem.mend), problems=wrong)
        return json_answer(status, said, bare=bare)
    return json_answer(
        500, Problem(error=f"the engine failed: {type(problem).__name__}: {text(str(problem))}")
    )


async def _to_the_end(value: Coroutine[Any, Any, T]) -> T:
    """What changes something is not left half done because nobody is there any more to be told."""
    return await asyncio.shield(value)


def _example(operation: Operation) -> str:
    return msgspec.json.encode(operation.example).decode()


async def _later(value: Awaitable[Any], *, persist: bool) -> AsyncIterator[Op]:
    """The steps of an answer that takes time."""
    try:
        program = _finished(await value, persist=persist)
    except Exception as problem:  # noqa: BLE001 - as above
        program = _refused(problem)
    assert isinstance(program, Program)
    for op in program.ops:
        yield op


class Door:
    """A way in: what the engine asks for the answer to a control request. A TCP port's door has a `token`."""

    description = "control"
    status_line = ""
    content_kept = CONTENT_KEPT

    def __init__(self, api: Api, token: str | None = None) -> None:
        self._api = api
        self._token = None if token is None else token.encode("ascii")

    def plan(self, request: Request) -> Plan:
        """Who may not ask is told so before anything of the content is read, and so is who brings too much."""
        try:
            admit(request, self._token)
        except RefusalError:
            return _AT_ONCE
        return _AT_ONCE if (request.head.length or 0) > CONTENT_KEPT else ORDINARY

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:  # noqa: ARG002
        """The answer, and the end of the connection when it was the last request."""
        return self._api.answer(request, self._token, persist=persist)


def refusal(status: int, sentence: str) -> Answer:
    """The engine's answer to what is no request for the API: garbage, an endless head, a connection too many."""
    answer = problem_answer(status, sentence)
    fields = (b"Content-Type: application/json", *answer.fields[1:])
    return replace(answer, fields=fields, body=msgspec.json.encode(Problem(error=sentence)))


def admit(request: Request, token: bytes | None) -> None:
    """Raise `RefusalError` when this request may not ask here."""
    get = request.head.get
    if get(b"origin") is not None or get(b"sec-fetch-site") is not None:
        raise RefusalError(
            403, "the control API is not for pages in a browser", "Ask with curl, or a program."
        )
    if token is None:
        return
    host = get(b"host")
    if host is None or not _LOOPBACK_HOST.fullmatch(host):
        raise RefusalError(
            403, "the control API answers under a loopback name only", "Use 127.0.0.1 or localhost."
        )
    given = _BEARER.fullmatch(get(b"authorization") or b"")
    if given is None or not hmac.compare_digest(given[1], token):
        raise RefusalError(401, "the bearer token is missing or wrong", "Send Authorization: Bearer TOKEN.")
