"""What a WebSocket of a rule says: its words, compiled to what is sent, and every problem in them with its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from inspectd.errors import InspectdError
from inspectd.rules.behaviour import saying
from inspectd.rules.behaviour.words import gathered
from inspectd.rules.draft import CraftError
from inspectd.rules.patterns import PatternError, text_glob
from inspectd.rules.program import Close, HalfClose, Reset, Stall
from inspectd.rules.tables import WebSocketMessageTable
from inspectd.rules.units import UnitError, hex_bytes
from inspectd.wire.websocket import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inspectd.rules.behaviour.words import Text, Words
    from inspectd.rules.draft import Call
    from inspectd.rules.patterns import Pattern
    from inspectd.rules.tables import WebSocketAnswerTable

HIGHEST_CODE: Final = 0xFFFF
"""Close codes are numbers of 16 bits."""

_KINDS: Final = ("text", "json", "binary-hex", "ping", "pong", "close", "raw-hex", "do")
_SHAPING: Final = ("fragment", "masked", "rsv", "length-form", "length", "opcode", "fin")
_SHAPELESS: Final = ("raw-hex", "do")
_FORMS: Final = (7, 16, 64)
_ACTS: Final[dict[str, Callable[[], Act]]] = {
    "close": Close,
    "half-close": HalfClose,
    "reset": Reset,
    "stall": Stall,
}

Act: TypeAlias = Close | HalfClose | Reset | Stall


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it should be: text, or bytes for a binary one. It may be compressed."""

    payload: str | bytes

    def frames(self) -> bytes:
        """Its bytes without compression."""
        if isinstance(self.payload, str):
            return encode.frame(self.payload.encode("utf-8", "replace"), encode.TEXT)
        return encode.frame(self.payload, encode.BINARY)


@dataclass(frozen=True, slots=True)
class Frames:
    """Bytes that are sent as they are. `code` is that of a Close frame in them, 0 for one without a code."""

    data: bytes
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is said."""


Said: TypeAlias = Message | Frames | Pause | Act
Say: TypeAlias = Callable[["Call"], Said]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to say. `pause` is how long to wait before it, in seconds; None for as long as usual."""

    pause: float | None
    say: Say


@dataclass(frozen=True, slots=True)
class Reaction:
    """What is said to a message that fits."""

    text: Pattern | str | None
    binary: bool | None
    lines: tuple[Line, ...]

    def fits(self, message: str | bytes) -> bool:
        """Whether it is for this message."""
        is_text = isinstance(message, str)
        if self.binary is is_text or (self.text is not None and not is_text):
            return False
        if self.text is None or isinstance(message, bytes):
            return True
        if isinstance(self.text, str):
            return message == self.text
        return self.text.fullmatch(message.encode("utf-8", "replace")) is not None


def lines(key: str, given: Iterable[str | WebSocketMessageTable], words: Words) -> tuple[Line, ...]:
    """The lines of a `send`, which stands at `key`. Raises `CraftProblems`."""
    return tuple(gathered(partial(_line, f"{key}[{index}]", one, words) for index, one in enumerate(given)))


def reaction(key: str, table: WebSocketAnswerTable, words: Words) -> Reaction:
    """An item of `on`. Raises `CraftError` or `CraftProblems`."""
    if table.text is not None and table.binary:
        raise CraftError(f"{key}.text", "a binary message has no text", "Take one of the two out.")
    try:
        text = None if table.text is None else text_glob(table.text)
    except PatternError as error:
        raise CraftError(f"{key}.text", error.what, error.mend) from None
    return Reaction(text, table.binary, lines(f"{key}.send", table.send, words))


