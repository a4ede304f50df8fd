"""Values: each one explained as a whole and by its pieces, and nothing on the wire can break that."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspectd import explain
from inspectd.explain import registry
from inspectd.explain.splitting import MOST_PARTS

FIELDS = sorted(registry.fields())


def pieces(name: str, value: str) -> list[tuple[str, str]]:
    return [(part.label, value[part.start : part.end]) for part in explain.value_parts(name, value)]


def said(name: str, value: str) -> str:
    found = explain.value(name, value)
    assert found is not None
    return found.sentence


@pytest.mark.parametrize(
    "vocabulary", ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"]
)
def test_every_value_of_fetch_metadata_is_explained(vocabulary: str) -> None:
    for value in registry.table("values")[vocabulary]["values"]:
        found = explain.value(vocabulary, value)
        assert found is not None
        assert found.title.lower() == f"{vocabulary}: {value}"
        assert found.source.startswith("W3C Fetch Metadata §2")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "Accept",
            "text/html, */*;q=0.8",
            [("media type", "text/html"), ("media type", "*/*"), ("weight", "q=0.8")],
        ),
        (
            "Sec-CH-UA",
            '"Not;A, Brand";v="8", "Chromium";v="156"',
            [("brand", '"Not;A, Brand"'), ("version", 'v="8"'), ("brand", '"Chromium"'), ("version", 'v="156"')],
        ),
        ("Priority", "u=0, i", [("priority", "u=0"), ("priority", "i")]),
        ("Cookie", "a=1; b=2=3;c", [("cookie", "a=1"), ("cookie", "b=2=3"), ("cookie", "c")]),
        ("Connection", ",keep-alive, , Upgrade ,", [("option", "keep-alive"), ("option", "Upgrade")]),
        ("Range", "bytes=0-1,-5", [("unit", "bytes"), ("range", "0-1"), ("range", "-5")]),
        ("Host", "[::1]:80", [("host", "[::1]"), ("port", "80")]),
        (
            "Referer",
            "https://u@a.test:8/p?q#f",
            [
                ("scheme", "https"),
                ("userinfo", "u"),
                ("host", "a.test"),
                ("port", "8"),
                ("path", "/p"),
                ("query", "q"),
                ("fragment", "f"),
            ],
        ),
        (
            "User-Agent",
            "a/1 (b; c (d)) e",
            [("product", "a/1"), ("comment", "b"), ("comment", "c (d)"), ("product", "e")],
        ),
        ("User-Agent", "a) (b", [("product", "a"), ("comment", "b")]),
        ("Link", "</a,b>;rel=next", [("target", "</a,b>"), ("parameter", "rel=next")]),
        ("If-None-Match", 'W/"a,b", "c"', [("entity tag", 'W/"a,b"'), ("entity tag", '"c"')]),
        ("Content-Type", 'a/b; boundary="a;b"', [("media type", "a/b"), ("parameter", 'boundary="a;b"')]),
        ("X-Unheard-Of", "anything", []),
        ("Accept", "", []),
    ],
)  # fmt: skip
def test_a_value_is_cut_where_its_grammar_cuts_it(
    name: str, value: str, expected: list[tuple[str, str]]
) -> None:
    assert pieces(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("Origin", "null", "The page hides its origin, or has none of its own."),
        ("Cache-Control", "MAX-AGE=0", "No copy is fresh enough: ask the origin server."),
        ("Sec-CH-UA-Platform", '"Linux"', "The browser runs on Linux."),
        ("Sec-CH-UA", '"Chromium";v="156", "Not)A;Brand";v="24"', "The browser calls itself Chromium 156."),
        ("Accept-Language", "de-CH, en;q=0.5", "The person reads German, as used in Switzerland; English."),
        ("Range", "bytes=0-9, -5", "Bytes 0 to 9, both included; the last 5 bytes."),
        ("Retry-After", "120", "Come back in 2 minutes."),
        ("Content-Length", "1", "1 byte follow the head."),
        ("Content-Length", "-1", "Not a number, though one belongs here."),
        ("Cookie", "a=1; b=2", "The client sends 2 cookies: a and b."),
        ("Accept-Encoding", "gzip, x", "The client can undo gzip and x."),
        ("Date", "yesterday", "Not an HTTP date; a recipient ignores it or takes it for a time in the past."),
        ("If-None-Match", "abc", "Not an entity tag: its quotes are missing."),
        ("User-Agent", "Mozilla/5.0 (X11) Gecko/1 Firefox/153.0", "The client calls itself Firefox 153."),
    ],
)
def test_a_value_is_explained_in_a_sentence(name: str, value: str, sentence: str) -> None:
    assert said(name, value) == sentence


def test_a_duration_is_said_in_hours_and_days() -> None:
    (part,) = explain.value_parts("Strict-Transport-Security", b"max-age=63072000")
    assert part.explanation is not None
    assert part.explanation.paragraph.startswith("Here 2 years.")


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ("1", "full weight"),
        ("0", "does not want"),
        ("0.5", "50 %"),
        ("1.5", "Not a valid"),
        ("0.1234", "Not a valid"),
    ],
)
def test_a_weight_is_explained_by_its_number(weight: str, words: str) -> None:
    part = explain.value_parts("Accept", f"a/b;q={weight}")[-1]
    assert part.explanation is not None
    assert words in part.explanation.sentence


def test_a_password_is_never_shown() -> None:
    found = explain.value("Authorization", "Basic dXNlcjpzM2NyZXQ=")
    assert found is not None
    assert "User user" in found.paragraph
    assert "s3cret" not in str(found)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FIELDS), st.binary(max_size=200))
@example("user-agent", b"((((")
@example("content-length", b"\xb2")
@example("accept", b'a;q=\xb9, "\\')
@example("authorization", b"Basic \xff")
@example("authorization", b"Basic ====")
@example("host", b"a:\xb2")
def test_any_bytes_have_parts_in_order_inside_the_value(name: str, value: bytes) -> None:
    parts = explain.value_parts(name, value)
    places = [place for part in parts for place in (part.start, part.end)]
    assert places == sorted(places)
    assert all(0 <= part.start <= part.end <= len(value) for part in parts)
    assert all(part.label for part in parts)
    found = explain.value(name, value)
    assert found is None or (found.sentence and len(found.sentence) < 2000)


ADVERSARIAL = [
    "a",
    ",",
    ";",
    '"',
    "(",
    ")",
    "a,",
    "a;",
    '",',
    "a=",
    "<",
    "=",
    " ",
    "\\",
    "a b",
    "\xff",
    "-",
    "q=0;",
    "a://",
]


@pytest.mark.parametrize("seed", ADVERSARIAL)
def test_a_value_of_ten_megabytes_costs_no_more_than_its_beginning(seed: str) -> None:
    value = (seed * (10_000_000 // len(seed))).encode("latin-1")
    begun = time.process_time()
    for name in (
        "accept",
        "cookie",
        "user-agent",
        "referer",
        "link",
        "range",
        "set-cookie",
        "via",
        "authorization",
    ):
        parts = explain.value_parts(name, value)
        assert len(parts) <= MOST_PARTS
        explain.value(name, value)
    assert time.process_time() - begun < 2.0
