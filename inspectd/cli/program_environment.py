"""What makes a program use a proxy and trust a certificate authority: environment variables, and files they name.

Each runtime has variables of its own. Those that add a certificate get the authority's alone; those that replace the
system's get a bundle of the system's roots and the authority's, because hosts may be left unintercepted. Nothing
outside the folder that is given is written.
"""

from __future__ import annotations

import os
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from inspectd.engine.ca import Authority

ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # CentOS
    "/etc/ssl/cert.pem",  # Alpine, macOS, BSD
)
"""Where systems keep the roots that they trust, as one PEM file."""

_REPLACING: Final = (
    "SSL_CERT_FILE",  # OpenSSL and what is built on it: Python, httpx, Ruby, PHP; Go but on macOS
    "CURL_CA_BUNDLE",  # curl; requests as well
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "NIX_SSL_CERT_FILE",
)
_ADDING: Final = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")

_PROXY: Final = ("http_proxy", "https_proxy", "all_proxy")
_NO_PROXY: Final = ("no_proxy", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Trust:
    """Files in which a program finds whom to trust."""

    certificate: Path
    """The authority's certificate, PEM."""
    bundle: Path
    """The system's roots and the authority's certificate, PEM."""
    java: Path
    """The same as a trust store of Java's, PKCS #12."""


def write_trust(folder: Path, authority: Authority) -> Trust:
    """Write these files into a folder. Raises OSError."""
    from cryptography.hazmat.primitives.serialization import Encoding

    own = authority.certificate.public_bytes(Encoding.PEM)
    roots = system_roots()
    trust = Trust(folder / "ca.pem", folder / "roots-and-ca.pem", folder / "roots-and-ca.p12")
    trust.certificate.write_bytes(own)
    trust.bundle.write_bytes(roots + (b"\n" if roots else b"") + own)
    trust.java.write_bytes(_java_store(roots, authority.certificate))
    return trust


def system_roots() -> bytes:
    """The roots that programs here trust without a word from us, PEM; empty when none are found.

    A person's own SSL_CERT_FILE comes first: it may hold an authority that their servers need.
    """
    places = [os.environ.get("SSL_CERT_FILE"), *ROOTS, ssl.get_default_verify_paths().cafile]
    try:
        import certifi
    except ImportError:
        pass
    else:
        places.append(certifi.where())
    for place in places:
        try:
            if place and (found := Path(place).read_bytes()):
                return found
        except OSError:
            continue
    return b""


def _java_store(roots: bytes, own: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

    certificates = [*_certificates(roots), own]
    entries = [
        pkcs12.PKCS12Certificate(each, f"root-{place}".encode()) for place, each in enumerate(certificates, 1)
    ]
    return pkcs12.serialize_java_truststore(entries, NoEncryption())


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """Those that can be read: an odd one must not take the others away."""
    from cryptography import x509

    found = []
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    with warnings.catch_warnings(action="ignore"):  # the system's roots aren't ours to mend
        for piece in pem.split(begin)[1:]:
            try:
                found.append(x509.load_pem_x509_certificate(begin + piece.partition(end)[0] + end + b"\n"))
            except ValueError:
                continue
    return found


def program_environment(address: str, trust: Trust, before: Mapping[str, str]) -> dict[str, str]:
    """The variables that lead a program to the proxy at `address` (HOST:PORT), beside those that it has `before`."""
    url = f"http://{address}"
    made = dict.fromkeys(_REPLACING, str(trust.bundle)) | dict.fromkeys(_ADDING, str(trust.certificate))
    for name in _PROXY:
        made[name] = made[name.upper()] = url
    for name in _NO_PROXY:  # empty and not absent: what stands for "everything but loopback" would come back
        made[name] = ""
    made["NODE_USE_ENV_PROXY"] = "1"
    made["JAVA_TOOL_OPTIONS"] = _java_options(address, trust, before.get("JAVA_TOOL_OPTIONS", ""))
    made["INSPECTD_PROXY"] = url
    made["INSPECTD_CA"] = str(trust.certificate)
    return {**before, **made, **_git(url, before)}


def _java_options(address: str, trust: Trust, before: str) -> str:
    host, _, port = address.rpartition(":")
    properties = {
        "http.proxyHost": host,
        "http.proxyPort": port,
        "https.proxyHost": host,
        "https.proxyPort": port,
        "http.nonProxyHosts": "",  # empty: not even localhost
        "javax.net.ssl.trustStore": str(trust.java),
        "javax.net.ssl.trustStoreType": "PKCS12",  # without a password: there are only certificates in it
    }
    words = [f"-D{name}={value}" for name, value in properties.items()]
    made = " ".join(f'"{word}"' if " " in word else word for word in words)
    return f"{before} {made}".lstrip()


def _git(url: str, before: Mapping[str, str]) -> dict[str, str]:
    """http.proxy, which stands above the variables, as one more entry of the configuration that git is handed."""
    count = before.get("GIT_CONFIG_COUNT", "0")
    place = int(count) if count.isascii() and count.isdigit() else 0
    return {
        "GIT_CONFIG_COUNT": str(place + 1),
        f"GIT_CONFIG_KEY_{place}": "http.proxy",
        f"GIT_CONFIG_VALUE_{place}": url,
    }
