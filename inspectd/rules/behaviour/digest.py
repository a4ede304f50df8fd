"""Digest authentication that really checks (RFC 7616): MD5 and SHA-256, the session variants, qop auth.

A nonce says by itself when it was made, and proves by a code that it was made here, so none is kept. What is kept, and
bounded, is which count (nc) was used with which nonce: credentials that come again are stale. A right answer to a
nonce that is too old, used up or unknown gets `stale=true`, so that a client tries again without asking its user.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from inspectd.rules.behaviour import asked, credentials
from inspectd.rules.behaviour.verdict import RIGHT, WRONG, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.rules.draft import Call

LIFETIME: Final = 300
"""Seconds for which a nonce is good."""

NONCES_KEPT: Final = 1024
COUNTS_KEPT: Final = 4096
"""Nonces whose counts are remembered, and counts of each: when one has had so many, it is stale."""

_SECRET: Final = secrets.token_bytes(32)
# when it was made, how many stale answers came before it, chance, and the code over all of this
_NONCE: Final = re.compile(rb"([0-9a-f]{1,12})\.([0-9a-f]{1,8})\.[0-9a-f]{16}\.([0-9a-f]{32})")
_COUNT: Final = re.compile(rb"[0-9a-fA-F]{8}")
_NEEDED: Final = (b"realm", b"nonce", b"uri", b"response", b"qop", b"nc", b"cnonce")
_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Digest:
    """The digest scheme of one rule."""

    name = b"digest"

    def __init__(self, users: Mapping[str, str], realm: str, algorithm: str, stale: int) -> None:
        self._users = {name.encode(): password.encode() for name, password in users.items()}
        self._realm = realm.encode()
        self._quoted_realm = credentials.quoted(realm)
        self._algorithm = algorithm
        self._stale = stale
        self._opaque = hmac.new(_SECRET, b"opaque " + self._realm, "sha256").hexdigest()[:32].encode()
        self._used = _Used()

    def challenge(self, call: Call, verdict: Verdict | None) -> bytes:
        """A challenge with a fresh nonce, after this verdict on what the client sent (None: nothing)."""
        generation = verdict.generation if verdict is not None else 0
        parts = [
            b"Digest realm=" + self._quoted_realm,
            b'qop="auth"',
            b"algorithm=" + self._algorithm.encode(),
            b'nonce="%s"' % self._nonce(int(call.now), generation),
            b'opaque="%s"' % self._opaque,
            b"charset=UTF-8",
        ]
        if verdict is not None and verdict.stale:
            parts.append(b"stale=true")
        return b", ".join(parts)

    def check(self, call: Call, data: bytes) -> Verdict:
        """Whether these credentials are right."""
        said = credentials.parameters(data)
        if said is None or any(name not in said for name in _NEEDED):
            return WRONG
        user = said.get(b"username")
        if user is None:
            user = credentials.extended(said.get(b"username*", b""))
        fits = (
            user is not None
            and said[b"realm"] == self._realm
            and said.get(b"algorithm", b"MD5").upper() == self._algorithm.encode().upper()
            and said[b"qop"] == b"auth"
            and _COUNT.fullmatch(said[b"nc"]) is not None
            and said.get(b"opaque", self._opaque) == self._opaque
            and _same_resource(call, said[b"uri"])
        )
        if not fits or user is None:
            return WRONG
        password = self._users.get(user)
        # an unknown user takes as long as a wrong password
        expected = answer(self._algorithm, call.request.head.method, user, password or b"", said)
        if not hmac.compare_digest(expected, said[b"response"]) or password is None:
            return WRONG
        return self._fresh(call, said[b"nonce"], int(said[b"nc"], 16))

    def _fresh(self, call: Call, nonce: bytes, count: int) -> Verdict:
        """What the nonce makes of credentials that are right otherwise."""
        read = _NONCE.fullmatch(nonce)
        body = nonce.rpartition(b".")[0]
        if read is None or not hmac.compare_digest(self._code(body), read[3]):
            return Verdict(stale=True)
        made, generation = int(read[1], 16), int(read[2], 16)
        if generation < self._stale:
            return Verdict(stale=True, generation=generation + 1)
        request = call.request
        if not 0 <= int(call.now) - made <= LIFETIME or not self._used.first(
            nonce, count, (request.connection, request.number)
        ):
            return Verdict(stale=True, generation=generation)
        return RIGHT

    def _nonce(self, now: int, generation: int) -> bytes:
        body = f"{now:x}.{generation:x}.{secrets.token_hex(8)}".encode()
        return body + b"." + self._code(body)

    def _code(self, body: bytes) -> bytes:
        return hmac.new(_SECRET, body + b" " + self._realm, "sha256").hexdigest()[:32].encode()


def answer(algorithm: str, method: bytes, user: bytes, password: bytes, said: Mapping[bytes, bytes]) -> bytes:
    """The response that right credentials have (RFC 7616 §3.4.1); `said` has realm, nonce, uri, nc, cnonce and qop."""
    digest = _HASHES[algorithm.removesuffix("-sess")]

    def of(*parts: bytes) -> bytes:
        return digest(b":".join(parts), usedforsecurity=False).hexdigest().encode()

    secret = of(user, said[b"realm"], password)
    if algorithm.endswith("-sess"):
        secret = of(secret, said[b"nonce"], said[b"cnonce"])
    return of(secret, said[b"nonce"], said[b"nc"], said[b"cnonce"], said[b"qop"], of(method, said[b"uri"]))


def _same_resource(call: Call, uri: bytes) -> bool:
    """Whether the uri is the request target (RFC 7616 §3.4.6); for an absolute-form its path will do as well."""
    target = call.request.head.target
    if uri == target:
        return True
    path, query = asked.origin_form(call.request)
    return not target.startswith(b"/") and uri == path + (b"?" + query if query else b"")


class _Used:
    """Which counts were used with which nonce, and by which exchange."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, dict[int, tuple[int, int]]] = OrderedDict()
        self._lock = Lock()

    def first(self, nonce: bytes, count: int, exchange: tuple[int, int]) -> bool:
        """Whether no other exchange has used this count; it is used now."""
        with self._lock:
            counts = self._counts.setdefault(nonce, {})
            self._counts.move_to_end(nonce)
            if len(self._counts) > NONCES_KEPT:
                self._counts.popitem(last=False)
            if count not in counts and len(counts) >= COUNTS_KEPT:
                return False
            return counts.setdefault(count, exchange) == exchange
