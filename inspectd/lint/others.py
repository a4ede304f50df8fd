"""What other parsers say to the same bytes, where they are installed: h11, and httptools (the parser of Node).

They are asked when somebody looks, never while bytes arrive, and are imported only then.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspectd.text.safe import safe
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from inspectd.wire import Kind

EXAMINED: Final = 64 * 1024
"""Bytes that a parser is given at most."""
_LONGEST_SENTENCE: Final = 200
_METHOD: Final = re.compile(TOKEN)


class Verdict(NamedTuple):
    """Whether a parser takes the first message in some bytes, and in safe text why not."""

    parser: str
    """Name and version: `h11 0.16.0`."""
    accepted: bool | None
    """None: it waits for more bytes before it says."""
    sentence: str


def verdicts(data: bytes, kind: Kind, *, method: bytes = b"GET") -> list[Verdict]:
    """What the parsers that are installed say. `method` is that of the request which a response answers."""
    examined = data[:EXAMINED]
    method = method if _METHOD.fullmatch(method) else b"GET"  # a bad one is no fault of the answer
    found = []
    for ask in (_h11, _httptools):
        try:
            parser, whole, complaint = ask(examined, kind, method)
        except ImportError:
            continue
        if complaint:
            found.append(Verdict(parser, accepted=False, sentence=safe(complaint[:_LONGEST_SENTENCE])))
        else:
            found.append(Verdict(parser, True if whole else None, "takes it" if whole else "waits for more"))
    return found


def _h11(data: bytes, kind: Kind, method: bytes) -> tuple[str, bool, str]:
    """Its name, whether it saw the end of a message, and its complaint."""
    h11: Any = import_module("h11")
    name = f"h11 {h11.__version__}"
    over = False
    try:
        connection = h11.Connection(h11.SERVER if kind == "request" else h11.CLIENT)
        if kind == "response":
            connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
            connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        while not over and (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            over = isinstance(event, h11.EndOfMessage | h11.ConnectionClosed)
    except h11.ProtocolError as problem:
        return name, False, str(problem) or "refuses it"
    return name, over, ""


class _Listener:
    """Hears that a message is over."""

    over = False

    def on_message_complete(self) -> None:
        """The first message is whole."""
        self.over = True


def _httptools(data: bytes, kind: Kind, method: bytes) -> tuple[str, bool, str]:  # noqa: ARG001 - it isn't told
    httptools: Any = import_module("httptools")
    name = f"httptools {httptools.__version__}"
    make = httptools.HttpRequestParser if kind == "request" else httptools.HttpResponseParser
    listener = _Listener()
    try:
        make(listener).feed_data(data)
    except httptools.HttpParserUpgrade:
        return name, True, ""
    except httptools.HttpParserError as problem:
        # What comes behind the first message is no matter of this one.
        return name, listener.over, "" if listener.over else str(problem) or "refuses it"
    return name, listener.over, ""
