"""Taking credentials out of what leaves in an export, without moving a byte.

What is taken out is filled with the letter x, as many as there were bytes: lengths, offsets and framing stay right
whatever the message is. Names stay, so that it can be seen what was there: the scheme of credentials (RFC 9110
§11.4), the names of cookies (RFC 6265 §4.1.1, §4.2.1), of query parameters. Content is not searched for secrets of its
own; only what was found in a head is looked for again, in content and in the values of fields, because an echo is
common: as it was sent, and as a server reads it, without base64 (RFC 7617 §2) and percent-encoding. Short ones are
taken out where they stand by themselves; what is too short to be told from chance is left there, and named.

Nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from inspectd.errors import InspectdError
from inspectd.wire import read
from inspectd.wire.facts import FACT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from inspectd.wire import Field, Kind, Message

FIELDS: Final = (
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-auth-token",
    "x-access-token", "x-csrf-token", "x-xsrf-token", "x-amz-security-token", "private-token", "x-gitlab-token",
    "x-vault-token", "x-goog-api-key", "ocp-apim-subscription-key",
)  # fmt: skip
"""Fields whose values are credentials."""

QUERY: Final = (
    "access_token", "refresh_token", "id_token", "token", "api_key", "apikey", "key", "secret", "client_secret",
    "password", "passwd", "pwd", "auth", "session", "sessionid", "jsessionid", "phpsessid", "sid",
    "sig", "signature", "jwt", "x-amz-signature",
    "x-amz-security-token", "x-amz-credential", "code",
)  # fmt: skip
"""Query parameters whose values are credentials."""

SHORTEST_ECHO: Final = 8
"""Bytes that a secret has at least to be taken out wherever it is said again: a shorter one may stand in a word."""
SHORTEST_WORD: Final = 4
"""Bytes that it has at least to be taken out where it stands by itself, as a word does."""

_SCHEMED: Final = frozenset({b"authorization", b"proxy-authorization"})
# credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]                 ; RFC 9110 §11.4
_SCHEME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]+(?=[^ \t])")
# cookie-pair = cookie-name "=" cookie-value                                   ; RFC 6265 §4.1.1
_COOKIE: Final = re.compile(rb"(?:^|;)[ \t]*([^=;]*=)?([^;]*)")
_SET_COOKIE: Final = re.compile(rb"^([^=;]*=)?([^;]*)")
# The value is only looked at, not taken: a URL in it has parameters of its own.
_PARAMETER: Final = re.compile(rb"(?<=[?&;#])([^=&;#?\s]+)=(?=([^&;#\s\"'<>]*))")
_USER_INFO: Final = re.compile(rb"(?:(?<=://)|(?<=^//))[^/?#@\s\"'<>]+(?=@)")
_NO_COLON: Final = re.compile(rb"[^:]+")
_IN_WORDS: Final = rb"0-9A-Za-z_\x80-\xff"
# Numbers and the words of JSON stand anywhere; in fields, words of one case do as well.
_BY_CHANCE: Final = re.compile(rb"[0-9]+|true|false|null")
_BY_CHANCE_IN_FIELDS: Final = re.compile(rb"[0-9]+|[A-Za-z]?(?:[a-z]*|[A-Z]*)")
_CONTENT: Final = "content"
_FIELD: Final = "another field"
_VISIBLE_NAME: Final = rb"(?im)^[^\r\n:a-z0-9]*(?:%s)(?![a-z0-9-])[^\r\na-z0-9]*([^\r\n]*)"


@dataclass(slots=True)
class Found:
    """What was seen: how often each thing, in words that can be shown, and the secrets themselves."""

    counts: Counter[str] = field(default_factory=Counter)
    secrets: dict[bytes, str] = field(default_factory=dict)
    """Each with what it was."""
    unsearched: Counter[str] = field(default_factory=Counter)
    """Contents that secrets weren't looked for in, by why."""
    left: Counter[str] = field(default_factory=Counter)
    """Secrets that stand in contents and other fields still, as what is told from chance by nothing: what they were."""

    def add(self, what: str, secret: bytes) -> None:
        """Note one."""
        self.counts[what] += 1
        self.secrets.setdefault(secret, what)

    @property
    def sentence(self) -> str:
        """`Cookie (3), Set-Cookie, ?token= (2)`; empty when there was nothing."""
        return ", ".join(
            what if count == 1 else f"{what} ({count:,})" for what, count in sorted(self.counts.items())
        )


