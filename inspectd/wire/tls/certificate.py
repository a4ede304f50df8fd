"""What a certificate says, from its DER: whom it is for, who vouches for that, and for how long (RFC 5280 §4.1).

Nothing is checked here, and whatever the bytes are, nothing is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import datetime as dt


class Certificate(NamedTuple):
    """One certificate; the texts are its own, and not safe for a terminal."""

    subject: str
    issuer: str
    begins: dt.datetime
    ends: dt.datetime
    names: tuple[str, ...]


def certificate(der: bytes) -> Certificate | None:
    """What these bytes say; None when they are no certificate."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(der)
        try:
            alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = tuple(
                str(name.value) for name in alternative if isinstance(name, x509.DNSName | x509.IPAddress)
            )
        except x509.ExtensionNotFound:
            names = ()
        return Certificate(
            found.subject.rfc4514_string(),
            found.issuer.rfc4514_string(),
            found.not_valid_before_utc,
            found.not_valid_after_utc,
            names,
        )
    except ValueError:
        return None
