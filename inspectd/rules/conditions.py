"""The conditions of a match: each can say whether it holds for a request, and in a plain sentence why it doesn't.

Sentences are safe text: what they quote of a request has been through `inspectd.text.safe`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from inspectd.rules.patterns import readable
from inspectd.rules.problems import either
from inspectd.rules.subject import NOT_JSON, address_of, without_port
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from ipaddress import IPv4Network, IPv6Network

    from inspectd.rules.patterns import PathGlob, Pattern
    from inspectd.rules.subject import Subject

MOST_VALUES: Final = 100_000
"""So many JSON values are looked at by a path that goes through all of them."""

_SHOWN: Final = 60
_HOST_PORT: Final = re.compile(r"(?:\]|\A[^:\[\]]+):[0-9*?]+\Z")


class Condition(Protocol):
    """One thing that a request must be like."""

    def holds(self, subject: Subject) -> bool:
        """Whether the request is like that."""

    def why_not(self, subject: Subject) -> str:
        """What is different about a request that isn't, without a full stop."""


def shown(text: str | bytes) -> str:
    """A text of a person or a peer inside a sentence: quoted, safe and not too long."""
    return f"'{clip(safe(text[:1000]), _SHOWN)}'"


@dataclass(frozen=True, slots=True)
class Method:
    """The method is one of these, in this case (RFC 9110 §9.1)."""

    methods: tuple[bytes, ...]

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        return subject.request.head.method in self.methods

    def why_not(self, subject: Subject) -> str:
        """Which method it is instead."""
        method = subject.request.head.method
        wanted = either(safe(name) for name in self.methods)
        case = " (methods are case-sensitive)" if method.upper() in map(bytes.upper, self.methods) else ""
        return f"the method is {clip(safe(method[:1000]), _SHOWN) or 'missing'}, not {wanted}{case}"


@dataclass(frozen=True, slots=True)
class MethodOrPreflight:
    """The method is one of these, or the request is the CORS preflight of one (WHATWG Fetch §4.8)."""

    method: Method

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        return self.method.holds(subject) or self._asked(subject) in self.method.methods

    def _asked(self, subject: Subject) -> bytes | None:
        """The method that a preflight asks for."""
        head = subject.request.head
        if head.method != b"OPTIONS" or head.get(b"origin") is None:
            return None
        return head.get(b"access-control-request-method")

    def why_not(self, subject: Subject) -> str:
        """Which method it is instead."""
        asked = self._asked(subject)
        if asked is None:
            return self.method.why_not(subject)
        wanted = either(safe(name) for name in self.method.methods)
        return f"the preflight asks for {shown(asked)}, not {wanted}"


@dataclass(frozen=True, slots=True)
class Path:
    """The path fits a glob."""

    glob: PathGlob

    def holds(self, subject: Subject) -> bool:
        """Whether it does."""
        return self.glob.match(subject.path) is not None

    def why_not(self, subject: Subject) -> str:
        """Which path it is instead."""
        word = "is not" if self.glob.literal is not None else "does not fit"
        return f"the path {shown(subject.path)} {word} {shown(self.glob.text)}"

    def captured(self, subject: Subject) -> dict[str, str] | None:
        """What the wild parts stood for."""
        return self.glob.match(subject.path)


@dataclass(frozen=True, slots=True)
class PathRegex:
    """The whole path matches a regular expression; its named groups are captured."""

    text: str
    pattern: Pattern

    def holds(self, subject: Subject) -> bool:
        """Whether it does."""
        return self.captured(subject) is not None

    def why_not(self, subject: Subject) -> str:
        """Which path it is instead."""
        return f"the path {shown(subject.path)} does not match {shown(self.text)}"

    def captured(self, subject: Subject) -> dict[str, str] | None:
        """What the groups stood for: by name, and by number from "1"."""
        found = self.pattern.fullmatch(readable(subject.path).encode())
        if found is None:
            return None
        captured = {str(number): readable(value) for number, value in enumerate(found.groups(b""), 1)}
        for name, value in found.groupdict(b"").items():
            captured[name if isinstance(name, str) else readable(name)] = readable(value)
        return captured


