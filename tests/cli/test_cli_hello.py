"""A ClientHello on the command line: taken apart by `anatomy`, summed up by `show`, facts in JSON lines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.cli.hello_text import HelloText, hello_facts, summary_lines
from inspectd.cli.output import painter
from inspectd.wire.tls import ClientHello, client_hello, ja3, ja4, tls_spans
from tests.live_engine import LiveEngine
from tests.wire.hellos import extension, full_hello, in_records, message, protocols, record, server_name

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = b"\x1b]0;owned\x07\xe2\x80\xae\x9b.test"
PRINTABLE = {*range(0x20, 0x7F), 0x0A}


def inspectd(
    *arguments: object, data: bytes = b"", encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "inspectd", *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def drawn(data: bytes, *, full: bool = False, ascii_only: bool = False, width: int = 100) -> list[str]:
    text = HelloText(data, width=width, paint=painter(colour=False), full=full, ascii_only=ascii_only)
    return list(text.lines())


def test_anatomy_takes_a_hello_apart_with_a_sentence_for_each_extension() -> None:
    done = inspectd("anatomy", data=full_hello())
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.startswith("ClientHello for a.example, ")
    found = client_hello(full_hello())
    assert isinstance(found, ClientHello)
    for line in (
        "  server name  a.example",
        "  versions     TLS 1.3, TLS 1.2",
        "  protocols    h2, http/1.1",
        f"  JA4          {ja4(found)}",
        f"  JA3          {ja3(found)[1]}",
        "  key shares   GREASE 0x3A3A, x25519",
    ):
        assert line in text.splitlines()
    assert "0000 record                 16 03 01 " in text
    assert "TLS_AES_128_GCM_SHA256" in text
    assert "GREASE 0x1A1A" in text
    flat = " ".join(text.split())
    for sentence in (
        "Which host the client wants (SNI), so that a server with many names can show the right certificate.",
        "The versions of TLS that the client really offers, the preferred one first. (RFC 8446 §4.2.1)",
        "A GREASE value: it means nothing and is there so that servers stay used to values that they don't know.",
        "The client sends its first request at once, before the handshake is done (0-RTT). (RFC 8446 §4.2.10)",
        "The real ClientHello in encrypted form, or random bytes made to look like one.",
    ):
        assert sentence in flat


def test_anatomy_as_json_has_the_spans_and_the_facts() -> None:
    data = full_hello()
    answer = json.loads(inspectd("anatomy", "--json", data=data).stdout)
    assert answer["spans"] == [
        {"start": start, "end": end, "role": role.value} for start, end, role in tls_spans(data)
    ]
    found = client_hello(data)
    assert isinstance(found, ClientHello)
    assert answer["tls"] == hello_facts(found)
    assert answer["tls"]["sni"] == "a.example"
    assert answer["tls"]["alpn"] == ["JJ", "h2", "http/1.1"]
    assert answer["messages"] == []


def test_anatomy_names_an_alert() -> None:
    text = inspectd("anatomy", data=record(b"\x02\x30", 21)).stdout.decode()
    answer = json.loads(inspectd("anatomy", "--json", data=record(b"\x02\x30", 21)).stdout)
    assert answer["alerts"] == [{"level": "fatal", "description": "unknown_ca"}]
    assert "fatal" in text
    assert "unknown_ca" in text
    assert "it isn't among those that it trusts." in " ".join(text.split())


def test_anatomy_of_a_cut_hello_says_so_and_shows_what_is_there() -> None:
    text = inspectd("anatomy", data=full_hello()[:180]).stdout.decode()
    assert "not complete" in text.splitlines()[0]
    assert "  problem      the ClientHello is cut off" in text.splitlines()
    assert "a.example" in text


def test_every_byte_is_drawn_with_full() -> None:
    data = in_records(message(extension(21, bytes(3000))), 700) + record(b"secret" * 100, 23)
    rows = drawn(data, full=True)
    shown = b"".join(
        bytes.fromhex(row[28:52]) for row in rows if row[:4].strip() and row[4] == " " and row[:2] != "  "
    )
    assert shown == data


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_hostile_name_is_never_live(encoding: str) -> None:
    data = record(message(server_name(HOSTILE) + protocols(HOSTILE, b"h2")))
    done = inspectd("anatomy", data=data, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert set(done.stdout.decode(encoding).encode("ascii", "ignore")) <= PRINTABLE
    assert "\u202e" not in done.stdout.decode(encoding)
    if encoding == "ascii":
        assert set(done.stdout) <= PRINTABLE
    assert b"owned" in done.stdout


@settings(max_examples=50)
@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_any_bytes_are_drawn_as_safe_text(data: bytes, cut: int, full: bool) -> None:
    for stream in (full_hello()[:cut] + data, b"\x16\x03" + data, record(b"\x01" + data)):
        for line in drawn(stream, full=full):
            assert line.isprintable()


def test_long_lists_and_long_streams_are_cut_short_unless_all_is_asked_for() -> None:
    data = record(message(extension(23, b"") * 900, suites=[0x1301] * 900)) + bytes(50_000)
    rows = drawn(data)
    assert len(rows) < 1500
    assert any("more bytes: --full shows them" in row for row in rows)
    assert any(row.strip().startswith("… 701 more") for row in rows)
    assert len(drawn(data, full=True)) > 2500


def test_a_summary_says_what_is_wrong() -> None:
    found = client_hello(record(message(extension(10, b"\x00\x09"))))
    assert isinstance(found, ClientHello)
    assert "problem      extension 10: its length says 9 bytes, where 0 fit" in list(summary_lines(found))


def test_show_and_json_lines_of_a_live_connection(tmp_path: Path) -> None:
    with LiveEngine(tmp_path) as engine:
        data = in_records(message(server_name(b"b.example") + protocols(b"h2", b"http/1.1")), 40)
        with socket.create_connection(engine.address, timeout=60) as client:
            client.sendall(data[:70])
            client.sendall(data[70:])
            assert client.recv(100) == bytes.fromhex("15030100020228")
        line = engine.wait_for(lambda line: line["type"] == "connection")
    found = client_hello(data)
    assert isinstance(found, ClientHello)
    assert line["kind"] == "tls"
    assert line["sentence"].startswith(
        f"TLS ClientHello for b.example from a client that offers h2, http/1.1 (JA4 {ja4(found)}): "
    )
    assert line["tls"] == {
        "sni": "b.example",
        "alpn": ["h2", "http/1.1"],
        "versions": ["TLS 1.2"],
        "ja3": ja3(found)[1],
        "ja4": ja4(found),
        "complete": True,
    }
    text = inspectd("show", engine.capture, "c1").stdout.decode()
    assert "server name  b.example" in text.splitlines()
    assert f"JA4          {ja4(found)}" in text.splitlines()
    assert json.loads(inspectd("show", engine.capture, "c1", "--json").stdout)["tls"] == line["tls"]
    whole = inspectd("show", engine.capture, "c1", "--bytes", "request").stdout
    assert whole == data
    assert inspectd("anatomy", data=whole).stdout.startswith(b"ClientHello for b.example, ")


def test_other_connections_have_no_tls_object(tmp_path: Path) -> None:
    with LiveEngine(tmp_path) as engine:
        with socket.create_connection(engine.address, timeout=60) as client:
            client.sendall(b"\x05\x01\x00")
            client.recv(100)
        line = engine.wait_for(lambda line: line["type"] == "connection")
    assert "tls" not in line
