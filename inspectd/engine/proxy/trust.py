"""What is demanded of servers that are spoken to through TLS, and what is wrong with their certificates, in words.

The TLS library decides; here is only said why, from the certificates that the server showed. Contexts are made when
they are first needed, once each. RFC 5280 §6 (certification paths), RFC 9525 (names of servers).
"""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Any, Final

from inspectd.engine.key_log import key_log
from inspectd.errors import InspectdError
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate, Name

    from inspectd.engine.config import Forwarding

ALPN: Final = ("http/1.1",)
_NAME_SHOWN: Final = 100
_NAMES_SHOWN: Final = 8
_NAMES_KEPT: Final = 100  # in a row,
_NAME_KEPT: Final = 255  # and so much of each
_REMEMBERED: Final = 256

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_ROOT: Final = 19
_UNKNOWN_ISSUER: Final = frozenset({2, 20, 21})
_WRONG_NAME: Final = frozenset({62, 63, 64})


class TrustError(InspectdError):
    """A file that was named for connections to servers can't be used."""


class Trust:
    """How this side speaks TLS to servers."""

    def __init__(self, config: Forwarding) -> None:
        self._config = config
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._known: dict[tuple[str, int], tuple[bytes, str]] = {}

    def context(self, *, checked: bool) -> ssl.SSLContext:
        """One that demands a good certificate, or one that takes any. Raises TrustError or KeyLogError."""
        found = self._contexts.get(checked)
        if found is None:
            found = self._contexts[checked] = self._make(checked=checked)
        return found

    def _make(self, *, checked: bool) -> ssl.SSLContext:
        config = self._config
        key_log()  # so that the library finds a file that nobody else can read
        context = ssl.create_default_context()
        if not checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(list(ALPN))
        for file in config.trust:
            _load("--trust", file, context.load_verify_locations)
        if config.client_certificate is not None:
            key = config.client_key
            _load(
                "--client-cert",
                config.client_certificate,
                lambda path: context.load_cert_chain(path, key, password=b""),
            )
        return context

    # -- with --insecure: whose certificates are known to be bad, and why

    def known(self, place: tuple[str, int]) -> tuple[bytes, str] | None:
        """The certificate of this server that was found bad, in DER, and what was wrong with it."""
        return self._known.get(place)

    def remember(self, place: tuple[str, int], certificate: bytes, problem: str) -> None:
        """It is bad; the next connection need not find that out again."""
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[place] = certificate, problem

    def forget(self, place: tuple[str, int]) -> None:
        """It shows another one now."""
        self._known.pop(place, None)


def _load(option: str, file: Path, load: Any) -> None:
    try:
        load(file)
    except FileNotFoundError as problem:
        raise TrustError(f"{option} {file}: there is no such file", exit_code=2) from problem
    except (OSError, ssl.SSLError) as problem:
        reason = getattr(problem, "reason", None) or problem.strerror or str(problem)
        raise TrustError(
            f"{option} {file}: can't be used ({str(reason).replace('_', ' ').lower()})",
            "it has to be a PEM file (-----BEGIN CERTIFICATE-----), and a key must fit and be without a passphrase",
            exit_code=2,
        ) from problem


def shown_chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates that the server showed, in DER, its own first; also of a handshake that failed."""
    inner: Any = getattr(tls, "_sslobj", tls)  # Python 3.13 has this in public; before that, only here
    try:
        chain = inner.get_unverified_chain() or ()
    except (AttributeError, ValueError):
        return []
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain]


@functools.lru_cache(_REMEMBERED)
def names_of(der: bytes) -> tuple[str, ...]:
    """Whom a certificate is for, as many as make sense; nobody when it can't be read."""
    from cryptography import x509

    from inspectd.engine.ca import names_in

    try:
        names = names_in(x509.load_der_x509_certificate(der))[:_NAMES_KEPT]
        return tuple(name[:_NAME_KEPT] for name in names)
    except ValueError:
        return ()


def what_is_wrong(problem: ssl.SSLCertVerificationError, chain: list[bytes], host: str) -> str:
    """Why the certificate of `host` was refused: the end of a sentence that begins with it. It is safe text."""
    from cryptography import x509

    code = problem.verify_code
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        if certificates:
            return _why(code, certificates, host) or _in_words(problem)
    except ValueError:
        pass
    return _in_words(problem)


def _in_words(problem: ssl.SSLCertVerificationError) -> str:
    return f"{safe(str(problem.verify_message)).rstrip('.')}"


def _why(code: int, chain: list[Certificate], host: str) -> str | None:
    import datetime as dt

    leaf = chain[0]
    now = dt.datetime.now(dt.UTC)
    if code == _EXPIRED:
        found = next((each for each in chain if each.not_valid_after_utc < now), None)
        return (
            None if found is None else f"{_whose(found, leaf)} expired on {_time(found.not_valid_after_utc)}"
        )
    if code == _NOT_YET:
        found = next((each for each in chain if each.not_valid_before_utc > now), None)
        return (
            None
            if found is None
            else f"{_whose(found, leaf)} is not valid before {_time(found.not_valid_before_utc)}"
        )
    if code == _SELF_SIGNED:
        return "it is self-signed: nobody but its owner vouches for it"
    if code == _UNKNOWN_ROOT:
        return f"its chain ends with {_name(chain[-1].issuer)}, which is not trusted here"
    if code in _UNKNOWN_ISSUER:
        return f"its issuer is not known here: {_name(chain[-1].issuer)}"
    if code in _WRONG_NAME:
        return f"it is not for {safe(host)}: it is for {listed(chain[0])}"
    return None


def listed(certificate: Certificate) -> str:
    """The names in a certificate, as safe text."""
    from inspectd.engine.ca import names_in

    names = [clip(safe(name), _NAME_SHOWN) for name in names_in(certificate)]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "") or "no name at all"


def _whose(certificate: Certificate, leaf: Certificate) -> str:
    return "it" if certificate == leaf else f"the certificate of its issuer {_name(certificate.subject)}"


def _name(name: Name) -> str:
    from cryptography.x509.oid import NameOID

    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or list(name)
    return clip(safe(str(found[0].value)), _NAME_SHOWN) if found else "somebody without a name"


def _time(when: Any) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