@dataclass(frozen=True, slots=True)
class ExactQuery:
    """The query is this one, byte for byte."""

    query: bytes

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        return (subject.query or b"") == self.query

    def why_not(self, subject: Subject) -> str:
        """Which query it is instead."""
        if subject.query is None:
            return f"there is no query, wanted {shown(self.query)}"
        return f"the query is {shown(subject.query)}, not {shown(self.query)}"


@dataclass(frozen=True, slots=True)
class Text:
    """How a text has to be: `relation` (is, fits, matches) to what is `wanted`.

    `accepts` None: it only has to be there (`present`), or must not (not `present`).
    """

    relation: str
    wanted: str
    accepts: Callable[[str], bool] | None
    present: bool = True

    def any_of(self, values: list[str]) -> bool:
        """Whether one of the values that are there is as it has to be."""
        if self.accepts is None:
            return bool(values) is self.present
        return any(map(self.accepts, values))

    def why_not(self, what: str, values: list[str]) -> str:
        """What is different about the values of `what`."""
        if not self.present:
            return f"{what} is there ({shown(values[0])}), and must not be"
        if not values:
            return f"{what} is missing"
        if len(values) > 1:
            return f"{what} has {len(values)} values, and none of them {self.relation} {shown(self.wanted)}"
        if self.relation == "is":
            return f"{what} is {shown(values[0])}, not {shown(self.wanted)}"
        verb = {"fits": "fit", "matches": "match"}[self.relation]
        return f"{what} is {shown(values[0])}, which does not {verb} {shown(self.wanted)}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    text: Text

    def _values(self, subject: Subject) -> list[str]:
        return [value for name, value in subject.pairs if name == self.name]

    def holds(self, subject: Subject) -> bool:
        """Whether one of this name is as it has to be."""
        return self.text.any_of(self._values(subject))

    def why_not(self, subject: Subject) -> str:
        """What it is instead."""
        return self.text.why_not(f"the query parameter {shown(self.name)}", self._values(subject))


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field of the request's head."""

    name: str
    text: Text

    def _values(self, subject: Subject) -> list[str]:
        return list(map(readable, subject.values(self.name.strip().lower().encode())))

    def holds(self, subject: Subject) -> bool:
        """Whether one of this name is as it has to be."""
        return self.text.any_of(self._values(subject))

    def why_not(self, subject: Subject) -> str:
        """What it is instead."""
        return self.text.why_not(f"the field {shown(self.name)}", self._values(subject))


@dataclass(frozen=True, slots=True)
class Host:
    """The host that the request is for; with its port only where the test names one (None: nobody can tell)."""

    text: Text
    with_port: bool | None

    def _values(self, subject: Subject) -> list[str]:
        if not subject.host:
            return []
        bare = without_port(subject.host)
        if self.with_port is None:
            return list(dict.fromkeys((bare, subject.host)))
        return [subject.host if self.with_port else bare]

    def holds(self, subject: Subject) -> bool:
        """Whether it is as it has to be."""
        return self.text.any_of(self._values(subject))

    def why_not(self, subject: Subject) -> str:
        """What it is instead."""
        return self.text.why_not("the host", self._values(subject))


