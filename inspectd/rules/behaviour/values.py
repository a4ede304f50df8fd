"""What templates see of a request, and how bytes travel through them and come out again.

Nothing but plain values is handed over: text, numbers, lists and maps, made when a template asks for one, and three
functions. What is random is seeded by the call, so the same call gives the same answer.
"""

from __future__ import annotations

import base64
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from inspectd.rules.answer import imf_fixdate
from inspectd.rules.behaviour import asked
from inspectd.rules.draft import Call
from inspectd.rules.request import ordinary_request

# The byte 0xNN that is no UTF-8 is U+10FENN inside templates: of a private use area, as Rust's text has no surrogates.
_PRIVATE: Final = 0x10FE00
_SURROGATES: Final = 0xDC00
_INWARD: Final = re.compile("[\udc80-\udcff\U0010fe80-\U0010feff]")
_OUTWARD: Final = re.compile("[\U0010fe80-\U0010feff]")
_DEEPEST: Final = 200
_TOO_WIDE: Final = re.compile(r"[0-9]{4}|\*")

LARGEST_TEXT: Final = 16 << 20
"""Characters that a filter makes at most."""

NAMES: Final = frozenset(
    {
        "method", "target", "path", "query", "query_all", "version", "headers", "fields", "host", "body", "json",
        "captured", "client", "connection", "number", "count", "now", "tls", "last_event_id",
        "random", "choice", "uuid",
    }
)  # fmt: skip
"""What a template may use."""


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = str(value), str(old), str(new)
    if len(text) + text.count(old) * len(new) > LARGEST_TEXT:
        raise ValueError("replace: the text would be too large")
    return text.replace(old, new)


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002
    text = str(value)
    if (text.count("\n") + 1) * int(width) > LARGEST_TEXT:
        raise ValueError("indent: the text would be too large")
    lines = text.split("\n")
    margin = " " * int(width)
    return "\n".join(
        margin + line if (first or index) and (line or blank) else line for index, line in enumerate(lines)
    )


def _format(value: Any, *given: Any) -> str:
    if _TOO_WIDE.search(str(value)):
        raise ValueError("format: the text would be too wide")
    return str(value) % given


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "httpdate": lambda seconds: imf_fixdate(float(seconds)),
    "base64": lambda value: base64.b64encode(to_wire(str(value))).decode(),
    "replace": _replace,
    "indent": _indent,
    "format": _format,
}
"""Filters of ours. Three of them are MiniJinja's own, with a bound on what they make: theirs ends the process."""


def of_wire(data: bytes) -> str:
    """Bytes as text for templates, from which `to_wire` makes exactly these bytes again."""
    text = data.decode("utf-8", "surrogateescape")
    return text if text.isascii() else _INWARD.sub(_inward, text)


def to_wire(text: str) -> bytes:
    """The bytes of text that a template made: UTF-8, and for what stood for a byte, that byte."""
    if not text.isascii():
        text = _OUTWARD.sub(lambda found: chr(ord(found[0]) - _PRIVATE + _SURROGATES), text)
    return text.encode("utf-8", "surrogateescape")


def readable(value: Any, depth: int = 0) -> Any:
    """A value for JSON, which is UTF-8: a byte that isn't becomes the character of its number."""
    if isinstance(value, str):
        return _OUTWARD.sub(lambda found: chr(ord(found[0]) - _PRIVATE), value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth > _DEEPEST:
        raise ValueError("the value is too deep for JSON")
    if isinstance(value, Mapping):
        return {readable(str(name)): readable(member, depth + 1) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(item, depth + 1) for item in value]
    return readable(str(value))


def _inward(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < _PRIVATE:
        return chr(code - _SURROGATES + _PRIVATE)
    return "".join(chr(_PRIVATE + byte) for byte in found[0].encode())


class Headers(Mapping[str, str]):
    """The first value of each field, by its name in any case; `headers.user_agent` is understood as well."""

    def __init__(self, call: Call) -> None:
        self._values: dict[str, str] = {}
        for field in call.request.head.head.fields:
            self._values.setdefault(of_wire(field.name_bytes).lower(), of_wire(field.value_bytes))

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        if name in self._values:
            return self._values[name]
        return self._values[name.replace("_", "-")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __str__(self) -> str:
        return str(self._values)


class Values:
    """The values of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._chance = random.Random(call.chance)  # noqa: S311  repeatable, not a secret

    def names(self) -> dict[str, Any]:
        """Every value by its name (see `NAMES`)."""
        call = self._call
        request = call.request
        head = request.head
        path, query = asked.origin_form(request)
        headers = Headers(call)
        pairs = [(_of_query(name), _of_query(value)) for name, value in asked.query_pairs(query)]
        every: dict[str, list[str]] = {}
        for name, value in pairs:
            every.setdefault(name, []).append(value)
        return {
            "method": of_wire(head.method),
            "target": of_wire(head.target),
            "path": of_wire(path),
            "query": {name: values[0] for name, values in every.items()},
            "query_all": every,
            "version": of_wire(head.version),
            "headers": headers,
            "fields": [[of_wire(field.name_bytes), of_wire(field.value_bytes)] for field in head.head.fields],
            "host": headers.get("host", ""),
            "body": of_wire(request.content),
            "json": _json(request.content),
            "captured": {name: of_wire(_bytes(value)) for name, value in call.captured.items()},
            "client": request.peer,
            "connection": request.connection,
            "number": request.number,
            "count": call.count,
            "now": call.now,
            "tls": request.tls,
            "last_event_id": headers.get("last-event-id", ""),
            "random": self._random,
            "choice": self._choice,
            "uuid": self._uuid,
        }

    def _random(self, low: int = 0, high: int = 2**31 - 1) -> int:
        return self._chance.randint(int(low), int(high))

    def _choice(self, values: Any) -> Any:
        return self._chance.choice(list(values))

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))


@cache
def sample() -> dict[str, Any]:
    """The values of an ordinary request, to try a template with."""
    return Values(Call(ordinary_request(b"/sample?name=value"), now=0.0, persist=True)).names()


def _json(content: bytes) -> Any:
    """The content as JSON, or None."""
    try:
        return msgspec.json.decode(content)
    except (ValueError, RecursionError):
        return None


def _of_query(text: str) -> str:
    return of_wire(text.encode("utf-8", "surrogateescape"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
