"""What the numbers and names in a ClientHello and in TLS alerts mean, from `data/tls/*.toml`.

Every function has an answer for every number; what no registry knows is said to be unknown, and GREASE is named.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from inspectd.explain.model import Explanation
from inspectd.explain.names import clip, role
from inspectd.explain.registry import explanation, table
from inspectd.wire.span import Role
from inspectd.wire.tls import is_grease, is_grease_mode, is_grease_name
from inspectd.wire.tls.alert import DESCRIPTIONS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.wire.tls import Piece

_GREASE: Final = Explanation(
    "GREASE",
    "A GREASE value: it means nothing and is there so that servers stay used to values that they don't know.",
    "Servers have to ignore it. Chromium and others put a different one in at random places of every hello; a server "
    "that stumbles over one would stumble over the next real extension too.",
    "RFC 8701 §2",
)
_PROTOCOLS: Final = {
    b"h2": "HTTP/2, the binary one: many requests at once on one connection.",
    b"http/1.1": "HTTP/1.1, as inspectd speaks it.",
    b"http/1.0": "HTTP/1.0, where a connection carries one request.",
    b"h2c": "HTTP/2 in clear text, which has no place inside TLS.",
    b"h3": "HTTP/3, which runs over QUIC and not over TCP.",
    b"spdy/3.1": "SPDY, the forerunner of HTTP/2.",
    b"acme-tls/1": "Proof for a certification authority that this host is who it says (RFC 8737).",
    b"dot": "DNS over TLS.",
    b"imap": "IMAP, mail.",
    b"pop3": "POP3, mail.",
    b"ftp": "FTP, file transfer.",
    b"mqtt": "MQTT, messages between devices.",
    b"webrtc": "WebRTC media.",
}


def _named(subject: str, value: int, what: str, *, digits: int = 4) -> Explanation:
    """The explanation of a number that a registry lists; titled `UNKNOWN 0x1234` when it doesn't."""
    return _look_up(subject, value, what, digits)


@lru_cache(maxsize=2048)
def _look_up(subject: str, value: int, what: str, digits: int) -> Explanation:
    if value < 0:
        return Explanation("(cut off)", f"The {what} is cut off here.", "", table("tls")[subject]["source"])
    if digits == 4 and is_grease(value):
        return _grease(f"0x{value:04X}")
    known = table("tls")[subject]
    name = known["names"].get(str(value))
    if name is None:
        return _unknown(f"0x{value:0{digits}X}", what, known["source"])
    sentence = known.get("sentences", {}).get(str(value)) or known["otherwise"]
    return Explanation(name, sentence, "", known["source"])


def _grease(shown: str) -> Explanation:
    return Explanation(f"GREASE {shown}", _GREASE.sentence, _GREASE.paragraph, _GREASE.source)


def _unknown(shown: str, what: str, source: str) -> Explanation:
    return Explanation(
        f"unknown {shown}",
        f"A {what} that is in no registry that inspectd knows: servers ignore it.",
        "",
        source,
    )


def version(value: int) -> Explanation:
    """Explain a protocol version: 0x0303 is TLS 1.2."""
    return _named("versions", value, "version")


def content_type(value: int) -> Explanation:
    """Explain what a record holds."""
    return _named("content_types", value, "content type", digits=2)


def handshake_type(value: int) -> Explanation:
    """Explain which handshake message this is."""
    return _named("handshake_types", value, "handshake message", digits=2)


def compression_method(value: int) -> Explanation:
    """Explain a compression method."""
    return _named("compression_methods", value, "compression method", digits=2)


def group(value: int) -> Explanation:
    """Explain a group for the key exchange."""
    return _named("groups", value, "group")


def certificate_compression(value: int) -> Explanation:
    """Explain an algorithm that compresses certificates."""
    return _named("certificate_compression", value, "algorithm for compressing certificates")


def point_format(value: int) -> Explanation:
    """Explain a way to write points of curves."""
    return _named("point_formats", value, "point format", digits=2)


def name_type(value: int) -> Explanation:
    """Explain a kind of server name."""
    return _named("name_types", value, "kind of name", digits=2)


def psk_mode(value: int) -> Explanation:
    """Explain a mode of using pre-shared keys."""
    return (
        _grease(f"0x{value:02X}") if is_grease_mode(value) else _named("psk_modes", value, "mode", digits=2)
    )


@lru_cache(maxsize=1024)
def signature_scheme(value: int) -> Explanation:
    """Explain a signature scheme; pairs of hash and signature of TLS 1.2 as well."""
    names = table("tls")
    if str(value) not in names["signature_schemes"]["names"] and value >= 0 and not is_grease(value):
        hashed = names["signature_hashes"]["names"].get(str(value >> 8))
        kind = names["signature_kinds"]["names"].get(str(value & 0xFF))
        if hashed and kind:
            return Explanation(
                f"{kind}_{hashed}",
                f"{kind.upper()} with {hashed.upper().replace('SHA', 'SHA-')}, for TLS 1.2; TLS 1.3 doesn't know it.",
                "",
                "RFC 5246 §7.4.1.4.1",
            )
    return _named("signature_schemes", value, "signature")


