"""What two heads agree upon about compression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.wire.websocket import Deflate, Extension, extensions, negotiated


def fields(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"Sec-WebSocket-Extensions", value) for value in values]


OFFER = fields(b"permessage-deflate; client_max_window_bits")


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (b"permessage-deflate", Deflate()),
        (b"Permessage-Deflate;server_no_context_takeover", Deflate(server_no_context_takeover=True)),
        (
            b'permessage-deflate ; client_no_context_takeover; client_max_window_bits = "10"',
            Deflate(client_no_context_takeover=True, client_max_window_bits=10),
        ),
        (b"x-other, permessage-deflate; server_max_window_bits=8", Deflate(server_max_window_bits=8)),
    ],
)
def test_the_answer_decides(answer: bytes, agreed: Deflate) -> None:
    assert negotiated(OFFER, fields(answer)) == agreed


@pytest.mark.parametrize(
    "answer", [[], fields(b""), fields(b"x-webkit-deflate-frame"), fields(b"permessage-deflate x")]
)
def test_without_an_answer_nothing_is_compressed(answer: list[tuple[bytes, bytes]]) -> None:
    assert negotiated(OFFER, answer) is None


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (b"permessage-deflate; server_max_window_bits=16", "server_max_window_bits needs a value"),
        (b"permessage-deflate; client_max_window_bits", "client_max_window_bits needs a value"),
        (b"permessage-deflate; server_max_window_bits=08", "needs a value from 8 to 15"),
        (b"permessage-deflate; server_no_context_takeover=1", "has a value"),
        (b"permessage-deflate; huge", "huge is not one"),
        (b"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", "more than once"),
        (b"permessage-deflate, permessage-deflate", "more than once"),
    ],
)
def test_an_answer_against_the_rules_is_told(answer: bytes, part: str) -> None:
    agreed = negotiated(OFFER, fields(answer))
    assert agreed is not None
    (problem,) = agreed.problems
    assert part in problem


def test_an_answer_to_no_offer_is_told() -> None:
    agreed = negotiated([], fields(b"permessage-deflate"))
    assert agreed is not None
    assert "didn't offer" in agreed.problems[0]
    agreed = negotiated(
        fields(b"permessage-deflate"), fields(b"permessage-deflate; client_max_window_bits=9")
    )
    assert agreed is not None
    assert "didn't say it knows" in agreed.problems[0]


def test_several_fields_list_their_extensions_in_order() -> None:
    found = extensions([*fields(b'a; b="c;,\\"d"; E, f', b";;, g;h=i"), (b"Other", b"z")])
    assert found == [
        Extension(b"a", ((b"b", b'c;,"d'), (b"e", None))),
        Extension(b"f", ()),
        Extension(b"g", ((b"h", b"i"),)),
    ]


@given(st.one_of(st.binary(max_size=200), st.text('permessage-deflate;=," \\', max_size=80).map(str.encode)))
def test_no_bytes_raise(value: bytes) -> None:
    extensions(fields(value))
    negotiated(fields(value), fields(b"permessage-deflate;" + value))


def test_a_long_field_is_read_in_no_time() -> None:
    for value in (b"a," * 100_000, b'a; b="' + b"\\" * 200_000, b"a" + b" " * 200_000, b'a;b="' * 50_000):
        assert len(extensions(fields(value))) < 10_000