class Redaction:
    """Which fields and query parameters hold credentials; more of them can be named.

    Raises `InspectdError` for a field that decides how a message is read.
    """

    def __init__(self, fields: Iterable[str] = (), query: Iterable[str] = ()) -> None:
        fields = list(fields)
        for name in fields:
            if name.strip().lower().encode() in FACT_NAMES:
                raise InspectdError(
                    f"{name!r} says where a message ends or what follows it, and can't be redacted",
                    "Name the fields that hold credentials.",
                    exit_code=2,
                )
        self._fields = frozenset(name.strip().lower().encode() for name in (*FIELDS, *fields))
        names = b"|".join(re.escape(name) for name in sorted(self._fields))
        self._broken = re.compile(_VISIBLE_NAME % names)
        self._query = frozenset(name.lower().encode() for name in (*QUERY, *query))

    def names(self, parameter: str) -> bool:
        """Whether the query parameter of this name, decoded, holds a credential."""
        return parameter.lower().encode() in self._query

    def hides(self, name: str) -> bool:
        """Whether the field of this name does."""
        return name.strip().lower().encode() in self._fields

    def message(
        self, data: bytes, kind: Kind, found: Found, *, known: Mapping[bytes, str] | None = None
    ) -> bytes:
        """The same number of bytes with x for each secret in heads, trailers and, where it comes again, content.

        `data` begins with a message; interim responses count. What is cut off is read as far as it goes. `known` are
        secrets of the request that a response answers: servers that echo requests say them again.
        """
        redacted = bytearray(data)
        said = dict(known or {})
        for message in read(data, kind).messages:
            said |= self._heads(message, redacted, found)
            forms = {one: what for each, what in said.items() for one in _as_read(each)}
            secrets = sorted(forms.items(), key=lambda each: len(each[0]), reverse=True)
            if message.content and any(
                value != b"identity" for value in message.head.get("content-encoding")
            ):
                found.unsearched["with a coding"] += 1
            for places, where in _where_echoes_are(message):
                _fill_echoes(redacted, places, secrets, where, found)
        return bytes(redacted)

    def target(self, target: bytes, found: Found) -> bytes:
        """A request target, or a URL, without its secrets."""
        redacted = bytearray(target)
        for start, end, what in self._in_url(target):
            _fill(redacted, start, end, what, found)
        return bytes(redacted)

    def _heads(self, message: Message, redacted: bytearray, found: Found) -> dict[bytes, str]:
        """Fill in what is in the head and the trailers of a message. Returns its secrets, with what they were."""
        own = Found()
        target = message.head.target
        if target is not None:
            start, end = target
            for first, last, what in self._in_url(bytes(redacted[start:end])):
                _fill(redacted, start + first, start + last, what, own)
        for line in (*message.head.fields, *message.trailers):
            self._field(line, redacted, own)
        self._broken_lines(message, redacted, own)
        found.counts += own.counts
        found.secrets |= own.secrets
        return own.secrets

    def _field(self, line: Field, redacted: bytearray, found: Found) -> None:
        name = line.name_bytes.strip().lower()
        hidden = name in self._fields
        what = line.name_bytes.decode("ascii", "backslashreplace")
        for number, (start, end) in enumerate(line.value):
            value = bytes(redacted[start:end])
            if not hidden:
                for first, last, of_url in self._in_url(value):
                    _fill(redacted, start + first, start + last, f"{of_url} in {what}", found)
                continue
            for first, last in _secret_parts(name, value, folded=number > 0):
                _fill(redacted, start + first, start + last, what, found)

    def _broken_lines(self, message: Message, redacted: bytearray, found: Found) -> None:
        """Lines that begin like a credential field but are none: no colon, odd bytes in the name, white space."""
        lines = message.head.fields
        start, end = message.head.start_line[1], message.head.end
        for place in self._broken.finditer(bytes(redacted[start:end])):
            at = start + place.start()
            line = next((one for one in lines if one.start <= at < one.end), None)
            name = b"" if line is None else line.name_bytes.lower()
            if name in FACT_NAMES or name.strip() in self._fields:
                continue  # that was seen to, or decides how the message is read
            for part in _NO_COLON.finditer(place[1]):
                first = start + place.start(1)
                _fill(redacted, first + part.start(), first + part.end(), "a broken line", found)

    def _in_url(self, value: bytes) -> Iterator[tuple[int, int, str]]:
        """Where secrets are in a target or in the value of a field that holds URLs."""
        for place in _USER_INFO.finditer(value):
            yield place.start(), place.end(), "user information"
        for place in _PARAMETER.finditer(value):
            name = unquote_to_bytes(place[1].replace(b"+", b" ")).lower()
            if name in self._query and place[2]:
                yield place.start(2), place.end(2), f"?{place[1].decode('ascii', 'backslashreplace')}="