@lru_cache(maxsize=1024)
def cipher_suite(value: int) -> Explanation:
    """Explain a cipher suite by the parts of its name."""
    known = table("tls")["cipher_suites"]
    key = f"{value:04X}"
    name = known["names"].get(key)
    if name is None:
        if value < 0:
            return Explanation("(cut off)", "The cipher suite is cut off here.", "", known["source"])
        return (
            _grease(f"0x{key}") if is_grease(value) else _unknown(f"0x{key}", "cipher suite", known["source"])
        )
    if key in known["special"]:
        return explanation(name, known["special"][key])
    return Explanation(name, _suite_sentence(name, known), _suite_paragraph(name), known["source"])


def _suite_sentence(name: str, known: dict[str, Any]) -> str:
    """`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` in words: how keys are agreed, how data is encrypted."""
    exchange, _, cipher = name.removeprefix("TLS_").rpartition("_WITH_")
    words = known["cipher"].get(cipher.split("_")[0], "integrity only, no encryption")
    bits = next((part for part in cipher.split("_")[1:] if part in {"128", "256"}), "")
    if bits and words == "AES":
        words = f"AES with {bits} bits"
    if not exchange:
        return (
            f"For TLS 1.3: {words}. How keys are agreed is negotiated apart."
            if words[0] != "i"
            else f"{words}."
        )
    export = exchange.endswith("_EXPORT")
    agreed = known["exchange"].get(exchange.removesuffix("_EXPORT"), exchange)
    weak = ", weakened for export" if export else ""
    return f"{words[0].upper()}{words[1:]}{weak}; {agreed}."


def _suite_paragraph(name: str) -> str:
    if "_CBC_" in name:
        return "CBC with a checksum added before encrypting was attacked again and again (Lucky 13, POODLE)."
    if name.endswith("_CCM_8"):
        return "CCM with a short checksum, for small devices."
    if "_GCM_" in name or "_CCM" in name or "POLY1305" in name:
        return "It encrypts and protects from changes in one step (AEAD), the only kind that TLS 1.3 has."
    return ""


@lru_cache(maxsize=1024)
def extension(value: int) -> Explanation:
    """Explain an extension of the ClientHello by its number."""
    if value < 0:
        return Explanation("(cut off)", "The number of the extension is cut off here.", "", "RFC 8446 §4.2")
    if is_grease(value):
        return _grease(f"0x{value:04X}")
    entry = table("tls")["extensions"].get(str(value))
    if entry is None:
        return _unknown(f"extension {value}", "extension", "IANA TLS ExtensionType Values")
    return explanation(entry["name"], entry)


def extension_name(value: int) -> str:
    """The name of an extension in the registry; `GREASE` or its number when it has none."""
    if is_grease(value):
        return "GREASE"
    entry = table("tls")["extensions"].get(str(value))
    return str(value) if entry is None else str(entry["name"])


def alert(description: int) -> Explanation:
    """Explain the description of an alert."""
    name = DESCRIPTIONS.get(description)
    if name is None:
        return _unknown(str(description), "alert", "IANA TLS Alerts")
    return explanation(name, table("tls")["alerts"][name], source="RFC 8446 §6.2")


def alert_level(level: int) -> Explanation:
    """Explain the level of an alert."""
    about = role(Role.TLS_ALERT_LEVEL)
    return Explanation(LEVELS.get(level, f"unknown {level}"), about.sentence, "", about.source)


def protocol(name: bytes) -> Explanation:
    """Explain a protocol name of ALPN."""
    if is_grease_name(name):
        return _grease(f"0x{name.hex().upper()}")
    title = clip(name.decode("latin-1")) or "(empty)"
    about = role(Role.TLS_PROTOCOL_NAME)
    known = _PROTOCOLS.get(name)
    return Explanation(title, known or about.sentence, "" if known else about.paragraph, about.source)


_BY_ROLE: Final[dict[Role, Callable[[int], Explanation]]] = {
    Role.TLS_CONTENT_TYPE: content_type,
    Role.TLS_VERSION: version,
    Role.TLS_HANDSHAKE_TYPE: handshake_type,
    Role.TLS_CIPHER_SUITE: cipher_suite,
    Role.TLS_COMPRESSION_METHOD: compression_method,
    Role.TLS_EXTENSION_TYPE: extension,
    Role.TLS_NAME_TYPE: name_type,
    Role.TLS_GROUP: group,
    Role.TLS_POINT_FORMAT: point_format,
    Role.TLS_SIGNATURE_SCHEME: signature_scheme,
    Role.TLS_PSK_MODE: psk_mode,
    Role.TLS_CERTIFICATE_COMPRESSION: certificate_compression,
    Role.TLS_ALERT_LEVEL: alert_level,
    Role.TLS_ALERT_DESCRIPTION: alert,
}


def piece(found: Piece, data: bytes) -> Explanation:
    """Explain a piece of a ClientHello or of an alert; `data` are the bytes of the stream that it is a piece of.

    The title of a number is its name; what has no registry is explained by its role.
    """
    by_role = _BY_ROLE.get(found.role)
    if by_role is not None:
        return by_role(found.value)
    if found.role is Role.TLS_PROTOCOL_NAME:
        return protocol(data[found.start : found.end])
    about = role(found.role)
    if found.role is Role.TLS_LENGTH and found.value >= 0:
        size = f"{found.value:,} {'byte' if found.value == 1 else 'bytes'}"
        return Explanation(size, about.sentence, about.paragraph, about.source, about.grammar)
    return about
