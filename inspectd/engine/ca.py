"""inspectd's own certificate authority: a key of this person, and certificates for whatever name a client asks for.

The key and its certificate are one file, so that they are made in one step and never disagree. It lies in the XDG data
directory, is readable by its owner only, and is made when it is first needed. The key never leaves it. RFC 5280 is the
profile of the certificates; what browsers want beyond it is in the CA/Browser Forum's baseline requirements §7.1.
`cryptography` is imported here and in nothing that a listener in clear text needs.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Iterator

CA_DAYS: Final = 1825
"""How long a new authority is valid."""
LEAF_DAYS: Final = 90
"""How long a certificate for a name is valid; browsers refuse more than 398 days."""
SKEW: Final = dt.timedelta(days=1)
"""Certificates begin this much before they are made: clients' clocks differ."""

KEY_FILE: Final = "ca-key.pem"
CERTIFICATE_FILE: Final = "ca.pem"
"""A copy of the certificate alone, for programs that are to trust it."""

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*+")
_LONGEST_NAME: Final = 253
_LONGEST_COMMON_NAME: Final = 64  # ub-common-name, RFC 5280 appendix A.1
_LARGEST_FILE: Final = 64 * 1024
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_AFRESH: Final = (
    "inspectd ca remove; the next start makes a new one, which clients must be told to trust again"
)


class CaError(InspectdError):
    """The authority can't be used, or can't be made."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate for names, and the key to it. `pem` is what a server loads: chain and key."""

    names: tuple[str, ...]
    pem: bytes
    ends: dt.datetime


