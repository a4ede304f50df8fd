"""What speaks when it isn't HTTP/1."""

from __future__ import annotations

import pytest

from inspectd.wire import Foreign, NeedMore, RequestReader, Sniff, sniff
from tests.wire.tiling import tiles


def client_hello(name: bytes = b"a.example") -> bytes:
    """A TLS ClientHello record with a server_name extension after another one."""
    server_name = (len(name) + 3).to_bytes(2, "big") + b"\x00" + len(name).to_bytes(2, "big") + name
    extensions = b"\x00\x17\x00\x00" + b"\x00\x00" + len(server_name).to_bytes(2, "big") + server_name
    body = b"\x03\x03" + bytes(32) + b"\x01\xaa" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


OPENINGS: dict[str, bytes] = {
    "tls": client_hello(),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "socks4": b"\x04\x01\x00\x50\x7f\x00\x00\x01user\x00",
    "socks5": b"\x05\x02\x00\x02",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "smtp": b"EHLO a.example\r\n",
    "proxy-v1": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    "proxy-v2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
    "mqtt": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
    "amqp": b"AMQP\x00\x00\x09\x01",
    "postgresql": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    "rdp": b"\x03\x00\x00\x13\x0e\xe0",
    "bittorrent": b"\x13BitTorrent protocol",
    "garbage": b"\x00\x01\x02\xff" * 100,
}


@pytest.mark.parametrize("protocol", OPENINGS)
def test_opening_is_recognised_however_it_is_split(protocol: str) -> None:
    data = OPENINGS[protocol]
    found = sniff(data)
    assert isinstance(found, Sniff)
    assert found.protocol == protocol
    assert found.sentence.endswith(".")
    whole = RequestReader().feed(data)
    assert whole == [Foreign(0, protocol, found.sentence, found)]
    reader = RequestReader()
    assert [event for i in range(len(data)) for event in reader.feed(data[i : i + 1])] == whole
    found_tiles = tiles(data)
    if protocol == "tls":  # which is taken apart further: tests/wire/tls
        assert b"".join(piece for _, piece in found_tiles) == data
        assert {role.partition("-")[0] for role, _ in found_tiles} == {"tls"}
    else:
        assert found_tiles == [(found.role.value, data)]


@pytest.mark.parametrize("protocol", OPENINGS)
def test_a_cut_off_opening_is_never_taken_for_more_than_it_is(protocol: str) -> None:
    data = OPENINGS[protocol]
    for size in range(1, len(data)):
        early = sniff(data[:size])
        if isinstance(early, NeedMore):
            assert early.size > size
            assert not isinstance(sniff(data[:size], eof=True), NeedMore)
        else:
            assert early == sniff(data)


def test_tls_sentence_names_the_host_that_was_asked_for() -> None:
    found = sniff(client_hello(b"b.example"))
    assert isinstance(found, Sniff)
    assert found.server_name == b"b.example"
    assert "b.example" in found.sentence


def test_hello_bytes_from_the_wire_are_shown_safely() -> None:
    found = sniff(client_hello(b"\x1b[31m\xff"))
    assert isinstance(found, Sniff)
    assert "\\xff" in found.sentence
    assert "\x1b" not in found.sentence


@pytest.mark.parametrize("cut", range(6, 60))
def test_a_hello_that_lies_about_its_lengths_is_still_tls(cut: int) -> None:
    data = client_hello()[:cut]
    data = data[:3] + (len(data) - 5).to_bytes(2, "big") + data[5:]
    assert isinstance(sniff(data), NeedMore)  # the rest of the message may come in another record
    found = sniff(data, eof=True)
    assert isinstance(found, Sniff)
    assert (found.protocol, found.server_name) == ("tls", None)
    assert "cut short" in found.sentence


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PRI /x HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX",
        b"PROXY /x HTTP/1.1\r\n",
        b"\r\n\r\nGET",
        b"*",
        b"\xef\xbb\xbfGET / HTTP/1.1\r\n",
        b"\x00GET / HTTP/1.1\r\n",
        b"\xffGET / HTTP/1.1\n",
        b"",
    ],
)
def test_http_is_left_alone(data: bytes) -> None:
    assert sniff(data, eof=True) is None


def test_binary_start_waits_for_a_line_end_but_not_for_ever() -> None:
    assert sniff(b"\x00" * 255) == NeedMore(256)
    assert isinstance(sniff(b"\x00" * 256), Sniff)
    assert isinstance(sniff(b"\x00abc\n"), Sniff)
