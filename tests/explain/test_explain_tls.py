"""Every number in a ClientHello has an explanation, and every entry of the data files is one."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.explain import registry, role, tls
from inspectd.wire.span import Role
from inspectd.wire.tls import ClientHello, client_hello, is_grease, pieces
from inspectd.wire.tls.alert import DESCRIPTIONS
from tests.explain.test_explain_data import problems
from tests.wire.hellos import full_hello, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.explain import Explanation

NAMED = (
    "versions", "content_types", "handshake_types", "compression_methods", "name_types", "point_formats", "psk_modes",
    "certificate_compression", "groups", "signature_schemes",
)  # fmt: skip
BY_NUMBER: dict[str, Callable[[int], Explanation]] = {
    "version": tls.version,
    "content_type": tls.content_type,
    "handshake_type": tls.handshake_type,
    "compression_method": tls.compression_method,
    "group": tls.group,
    "certificate_compression": tls.certificate_compression,
    "point_format": tls.point_format,
    "name_type": tls.name_type,
    "psk_mode": tls.psk_mode,
    "signature_scheme": tls.signature_scheme,
    "cipher_suite": tls.cipher_suite,
    "extension": tls.extension,
    "alert": tls.alert,
    "alert_level": tls.alert_level,
}


def every_explanation() -> Iterator[tuple[str, Explanation]]:
    data = registry.table("tls")
    for value in map(int, data["extensions"]):
        yield f"extension {value}", tls.extension(value)
    for value in (int(key, 16) for key in data["cipher_suites"]["names"]):
        yield f"cipher suite {value:04x}", tls.cipher_suite(value)
    for value in DESCRIPTIONS:
        yield f"alert {value}", tls.alert(value)
    for what, explain in BY_NUMBER.items():
        for value in chain(range(-1, 300), (0x0A0A, 0x1301, 0xFFFF)):
            yield f"{what} {value}", explain(value)


def test_every_entry_is_complete_short_and_plain() -> None:
    assert [problem for place, found in every_explanation() for problem in problems(place, found)] == []


def test_every_alert_and_every_extension_that_is_told_apart_is_explained() -> None:
    data = registry.table("tls")
    assert set(data["alerts"]) == set(DESCRIPTIONS.values())
    found = client_hello(full_hello())
    assert isinstance(found, ClientHello)
    for each in found.extensions:
        assert is_grease(each.kind) or str(each.kind) in data["extensions"]


@pytest.mark.parametrize("subject", NAMED)
def test_a_table_of_names_is_dated_and_its_sentences_belong_to_names(subject: str) -> None:
    table = registry.table("tls")[subject]
    assert re.fullmatch(r"20\d\d", table["as_of"])
    assert set(table.get("sentences", ())) <= set(table["names"])
    assert "otherwise" in table or set(table["sentences"]) == set(table["names"])
    assert len(set(table["names"].values())) == len(table["names"])


def test_names_of_cipher_suites_are_made_of_known_parts() -> None:
    table = registry.table("tls")["cipher_suites"]
    for name in table["names"].values():
        exchange, _, cipher = name.removeprefix("TLS_").rpartition("_WITH_")
        assert not exchange or exchange.removesuffix("_EXPORT") in table["exchange"], name
        assert not exchange or cipher.split("_")[0] in table["cipher"], name


@pytest.mark.parametrize(
    ("found", "title", "words"),
    [
        (tls.cipher_suite(0x1301), "TLS_AES_128_GCM_SHA256", "TLS 1.3: AES with 128 bits"),
        (tls.cipher_suite(0xC02F), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "forward secret"),
        (tls.cipher_suite(0x0003), "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "weakened for export"),
        (tls.cipher_suite(0x00FF), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "Not a cipher suite"),
        (tls.cipher_suite(0xC0B4), "TLS_SHA256_SHA256", "no encryption"),
        (tls.cipher_suite(0xABCD), "unknown 0xABCD", "no registry"),
        (tls.cipher_suite(0x5A5A), "GREASE 0x5A5A", "GREASE"),
        (tls.version(0x0304), "TLS 1.3", "2018"),
        (tls.group(4588), "X25519MLKEM768", "quantum"),
        (tls.signature_scheme(0x0301), "rsa_sha224", "SHA-224"),
        (tls.signature_scheme(0x0804), "rsa_pss_rsae_sha256", "PSS"),
        (tls.extension(16), "application_layer_protocol_negotiation (ALPN)", "preferred"),
        (tls.extension(0xFAFA), "GREASE 0xFAFA", "GREASE"),
        (tls.extension(9999), "unknown extension 9999", "no registry"),
        (tls.psk_mode(0x2A), "GREASE 0x2A", "GREASE"),
        (tls.alert(48), "unknown_ca", "trusts"),
        (tls.alert_level(2), "fatal", "fatal"),
        (tls.protocol(b"h2"), "h2", "HTTP/2"),
        (tls.protocol(b"\x0a\x0a"), "GREASE 0x0A0A", "GREASE"),
        (tls.protocol(b"x-own"), "x-own", "ALPN"),
    ],
)
def test_what_is_said(found: Explanation, title: str, words: str) -> None:
    assert found.title == title
    assert words in found.sentence


@given(st.sampled_from(sorted(BY_NUMBER)), st.integers(-1, 0xFFFFFF))
def test_every_number_has_an_answer(what: str, value: int) -> None:
    found = BY_NUMBER[what](value)
    assert found.title
    assert found.sentence.endswith(".")
    assert found.source


@given(st.binary(max_size=300))
def test_every_piece_of_any_bytes_has_an_answer(data: bytes) -> None:
    for stream in (record(b"\x01" + data), record(data, 21), full_hello()[:60] + data):
        for piece in pieces(stream):
            found = tls.piece(piece, stream)
            assert found.title
            assert found.sentence.endswith(".")


def test_a_piece_without_a_registry_is_explained_by_its_role() -> None:
    data = full_hello()
    said = {piece.role: tls.piece(piece, data) for piece in pieces(data)}
    assert said[Role.TLS_RANDOM] == role(Role.TLS_RANDOM)
    assert said[Role.TLS_LENGTH].title.endswith("bytes")
    assert tls.extension_name(16) == "application_layer_protocol_negotiation"
    assert (tls.extension_name(0x1A1A), tls.extension_name(9999)) == ("GREASE", "9999")
