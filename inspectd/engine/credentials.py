"""What clients of a TLS listener are shown: the person's own certificate, or one of inspectd's CA for each name.

Contexts are made when a name is first asked for and remembered; a stranger who asks for many names costs a bounded
amount of memory. TLS 1.2 and 1.3, and HTTP/1.1 as the only protocol that is agreed upon (RFC 7301).
"""

from __future__ import annotations

import ssl
import tempfile
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from inspectd.engine import ca
from inspectd.engine.key_log import key_log
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.engine.config import EngineConfig

CONTEXTS_KEPT: Final = 128
"""Names whose certificates are remembered."""
ALPN: Final = ("http/1.1",)

FLAW: Final = "A rule wants its flaw: "
"""How it begins what a rule wants of a certificate."""
_NOT_ITS_KEY: Final = frozenset({"KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""What OpenSSL says as well when a key is another one's: it looks for the certificate of that key's kind."""
_RENEW_SECONDS: Final = 86_400.0
"""A certificate that has less than this left is made anew."""


class CertificateError(InspectdError):
    """A person's certificate or key can't be used."""


class Shown(NamedTuple):
    """A context with a certificate, the names in that, and until when to show it (seconds since the epoch)."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    until: float
    advice: str = ""
    """What to say when a client refuses it, instead of the usual."""


class Refusal(NamedTuple):
    """How a ClientHello is left unanswered on purpose: `abort` (with an alert), `close`, `reset`, `stall`."""

    do: str
    alert: str
    sentence: str


class OwnCertificate:
    """One certificate for everybody, from files."""

    advice = "The client has to trust whoever signed the certificate of --cert, and its names have to fit."

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """Raises CertificateError."""
        self._files = certificate, key
        self._shown = _load_own(certificate, key)

    def show(self, name: str | None, address: str) -> Shown:  # noqa: ARG002 - everybody gets the same
        """What a client sees."""
        return self._shown

    def fresh(self, name: str | None, address: str) -> Shown:  # noqa: ARG002
        """The same in a context of its own. Raises CertificateError when the files have changed for the worse."""
        return _load_own(*self._files)


class Issued:
    """Certificates of inspectd's own CA."""

    advice = "Does it trust inspectd's CA? `inspectd ca` says how it can."

    def __init__(self, authority: ca.Authority) -> None:
        """Raises CaError when the authority has expired."""
        self.authority = authority
        self._shown: OrderedDict[tuple[str, ...], Shown] = OrderedDict()
        key_log()
        self.show("localhost", "127.0.0.1")

    def show(self, name: str | None, address: str) -> Shown:
        """What a client sees that asked for `name` at this address. Raises CaError when the authority has expired."""
        names = ca.names_for(name, address)
        shown = self._shown.get(names)
        if shown is None or shown.until < time.time():
            shown = self._shown[names] = self.fresh(name, address)
            if len(self._shown) > CONTEXTS_KEPT:
                self._shown.popitem(last=False)
        self._shown.move_to_end(names)
        return shown

    def fresh(self, name: str | None, address: str) -> Shown:
        """The same, made anew. Raises CaError when the authority has expired."""
        leaf = self.authority.leaf(*ca.names_for(name, address))
        return Shown(context_of(leaf.pem), leaf.names, leaf.ends.timestamp() - _RENEW_SECONDS)


class Credentials(Protocol):
    """Either of these, or what stands before one."""

    @property
    def advice(self) -> str:
        """What to do about a client that refuses what it is shown."""

    def show(self, name: str | None, address: str) -> Shown | Refusal:
        """What a client sees that asked for `name` at this address."""


def credentials(config: EngineConfig) -> OwnCertificate | Issued:
    """What the configuration asks for. Raises CertificateError or CaError."""
    if config.certificate is not None:
        return OwnCertificate(config.certificate, config.key)
    return Issued(ca.open_authority())


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(ALPN))
    if (log := key_log()) is not None:
        context.keylog_filename = str(log)
    return context


def context_of(pem: bytes) -> ssl.SSLContext:
    """A context with this chain and key. The ssl module reads them from files only: one of mode 0600, for a moment."""
    context = _context()
    with tempfile.NamedTemporaryFile(prefix="inspectd-", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _load_own(certificate: Path, key: Path | None) -> Shown:
    chain, secret = _read("--cert", certificate), _read("--key", key) if key is not None else b""
    if b"ENCRYPTED" in (secret or chain):
        raise CertificateError(
            f"--key {key or certificate}: is encrypted with a passphrase",
            f"openssl pkey -in {key or certificate} -out key.pem writes it without",
        )
    context = _context()
    try:
        names = ca.served_names(chain)
    except ValueError as problem:
        raise CertificateError(
            f"--cert {certificate}: is no certificate in PEM form",
            "it has to begin with -----BEGIN CERTIFICATE-----; openssl x509 -inform der -in FILE converts DER",
        ) from problem
    try:
        context.load_cert_chain(certificate, key, password=b"")
    except (ssl.SSLError, OSError) as problem:
        raise _unfit(certificate, key, problem) from problem
    return Shown(context, names, float("inf"))


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CertificateError(f"{option} {path}: {problem.strerror or problem}") from problem


def _unfit(certificate: Path, key: Path | None, problem: OSError) -> CertificateError:
    reason = getattr(problem, "reason", None) or problem.strerror or str(problem)
    if reason == "KEY_VALUES_MISMATCH" or (reason in _NOT_ITS_KEY and key is not None):
        return CertificateError(
            f"--key {key or certificate}: is not the key of {certificate}", "name the key it was made with"
        )
    if key is None:
        return CertificateError(f"--cert {certificate}: holds no key", "name the key's file with --key")
    return CertificateError(f"--cert {certificate} --key {key}: can't be used ({reason})")
