"""Everything the program can name is found by its name, and what has no name is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.explain import registry, tls
from inspectd.explain.lookup import LONGEST_TERM, MOST_MEANINGS, MOST_NEAR, Found, Meaning, find, index
from inspectd.explain.model import Explanation
from inspectd.wire.event_stream import ODDITIES as EVENT_ODDITIES
from inspectd.wire.framing import FramingStep
from inspectd.wire.span import Role
from inspectd.wire.tls.alert import DESCRIPTIONS
from inspectd.wire.websocket.oddities import ODDITIES as FRAME_ODDITIES


def kinds(found: Found) -> list[str]:
    return [each.kind for each in found.meanings]


@pytest.mark.parametrize(
    ("term", "kind", "name"),
    [
        ("GET", "method", "GET"),
        ("get", "method", "GET"),
        ("418", "status code", "418"),
        ("404 Not Found", "status code", "404"),
        ("not found", "status code", "404"),
        ("404 Nope", "status code", "404"),
        ("299", "status code", "299"),
        ("sec-fetch-mode", "field", "Sec-Fetch-Mode"),
        ("Sec-Fetch-Mode:", "field", "Sec-Fetch-Mode"),
        ("Host", "field", "Host"),
        ("X-Forwarded-For", "field", "X-Forwarded-For"),
        ("Sec-CH-Made-Up", "field", "Sec-CH-Made-Up"),
        ("navigate", "value in Sec-Fetch-Mode", "navigate"),
        ("request-target", "role of bytes", "request-target"),
        ("request target", "role of bytes", "request-target"),
        ("no-body-request", "framing", "no-body-request"),
        ("accept()", "step of a connection", "accept()"),
        ("TIME-WAIT", "step of a connection", "TIME-WAIT"),
        ("SO_REUSEADDR", "step of a connection", "SO_REUSEADDR"),
        ("so-reuseport", "step of a connection", "SO_REUSEPORT"),
        ("AF_INET6", "sockets and networks", "AF_INET6"),
        ("ports under 1024", "sockets and networks", "privileged port"),
        ("why HTTP/3 runs on QUIC", "sockets and networks", "QUIC"),
        ("happy   eyeballs", "sockets and networks", "happy eyeballs"),
        ("1001", "WebSocket close code", "1001"),
        ("4999", "WebSocket close code", "4999"),
        ("opcode 8", "opcode of a WebSocket frame", "opcode 8"),
        ("opcode 0xB", "opcode of a WebSocket frame", "opcode 0xB"),
        ("RSV1", "bits of a WebSocket frame", "RSV1"),
        ("ws-control-too-long", "oddity of WebSocket frames", "ws-control-too-long"),
        ("sse-unfinished", "oddity of an event stream", "sse-unfinished"),
        ("sse data", "field of an event stream", "data"),
        ("JA3", "word of HTTP", "JA3"),
        ("TLS_AES_128_GCM_SHA256", "TLS cipher suite", "TLS_AES_128_GCM_SHA256"),
        ("0x1301", "TLS cipher suite", "TLS_AES_128_GCM_SHA256"),
        ("close_notify", "TLS alert", "close_notify"),
        ("extension 0", "TLS extension", "server_name"),
        ("x25519", "TLS group", "x25519"),
        ("cors-preflight", "reading of a request", "cors-preflight"),
    ],
)  # fmt: skip
def test_a_term_is_found(term: str, kind: str, name: str) -> None:
    first = find(term).meanings[0]
    assert (first.kind, first.name) == (kind, name)
    assert first.explanation.sentence.endswith(".")


def test_a_term_with_several_meanings_has_them_all() -> None:
    assert kinds(find("FIN")) == ["step of a connection", "bits of a WebSocket frame"]
    assert {"field", "step of a connection"} <= set(kinds(find("keep-alive")))
    assert set(kinds(find("link"))) >= {"field", "method"}


def test_case_tells_a_method_from_other_things() -> None:
    assert kinds(find("BIND"))[0] == "method"
    assert kinds(find("bind"))[0] == "step of a connection"


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("PATHC", "PATCH"),
        ("Contet-Type", "Content-Type"),
        ("reuse", "SO_REUSEADDR"),
        ("Sec-Fetch-Mod", "Sec-Fetch-Mode"),
        ("navigat", "navigate"),
        ("reqest-target", "request-target"),
    ],
)
def test_a_slip_of_the_pen_is_noticed(term: str, meant: str) -> None:
    assert meant in find(term).near


@pytest.mark.parametrize("term", ["", " ", "\x00", "\x1b[31m", "qqqqqqqqqqqqqqqq", "()", ":"])
def test_nothing_is_made_up(term: str) -> None:
    assert find(term).meanings == ()


def test_meanings_of_another_layer_are_found_beside_ours() -> None:
    one = Meaning("finding", "te-with-cl", Explanation("te-with-cl", "Both.", "", "RFC 9112 §6.3"))
    assert find("TE-with-CL", [("te-with-cl", one)]).meanings == (one,)
    assert "te-with-cl" in find("te-with-c", [("te-with-cl", one)]).near


@given(st.text(max_size=2 * LONGEST_TERM))
def test_any_text_may_be_looked_for(term: str) -> None:
    found = find(term)
    assert len(found.meanings) <= MOST_MEANINGS
    assert len(found.near) <= MOST_NEAR


def test_every_meaning_says_something_and_who_says_so() -> None:
    for name, meanings in index().items():
        assert name == name.lower()
        for each in meanings:
            assert each.explanation.sentence.strip(), (name, each)
            assert each.explanation.source, (name, each)
            assert each.name, (name, each)


def test_whatever_the_program_can_emit_has_a_text() -> None:
    emitted = [
        *(each.value for each in Role),
        *(each.label for each in FramingStep),
        *FRAME_ODDITIES,
        *EVENT_ODDITIES,
        *DESCRIPTIONS.values(),
        *registry.table("methods"),
        *registry.table("status"),
        *registry.table("fields"),
        *(entry["name"] for entry in registry.table("tls")["extensions"].values()),
        *registry.table("tls")["cipher_suites"]["names"].values(),
        *(str(code) for code in (*range(100, 600), *range(1000, 5000))),
    ]
    assert [name for name in emitted if not find(name).meanings] == []


def test_every_registered_name_has_a_text_of_its_own() -> None:
    registered = registry.table("registered")
    names = " ".join(
        registered["fields"][state] for state in ("permanent", "provisional", "deprecated", "obsoleted")
    )
    assert [name for name in names.split() if name.lower() not in registry.fields()] == []
    assert [
        name for name in registered["methods"]["names"].split() if name not in registry.table("methods")
    ] == []
    assert [
        code for code in registered["status"]["codes"].split() if code not in registry.table("status")
    ] == []
    for section in ("fields", "methods", "status"):
        assert registered[section]["as_of"][:2] == "20"
        assert registered[section]["source"].startswith("IANA")


def test_numbers_of_tls_keep_their_names() -> None:
    assert tls.cipher_suite(0x1301).title == "TLS_AES_128_GCM_SHA256"
