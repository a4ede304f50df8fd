"""permessage-deflate (RFC 7692): what a handshake agreed upon, and messages inflated within bounds.

    Sec-WebSocket-Extensions = extension-list                             ; RFC 6455 §9.1
    extension-list = 1#extension
    extension = extension-token *( ";" extension-param )
    extension-param = token [ "=" (token | quoted-string) ]

A peer chose these bytes: nothing here raises, and what comes out of few bytes is counted, not kept.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME: Final = b"permessage-deflate"
LARGEST_WINDOW: Final = 15
_TAIL: Final = b"\x00\x00\xff\xff"
"""What a sender takes off the end of each compressed message (RFC 7692 §7.2.1)."""
_LAST_BLOCK: Final = b"\x03\x00"
"""A final block with nothing in it."""
_WINDOW: Final = 1 << LARGEST_WINDOW
_FED: Final = 16 * 1024
_GIVEN: Final = 256 * 1024
_RESTARTS: Final = 1000
"""Final blocks in one message; real ones have one at most."""
_VALUE_READ: Final = 16 * 1024

_PARAMETER: Final = re.compile(
    rb"""[ \t]*+;[ \t]*+(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)"""
    rb"""(?:[ \t]*+=[ \t]*+(?:(?P<token>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)|"(?P<quoted>(?:[^"\\]|\\[\x00-\xff])*+)"))?+"""
)
_NAME: Final = re.compile(rb"[ \t,]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)")
_NEXT: Final = re.compile(rb"[^,]*+,?+")
_BITS: Final = re.compile(rb"8|9|1[0-5]")