def _line(key: str, given: str | WebSocketMessageTable, words: Words) -> Line:
    if isinstance(given, str):
        return Line(None, _text(words.text(key, given)))
    pause = None if given.after is None else saying.seconds(f"{key}.after", given.after)
    kinds = _given(given, _KINDS)
    shaping = _given(given, _SHAPING)
    for other in kinds[1:]:
        raise CraftError(f"{key}.{other}", f"{kinds[0]!r} is the message already", "Keep one of them.")
    if given.reason and given.close is None:
        raise CraftError(f"{key}.reason", "a reason without 'close'", "Only Close frames have one.")
    if given.reason and given.close is True:
        raise CraftError(f"{key}.reason", "a reason without a code", "Write close = 1000 instead of true.")
    if shaping and (not kinds or kinds[0] in _SHAPELESS):
        what = f"there is no frame for {shaping[0]!r} to change"
        raise CraftError(
            f"{key}.{shaping[0]}", what, "It goes with text, json, binary-hex, ping, pong, close."
        )
    if not kinds:
        return Line(pause, _always(Pause()))
    return Line(pause, _say(key, kinds[0], given, words, _shape(key, given) if shaping else None))


def _say(key: str, kind: str, given: WebSocketMessageTable, words: Words, shape: encode.Shape | None) -> Say:
    key = f"{key}.{kind}"
    match kind:
        case "text":
            text = words.text(key, given.text or "")
            return _text(text) if shape is None else _shaped(text, encode.TEXT, shape)
        case "json":
            data = _json(key, given.json)
            return _always(Message(data.decode()) if shape is None else _frames(data, encode.TEXT, shape))
        case "binary-hex":
            data = _hex(key, given.binary_hex or "")
            return _always(Message(data) if shape is None else _frames(data, encode.BINARY, shape))
        case "ping" | "pong":
            payload = words.text(key, (given.ping if kind == "ping" else given.pong) or "")
            return _shaped(payload, encode.PING if kind == "ping" else encode.PONG, shape or encode.PLAIN)
        case "close":
            return _always(_close(key, given, shape or encode.PLAIN))
        case "raw-hex":
            return _always(Frames(_hex(key, given.raw_hex or "")))
        case _:
            return _always(_ACTS[given.do or "close"]())


def _close(key: str, given: WebSocketMessageTable, shape: encode.Shape) -> Frames:
    if given.close is False:
        raise CraftError(key, "close = false says nothing", "Give a code, or take it out.")
    code = None if given.close is True else given.close
    if code is not None and not 0 <= code <= HIGHEST_CODE:
        raise CraftError(key, f"{code} is no close code", f"A code is a number from 0 to {HIGHEST_CODE}.")
    reason = saying.utf8(key.replace(".close", ".reason"), given.reason)
    frames = _frames(encode.closing(code, reason), encode.CLOSE, shape)
    # Whoever gets a Close frame in disguise doesn't answer it.
    return Frames(frames.data, code or 0) if shape.opcode in {None, encode.CLOSE} else frames


def _shape(key: str, given: WebSocketMessageTable) -> encode.Shape:
    if given.length_form not in {None, *_FORMS}:
        what = f"a length doesn't take {given.length_form} bits"
        raise CraftError(f"{key}.length-form", what, "Write 7, 16 or 64.")
    return encode.Shape(
        given.opcode,
        given.fin,
        given.rsv,
        given.masked,
        cast("Any", given.length_form),
        given.length,
        given.fragment,
    )


def _given(table: WebSocketMessageTable, keys: Sequence[str]) -> list[str]:
    """Those of these keys that say something."""
    found = []
    for key in keys:
        name = key.replace("-", "_")
        value = getattr(table, name)
        if value is not getattr(_NOTHING, name) and (value != getattr(_NOTHING, name) or value is False):
            found.append(key)
    return found


_NOTHING: Final = WebSocketMessageTable()


def _always(said: Said) -> Say:
    return lambda call: said  # noqa: ARG005


def _text(text: Text) -> Say:
    return lambda call: Message(text(call).decode("utf-8", "replace"))


def _shaped(text: Text, opcode: int, shape: encode.Shape) -> Say:
    return lambda call: _frames(text(call), opcode, shape)


def _frames(payload: bytes, opcode: int, shape: encode.Shape) -> Frames:
    return Frames(b"".join(encode.message(payload, opcode, shape)))


def _hex(key: str, text: str) -> bytes:
    try:
        return hex_bytes(text)
    except UnitError as error:
        raise CraftError(key, error.what, error.mend) from None


def _json(key: str, value: object) -> bytes:
    from inspectd.rules.craft import json_bytes

    try:
        return json_bytes(value)
    except InspectdError as error:
        raise CraftError(key, error.what, error.mend) from None
