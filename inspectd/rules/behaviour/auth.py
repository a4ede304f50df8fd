"""Authentication that really checks (RFC 9110 §11): Basic (RFC 7617), Digest (RFC 7616), Bearer (RFC 6750).

Without the right credentials the answer is a challenge, and nothing of what is behind it: every scheme that the rule
knows has a field line of its own, the strongest first. What is secret is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from inspectd.rules.behaviour import asked, credentials, saying
from inspectd.rules.behaviour.verdict import MALFORMED, RIGHT, WRONG, Verdict
from inspectd.rules.behaviour.words import gathered
from inspectd.rules.draft import CraftError
from inspectd.rules.tables import AuthTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inspectd.rules.draft import Call, Draft, Step

# b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="      ; RFC 6750 §2.1
_BEARER_TOKEN: Final = re.compile(rb"[A-Za-z0-9\-._~+/]++=*+")


_USUAL: Final = AuthTable()


class Scheme(Protocol):
    """One way to prove who one is."""

    name: bytes

    def challenge(self, call: Call, verdict: Verdict | None) -> bytes:
        """The challenge after this verdict on credentials of the scheme; None when there were none."""

    def check(self, call: Call, data: bytes) -> Verdict:
        """Whether credentials are right; `data` is what follows the scheme."""


class Basic:
    """User name and password, in the clear."""

    name = b"basic"

    def __init__(self, users: Mapping[str, str], realm: str) -> None:
        self._pairs = [f"{name}:{password}".encode() for name, password in users.items()]
        self._challenge = b"Basic realm=" + credentials.quoted(realm) + b', charset="UTF-8"'

    def challenge(self, call: Call, verdict: Verdict | None) -> bytes:  # noqa: ARG002
        """The same for everybody."""
        return self._challenge

    def check(self, call: Call, data: bytes) -> Verdict:  # noqa: ARG002
        """Whether they are a known pair, as UTF-8."""
        try:
            pair = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return WRONG
        right = False
        for known in self._pairs:
            right |= hmac.compare_digest(known, pair)
        return RIGHT if right else WRONG


class Bearer:
    """A token."""

    name = b"bearer"

    def __init__(self, tokens: Sequence[str], realm: str) -> None:
        self._tokens = [token.encode() for token in tokens]
        self._challenge = b"Bearer realm=" + credentials.quoted(realm)

    def challenge(self, call: Call, verdict: Verdict | None) -> bytes:  # noqa: ARG002
        """With the error codes of RFC 6750 §3.1; a client that sent no token is told none."""
        if verdict is None:
            return self._challenge
        if verdict.malformed:
            return self._challenge + b', error="invalid_request", error_description="The token is malformed"'
        return self._challenge + b', error="invalid_token", error_description="The token is not known"'

    def check(self, call: Call, data: bytes) -> Verdict:  # noqa: ARG002
        """Whether it is a known token."""
        if not _BEARER_TOKEN.fullmatch(data):
            return MALFORMED
        right = False
        for known in self._tokens:
            right |= hmac.compare_digest(known, data)
        return RIGHT if right else WRONG


def step(table: AuthTable) -> Step:
    """The step that lets nobody pass without the right credentials. Raises `CraftError` or `CraftProblems`."""
    makes: list[Callable[[], Any]] = [
        partial(saying.one_line, "auth.realm", table.realm),
        partial(_schemes, table),
        *(
            partial(saying.one_line, f"auth.challenges[{index}]", text)
            for index, text in enumerate(table.challenges)
        ),
    ]
    _, schemes, *verbatim = gathered(makes)
    if not schemes and not verbatim:
        raise CraftError(
            "auth", "nobody could ever pass, or be asked", 'Write auth = { basic = { name = "password" } }.'
        )
    field = b"proxy-authorization" if table.proxy else b"authorization"
    name = b"Proxy-Authenticate: " if table.proxy else b"WWW-Authenticate: "
    status = "407 Proxy Authentication Required" if table.proxy else "401 Unauthorized"

    def authenticate(call: Call, draft: Draft) -> Draft:
        sent = asked.values(call.request, field)
        given = credentials.split(sent[0]) if len(sent) == 1 else None
        verdicts: list[Verdict | None] = []
        for scheme in schemes:
            verdict = scheme.check(call, given[1]) if given and given[0] == scheme.name else None
            if verdict is not None and verdict.right:
                return draft
            verdicts.append(MALFORMED if len(sent) > 1 and isinstance(scheme, Bearer) else verdict)
        malformed = any(verdict is not None and verdict.malformed for verdict in verdicts)
        said = saying.instead(draft, "400 Bad Request" if malformed else status)
        for scheme, verdict in zip(schemes, verdicts, strict=True):
            saying.add(said, name + scheme.challenge(call, verdict))
        for challenge in verbatim:
            saying.add(said, name + challenge)
        said.final = True
        return said

    return authenticate


def _schemes(table: AuthTable) -> list[Scheme]:
    """The schemes that the table names, the strongest first. A scheme without users lets nobody pass."""
    found: list[Scheme] = []
    for user in table.basic or ():
        if ":" in user:
            raise CraftError(
                f"auth.basic.{user}", "a colon in a user name", "It ends the name (RFC 7617 §2)."
            )
    digest = table.digest is not None or table.scheme == "digest"
    for key, given, usual in (
        ("stale", table.stale, _USUAL.stale),
        ("algorithm", table.algorithm, _USUAL.algorithm),
    ):
        if given != usual and not digest:
            raise CraftError(f"auth.{key}", f"{key!r} without Digest", "Give the users in 'digest'.")
    if digest:
        from inspectd.rules.behaviour.digest import Digest

        found.append(Digest(table.digest or {}, table.realm, table.algorithm, table.stale))
    if table.bearer is not None or table.scheme == "bearer":
        tokens = (table.bearer,) if isinstance(table.bearer, str) else table.bearer or ()
        found.append(Bearer(tokens, table.realm))
    if table.basic is not None or table.scheme == "basic":
        found.append(Basic(table.basic or {}, table.realm))
    return found