class Extension(NamedTuple):
    """An extension that a field lists: its name in lower case, and its parameters with their values, or None."""

    name: bytes
    parameters: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Deflate:
    """What the two sides agreed upon for compressing messages (RFC 7692 §7.1).

    `problems` are sentences about what is wrong with the agreement; they quote the fields, so whoever shows them sends
    them through `inspectd.text.safe`.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = LARGEST_WINDOW
    client_max_window_bits: int = LARGEST_WINDOW
    problems: tuple[str, ...] = ()

    def inflater(self, *, client: bool) -> Inflater:
        """What inflates the messages of the client, or those of the server."""
        alone = self.client_no_context_takeover if client else self.server_no_context_takeover
        return Inflater(takeover=not alone)


def extensions(fields: Iterable[tuple[bytes, bytes]]) -> list[Extension]:
    """The extensions that the Sec-WebSocket-Extensions fields among (name, value) pairs list, in order.

    What fits no grammar is left out, up to the next comma.
    """
    found: list[Extension] = []
    for name, value in fields:
        if name.lower() == b"sec-websocket-extensions":
            found += _listed(value[:_VALUE_READ])
    return found


def _listed(value: bytes) -> Iterator[Extension]:
    at = 0
    while at < len(value):
        opened = _NAME.match(value, at)
        if opened is not None:
            at = opened.end()
            parameters = []
            while each := _PARAMETER.match(value, at):
                at = each.end()
                given = each["token"]
                if given is None and each["quoted"] is not None:
                    given = re.sub(rb"\\(.)", rb"\1", each["quoted"], flags=re.DOTALL)
                parameters.append((each["name"].lower(), given))
            if value[at:].lstrip(b" \t")[:1] in (b"", b","):
                yield Extension(opened[1].lower(), tuple(parameters))
        rest = _NEXT.match(value, at)
        at = len(value) if rest is None else max(rest.end(), at + 1)


def negotiated(
    request_fields: Iterable[tuple[bytes, bytes]], response_fields: Iterable[tuple[bytes, bytes]]
) -> Deflate | None:
    """What the fields (name, value) of a handshake's two heads agree upon; None when messages aren't compressed.

    The response decides (RFC 7692 §5). What it says against the rules is told in `problems` and left aside.
    """
    accepted = [each for each in extensions(response_fields) if each.name == NAME]
    if not accepted:
        return None
    offers = [each for each in extensions(request_fields) if each.name == NAME]
    problems = []
    if len(accepted) > 1:
        problems.append("The server accepted permessage-deflate more than once.")
    if not offers:
        problems.append("The server accepted permessage-deflate, which the client didn't offer.")
    flags = dict.fromkeys((b"server_no_context_takeover", b"client_no_context_takeover"), False)
    windows = dict.fromkeys((b"server_max_window_bits", b"client_max_window_bits"), LARGEST_WINDOW)
    seen: set[bytes] = set()
    for name, value in accepted[0].parameters:
        shown = name.decode("ascii")
        if name in seen:
            problems.append(f"The parameter {shown} is there more than once.")
        elif name in flags:
            flags[name] = True
            if value is not None:
                problems.append(f"The parameter {shown} has a value, where none is allowed.")
        elif name in windows:
            if value is not None and _BITS.fullmatch(value):
                windows[name] = int(value)
            else:
                problems.append(f"The parameter {shown} needs a value from 8 to 15.")
        else:
            problems.append(f"The parameter {shown} is not one of permessage-deflate's.")
        seen.add(name)
    client_window = b"client_max_window_bits"
    if (
        client_window in seen
        and offers
        and not any(client_window in dict(each.parameters) for each in offers)
    ):
        problems.append("The server set client_max_window_bits, which the client didn't say it knows.")
    return Deflate(
        flags[b"server_no_context_takeover"],
        flags[b"client_no_context_takeover"],
        windows[b"server_max_window_bits"],
        windows[client_window],
        tuple(problems),
    )


class Inflater:
    """Inflates the compressed messages of one direction, one after the other.

    `failed` says what was wrong with the data; once it is broken, messages that lean on those before them can't be
    inflated any more. What comes out before a fault doesn't depend on how the data was split. That is why the window is
    the largest one whatever was agreed upon: zlib reaches back beyond a smaller one when it happens to be able to.
    """

    def __init__(self, *, takeover: bool = True) -> None:
        self._takeover = takeover
        self._inflater = zlib.decompressobj(-LARGEST_WINDOW)
        self._window = bytearray()  # what came out last: blocks after a final one may refer to it
        self._restarts = 0
        self.failed = ""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Compressed bytes in, what comes out of them in pieces of at most 256 KiB; nothing more after a fault."""
        for at in range(0, len(data), _FED):
            fed = data[at : at + _FED]
            while not self.failed:
                kept = self._inflater.copy()
                try:
                    out = self._inflater.decompress(fed, _GIVEN)
                except zlib.error as error:
                    self.failed = _reason(error)
                    yield from _before_fault(kept, fed)
                    return
                if out:
                    self._remember(out)
                    yield out
                if self._inflater.eof:
                    fed = self._inflater.unused_data
                    self._start_anew()
                else:
                    fed = self._inflater.unconsumed_tail
                if not fed and len(out) < _GIVEN:
                    break

    def tail(self) -> Iterator[bytes]:
        """The last frame of a message has ended: what still comes out of it; `failed` when it isn't all there."""
        yield from self.feed(_TAIL)
        if not self.failed and not self._between_blocks():
            self.failed = "it ends within a block"

    def _between_blocks(self) -> bool:
        """Whether a block has ended with the bytes so far: then another one can be read."""
        probe = self._inflater.copy()
        try:
            probe.decompress(_LAST_BLOCK)
        except zlib.error:
            return False
        return probe.eof

    def end(self, broken: str = "") -> None:
        """The message is over; `broken` says why the next ones can't lean on it."""
        self._restarts = 0
        if not self._takeover:
            self._inflater = zlib.decompressobj(-LARGEST_WINDOW)
            self._window.clear()
            self.failed = ""
        elif broken:
            self.failed = broken

    def _remember(self, out: bytes) -> None:
        self._window += out[-_WINDOW:]
        if len(self._window) > 4 * _WINDOW:
            del self._window[:-_WINDOW]

    def _start_anew(self) -> None:
        """A final block has ended (RFC 7692 §7.2.3.4): more may follow that refers to what came out before."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            self.failed = f"it has more than {_RESTARTS:,} final blocks"
            return
        self._inflater = zlib.decompressobj(-LARGEST_WINDOW, zdict=bytes(self._window[-_WINDOW:]))


def _before_fault(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What comes out of the bytes before the one with the fault: zlib gives nothing from the call that meets it."""
    with contextlib.suppress(zlib.error):
        for byte in data:
            if out := inflater.decompress(bytes((byte,))):
                yield out


def _reason(error: zlib.error) -> str:
    """What zlib has to say, without its own number: `invalid block type`."""
    return str(error).rpartition(": ")[2]
