"""Fingerprints of TLS clients: JA3 and JA4, two ways of writing down in few characters what a ClientHello offers.

JA3 (Salesforce, 2017) keeps the order, JA4 (FoxIO, 2023, "JA4: TLS Client Fingerprinting", technical_details/JA4.md)
sorts, because clients began to shuffle their extensions. Both leave GREASE out. Neither names a client for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.wire.tls.grease import without_grease
from inspectd.wire.tls.message import ALPN, SERVER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.wire.tls.hello import ClientHello

_VERSIONS: Final = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NOTHING: Final = "0" * 12


def ja3(hello: ClientHello) -> tuple[str, str]:
    """The JA3 of a hello: its text `version,ciphers,extensions,groups,point formats`, and that text's MD5."""
    lists = (
        (max(hello.legacy_version, 0),),
        without_grease(hello.cipher_suites),
        without_grease(tuple(each.kind for each in hello.extensions)),
        without_grease(hello.supported_groups),
        hello.point_formats,
    )
    import hashlib

    text = ",".join("-".join(map(str, values)) for values in lists)
    return text, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ja4(hello: ClientHello) -> str:
    """The JA4 of a hello that came over TCP: `t13d1516h2_8daaf6152771_e5627efa2ab1`.

    The first part can be read: TLS over TCP, version 1.3, a name is asked for (d) or not (i), 15 cipher suites,
    16 extensions, the first and last character of the first protocol offered.
    """
    ciphers = without_grease(hello.cipher_suites)
    kinds = without_grease(tuple(each.kind for each in hello.extensions))
    first = (
        f"t{_VERSIONS.get(max(hello.versions, default=0), '00')}{'d' if SERVER_NAME in kinds else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(kinds), 99):02}{_protocol(hello.alpn)}"
    )
    extensions = _codes(sorted(kind for kind in kinds if kind not in (SERVER_NAME, ALPN)))
    signatures = _codes(without_grease(hello.signature_algorithms))
    if extensions and signatures:
        extensions = f"{extensions}_{signatures}"
    return f"{first}_{_hash(_codes(sorted(ciphers)))}_{_hash(extensions)}"


def _codes(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _hash(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else _NOTHING


def _protocol(names: tuple[bytes, ...]) -> str:
    """First and last character of the first name; of its hexadecimal digits when one of them is no letter or digit."""
    name = names[0] if names else b""
    if not name:
        return "00"
    ends = (name[:1] + name[-1:]).decode("latin-1")
    return ends if ends.isascii() and ends.isalnum() else name.hex()[0] + name.hex()[-1]