class Authority:
    """The certificate authority, opened."""

    def __init__(self, path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.path = path
        """The file with the key."""
        self.certificate = certificate
        self._key = key
        # One key for the certificates of this process: another one each time would protect nothing more.
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key_pem = _private_pem(self._leaf_key)
        self._chain = certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def certificate_path(self) -> Path:
        """The copy of its certificate, without the key."""
        return self.path.with_name(CERTIFICATE_FILE)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as people compare it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def public_key_hash(self) -> str:
        """SHA-256 of its public key (SubjectPublicKeyInfo, DER) in Base64, as a flag of Chromium names keys."""
        key = self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(hashlib.sha256(key).digest()).decode()

    @property
    def name(self) -> str:
        """Its common name."""
        return _common_name(self.certificate)

    @property
    def ends(self) -> dt.datetime:
        """Until when it is valid."""
        return self.certificate.not_valid_after_utc

    def leaf(self, *names: str, begins: dt.datetime | None = None, ends: dt.datetime | None = None) -> Leaf:
        """A new certificate for these names: host names and IP addresses. Raises CaError when the CA has expired.

        It is valid from now on for some months, unless `begins` and `ends` say otherwise.
        """
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        if now >= self.ends:
            raise expired(self)
        begins = begins or max(now - SKEW, self.certificate.not_valid_before_utc)
        ends = ends or min(now + dt.timedelta(days=LEAF_DAYS), self.ends)
        fits = len(names[0]) <= _LONGEST_COMMON_NAME
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if fits else []
        public = self._leaf_key.public_key()
        issuer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            # RFC 5280 §4.2.1.6: critical when the subject is empty
            .add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=not subject
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Leaf(names, pem + self._chain + self._leaf_key_pem, ends)


def self_signed(*names: str) -> Leaf:
    """A new certificate for these names that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    ends = now + dt.timedelta(days=LEAF_DAYS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_COMMON_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Leaf(names, certificate.public_bytes(serialization.Encoding.PEM) + _private_pem(key), ends)


def names_for(name: str | None, address: str) -> tuple[str, ...]:
    """The names of the certificate to show to a client that asked for `name`, or for none at this IP address.

    What can't stand in a certificate is as good as no name.
    """
    asked = (name or "").rstrip(".").lower()
    if asked in _LOOPBACK:
        return asked, *(each for each in _LOOPBACK if each != asked)
    if asked and len(asked) <= _LONGEST_NAME and (_NAME.fullmatch(asked) or _is_address(asked)):
        return (asked,)
    address = _plain(address)
    if address and not ipaddress.ip_address(address).is_loopback:
        return (address,)
    return tuple(dict.fromkeys((*((address,) if address else ()), *_LOOPBACK)))


def _plain(address: str) -> str:
    """An IP address without its zone, and as IPv4 when it is that in an IPv6 socket; empty for anything else."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def served_names(pem: bytes) -> tuple[str, ...]:
    """The names of the first certificate in PEM text. Raises ValueError when there is none."""
    return names_in(x509.load_pem_x509_certificate(pem))


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """Whom a certificate is for: names and addresses. Raises ValueError when that can't be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = _common_name(certificate)
        return (common,) if common else ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))


# ---------------------------------------------------------------------------------------------------- the file


def directory() -> Path:
    """Where the authority lives: `$XDG_DATA_HOME/inspectd`, by default `~/.local/share/inspectd`. Nothing is made.

    XDG Base Directory Specification 0.8: a relative XDG_DATA_HOME is to be ignored.
    """
    given = os.environ.get("XDG_DATA_HOME", "")
    try:
        data = Path(given) if given.startswith("/") else Path.home() / ".local" / "share"
    except RuntimeError:
        raise CaError(
            "there is no home directory to keep the certificate authority in", "set HOME or XDG_DATA_HOME"
        ) from None
    return data / "inspectd"


def open_authority(where: Path | None = None) -> Authority:
    """The authority of this person; makes it when there is none. Raises CaError.

    Two processes that make it at once end up with the same one.
    """
    where = where or directory()
    path = where / KEY_FILE
    try:
        if not path.exists():
            _make(where, path)
        authority = _load(path)
    except OSError as problem:
        raise CaError(
            f"{problem.filename or path}: {problem.strerror or problem}",
            "name a directory you may write to with XDG_DATA_HOME, or use --cert and --key",
        ) from problem
    _publish(authority)
    return authority


def existing(where: Path | None = None) -> Authority | None:
    """The authority if it has been made. Raises CaError when it can't be used."""
    path = (where or directory()) / KEY_FILE
    return open_authority(path.parent) if path.exists() else None


def remove(where: Path | None = None) -> list[Path]:
    """Delete the authority, whatever state it is in; the files that are gone."""
    gone = []
    for name in (KEY_FILE, CERTIFICATE_FILE):
        path = (where or directory()) / name
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise CaError(f"{path}: {problem.strerror or problem}") from problem
        gone.append(path)
    return gone


def expired(authority: Authority) -> CaError:
    """What to say when it is too old."""
    return CaError(
        f"{authority.path}: the certificate authority expired on {authority.ends:%Y-%m-%d}", _AFRESH
    )


def _make(where: Path, path: Path) -> None:
    """Make the file in one step that only one process can take; the others then find it."""
    where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    where.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(where.stat().st_mode) & 0o077:
        where.chmod(0o700)
    key, certificate = new_authority()
    pem = certificate.public_bytes(serialization.Encoding.PEM) + _private_pem(key)
    with _temporary(where, pem, 0o600) as written, contextlib.suppress(FileExistsError):
        os.link(written, path)


def _publish(authority: Authority) -> None:
    """Keep the copy of the certificate that other programs are pointed to as it should be."""
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    path = authority.certificate_path
    with contextlib.suppress(
        OSError
    ):  # a directory that can only be read: the key in it is good all the same
        if not path.exists() or path.read_bytes() != pem:
            with _temporary(path.parent, pem, 0o644) as written:
                written.replace(path)


@contextlib.contextmanager
def _temporary(where: Path, data: bytes, mode: int) -> Iterator[Path]:
    """A file with this content that is whole and on the disk; gone in the end unless it got another name."""
    path = where / f".{secrets.token_hex(8)}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _load(path: Path) -> Authority:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CaError(f"{path}: is not a regular file", f"move it away, or: {_AFRESH}")
    if status.st_uid != os.geteuid():
        raise CaError(
            f"{path}: belongs to another user (id {status.st_uid})",
            "a key that somebody else can change protects nothing; set XDG_DATA_HOME to a directory of your own",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise CaError(
            f"{path}: other users can read the key of your certificate authority",
            f"chmod 600 {path} if nobody did; otherwise {_AFRESH}",
        )
    data = path.read_bytes()[:_LARGEST_FILE]
    try:
        certificate = x509.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as problem:
        raise CaError(f"{path}: is damaged, or no certificate and key of inspectd", _AFRESH) from problem
    why = _why_not(key, certificate)
    if why or not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CaError(f"{path}: {why}", _AFRESH)
    return Authority(path, key, certificate)


def _why_not(key: object, certificate: x509.Certificate) -> str:
    """What keeps these two from being an authority that this program made; empty when nothing does."""
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return "its key and its certificate don't belong together"
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        certificate.verify_directly_issued_by(certificate)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return "its certificate is not that of an authority made by inspectd"
    return "" if constraints.ca else "its certificate may not sign others"


# ---------------------------------------------------------------------------------------------------- certificates


def new_authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key, and the certificate of an authority that nobody trusts yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    # The name tells two authorities apart in a list: the one that was removed may still be trusted somewhere.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "inspectd"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"inspectd CA {identifier.digest[:3].hex().upper()}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
