"""What of a request has to be like a recorded one: from a recorded request to the match of a rule.

The request is looked at as rules look at it, so a match made here holds for the very request it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from inspectd.errors import InspectdError
from inspectd.rules.match import MatchErrors, compile_match
from inspectd.rules.patterns import readable
from inspectd.rules.subject import Subject, without_port
from inspectd.rules.tables import MatchTable, TextMatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.export.redact import Redaction
    from inspectd.rules.request import Request
    from inspectd.rules.tables import TextTest

LARGEST_BODY: Final = 16 * 1024
"""Bytes of content that a match compares; of a longer one only that it begins so."""

_PARTS: Final = ("method", "path", "query", "host", "body")
_PRESETS: Final = {
    "loose": "method,path",
    "usual": "method,path,query,host",
    "strict": "method,path,query,host,body",
}
_WILD: Final = frozenset("*{}")
_OF_A_REGEX: Final = frozenset(r"\.+*?()|[]{}^$")


@dataclass(frozen=True, slots=True)
class Likeness:
    """The parts of a request that are compared, and the fields by their names."""

    parts: frozenset[str]
    fields: tuple[str, ...] = ()

    @property
    def wants_content(self) -> bool:
        """Whether the content is compared."""
        return "body" in self.parts


def likeness(text: str) -> Likeness:
    """What `usual`, or `method,path,headers:Accept`, or `strict,headers:X-A`, asks for. Raises `InspectdError`."""
    parts: set[str] = set()
    fields: list[str] = []
    words = [word.strip() for word in text.split(",")]
    for word in words:
        name = word.partition(":")[2].strip()
        if word in _PRESETS:
            parts.update(_PRESETS[word].split(","))
        elif word in _PARTS:
            parts.add(word)
        elif word.startswith(("headers:", "header:")) and name:
            fields.append(name.lower())
        else:
            raise InspectdError(
                f"{word!r} is nothing of a request that can be compared",
                f"Write {', '.join(_PRESETS)}, or some of {', '.join(_PARTS)} and headers:NAME with commas between.",
                exit_code=2,
            )
    return Likeness(frozenset(parts), tuple(dict.fromkeys(fields)))


USUAL: Final = likeness("usual")


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a recorded request that are compared, None for the others. Equal ones are the same request."""

    method: bytes | None
    path: bytes | None
    query: bytes | None
    pairs: tuple[tuple[str, str], ...] | None
    """The query as names and values, instead of `query`, when some are redacted or it is no UTF-8."""
    host: str | None
    fields: tuple[tuple[str, str | None], ...]
    content: bytes | None


def asked(request: Request, like: Likeness, redaction: Redaction | None = None) -> Asked:
    """What is compared of this request."""
    subject = Subject(request)
    parts = like.parts
    query = (subject.query or b"") if "query" in parts else None
    pairs = None
    secret = [name for name, _ in subject.pairs if redaction is not None and redaction.names(name)]
    if query and (secret or readable(query).encode() != query):
        pairs = tuple((name, "" if name in secret else value) for name, value in subject.pairs)
        query = None
    return Asked(
        request.head.method if "method" in parts else None,
        subject.path if "path" in parts else None,
        query,
        pairs,
        subject.host if "host" in parts else None,
        tuple((name, _value(subject, name)) for name in like.fields),
        request.content[: LARGEST_BODY + 1] if like.wants_content else None,
    )


def _value(subject: Subject, name: str) -> str | None:
    values = subject.values(name.encode())
    return readable(values[0]) if values else None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else was recorded: only what tells requests apart has to be in a match."""

    ports: bool
    """Hosts are told apart by their ports as well."""
    hosts: bool
    """There are several hosts."""
    queried: frozenset[tuple[bytes | None, bytes | None]]
    """Methods and paths that were asked for with a query: without one is another request."""
    exact: bool = False
    """A request without a query is another one than any with a query, whatever was recorded."""


def surroundings(requests: Iterable[Asked], *, exact: bool = False) -> Surroundings:
    """What these requests have to be told apart by."""
    hosts: set[str] = set()
    queried: set[tuple[bytes | None, bytes | None]] = set()
    for one in requests:
        if one.host is not None:
            hosts.add(one.host)
        if one.query or one.pairs:
            queried.add((one.method, one.path))
    bare = {without_port(host) for host in hosts}
    ports = any(len({host for host in hosts if without_port(host) == name}) > 1 for name in bare)
    return Surroundings(ports, len(hosts if ports else bare) > 1, frozenset(queried), exact)


def told_apart(one: Asked, around: Surroundings) -> Asked:
    """The same request with as much of its host as tells it from others."""
    if one.host is None or around.ports:
        return one if one.host is None or around.hosts else replace(one, host=None)
    return replace(one, host=without_port(one.host) if around.hosts else None)


def match_for(
    one: Asked, around: Surroundings, redaction: Redaction | None = None
) -> tuple[str | MatchTable, int]:
    """The match that holds for this request, and how general it is: more general ones have to stand behind others."""
    general = 0
    method = None if one.method is None else readable(one.method)
    if method is not None and not _fits(MatchTable(method=method)):
        method, general = None, 8  # no token: a match can't name it
    path, path_regex = _path(one.path)
    general += 4 * (path_regex is not None)
    query: dict[str, TextTest] = {}
    if one.pairs is not None:
        for name, value in one.pairs:
            query[name] = True if redaction and redaction.names(name) else TextMatch(equals=value)
    elif one.query is not None and (one.query or around.exact or (one.method, one.path) in around.queried):
        path = f"{path or '/**'}?{readable(one.query)}"
    host: TextTest | None = None
    if one.host is not None:
        host = TextMatch(equals=one.host) if one.host else False
        general += 1 if around.ports and ":" not in one.host else 0
    header: dict[str, TextTest] = {}
    for name, text in one.fields:
        hidden = text is not None and redaction is not None and redaction.hides(name)
        header[name] = False if text is None else True if hidden else TextMatch(equals=text)
    plain = path is not None and path_regex is None and not (query or header) and one.content is None
    if (
        plain
        and host is None
        and path is not None
        and path.isascii()
        and path.isprintable()
        and " " not in path
    ):
        return (path if method is None else f"{method} {path}"), general
    return (
        MatchTable(
            method=method,
            path=path,
            path_regex=path_regex,
            query=query or None,
            host=host,
            header=header or None,
            body_regex=None if one.content is None else _body(one.content),
        ),
        general,
    )


def _fits(table: MatchTable) -> bool:
    try:
        compile_match(table)
    except MatchErrors:
        return False
    return True


def _path(path: bytes | None) -> tuple[str | None, str | None]:
    """A path as a glob that stands for itself where there is one, else as a regular expression."""
    if path is None:
        return None, None
    text = readable(path)
    if path.startswith(b"/") and text.encode() == path and not _WILD & set(text):
        return text, None
    return None, _escaped(text)


def _body(content: bytes) -> str:
    if len(content) > LARGEST_BODY:
        return rf"\A{_escaped(readable(content[:LARGEST_BODY]))}"
    return rf"\A{_escaped(readable(content))}\z"


def _escaped(text: str) -> str:
    """A regular expression (RE2) that stands for this text alone."""
    return "".join(
        f"\\{character}"
        if character in _OF_A_REGEX
        else character
        if character.isprintable()
        else f"\\x{{{ord(character):x}}}"
        for character in text
    )
