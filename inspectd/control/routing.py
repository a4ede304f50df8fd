"""From a request on the control API's listener to the operation it asks for, and from a value to its answer as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from inspectd.control.messages import PREFIX, Problem
from inspectd.control.operations import OPERATIONS
from inspectd.rules.program import Close, Program, Send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.control.operations import Operation
    from inspectd.rules.request import Request

REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

T = TypeVar("T")

_PLACE: Final = re.compile(r"\\\{(\w+)\\\}")


class RefusalError(Exception):
    """A request that gets a 4xx or 5xx, and why."""

    def __init__(self, status: int, error: str, mend: str = "", *, allow: tuple[str, ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.allow = allow
        self.problem = Problem(error=error, mend=mend)


class Asked(NamedTuple):
    """A request that was understood as far as its path. `places` are the segments that stood for `{name}`; `example` is
    a content that would do.
    """

    request: Request
    places: Mapping[str, str]
    example: Mapping[str, Any] | None = None

    def content(self, kind: type[T]) -> T:
        """The content as the struct that the operation takes. Raises `RefusalError`."""
        try:
            return msgspec.json.decode(self.request.content or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            from inspectd.control.mistakes import mistake_in

            raise RefusalError(400, *mistake_in(problem, kind, self.example)) from problem

    def id(self) -> int:
        """The number in the path. Raises `RefusalError` when it is none."""
        text = self.places["id"]
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise RefusalError(404, f"{text!r} is no id", "Ids are numbers.")
        return int(text)

    def query(self) -> dict[str, str]:
        """The parameters of the query; of one that comes twice, the last."""
        _, mark, query = self.request.head.target.partition(b"?")
        if not mark:
            return {}
        from urllib.parse import parse_qsl

        try:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
        except ValueError as problem:
            raise RefusalError(400, f"the query can't be read: {problem}") from problem
        return dict(pairs)


def find(request: Request) -> tuple[Operation, Asked]:
    """The operation that a request asks for. Raises `RefusalError`: 404, or 405 with what is taken."""
    path = request.head.target.partition(b"?")[0].decode("latin-1")
    method = request.head.method.decode("latin-1")
    methods, places = _METHODS.get(path), {}
    if methods is None:
        for pattern, found in _PATTERNS:
            match = pattern.fullmatch(path)
            if match is not None:
                methods, places = found, match.groupdict()
                break
    if methods is None:
        raise RefusalError(404, f"there is no {path!r} here", f"See {PREFIX}/openapi.json.")
    operation = methods.get(method)
    if operation is None:
        raise RefusalError(405, f"{path} takes {', '.join(methods)}", allow=tuple(methods))
    values = {name: _unquoted(value) for name, value in places.items()}
    return operation, Asked(request, values, operation.example)


def _unquoted(segment: str) -> str:
    if "%" not in segment:
        return segment
    from urllib.parse import unquote

    return unquote(segment, errors="backslashreplace")


def _tables() -> tuple[dict[str, dict[str, Operation]], list[tuple[re.Pattern[str], dict[str, Operation]]]]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(PREFIX + operation.path, {})[operation.method] = operation
    patterns = [
        (re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", re.escape(path))), methods)
        for path, methods in by_path.items()
        if "{" in path
    ]
    return {path: methods for path, methods in by_path.items() if "{" not in path}, patterns


_METHODS, _PATTERNS = _tables()


def json_answer(status: int, value: Any, *, allow: tuple[str, ...] = (), bare: bool = False) -> Program:
    """An answer; `allow` names the methods of a 405, and a `bare` one (to HEAD) leaves its content out."""
    content = value if isinstance(value, bytes) else msgspec.json.encode(value)
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
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


def text(value: str) -> str:
    """Text without the lone surrogates that JSON can't hold."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
