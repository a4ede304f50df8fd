"""Who may use a proxy: clients that know its user and password, when it has them.

HTTP clients give them in Proxy-Authorization (RFC 9110 §11.7.2) as Basic (RFC 7617), SOCKS 5 clients as RFC 1929 says.
They are compared in a time that tells nothing about them, and never leave for a server. What clients send is recorded
as all that they send, credentials included.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.engine.proxy.routes import Failure
from inspectd.errors import InspectdError
from inspectd.rules.answer import problem_answer
from inspectd.rules.behaviour.credentials import split
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.engine.proxy.routes import Route
    from inspectd.rules.answer import Answer
    from inspectd.wire import ArrivedHead

_LARGEST_FILE: Final = 4096
_MOST_OCTETS: Final = 255  # what SOCKS can carry, RFC 1929 §2
_CHALLENGE: Final = b'Proxy-Authenticate: Basic realm="inspectd", charset="UTF-8"'
_FIELD: Final = b"proxy-authorization"


class PasswordError(InspectdError):
    """What was given for --proxy-auth can't be used. It is not repeated."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "Write USER:PASSWORD, or @FILE with that in its first line.", exit_code=2)


class Password(NamedTuple):
    """A user and a password. It isn't shown where a configuration is."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return "Password(...)"

    def fits(self, user: bytes, password: bytes) -> bool:
        """Whether these are the same."""
        right = hmac.compare_digest(_digest(self.user), _digest(user))
        return hmac.compare_digest(_digest(self.password), _digest(password)) & right


def _digest(secret: bytes) -> bytes:
    """Something of one length for secrets of any."""
    return hashlib.sha256(secret).digest()


def parse_password(text: str) -> Password:
    """What `USER:PASSWORD` or `@FILE` says. Raises PasswordError."""
    if text.startswith("@"):
        text = _first_line(Path(text[1:]).expanduser())
    user, colon, password = text.encode("utf-8", "surrogateescape").partition(b":")
    if not colon or not user or not password:
        raise PasswordError("--proxy-auth has no user, no colon or no password")
    if max(len(user), len(password)) > _MOST_OCTETS or any(each < ord(" ") for each in user + password):
        raise PasswordError(f"--proxy-auth has more than {_MOST_OCTETS} bytes or control characters in it")
    return Password(user, password)


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE)
    except (OSError, ValueError) as problem:
        why = str(getattr(problem, "strerror", None) or problem).lower()
        raise PasswordError(f"--proxy-auth can't read {str(path)!r}: {why}") from None
    return text.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8", "surrogateescape")


def objection(head: ArrivedHead, wanted: Password, route: Route | Failure) -> Answer | None:
    """The answer to a request whose sender may not use the proxy: 407, and how it may. None when it may.

    A request that isn't one to a proxy is told so.
    """
    why = _lacks(head, wanted)
    if why is None:
        return None
    if isinstance(route, Failure):
        return problem_answer(route.status, safe(route.sentence))
    answer = problem_answer(407, why)
    return replace(answer, fields=(_CHALLENGE, *answer.fields), label=why)


def _lacks(head: ArrivedHead, wanted: Password) -> str | None:
    sent = [field.value_bytes for field in head.head.fields if field.name_bytes.lower() == _FIELD]
    if not sent:
        return "This proxy wants to know who uses it: give the client its user and password."
    scheme, data = (split(sent[0]) if len(sent) == 1 else None) or (b"", b"")
    try:
        pair = base64.b64decode(data, validate=True)
    except binascii.Error:
        pair = b""
    user, _, password = pair.partition(b":")
    if scheme == b"basic" and wanted.fits(user, password):
        return None
    return "The user or the password for this proxy is wrong."
