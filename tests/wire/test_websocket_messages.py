"""Messages: frames joined, unmasked and inflated; what is wrong with them; for any bytes in any pieces."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode as TheirOpcode

from inspectd.wire.websocket import Deflate, MessageReader, WsMessage, allowed_close_code, message
from inspectd.wire.websocket.oddities import ODDITIES
from tests.wire.frames import DEFLATES, MASK, ODD, STREAMS, frame, pieces

TAIL = b"\x00\x00\xff\xff"


def read(
    data: bytes, *, client: bool = False, deflate: Deflate | None = None, limit: int = 1 << 20
) -> list[WsMessage]:
    reader = MessageReader(client=client, deflate=deflate, limit=limit)
    return reader.feed(data) + reader.eof()


def deflated(data: bytes, *, bits: int = 15) -> bytes:
    squeeze = zlib.compressobj(wbits=-bits)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def ids(found: list[WsMessage]) -> list[str]:
    return [oddity.id for each in found for oddity in each.oddities]


def test_frames_are_joined_around_control_frames() -> None:
    found = read(
        frame(1, b"Hel", fin=False) + frame(9, b"?") + frame(0, b"", fin=False) + frame(0, b"lo") + frame(8)
    )
    assert [(each.kind, each.payload, each.fragments, each.complete) for each in found] == [
        ("ping", b"?", 1, True),
        ("text", b"Hello", 3, True),
        ("close", b"", 1, True),
    ]
    assert (found[1].start, found[1].end) == (0, 14)
    assert ids(found) == []


@pytest.mark.parametrize("name", ODD)
def test_everything_that_can_be_wrong_is_told(name: str) -> None:
    case = ODD[name]
    reader = MessageReader(client=case.client, deflate=case.deflate)
    found = reader.feed(case.data) + reader.eof()
    assert sorted(ids(found)) == sorted(case.ids)
    assert [each.id for each in reader.ending] == case.ending or case.ending == ("ws-no-close",)
    for each in found:
        for oddity in each.oddities:
            assert each.start <= oddity.start < oddity.end <= max(each.end, oddity.end) <= len(case.data)


def test_there_is_a_case_for_every_oddity() -> None:
    shown = {name for case in ODD.values() for name in (*case.ids, *case.ending)}
    assert shown == ODDITIES.keys() - {"ws-inflate-limit"}


@pytest.mark.parametrize(
    ("payloads", "start", "end"),
    [
        ([b"ab\xffcd"], 4, 5),
        ([b"\xe2", b"\x82", b"(x"], 2, 6),  # a character that begins in the first frame
        ([b"\xed\xa0\x80"], 2, 3),  # a surrogate
        ([b"ok", b"\xf0\x9f", b"\x98"], 6, 11),  # cut off at the end
    ],
)
def test_invalid_utf8_is_found_where_it_stands(payloads: list[bytes], start: int, end: int) -> None:
    data = b"".join(
        frame(1 if at == 0 else 0, payload, fin=at == len(payloads) - 1)
        for at, payload in enumerate(payloads)
    )
    (found,) = read(data)
    (oddity,) = found.oddities
    assert (oddity.id, oddity.start, oddity.end) == ("ws-invalid-utf8", start, end)
    assert found.payload == b"".join(payloads)


def test_a_character_may_be_divided_between_frames() -> None:
    whole = "€😀".encode()
    data = b"".join(
        frame(1 if at == 0 else 0, whole[at : at + 1], fin=at == len(whole) - 1, mask=MASK)
        for at in range(len(whole))
    )
    (found,) = read(data, client=True)
    assert (found.payload, found.oddities) == (whole, ())


def test_a_close_frame_has_a_code_and_a_reason() -> None:
    (found,) = read(frame(8, b"\x0f\xa1bye \xe2\x82\xac", mask=MASK), client=True)
    assert (found.close_code, found.close_reason, found.oddities) == (4001, "bye €", ())
    (empty,) = read(frame(8))
    assert (empty.close_code, empty.close_reason) == (None, None)


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_may_be_sent(code: int) -> None:
    assert allowed_close_code(code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_may_not_be_sent(code: int) -> None:
    assert not allowed_close_code(code)


def test_what_is_beyond_the_limit_is_counted() -> None:
    (found,) = read(frame(2, bytes(1000), fin=False) + frame(0, bytes(500)), limit=100)
    assert (len(found.payload), found.size, found.wire_size, found.truncated) == (100, 1500, 1500, True)


def test_the_frames_and_oddities_of_a_message_are_kept_up_to_a_number() -> None:
    data = frame(2, fin=False, mask=MASK) + frame(0, b"x", fin=False, mask=MASK) * 3000 + frame(0)
    (found,) = read(data)
    assert (found.fragments, len(found.frames), len(found.oddities)) == (3002, 1000, 50)
    assert (found.size, found.end) == (3000, len(data))


# ------------------------------------------------------------------------------------------------- compression


def test_messages_lean_on_those_before_them() -> None:
    squeeze = zlib.compressobj(wbits=-15)
    data = b"".join(
        frame(1, (squeeze.compress(b"Hello") + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)
        for _ in range(3)
    )
    found = read(data, deflate=Deflate())
    assert [(each.payload, each.compressed, each.oddities) for each in found] == [(b"Hello", True, ())] * 3
    assert found[1].wire_size < found[0].wire_size
    alone = read(data, deflate=Deflate(server_no_context_takeover=True))
    assert ids(alone) == ["ws-inflate-error"] * 2


def test_a_message_may_be_left_uncompressed() -> None:
    found = read(frame(1, b"plain") + frame(1, deflated(b"squeezed"), rsv=4), deflate=Deflate())
    assert [(each.payload, each.compressed) for each in found] == [(b"plain", False), (b"squeezed", True)]


def test_a_final_block_may_end_a_message_as_in_the_specification() -> None:
    data = frame(1, bytes.fromhex("f348cdc9c9070000"), rsv=4) + frame(1, bytes.fromhex("f200110000"), rsv=4)
    found = read(data, deflate=Deflate())
    assert [(each.payload, each.oddities) for each in found] == [(b"Hello", ())] * 2


def test_a_sender_that_reaches_back_further_than_agreed_upon_is_read_all_the_same() -> None:
    text = bytes(range(256)) * 8
    data = frame(2, deflated(text + text[::-1] + text), rsv=4)
    (found,) = read(data, deflate=Deflate(server_max_window_bits=9))
    assert (found.payload, found.oddities) == (text + text[::-1] + text, ())


def test_after_a_fault_messages_that_lean_on_it_are_not_guessed_at() -> None:
    data = frame(2, b"\x07", rsv=4) + frame(2, deflated(b"fine"), rsv=4) + frame(1, b"plain")
    found = read(data, deflate=Deflate())
    assert [each.payload for each in found] == [b"", b"", b"plain"]
    assert ids(found) == ["ws-inflate-error"] * 2
    found = read(data, deflate=Deflate(server_no_context_takeover=True))
    assert [each.payload for each in found] == [b"", b"fine", b"plain"]


def test_a_bomb_goes_off_in_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "INFLATED_LIMIT", 1 << 20)
    bomb = deflated(bytes(8 << 20))
    data = frame(2, bomb, rsv=4, fin=False) + frame(0, b"") + frame(2, deflated(b"next"), rsv=4)
    found = read(data, deflate=Deflate(), limit=1000)
    assert [(each.size, len(each.payload)) for each in found] == [(1 << 20, 1000), (0, 0)]
    assert ids(found) == ["ws-inflate-limit", "ws-inflate-error"]
    by_byte = MessageReader(client=False, deflate=Deflate(), limit=1000)
    assert [each for at in range(len(data)) for each in by_byte.feed(data[at : at + 1])] == found


@pytest.mark.parametrize(
    "payload", [b"", deflated(b"Hello")[:-2], deflated(b"\xe2\x82\xac")[:3], b"\x03\x00"]
)
def test_compressed_data_that_is_cut_off_is_told(payload: bytes) -> None:
    data = frame(1, payload, rsv=4) + frame(1, deflated(b"next"), rsv=4)
    assert ids(read(data, deflate=Deflate())) == ["ws-inflate-error"] * 2
    found = read(data, deflate=Deflate(server_no_context_takeover=True))
    assert [each.id for each in found[0].oddities] == ["ws-inflate-error"]
    assert (found[1].payload, found[1].oddities) == (b"next", ())


def test_many_final_blocks_are_a_fault_and_not_work_without_end() -> None:
    (found,) = read(frame(2, b"\x03\x00" * 5000, rsv=4), deflate=Deflate())
    assert ids([found]) == ["ws-inflate-error"]


# ------------------------------------------------------------------------------------------------- any bytes


@given(STREAMS, st.booleans(), DEFLATES, st.lists(st.integers(0, 1000), max_size=6))
def test_any_split_gives_the_same_messages(
    data: bytes, client: bool, deflate: Deflate | None, cuts: list[int]
) -> None:
    reader = MessageReader(client=client, deflate=deflate, limit=100)
    found = []
    for piece in pieces(data, cuts):
        found += reader.feed(piece)
        arriving = reader.unfinished()
        assert arriving is None or arriving.end <= reader.offset
    found += reader.eof()
    whole = MessageReader(client=client, deflate=deflate, limit=100)
    assert found == whole.feed(data) + whole.eof()
    assert reader.ending == whole.ending


@given(STREAMS, st.booleans(), DEFLATES)
def test_every_frame_belongs_to_one_message(data: bytes, client: bool, deflate: Deflate | None) -> None:
    found = read(data, client=client, deflate=deflate)
    frames = sorted((frame.start, frame.end) for each in found for frame in each.frames)
    assert [end for _, end in frames] == [*(start for start, _ in frames[1:]), len(data)][: len(frames)]
    for each in found:
        assert each.size >= len(each.payload)
        for oddity in each.oddities:
            assert 0 <= oddity.start <= oddity.end <= len(data)


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([TheirOpcode.TEXT, TheirOpcode.BINARY]),
        st.lists(st.text(max_size=80).map(str.encode), min_size=1, max_size=3),
    ),
    max_size=6,
)


@given(MESSAGES, st.booleans(), st.booleans(), st.integers(9, 15), st.booleans())
def test_what_the_websockets_library_sends_is_read_back(
    messages: list[tuple[TheirOpcode, list[bytes]]], client: bool, compress: bool, bits: int, takeover: bool
) -> None:
    extension = PerMessageDeflate(
        remote_no_context_takeover=False,
        local_no_context_takeover=not takeover,
        remote_max_window_bits=15,
        local_max_window_bits=bits,
    )
    deflate = Deflate(
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    )
    data = b""
    for opcode, parts in messages:
        for at, part in enumerate(parts):
            data += TheirFrame(
                opcode if at == 0 else TheirOpcode.CONT, part, fin=at == len(parts) - 1
            ).serialize(mask=client, extensions=[extension] if compress else [])
    found = read(data, client=client, deflate=deflate if compress else None)
    assert [(each.opcode, each.payload, each.compressed, each.oddities) for each in found] == [
        (opcode, b"".join(parts), compress, ()) for opcode, parts in messages
    ]
