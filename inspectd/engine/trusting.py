"""How systems and programs come to trust inspectd's CA: the steps, and its certificate in the forms that they take.

The certificate leaves in these forms, the key in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from cryptography import x509

Form: TypeAlias = Literal["pem", "der", "p12"]

FORMS: Final[tuple[Form, ...]] = ("pem", "der", "p12")
"""`p12` is a PKCS #12 trust store (RFC 7292): the certificate without a key and without a password."""

WARNING: Final = (
    "Whoever has the key can pretend to be any site to what trusts it. Trust it where you test, and take it out\n"
    "afterwards"
)


class Step(NamedTuple):
    """What to do on a system or for a program: a command with `{file}` for the certificate in PEM, or words.

    `proxied` is the command to one that goes through the proxy at `{proxy}`, where that is another one. Those that are
    not for `anywhere` only work where inspectd is installed.
    """

    system: str
    what: str
    anywhere: bool = True
    proxied: str = ""


COMMANDS: Final = (
    Step(
        "Debian, Ubuntu",
        "sudo cp {file} /usr/local/share/ca-certificates/inspectd.crt && sudo update-ca-certificates",
    ),
    Step(
        "Fedora, RHEL",
        "sudo cp {file} /etc/pki/ca-trust/source/anchors/inspectd.pem && sudo update-ca-trust",
    ),
    Step("Arch", "sudo trust anchor {file}"),
    Step(
        "macOS",
        "security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db {file}",
    ),
    Step("Windows", "certutil -user -addstore Root {file}"),
    Step("Chromium on Linux", "inspectd ca install --nss ~/.pki/nssdb", anywhere=False),
    Step(
        "Firefox",
        "inspectd ca install --firefox PROFILE  (about:profiles names its root directory)",
        anywhere=False,
    ),
    Step(
        "curl",
        "curl --cacert {file} https://localhost:8443/",
        proxied="curl -x {proxy} --cacert {file} https://example.test/",
    ),
    Step("Python requests", "export REQUESTS_CA_BUNDLE={file}"),
    Step("httpx, OpenSSL, Go, Ruby", "export SSL_CERT_FILE={file}"),
    Step("Node.js", "export NODE_EXTRA_CA_CERTS={file}"),
    Step(
        "git",
        "git -c http.sslCAInfo={file} ls-remote https://localhost:8443/",
        proxied="git -c http.proxy={proxy} -c http.sslCAInfo={file} ls-remote https://example.test/a.git",
    ),
    Step("Java", "keytool -importcert -cacerts -noprompt -storepass changeit -alias inspectd -file {file}"),
)
"""What to run, by system and program."""

BY_HAND: Final = (
    Step(
        "Firefox",
        "Open /ca.pem: it asks whom to trust it for; websites are enough. Or Settings, Privacy & Security, View"
        " Certificates, Authorities, Import.",
    ),
    Step(
        "Chrome, Edge, Brave",
        "On macOS and Windows they trust what the system trusts. On Linux: Settings, Privacy and security, Security,"
        " Manage certificates, and import it for websites.",
    ),
    Step("Safari, macOS", "Open /ca.der in Keychain Access, and set it to Always Trust."),
    Step(
        "iPhone, iPad",
        "Open /ca.der in Safari and allow the profile. Settings, General, VPN & Device Management, install it. Then"
        " Settings, General, About, Certificate Trust Settings, switch it on.",
    ),
    Step(
        "Android",
        "Save /ca.der. Settings, Security, Encryption & credentials, Install a certificate, CA certificate. Browsers"
        " trust it then; apps only when they are built to.",
    ),
    Step("Windows", "Open /ca.der, Install Certificate, into Trusted Root Certification Authorities."),
)
"""What to choose in menus, on devices that inspectd needn't be on."""


def in_form(certificate: x509.Certificate, form: Form) -> bytes:
    """The certificate, and nothing else, as a file of this form."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12

    if form == "p12":
        entry = pkcs12.PKCS12Certificate(certificate, b"inspectd")
        return pkcs12.serialize_java_truststore([entry], NoEncryption())
    return certificate.public_bytes(Encoding.PEM if form == "pem" else Encoding.DER)