def names_port(host: str) -> bool:
    """Whether a test for a host is one for its port as well."""
    return bool(_HOST_PORT.search(host))


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address is in a network."""

    network: IPv4Network | IPv6Network

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        address = address_of(subject.request.peer)
        return address is not None and address.version == self.network.version and address in self.network

    def why_not(self, subject: Subject) -> str:
        """Which address it is."""
        return f"the client {shown(subject.request.peer)} is not in {self.network}"


@dataclass(frozen=True, slots=True)
class Tls:
    """The connection is encrypted, or isn't."""

    wanted: bool

    def holds(self, subject: Subject) -> bool:
        """Whether it is as wanted."""
        return subject.request.tls is self.wanted

    def why_not(self, subject: Subject) -> str:  # noqa: ARG002
        """What it is instead."""
        return "the connection is not encrypted" if self.wanted else "the connection is encrypted"


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the request line. A request line without one is HTTP/0.9."""

    version: bytes

    def holds(self, subject: Subject) -> bool:
        """Whether it is this one."""
        return (subject.request.head.version or b"HTTP/0.9") == self.version

    def why_not(self, subject: Subject) -> str:
        """Which one it is."""
        version = subject.request.head.version or b"HTTP/0.9"
        return f"the version is {shown(version)}, not {shown(self.version)}"


@dataclass(frozen=True, slots=True)
class Nth:
    """The request is the nth of its connection."""

    number: int

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        return subject.request.number == self.number

    def why_not(self, subject: Subject) -> str:
        """Which one it is."""
        return f"it is request {subject.request.number} of its connection, not {self.number}"


@dataclass(frozen=True, slots=True)
class First:
    """The connection is fresh, or has served a request before."""

    wanted: bool

    def holds(self, subject: Subject) -> bool:
        """Whether it is as wanted."""
        return (subject.request.number == 1) is self.wanted

    def why_not(self, subject: Subject) -> str:
        """What it is instead."""
        if self.wanted:
            return f"it is request {subject.request.number} of its connection, not the first"
        return "it is the first request of its connection"


@dataclass(frozen=True, slots=True)
class Body:
    """A text stands in the content."""

    text: str

    def holds(self, subject: Subject) -> bool:
        """Whether it does."""
        return self.text.encode() in subject.content

    def why_not(self, subject: Subject) -> str:
        """What the content is instead."""
        return f"{shown(self.text)} is not in {_content(subject)}"


@dataclass(frozen=True, slots=True)
class BodyRegex:
    """A regular expression is found in the content."""

    text: str
    pattern: Pattern

    def holds(self, subject: Subject) -> bool:
        """Whether it is."""
        return self.pattern.search(subject.content) is not None

    def why_not(self, subject: Subject) -> str:
        """What the content is instead."""
        return f"{shown(self.text)} is not found in {_content(subject)}"


class JsonQuery(Protocol):
    """A compiled JSON path (RFC 9535)."""

    def finditer(self, data: Any) -> Iterable[Any]:
        """The nodes that it selects."""


@dataclass(frozen=True, slots=True)
class Json:
    """What a JSON path selects in the content: anything at all (`exists`), or this value among it.

    A path with `..` goes through all values, some microseconds each: not through more than `MOST_VALUES`.
    """

    path: str
    query: JsonQuery
    value: Any
    exists: bool

    def _found(self, subject: Subject) -> Iterator[Any]:
        """The values that are selected, one after the other."""
        data = subject.json
        if data is NOT_JSON or self._too_many(subject):
            return
        try:
            for node in self.query.finditer(data):
                yield node.obj
        except (RecursionError, ValueError, TypeError, ArithmeticError, LookupError):
            return
        except Exception as error:
            # The library has exceptions of its own for data that a path can't be applied to.
            if not type(error).__module__.startswith("jsonpath"):
                raise

    def _too_many(self, subject: Subject) -> bool:
        content = subject.request.content
        return ".." in self.path and sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES

    def holds(self, subject: Subject) -> bool:
        """Whether it is selected."""
        return any(self.exists or same_json(value, self.value) for value in self._found(subject))

    def why_not(self, subject: Subject) -> str:
        """What is selected instead."""
        if subject.json is NOT_JSON:
            kept, length = len(subject.request.content), subject.request.content_length
            if length > kept:
                return f"the first {kept:,} bytes of the content, all that is kept, are no JSON"
            return "the content is no JSON" if length else "the content is empty"
        if self._too_many(subject):
            return f"the content has more than {MOST_VALUES:,} JSON values, too many for {shown(self.path)}"
        found = next(self._found(subject), NOT_JSON)
        if found is NOT_JSON:
            return f"the JSON path {shown(self.path)} selects nothing"
        return f"the JSON path {shown(self.path)} selects {_brief(found)}, not {_brief(self.value)}"


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. True is not 1, and 1 is 1.0 (RFC 9535 §2.3.5.2.2)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def _brief(value: Any) -> str:
    import msgspec

    try:
        return clip(safe(msgspec.json.encode(value)[:1000]), _SHOWN)
    except (ValueError, TypeError, RecursionError):
        return "a value that is nested deeply"


def _content(subject: Subject) -> str:
    request = subject.request
    if not request.content_length:
        return "the content, which is empty"
    if request.content_length > len(request.content):
        return f"the first {len(request.content):,} bytes of the content"
    return f"the content ({request.content_length:,} bytes)"
