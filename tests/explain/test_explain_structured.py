"""Structured fields in their parts: where each stands, what it is, and where the first mistake is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd import explain
from inspectd.explain import registry
from inspectd.explain.registered import structured_type

PLAIN = sorted(
    name for name, entry in registry.fields().items() if entry.shape == "text" and structured_type(name)
)


def parts(name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [(part.label, value[part.start : part.end]) for part in explain.value_parts(name, value)]


def sentences(name: str, value: bytes) -> list[str]:
    return [
        part.explanation.sentence if part.explanation else "" for part in explain.value_parts(name, value)
    ]


def test_a_dictionary_is_keys_items_and_parameters() -> None:
    value = b'sig1=("@method" "@path";req "content-digest");created=1618884473;keyid="k", b=?0'
    assert parts("Signature-Input", value) == [
        ("key", b"sig1"),
        ("string", b'"@method"'),
        ("string", b'"@path"'),
        ("parameter", b"req"),
        ("string", b'"content-digest"'),
        ("parameter", b"created=1618884473"),
        ("parameter", b'keyid="k"'),
        ("key", b"b"),
        ("boolean", b"?0"),
    ]
    assert sentences("Signature-Input", value)[1] == "The signature covers the method."
    assert sentences("Signature-Input", value)[5] == "When the signature was made, in seconds since 1970."


def test_a_list_and_an_item_are_taken_apart() -> None:
    assert parts("Client-Cert-Chain", b":YQ==:, :Yg==:") == [("value", b":YQ==:"), ("value", b":Yg==:")]
    assert sentences("Client-Cert", b" :YWJj: ") == ["Bytes in base64 between colons: 3 bytes."]
    assert sentences("Deprecation", b"@1688169599") == [
        "A date as seconds since 1970: 2023-06-30 23:59:59 UTC."
    ]
    assert parts("No-Vary-Search", b'params=("a" "b"), key-order') == [
        ("key", b"params"), ("string", b'"a"'), ("string", b'"b"'), ("key", b"key-order"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("Upload-Complete", b"?2", b"2"),
        ("Sec-CH-UA-Bitness", b"64x y", b"x y"),
        ("Signature", b"A=1", b"A=1"),
        ("Signature", b"a=1 b=2", b"b=2"),
        ("Signature", b"a=1,", b","),
        ("Integrity-Policy", b"endpoints=(a", b"a"),
        ("Client-Cert", b":YWJj", b"j"),
        ("Accept-Signature", b"(", b"("),
        ("Document-Policy", b"x=\xff", b"\xff"),
    ],
)
def test_the_first_mistake_is_marked(name: str, value: bytes, mistake: bytes) -> None:
    assert parts(name, value)[-1] == ("mistake", mistake)
    assert sentences(name, value)[-1].endswith("the whole value is ignored.")


@given(
    name=st.sampled_from(PLAIN),
    value=st.binary(max_size=60) | st.text('ab=;,()"?01:@ \t%.-', max_size=60).map(str.encode),
)
def test_any_bytes_have_parts_in_order_within_the_value(name: str, value: bytes) -> None:
    end = 0
    for part in explain.value_parts(name, value):
        assert end <= part.start < part.end <= len(value)
        end = part.end
    explain.value(name, value)


def test_a_long_value_costs_no_more_than_a_look() -> None:
    assert len(explain.value_parts("Signature", b"a=1," * 10_000)) == 1
    assert len(explain.value_parts("Signature", b"a=1," * 1_000)) == 200
