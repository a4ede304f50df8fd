"""A client of a running engine's control API: what the terminal UI, scripts and tests use.

Synchronous, over the engine's Unix socket. Every failure is a `ControlError` that says what is wrong and how to
mend it; nothing of httpx leaks out.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import httpx
import msgspec

from inspectd.control.conversation_messages import ConversationShown
from inspectd.control.messages import (
    PREFIX,
    SOCKET_HOST,
    AnswerRequest,
    Complaint,
    CurrentAnswer,
    Event,
    Preview,
    Problem,
    Status,
)
from inspectd.control.places import is_alive
from inspectd.control.rules_messages import (
    AcceptShown,
    GateShown,
    RulesChecked,
    RuleShowing,
    RulesRequest,
    RulesShown,
    ShowRequest,
)
from inspectd.control.traffic_messages import (
    ExchangeDetail,
    ExchangesShown,
    HoldRequest,
    HoldsShown,
    ReleaseAllRequest,
    Released,
    ReleaseRequest,
    Verified,
    VerifyRequest,
    Waited,
    WaitRequest,
)
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from inspectd.control.traffic_messages import WaitState

TIMEOUT_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 60.0
"""For what takes its time: a large capture, many rules."""

T = TypeVar("T")


class ControlError(InspectdError):
    """The engine could not be asked, or refused. Wrong rules have `problems`."""

    problems: tuple[Complaint, ...] = ()


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

    def answer_by_rule(self, rule: str) -> CurrentAnswer:
        """Answer by the rule with this id, whether it matches or not, where none does, from the next request on."""
        return self._ask("PUT", "/answer", CurrentAnswer, content=AnswerRequest(rule=rule))

    def answer(self) -> CurrentAnswer:
        """What is being answered now."""
        return self._ask("GET", "/answer", CurrentAnswer)

    def restore_answer(self) -> CurrentAnswer:
        """Answer again as when the engine started: a proxy passes requests on again."""
        return self._ask("DELETE", "/answer", CurrentAnswer)

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

    def preview_rule(self, rule: str) -> Preview:
        """The exact bytes that `answer_by_rule` would send to a plain GET of /. Changes nothing."""
        return self._ask("POST", "/answer/preview", Preview, content=AnswerRequest(rule=rule))

    # -- rules

    def rules(self) -> RulesShown:
        """The rules in use, in the order in which they are tried."""
        return self._ask("GET", "/rules", RulesShown)

    def put_rules(
        self,
        toml: str | None = None,
        *,
        rules: Sequence[dict[str, Any]] | None = None,
        files: Sequence[Path] | None = None,
        base: Path | None = None,
    ) -> RulesShown:
        """Put rules (a rule file's text, tables, or files) in the place of all that came this way.

        Relative paths in them start from `base`. A `ControlError` has every problem of rules that can't be used.
        """
        return self._ask(
            "PUT", "/rules", RulesShown, content=_rules(toml, rules, files, base), seconds=SLOW_SECONDS
        )

    def add_rules(
        self,
        toml: str | None = None,
        *,
        rules: Sequence[dict[str, Any]] | None = None,
        files: Sequence[Path] | None = None,
        base: Path | None = None,
    ) -> RulesShown:
        """The same, in front of those that came this way before."""
        return self._ask(
            "POST", "/rules", RulesShown, content=_rules(toml, rules, files, base), seconds=SLOW_SECONDS
        )

    def delete_rules(self) -> RulesShown:
        """Remove all rules that came this way; those of files stay."""
        return self._ask("DELETE", "/rules", RulesShown)

    def check_rules(
        self,
        toml: str | None = None,
        *,
        rules: Sequence[dict[str, Any]] | None = None,
        files: Sequence[Path] | None = None,
        base: Path | None = None,
    ) -> RulesChecked:
        """Whether rules could be used, and every problem when not. Changes nothing."""
        return self._ask(
            "POST",
            "/rules/check",
            RulesChecked,
            content=_rules(toml, rules, files, base),
            seconds=SLOW_SECONDS,
        )

    def show_rules(
        self, request: str | bytes, *, toml: str | None = None, base: Path | None = None
    ) -> RuleShowing:
        """What would be answered to `GET /slow`, or to a whole request, and why; by these rules or by those in use."""
        wish = ShowRequest(
            request=request if isinstance(request, str) else None,
            request_base64=base64.b64encode(request).decode() if isinstance(request, bytes) else None,
            toml=toml,
            base=None if base is None else str(base.absolute()),
        )
        return self._ask("POST", "/rules/show", RuleShowing, content=wish)

    def reload_rules(self) -> RulesShown:
        """Read the rule files again."""
        return self._ask("POST", "/rules/reload", RulesShown)

    def open_gate(self, name: str) -> GateShown:
        """Let everything pass that waits at this gate."""
        return self._ask("POST", f"/gates/{_segment(name)}/open", GateShown)

    def close_gate(self, name: str) -> GateShown:
        """Let what comes to this gate wait again."""
        return self._ask("POST", f"/gates/{_segment(name)}/close", GateShown)

    def accept(self) -> AcceptShown:
        """What happens to connections before a byte is read."""
        return self._ask("GET", "/accept", AcceptShown)

    def set_accept(self, table: dict[str, Any] | None) -> AcceptShown:
        """Treat the connections that come next as this `[accept]` table says; None: as usual."""
        if table is None:
            return self._ask("DELETE", "/accept", AcceptShown)
        return self._ask("PUT", "/accept", AcceptShown, content=table)

    # -- held exchanges

    def holds(self) -> HoldsShown:
        """What waits for somebody to decide, and how many of the next requests will."""
        return self._ask("GET", "/holds", HoldsShown)

    def hold_next(
        self,
        count: int | None,
        *,
        timeout: str | float = "5m",
        owner: str = "",
        lease: str | float | None = None,
    ) -> HoldsShown:
        """Hold the next `count` requests: 0 stops it, None holds all. After `timeout` each gets its normal answer.

        With a `lease` all that is over when for so long nobody has asked for `holds`.
        """
        wish = HoldRequest(next=count, timeout=timeout, owner=owner, lease=lease)
        return self._ask("PUT", "/holds", HoldsShown, content=wish)

    def release(
        self,
        number: int,
        *,
        raw: bytes | None = None,
        rest_from: int | None = None,
        close: bool = False,
        status: str | None = None,
        headers: Sequence[str] = (),
        body: str | bytes | None = None,
        rule: str | None = None,
        toml: str | None = None,
        base: Path | None = None,
    ) -> Released:
        """Answer a held exchange: with its normal answer, or with exactly these bytes, or with the words of an answer,
        or with a rule's answer (by its id, or as a rule file's text). See `ReleaseRequest`.
        """
        wish = ReleaseRequest(
            raw_base64=None if raw is None else base64.b64encode(raw).decode(),
            rest_from=rest_from,
            close=close,
            status=status,
            headers=tuple(headers),
            body=body if isinstance(body, str) else None,
            body_base64=base64.b64encode(body).decode() if isinstance(body, bytes) else None,
            rule=rule,
            toml=toml,
            base=None if base is None else str(base.absolute()),
        )
        return self._ask("POST", f"/holds/{number}/release", Released, content=wish)

    def drop(self, number: int) -> Released:
        """Close the connection of a held exchange without a byte."""
        return self._ask("POST", f"/holds/{number}/drop", Released)

    def reset(self, number: int) -> Released:
        """Abort the connection of a held exchange."""
        return self._ask("POST", f"/holds/{number}/reset", Released)

    def release_all(self, owner: str | None = None) -> Released:
        """Release everything that is held with its normal answer, and hold no more; or only what `owner` holds."""
        return self._ask("POST", "/holds/release", Released, content=ReleaseAllRequest(owner=owner))

    # -- what was recorded

    def exchanges(
        self, *, after: int = 0, limit: int = 100, method: str | None = None, target: str | None = None
    ) -> ExchangesShown:
        """Recorded exchanges, the oldest first. `*` in the target stands for anything."""
        query: dict[str, Any] = {"after": after, "limit": limit, "method": method, "target": target}
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"/exchanges?{httpx.QueryParams(given)}", ExchangesShown)

    def exchange(self, number: int) -> ExchangeDetail:
        """One exchange with its messages and what the client did."""
        return self._ask("GET", f"/exchanges/{number}", ExchangeDetail)

    def messages(self, number: int, *, after: int = 0, limit: int = 100) -> ConversationShown:
        """What was said in an exchange after its heads: messages of a WebSocket, or events."""
        return self._ask(
            "GET", f"/exchanges/{number}/messages?after={after}&limit={limit}", ConversationShown
        )

    def wait(
        self,
        match: str | dict[str, Any] = "*",
        *,
        count: int = 1,
        after: int = 0,
        state: WaitState = "answered",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Waited:
        """Wait until so many exchanges match and are as far as `state` says, `timeout` seconds at most."""
        wish = WaitRequest(match=match, count=count, after=after, state=state, timeout=timeout)
        return self._ask("POST", "/wait", Waited, content=wish, seconds=timeout + TIMEOUT_SECONDS)

    def verify(
        self,
        match: str | dict[str, Any] = "*",
        *,
        count: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        after: int = 0,
    ) -> Verified:
        """Whether so many exchanges matched, and what came closest when not."""
        wish = VerifyRequest(match=match, count=count, at_least=at_least, at_most=at_most, after=after)
        return self._ask("POST", "/verify", Verified, content=wish, seconds=SLOW_SECONDS)

    # -- the engine

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of everything that can be asked."""
        return self._ask("GET", "/openapi.json", dict[str, Any])

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

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        content: msgspec.Struct | dict[str, Any] | None = None,
        seconds: float | None = None,
    ) -> T:
        arguments: dict[str, Any] = {} if seconds is None else {"timeout": seconds}
        if content is not None:
            arguments |= {
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
        error = ControlError(problem.error, problem.mend)
        error.problems = problem.problems
        return error


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _rules(
    toml: str | None,
    rules: Sequence[dict[str, Any]] | None,
    files: Sequence[Path] | None,
    base: Path | None,
) -> RulesRequest:
    return RulesRequest(
        toml=toml,
        rules=None if rules is None else tuple(rules),
        files=None if files is None else tuple(str(path.absolute()) for path in files),
        base=None if base is None else str(base.absolute()),
    )


def _encode(content: msgspec.Struct | dict[str, Any]) -> bytes:
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
