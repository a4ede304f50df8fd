"""The control API of a running engine, version 1: HTTP + JSON on a private listener that is not in the capture.

    GET  /v1/status           how the engine is
    GET  /v1/answer           what is being answered
    PUT  /v1/answer           answer something else from the next request on
    POST /v1/answer/preview   the exact bytes of an answer, without using it
    POST /v1/clear            remove every exchange from the capture
    POST /v1/stop             end the engine
    GET  /v1/events           server-sent events: answer, clear, capture, stopping

Who may ask: on the Unix socket whoever the file system lets in (0600 in a 0700 directory); on a TCP port whoever has
the bearer token, and only under a loopback name, so that a page in the browser under test can neither call the port
nor reach it by rebinding a name. A request that carries `Origin` or `Sec-Fetch-Site` comes from a page and is refused
at either door; no CORS field is ever sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inspectd import __version__
from inspectd.control.answer import preview_of, responder_for
from inspectd.control.messages import PREFIX, AnswerRequest, CurrentAnswer, Problem, Status
from inspectd.errors import InspectdError
from inspectd.rules.answer import problem_answer
from inspectd.rules.program import Close, LiveProgram, Program, Send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from inspectd.engine.server import Engine
    from inspectd.rules.answer import Answer
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

    Handler = Callable[["Api", Request], Any]

_LOOPBACK_HOST: Final = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?+", re.IGNORECASE)
_BEARER: Final = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
}
_EVENTS_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)
_EVENTS_KEPT: Final = 256
"""Events that may wait for a listener that reads slowly; then it is cut off."""
_CLOSE_SECONDS: Final = 1.0
_CAPTURE_CHECK_SECONDS: Final = 0.5
_KEEP_ALIVE_SECONDS: Final = 15.0

T = TypeVar("T")


class RefusalError(Exception):
    """A request that gets a 4xx, and why."""

    def __init__(self, status: int, error: str, mend: str = "", *, allow: tuple[str, ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.allow = allow
        self.problem = Problem(error=error, mend=mend)


class Api:
    """Answers the control API of one engine. `stop` ends the engine's process when it is called."""

    def __init__(self, engine: Engine, stop: Callable[[], None]) -> None:
        self._engine = engine
        self._stop = stop
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._left = asyncio.Event()

    async def close(self) -> None:
        """Tell whoever listens to events that the engine stops, and end their streams."""
        self._publish("stopping", {})
        for queue in self._listeners:
            _put(queue, None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._listeners:
                    self._left.clear()
                    await self._left.wait()

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
                self._publish("capture", {"error": error})
            await asyncio.sleep(_CAPTURE_CHECK_SECONDS)

    def answer(self, request: Request, token: bytes | None) -> Program | LiveProgram:
        """The answer to one request; `token` is what a TCP port asks for. Never raises."""
        try:
            _admit(request, token)
            return self._route(request)
        except RefusalError as refused:
            bare = request.head.method == b"HEAD"
            return _json(refused.status, refused.problem, allow=refused.allow, bare=bare)
        except InspectdError as problem:
            return _json(400, Problem(error=problem.what, mend=problem.mend))
        except Exception as problem:  # noqa: BLE001 - whatever fails here must not take the engine down
            return _json(500, Problem(error=f"the engine failed: {type(problem).__name__}: {problem}"))

    def _route(self, request: Request) -> Program | LiveProgram:
        path = request.head.target.partition(b"?")[0].decode("latin-1")
        methods = _ROUTES.get(path)
        if methods is None:
            raise RefusalError(404, f"there is no {path!r} here", f"See {', '.join(_ROUTES)}.")
        handler = methods.get(request.head.method.decode("latin-1"))
        if handler is None:
            raise RefusalError(405, f"{path} takes {', '.join(methods)}", allow=tuple(methods))
        if not request.complete or request.content_length > len(request.content):
            raise RefusalError(413, "the content is too large", "Send a large body as body_file.")
        answer = handler(self, request)
        return answer if isinstance(answer, Program | LiveProgram) else _json(200, answer)

    # -- what can be asked

    def _status(self, _: Request) -> Status:
        engine = self._engine
        return Status(
            version=__version__,
            pid=os.getpid(),
            addresses=tuple(engine.addresses),
            capture=str(engine.capture),
            answer=self._current(),
            exchanges=engine.exchanges,
            connections_open=engine.open_connections,
            started_ns=engine.started_ns,
            capture_error=engine.problem,
        )

    def _current(self, _: Request | None = None) -> CurrentAnswer:
        responder = self._engine.responder
        return CurrentAnswer(
            description=_text(responder.description), status_line=_text(responder.status_line) or None
        )

    def _set_answer(self, request: Request) -> CurrentAnswer:
        self._engine.set_responder(responder_for(_decode(request, AnswerRequest)))
        current = self._current()
        self._publish("answer", current)
        return current

    def _preview(self, request: Request) -> Any:
        return preview_of(_decode(request, AnswerRequest), now=time.time())

    def _clear(self, _: Request) -> Any:
        self._engine.clear()
        self._publish("clear", {})
        return {}

    def _end(self, _: Request) -> Program:
        self._stop()
        answer = _json(200, {})
        return Program((*answer.ops, Close()), label=answer.label)

    def _events(self, _: Request) -> LiveProgram:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_EVENTS_KEPT)
        _put(queue, _event("answer", self._current()))
        return LiveProgram(self._stream(queue), label="events")

    async def _stream(self, queue: asyncio.Queue[bytes | None]) -> AsyncIterator[Op]:
        self._listeners.add(queue)
        try:
            yield Send(_EVENTS_HEAD)
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    break
                yield Send(event)
            yield Close()
        finally:
            self._listeners.discard(queue)
            self._left.set()

    def _publish(self, name: str, data: Any) -> None:
        event = _event(name, data)
        for queue in list(self._listeners):
            _put(queue, event)


