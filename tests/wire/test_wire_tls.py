"""A ClientHello is read whatever its bytes, however they come, and every byte of it has a role."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.wire import NeedMore, Role, Sniff, Span, StreamReader, read, sniff
from inspectd.wire.tls import (
    ClientHello,
    Incomplete,
    Part,
    alerts,
    client_hello,
    is_grease,
    is_grease_mode,
    is_grease_name,
    ja3,
    ja4,
    pieces,
    tls_spans,
    units,
)
from tests.wire.hellos import (
    EVERYTHING,
    EVERYTHING_SUITES,
    counted,
    extension,
    full_hello,
    hello,
    in_records,
    message,
    numbers,
    protocols,
    record,
    server_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE = message(EVERYTHING, suites=EVERYTHING_SUITES, session_id=bytes(32))


def whole(data: bytes) -> ClientHello:
    found = client_hello(data)
    assert isinstance(found, ClientHello)
    assert found.complete
    return found


def check_tiling(data: bytes) -> None:
    """Spans, pieces and units cover the bytes, in order, without gaps."""
    at = 0
    found = pieces(data)
    for piece in found:
        assert piece.start == at
        assert piece.end > at
        at = piece.end
    assert at == len(data)
    assert tls_spans(data) == [Span(piece.start, piece.end, piece.role) for piece in found]
    parts = units(found)
    assert [unit.first for unit in parts[1:]] == [unit.stop for unit in parts[:-1]]
    assert not parts or (parts[0].first, parts[-1].stop) == (0, len(found))


def offer(found: ClientHello) -> tuple[object, ...]:
    """What a hello says, without where it stands."""
    return (
        found.legacy_version,
        found.random,
        found.session_id,
        found.cipher_suites,
        found.compression_methods,
        [(each.kind, each.data, each.values, each.names) for each in found.extensions],
    )


def test_everything_in_a_hello_is_read() -> None:
    found = whole(full_hello())

    assert (found.start, found.end) == (0, len(full_hello()))
    assert (found.record_version, found.legacy_version) == (0x0301, 0x0303)
    assert found.random == bytes(range(32))
    assert found.session_id == bytes(32)
    assert found.cipher_suites == EVERYTHING_SUITES
    assert found.compression_methods == (0,)
    assert [each.kind for each in found.extensions] == [
        0x2A2A, 0, 10, 11, 35, 16, 5, 13, 51, 45, 43, 27, 17613, 0xFE0D, 42, 0x6A6A, 21, 41,
    ]  # fmt: skip
    assert found.server_name == b"a.example"
    assert found.alpn == (b"\x4a\x4a", b"h2", b"http/1.1")
    assert found.protocols == (b"h2", b"http/1.1")
    assert found.supported_versions == (0x5A5A, 0x0304, 0x0303)
    assert found.versions == (0x0304, 0x0303)
    assert found.supported_groups == (0x3A3A, 29, 23)
    assert found.point_formats == (0,)
    assert found.signature_algorithms == (0x0403, 0x0804)
    assert found.key_shares == ((0x3A3A, 1), (29, 32))
    assert found.psk_modes == (1, 0x0B)
    assert found.certificate_compression == (2,)
    assert found.application_settings == (b"h2",)
    assert found.padding == 17
    assert found.early_data
    assert found.resumes
    assert found.encrypted_client_hello
    assert found.problems == ()


def test_the_offsets_are_those_of_the_stream() -> None:
    data = full_hello() + record(b"\x00", 20)
    for each in whole(data).extensions:
        assert data[each.start : each.start + 2] == each.kind.to_bytes(2, "big")
        assert data[each.start + 4 : each.end] == each.data
    roles = {role: data[start:end] for start, end, role in tls_spans(data)}
    assert roles[Role.TLS_SERVER_NAME] == b"a.example"
    assert roles[Role.TLS_RANDOM] == bytes(range(32))
    assert roles[Role.TLS_PSK_IDENTITY] == b"ticket"
    assert roles[Role.TLS_PADDING] == bytes(17)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 500])
def test_a_hello_may_be_cut_into_records_of_any_size(size: int) -> None:
    data = in_records(MESSAGE, size)
    found = whole(data)

    assert offer(found) == offer(whole(full_hello()))
    assert found.records == -(-len(MESSAGE) // size)
    assert found.end == len(data)
    check_tiling(data)
    names = b"".join(
        data[piece.start : piece.end] for piece in pieces(data) if piece.role is Role.TLS_SERVER_NAME
    )
    assert names == b"a.example"


@pytest.mark.parametrize("size", [7, 64, 9000])
def test_a_hello_that_is_cut_off_says_how_many_bytes_it_takes(size: int) -> None:
    data = in_records(MESSAGE, size)
    for cut in range(len(data)):
        found = client_hello(data[:cut])
        assert isinstance(found, Incomplete)
        assert cut < found.size <= len(data)
        ended = client_hello(data[:cut], eof=True)
        assert ended is None or (isinstance(ended, ClientHello) and not ended.complete and ended.problems)
        check_tiling(data[:cut])
    asked, at = 0, 0
    while isinstance(found := client_hello(data[:at]), Incomplete):
        asked, at = asked + 1, found.size
    assert at == len(data)
    assert asked <= 2 * (len(MESSAGE) // size + 2)


def test_what_follows_a_hello_is_not_part_of_it() -> None:
    for rest in (
        b"",
        record(b"\x01", 20) + record(b"secret", 23),
        b"GET /",
        b"\x00",
        record(b"\x02\x28", 21),
    ):
        data = full_hello() + rest
        assert whole(data).end == len(full_hello())
        check_tiling(data)
    both = record(MESSAGE + b"\x0b\x00\x00\x00")
    assert whole(both).end == len(both) - 4
    assert tls_spans(both)[-1] == Span(len(both) - 4, len(both), Role.TLS)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x17\x03\x03\x00\x01x",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x00\x00\x01\x01",
        record(b"\x02\x00\x00\x01\x00"),
        record(b"") + b"GET",
        b"\x80\x2e\x01\x03\x01",
    ],
)
def test_what_is_no_hello_is_none(data: bytes) -> None:
    assert client_hello(data) is None
    assert client_hello(data, eof=True) is None
    check_tiling(data)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (extension(10, b"\x00\x09" + bytes(4)), "extension 10: its length says 9 bytes, where 4 fit"),
        (extension(10, b"\x00\x03" + bytes(3)), "a list of tls-group ends within one of them"),
        (extension(10, b"\x00\x02" + bytes(5)), "extension 10: 3 bytes follow what it holds"),
        (extension(0, b"\x00\x06\x00\x00\xffabc"), "server name: its length says 255 bytes, where 3 fit"),
        (extension(16, b"\x00\x03\x05h2"), "protocol name: its length says 5 bytes, where 2 fit"),
        (extension(43, b""), "extension 43: there is no room for its length"),
        (extension(21, b"\x00\x01"), "extension 21: its padding is not all zeros"),
        (extension(23, b"") + extension(23, b""), "extension 23 is there more than once"),
        (b"\x00", "the list of extensions ends within the type of one"),
        (b"\x00\x17\x00\x05ab", "extension 23: its length says 5 bytes, where 2 fit"),
        (b"\x00\x17\x00", "extension 23: there is no room for its length"),
    ],
)
def test_a_length_that_lies_is_a_problem_that_is_told(body: bytes, problem: str) -> None:
    data = record(message(body))
    assert problem in whole(data).problems
    check_tiling(data)


def test_bytes_behind_the_extensions_are_told() -> None:
    body = message(b"")[4:] + b"more"
    data = record(b"\x01" + counted(3, body))
    assert whole(data).problems == ("4 bytes follow the last part of the ClientHello",)
    assert tls_spans(data)[-1] == Span(len(data) - 4, len(data), Role.GARBAGE)


def test_a_hello_of_an_impossible_length_is_not_waited_for() -> None:
    data = record(b"\x01\xff\xff\xff" + MESSAGE[4:])
    found = client_hello(data)
    assert isinstance(found, ClientHello)
    assert not found.complete
    assert found.server_name == b"a.example"
    assert "16,777,215 bytes" in found.problems[0]


def test_a_record_of_another_kind_ends_a_hello_that_is_not_whole() -> None:
    for rest in (record(b"\x02\x28", 21), b"GET / HTTP/1.1\r\n\r\n"):
        found = client_hello(record(MESSAGE[:80]) + rest)
        assert isinstance(found, ClientHello)
        assert not found.complete
        assert found.problems


def test_a_hello_without_extensions_is_whole() -> None:
    found = whole(record(message(None, version=0x0301)))
    assert found.problems == ()
    assert found.versions == (0x0301,)
    assert (found.server_name, found.alpn, found.extensions) == (None, (), ())
    assert ja4(found) == f"t10i010000_{hashlib.sha256(b'1301').hexdigest()[:12]}_000000000000"


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_a_stream_of_tls_is_the_same_however_it_is_split(size: int) -> None:
    data = in_records(MESSAGE, 150) + record(b"\x01", 20) + record(b"secret" * 9, 23)
    whole_stream = read(data, "request")
    reader = StreamReader("request")
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    parts = reader.finish()
    assert (parts.data, parts.spans, parts.messages) == (data, whole_stream.spans, [])
    assert whole_stream.spans == tls_spans(data)


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_record_header_are_tiled(data: bytes) -> None:
    check_tiling(data)
    for start in (b"\x16\x03", record(b"\x01")[:-1] + b"\x01", record(data)):
        stream = start + data
        check_tiling(stream)
        found = client_hello(stream)
        assert not isinstance(found, Incomplete) or found.size > len(stream)
        assert not isinstance(client_hello(stream, eof=True), Incomplete)
        spans = read(stream, "request").spans
        assert (spans[0].start, spans[-1].end) == (0, len(stream))


@given(
    st.lists(st.tuples(st.integers(0, len(MESSAGE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(1, 700),
    st.integers(0, 700),
)
def test_a_hello_with_wrong_bytes_in_it_is_tiled_and_read(
    changes: list[tuple[int, int]], size: int, cut: int
) -> None:
    damaged = bytearray(MESSAGE)
    for at, value in changes:
        damaged[at] = value
    data = in_records(bytes(damaged), size)
    data = data[: len(data) - min(cut, len(data))]
    check_tiling(data)
    found = client_hello(data, eof=True)
    assert not isinstance(found, Incomplete)
    if found is not None:
        assert 0 <= found.end <= len(data)
        assert all(0 <= each.start <= each.end <= len(data) for each in found.extensions)
        assert ja3(found)[1]
        assert ja4(found).count("_") == 2


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "empty records": lambda size: record(b"") * (size // 5),
    "records of a byte": lambda size: in_records(b"\x01\xff\xff\xff" + bytes(size // 6), 1),
    "a message of 2^24 bytes": lambda size: in_records(b"\x01\xff\xff\xff" + bytes(size), 1 << 14),
    "extensions without end": lambda size: in_records(
        b"\x01\xff\xff\xff" + message(extension(23, b"") * 16_000)[4:] + bytes(size), 1 << 14
    ),
    "many suites": lambda size: record(message(b"", suites=[0x1301] * 8000)) + bytes(size),
    "many names": lambda size: (
        in_records(message(extension(0, counted(2, b"\x00\x00\x01a" * 16_000))), 1 << 14) + bytes(size)
    ),
    "nested lengths of 2^16": lambda size: (
        record(message(b"\x00\x00\xff\xff\xff\xff\x00\xff\xff")) + b"\xff" * size
    ),
    "hellos without end": lambda size: hello() * (size // 100),
    "other bytes": lambda size: hello() + b"\xff" * size,
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_ten_megabytes_of_hostile_bytes_are_read_in_bounded_work(shape: str) -> None:
    data = HOSTILE[shape](10 * 1024 * 1024)
    began = time.process_time()
    check_tiling(data)
    found = client_hello(data)
    assert not isinstance(found, Incomplete) or found.size > len(data)
    assert len(pieces(data)) < 200_000
    assert time.process_time() - began < 30


def test_sniffing_asks_a_bounded_number_of_times_for_a_hello_in_shreds() -> None:
    data = in_records(message(extension(21, bytes(40_000))), 3)
    asked, at = 0, 1
    while isinstance(found := sniff(data[:at]), NeedMore):
        assert found.size > at
        asked, at = asked + 1, found.size
    assert isinstance(found, Sniff)
    assert found.protocol == "tls"
    assert asked < 60


def test_sniffing_reads_a_name_in_a_later_record() -> None:
    data = in_records(message(extension(21, bytes(300)) + server_name(b"late.example")), 200)
    found = sniff(data)
    assert isinstance(found, Sniff)
    assert found.server_name == b"late.example"
    assert found.sentence.startswith("TLS ClientHello for late.example (JA4 t12d")


def test_the_sentence_says_who_is_asked_for_and_what_is_offered() -> None:
    found = sniff(hello(b"b.example"))
    assert isinstance(found, Sniff)
    fingerprint = ja4(whole(hello(b"b.example")))
    assert found.sentence.startswith(
        f"TLS ClientHello for b.example from a client that offers h2, http/1.1 (JA4 {fingerprint}): "
    )
    many = sniff(record(message(server_name(b"x" * 9000) + protocols(*[b"y" * 200] * 40))))
    assert isinstance(many, Sniff)
    assert len(many.sentence) < 800


# The example of JA4's own description: suites, extensions and signature algorithms of a client, and what they make.
JA4_SUITES = (
    0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F,
    0x0035,
)  # fmt: skip
JA4_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
JA4_BODIES = {
    0x0000: server_name(b"a.example")[4:],
    0x0010: protocols(b"h2", b"http/1.1")[4:],
    0x000D: counted(2, numbers(JA4_SIGNATURES)),
    0x002B: counted(1, numbers((0x1A1A, 0x0304, 0x0303))),
}
JA4_EXTENSIONS = (
    0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005, 0x0023, 0x0012, 0x002B, 0xFF01, 0x000B,
    0x000A, 0x0015,
)  # fmt: skip


def test_ja4_of_the_example_in_its_description() -> None:
    body = b"".join(extension(kind, JA4_BODIES.get(kind, b"")) for kind in JA4_EXTENSIONS)
    plain = whole(record(message(body, suites=JA4_SUITES)))
    assert ja4(plain) == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    greased = extension(0x0A0A, b"") + body + extension(0xBABA, b"\x00")
    assert ja4(whole(record(message(greased, suites=(0x4A4A, *JA4_SUITES))))) == ja4(plain)
    shuffled = b"".join(extension(kind, JA4_BODIES.get(kind, b"")) for kind in reversed(JA4_EXTENSIONS))
    assert ja4(whole(record(message(shuffled, suites=JA4_SUITES[::-1])))) == ja4(plain)


def test_ja4_without_signature_algorithms() -> None:
    body = b"".join(extension(kind, b"") for kind in JA4_EXTENSIONS if kind != 0x000D)
    listed = ",".join(f"{kind:04x}" for kind in sorted(JA4_EXTENSIONS) if kind not in (0, 0x0D, 0x10))
    expected = hashlib.sha256(listed.encode()).hexdigest()[:12]
    assert ja4(whole(record(message(body, suites=JA4_SUITES)))) == f"t00d151500_8daaf6152771_{expected}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("6832", "h2"), ("687474702f312e31", "h1"), ("68", "hh"), ("", "00"), ("ab", "ab"), ("20", "20"),
        ("abcd", "ad"), ("2061", "21"), ("30ab", "3b"), ("6120", "60"), ("3031abcd", "3d"), ("30abcd31", "01"),
    ],
)  # fmt: skip
def test_ja4_writes_the_first_protocol_as_its_description_says(name: str, shown: str) -> None:
    found = whole(record(message(protocols(bytes.fromhex(name)))))
    assert ja4(found).partition("_")[0].endswith(shown)


@pytest.mark.parametrize(
    ("version", "shown"),
    [(0x0304, "13"), (0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x7F1C, "00")],
)
def test_ja4_writes_the_highest_version_that_is_offered(version: int, shown: str) -> None:
    assert ja4(whole(record(message(None, version=version))))[1:3] == shown


def test_ja4_counts_no_further_than_ninety_nine() -> None:
    found = whole(record(message(extension(23, b"") * 120, suites=[0x1301] * 200)))
    assert ja4(found).startswith("t12i999900_")


def test_ja3_is_five_lists_without_grease_in_the_order_they_came() -> None:
    text, digest = ja3(whole(full_hello()))
    assert text == ("771,4865-4866-49195-255,0-10-11-35-16-5-13-51-45-43-27-17613-65037-42-21-41,29-23,0")
    assert digest == hashlib.md5(text.encode()).hexdigest()
    assert ja3(whole(record(message(None))))[0] == "771,4865,,,"


def test_grease_values_are_the_sixteen_of_the_registry() -> None:
    assert [value for value in range(1 << 16) if is_grease(value)] == [0x0A0A + 0x1010 * n for n in range(16)]
    assert [value for value in range(256) if is_grease_mode(value)] == [
        0x0B, 0x2A, 0x49, 0x68, 0x87, 0xA6, 0xC5, 0xE4,
    ]  # fmt: skip
    assert is_grease_name(b"\xfa\xfa")
    assert not is_grease_name(b"h2")


def test_alerts_have_levels_and_names() -> None:
    data = record(b"\x01\x70", 21) + record(b"\x02\x30", 21, 0x0303) + record(bytes(24), 21)
    assert [(each.start, each.level_name, each.name) for each in alerts(data)] == [
        (0, "warning", "unrecognized_name"),
        (7, "fatal", "unknown_ca"),
    ]
    check_tiling(data)
    assert [role for _, _, role in tls_spans(data)][3:5] == [Role.TLS_ALERT_LEVEL, Role.TLS_ALERT_DESCRIPTION]
    odd = alerts(record(b"\x09\xee", 21))[0]
    assert (odd.level_name, odd.name) == ("9", "238")


def test_a_unit_is_a_part_or_one_extension() -> None:
    found = pieces(full_hello())
    parts = units(found)
    assert [unit.part for unit in parts[:8]] == [
        Part.RECORD, Part.MESSAGE, Part.VERSION, Part.RANDOM, Part.SESSION_ID, Part.CIPHER_SUITES,
        Part.COMPRESSION_METHODS, Part.EXTENSIONS,
    ]  # fmt: skip
    kinds = [each.kind for each in whole(full_hello()).extensions]
    assert [unit.extension for unit in parts[8:]] == kinds
    twice = record(message(extension(23, b"") * 2))
    assert [unit.extension for unit in units(pieces(twice)) if unit.part is Part.EXTENSION] == [23, 23]