def _secret_parts(name: bytes, value: bytes, *, folded: bool) -> Iterator[tuple[int, int]]:
    """The parts of a credential field's value that are secret. A folded line goes on with what was before."""
    if name in _SCHEMED:
        scheme = None if folded else _SCHEME.match(value)
        yield (scheme.end() if scheme else 0), len(value)
    elif name == b"cookie":
        for pair in _COOKIE.finditer(value):
            yield pair.start(2), pair.end(2)
    elif name == b"set-cookie" and not folded:
        first = _SET_COOKIE.match(value)
        if first is not None:
            yield first.start(2), first.end(2)
    else:
        yield 0, len(value)


def _fill(redacted: bytearray, start: int, end: int, what: str, found: Found) -> None:
    secret = bytes(redacted[start:end])
    if secret and secret.strip(b"x"):
        found.add(what, secret)
        redacted[start:end] = _filled(secret)


def _filled(secret: bytes) -> bytes:
    return b"x" * len(secret)


def _as_read(secret: bytes) -> Iterator[bytes]:
    """A secret as it was sent, and as whoever gets it reads it; of a short one only what can be read in it."""
    plain = unquote_to_bytes(secret)
    forms = [secret, plain, plain.strip(b'"')]
    try:
        decoded = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        pass
    else:
        forms += [one for one in (decoded, decoded.partition(b":")[2]) if _long(one) or one.isascii()]
    return (one for one in forms if one.strip(b"x"))


def _long(secret: bytes) -> bool:
    return len(secret) >= SHORTEST_ECHO


def _where_echoes_are(message: Message) -> Iterator[tuple[list[tuple[int, int]], str]]:
    """The places where secrets may be said again; those of a content that comes in chunks belong together."""
    for line in (*message.head.fields, *message.trailers):
        if line.name_bytes.lower() not in FACT_NAMES:
            yield list(line.value), _FIELD
    if message.head.reason is not None:
        yield [message.head.reason], _FIELD
    yield list(message.content), _CONTENT


def _fill_echoes(
    redacted: bytearray,
    places: list[tuple[int, int]],
    secrets: Iterable[tuple[bytes, str]],
    where: str,
    found: Found,
) -> None:
    text = b"".join(bytes(redacted[start:end]) for start, end in places)
    filled = text
    for secret, what in secrets:
        if secret not in filled:
            continue
        if _long(secret):
            again = filled.replace(secret, _filled(secret))
        else:
            again = _fill_words(filled, secret, what, where, found)
        if again != filled:
            found.add(f"a credential in {where}", secret)
        filled = again
    if filled == text:
        return
    at = 0
    for start, end in places:
        redacted[start:end] = filled[at : at + end - start]
        at += end - start


def _fill_words(text: bytes, secret: bytes, what: str, where: str, found: Found) -> bytes:
    """The text without a short secret where that stands by itself and not by chance; what is left of it is noted."""
    word = re.compile(rb"(?<![%s])%s(?![%s])" % (_IN_WORDS, re.escape(secret), _IN_WORDS))
    by_chance = _BY_CHANCE_IN_FIELDS if where == _FIELD else _BY_CHANCE
    if len(secret) < SHORTEST_WORD or by_chance.fullmatch(secret):
        filled = text
        left = where == _CONTENT and word.search(text) is not None
    else:
        filled = word.sub(_filled(secret), text)
        left = secret in filled
    if left:
        found.left[f"{what} in {where}"] += 1
    return filled
