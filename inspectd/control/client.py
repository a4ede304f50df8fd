"""A client of a running engine's control API: what the terminal UI, scripts and tests use.

Synchronous, over the engine's Unix socket. Every failure is a `ControlError` that says what is wrong and how to
mend it; nothing of httpx leaks out.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import httpx
import msgspec

from inspectd.control.messages import (
    PREFIX,
    SOCKET_HOST,
    AnswerRequest,
    CurrentAnswer,
    Event,
    Preview,
    Problem,
    Status,
)
from inspectd.control.places import is_alive
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

TIMEOUT_SECONDS: Final = 5.0

T = TypeVar("T")


class ControlError(InspectdError):
    """The engine could not be asked, or refused."""


class ControlClient:
    """Asks one engine. Use it as a context manager, or call `close`.

    >>> with ControlClient(socket) as engine:  # doctest: +SKIP
    ...     engine.set_answer(status="418 I'm a teapot")
    """

    def __init__(self, socket: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.socket = socket
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url=f"http://{SOCKET_HOST}{PREFIX}",
            timeout=timeout,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connection to the engine."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def status(self) -> Status:
        """How the engine is."""
        return self._ask("GET", "/status", Status)

    def set_answer(
        self,
        *,
        status: str,
        headers: Sequence[str] = (),
        body: str | bytes | None = None,
        body_file: Path | None = None,
        no_auto: Sequence[str] = (),
    ) -> CurrentAnswer:
        """Answer everything with this from the next request on."""
        return self._ask(
            "PUT", "/answer", CurrentAnswer, content=_answer(status, headers, body, body_file, no_auto)
        )

    def mirror(self) -> CurrentAnswer:
        """Show every client its own request from the next request on."""
        return self._ask("PUT", "/answer", CurrentAnswer, content=AnswerRequest(mirror=True))

    def answer(self) -> CurrentAnswer:
        """What is being answered now."""
        return self._ask("GET", "/answer", CurrentAnswer)

    def preview(
        self,
        *,
        status: str,
        headers: Sequence[str] = (),
        body: str | bytes | None = None,
        body_file: Path | None = None,
        no_auto: Sequence[str] = (),
    ) -> Preview:
        """The exact bytes that `set_answer` with the same arguments would send to a plain GET. Changes nothing."""
        content = _answer(status, headers, body, body_file, no_auto)
        return self._ask("POST", "/answer/preview", Preview, content=content)

    def clear(self) -> None:
        """Remove every exchange from the capture."""
        self._ask("POST", "/clear", msgspec.Raw)

    def stop(self) -> None:
        """End the engine: what is in flight is finished, then the capture is closed."""
        self._ask("POST", "/stop", msgspec.Raw)

    def events(self) -> Iterator[Event]:
        """What happens to the engine, as it happens. Ends when the engine stops."""
        self._require_engine()
        try:
            with self._http.stream(
                "GET", "/events", timeout=httpx.Timeout(TIMEOUT_SECONDS, read=None)
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise self._refused(answer)
                name = ""
                for line in answer.iter_lines():
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "data":
                        yield Event(name=name, data=value)
        except httpx.RemoteProtocolError:
            return
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from problem

    def _ask(self, method: str, path: str, kind: type[T], *, content: msgspec.Struct | None = None) -> T:
        arguments: dict[str, Any] = {}
        if content is not None:
            arguments = {
                "content": _encode(content),
                "headers": {"Content-Type": "application/json"},
            }
        self._require_engine()
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from problem
        if answer.is_error:
            raise self._refused(answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as problem:
            raise ControlError(
                f"the engine at {self.socket} answers in another way than this inspectd expects: {problem}",
                "Stop it and start it again with this version.",
            ) from problem

    def _require_engine(self) -> None:
        # httpcore leaks its socket when a Unix socket refuses it, so it is asked only where somebody listens.
        if not is_alive(self.socket):
            raise ControlError(f"no engine answers at {self.socket}", "It has ended, or was never there.")

    def _unreachable(self, problem: httpx.HTTPError) -> ControlError:
        if isinstance(problem, httpx.TimeoutException):
            return ControlError(f"the engine at {self.socket} did not answer in time")
        return ControlError(f"the engine at {self.socket} went away: {problem}")

    def _refused(self, answer: httpx.Response) -> ControlError:
        try:
            problem = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.DecodeError:
            return ControlError(f"the engine at {self.socket} answered {answer.status_code}")
        return ControlError(problem.error, problem.mend)


def _encode(content: msgspec.Struct) -> bytes:
    try:
        return msgspec.json.encode(content)
    except UnicodeEncodeError as problem:
        raise ControlError(
            f"{problem.object!r} can't be said in JSON",
            "Write it as UTF-8 text, or the body as bytes.",
            exit_code=2,
        ) from problem


def _answer(
    status: str,
    headers: Sequence[str],
    body: str | bytes | None,
    body_file: Path | None,
    no_auto: Sequence[str],
) -> AnswerRequest:
    return AnswerRequest(
        status=status,
        headers=tuple(headers),
        body=body if isinstance(body, str) else None,
        body_base64=base64.b64encode(body).decode() if isinstance(body, bytes) else None,
        body_file=None if body_file is None else str(body_file.absolute()),
        no_auto=tuple(no_auto),
    )