class Door:
    """A way in: what the engine asks for the answer to a control request. A TCP port's door has a `token`."""

    description = "control"
    status_line = ""

    def __init__(self, api: Api, token: str | None = None) -> None:
        self._api = api
        self._token = None if token is None else token.encode("ascii")

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:  # noqa: ARG002
        """The answer, and the end of the connection when it was the last request."""
        program = self._api.answer(request, self._token)
        if persist or isinstance(program, LiveProgram) or isinstance(program.ops[-1], Close):
            return program
        return Program((*program.ops, Close()), label=program.label)


def refusal(status: int, sentence: str) -> Answer:
    """The engine's answer to what is no request for the API: garbage, an endless head, a connection too many."""
    answer = problem_answer(status, sentence)
    fields = (b"Content-Type: application/json", *answer.fields[1:])
    return replace(answer, fields=fields, body=msgspec.json.encode(Problem(error=sentence)))


_ROUTES: Final[Mapping[str, Mapping[str, Handler]]] = {
    f"{PREFIX}/status": {"GET": Api._status},  # noqa: SLF001 - the table of the class's own methods
    f"{PREFIX}/answer": {"GET": Api._current, "PUT": Api._set_answer},  # noqa: SLF001
    f"{PREFIX}/answer/preview": {"POST": Api._preview},  # noqa: SLF001
    f"{PREFIX}/clear": {"POST": Api._clear},  # noqa: SLF001
    f"{PREFIX}/stop": {"POST": Api._end},  # noqa: SLF001
    f"{PREFIX}/events": {"GET": Api._events},  # noqa: SLF001
}


def _admit(request: Request, token: bytes | None) -> None:
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


def _decode(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(request.content or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise RefusalError(400, f"the content is not what is asked for here: {problem}") from problem


def _json(status: int, value: Any, *, allow: tuple[str, ...] = (), bare: bool = False) -> Program:
    """An answer; `allow` names the methods of a 405, and a `bare` one (to HEAD) leaves its content out."""
    content = msgspec.json.encode(value)
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
        f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(content)}\r\n"
    )
    if status == 401:
        head += "WWW-Authenticate: Bearer\r\n"
    if allow:
        head += f"Allow: {', '.join(allow)}\r\n"
    if status >= 400:
        # What follows an unwelcome request on its connection is not read.
        sent = f"{head}Connection: close\r\n\r\n".encode() + (b"" if bare else content)
        return Program((Send(sent), Close()), label="control")
    return Program((Send(f"{head}\r\n".encode() + content),), label="control")


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def _put(queue: asyncio.Queue[bytes | None], event: bytes | None) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = None  # it missed something: end its stream, so that it asks again
    queue.put_nowait(event)


def _text(text: str) -> str:
    """Text without the lone surrogates that JSON can't hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
