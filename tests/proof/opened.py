"""TLS 1.3 as it went over the wire, decrypted with the secrets that were logged: a witness of what was inside.

It shares nothing with what it is a witness against: records are taken apart here, and only the ciphers are a library's.
RFC 8446 §5.2 (records), §7.1 and §7.3 (keys); the file of secrets is that of SSLKEYLOGFILE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DATA: Final = 23
_SIDES: Final = (
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"),
)


def secrets(path: Path) -> dict[tuple[str, str], bytes]:
    """The secrets in a file, by label and ClientHello.random."""
    lines = [line.split() for line in path.read_text("ascii").splitlines() if not line.startswith("#")]
    return {(label, random.lower()): bytes.fromhex(secret) for label, random, secret in lines}


def opened(to_server: bytes, to_client: bytes, known: dict[tuple[str, str], bytes]) -> tuple[bytes, bytes]:
    """What the two sides said to each other; empty when the handshake came to nothing."""
    random = to_server[11:43].hex()  # record header, handshake header, legacy_version
    session = 43 + to_client[43] if len(to_client) > 43 else 0
    suite = int.from_bytes(to_client[session + 1 : session + 3], "big")
    found = []
    for labels, data in zip(_SIDES, (to_server, to_client), strict=True):
        if (labels[1], random) not in known:
            return b"", b""
        found.append(_plain(data, [_Keys(known[label, random], suite) for label in labels]))
    return found[0], found[1]


class _Keys:
    """What protects the records of one side for a while."""

    def __init__(self, secret: bytes, suite: int) -> None:
        self._hash = hashes.SHA384() if suite == 0x1302 else hashes.SHA256()
        key = self._expand(secret, b"key", 16 if suite == 0x1301 else 32)
        self._cipher = ChaCha20Poly1305(key) if suite == 0x1303 else AESGCM(key)
        self._iv = int.from_bytes(self._expand(secret, b"iv", 12), "big")
        self._number = 0

    def _expand(self, secret: bytes, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(self._hash, length, info).derive(secret)

    def open(self, header: bytes, record: bytes) -> bytes:
        """The record's content and its type behind it. Raises InvalidTag."""
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        content = self._cipher.decrypt(nonce, record, header)
        self._number += 1
        return content.rstrip(b"\0")


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 5 <= len(data):
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        if end > len(data):
            return
        yield data[at : at + 5], data[at + 5 : end]
        at = end


def _plain(data: bytes, keys: list[_Keys]) -> bytes:
    found = bytearray()
    for header, record in _records(data):
        if header[0] != _DATA:
            continue
        try:
            content = keys[0].open(header, record)
        except InvalidTag:  # the handshake is over
            del keys[0]
            content = keys[0].open(header, record)
        if content[-1] == _DATA:
            found += content[:-1]
    return bytes(found)
