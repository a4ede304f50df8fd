"""`inspectd explain`: a name in, what it means out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from inspectd.cli.explain import look_up
from inspectd.lint import catalogue


def explain(*words: str, check: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "inspectd", "explain", *words],
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": "", "PYTHONUTF8": "1"},
    )
    assert result.returncode == check, result.stderr
    return (result.stderr if check else result.stdout).decode()


def facts(*words: str, check: int = 0) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-m", "inspectd", "explain", "--json", *words],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == check, result.stderr
    return dict(json.loads(result.stdout))


def test_a_field_comes_with_who_defines_it_and_its_values() -> None:
    text = explain("Sec-Fetch-Mode")
    assert text.startswith("Sec-Fetch-Mode · field\n")
    assert "W3C Fetch Metadata §2.2" in text
    assert "Structured type: item (RFC 9651)" in text
    assert "Browsers: Chrome since 76" in text
    assert "  navigate " in text


def test_words_make_one_term_and_a_value_is_explained() -> None:
    text = explain("Sec-Fetch-Mode:", "navigate")
    assert text.splitlines()[:2] == [
        "Sec-Fetch-Mode: navigate · field and value",
        "The browser is moving a tab or a frame to this address.",
    ]


def test_a_value_is_told_part_by_part() -> None:
    text = explain("Cache-Control: no-store, max-age=60")
    assert "Keep no copy at all." in text
    assert "  max-age=60 " in text


def test_all_meanings_are_listed_and_the_first_is_told() -> None:
    lines = explain("FIN").splitlines()
    assert lines[0] == "FIN has 2 meanings:"
    assert lines[2].startswith("  step of a connection ")
    assert lines[3].startswith("  bits of a WebSocket frame ")
    assert "FIN · step of a connection" in lines


def test_a_finding_comes_with_bytes_and_verdicts() -> None:
    text = explain("te-with-cl")
    assert "te-with-cl · finding" in text
    assert "Severity: error, risk: framing." in text
    assert "Transfer-Encoding:·chunked↵" in text
    assert "of 29 servers" in text


def test_a_status_line_is_a_status_code() -> None:
    assert explain("HTTP/1.1", "404", "Gone", "Fishing").startswith("404 Gone Fishing · status code\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tls-refused",), "tls-refused · word of inspectd"),
        (("half-head",), "half a head · word of inspectd"),
        (("held",), "held request · word of inspectd"),
        (("over-limit",), "word of inspectd"),
        (("attempt",), "attempt · word of inspectd"),
        (("evidence",), "evidence · word of inspectd"),
        (("mirror",), "mirror · word of inspectd"),
        (("cut", "short"), "word of inspectd"),
        (("CSRF",), "Cross-site request forgery"),
        (("Sec-Fetch-Mode", "navigate"), "The browser is moving a tab or a frame to this address."),
    ],
)
def test_words_of_our_own_and_fields_without_their_colon(words: tuple[str, ...], said: str) -> None:
    assert said in explain(*words)


def test_what_has_no_name_is_an_error_with_an_offer() -> None:
    assert explain("PATHC", check=1) == (
        "inspectd: nothing here is called 'PATHC'\n  Did you mean 'Path', 'PATCH', '@path' or 'MITM'?\n"
    )


def test_hostile_terms_stay_text() -> None:
    said = explain("\x1b[31mred\u202e", check=1) + explain("Host: \x1b]0;x\x07\x9b")
    assert not set(said) & {"\x1b", "\x07", "\x9b", "\u202e"}


def test_json_has_all_meanings_in_full() -> None:
    found = facts("FIN")
    assert [each["kind"] for each in found["meanings"]] == [
        "step of a connection",
        "bits of a WebSocket frame",
    ]
    assert {"title", "sentence", "paragraph", "source", "grammar", "see", "kind", "name"} == set(
        found["meanings"][0]
    )


def test_json_of_a_value_has_its_parts_and_the_field() -> None:
    value, field = facts("Accept-Encoding: gzip, br;q=0.5")["meanings"]
    assert [(part["start"], part["end"], part["label"], part["text"]) for part in value["parts"]] == [
        (0, 4, "coding", "gzip"), (6, 8, "coding", "br"), (9, 14, "weight", "q=0.5"),
    ]  # fmt: skip
    assert (field["kind"], field["registered"]) == ("field", "permanent")


def test_json_of_a_finding_has_its_example() -> None:
    (finding,) = facts("te-with-cl")["meanings"]
    assert (finding["severity"], finding["risk"]) == ("error", "framing")
    assert finding["example"]["data"].startswith("POST / HTTP/1.1\r\n")


def test_json_of_nothing_offers_names_and_fails() -> None:
    found = facts("PATHC", check=1)
    assert found["meanings"] == []
    assert "PATCH" in found["near"]


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_finding_is_found(name: str) -> None:
    assert "finding" in [each.kind for each in look_up(name).meanings]


def anatomy(data: bytes, *options: str) -> bytes:
    result = subprocess.run(
        [sys.executable, "-m", "inspectd", "anatomy", "--readings", *options],
        input=data,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return result.stdout


def test_anatomy_tells_readings_of_whole_heads() -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.1\x1b[31m\r\nAccept: */*\r\n\r\n"
    text = anatomy(request)
    assert b" reading          curl, on a command line or in a script (because User-Agent: curl/8.1" in text
    assert b"Very likely curl" in text
    assert b"\x1b" not in text


def test_anatomy_tells_of_a_response_whether_it_may_be_cached() -> None:
    data = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\n\r\nhi"
    found = json.loads(anatomy(data, "--json"))["derived"]
    assert [(each["start"], each["kind"]) for each in found] == [
        (0, "caching-fresh"),
        (0, "connection-close"),
    ]
    posted = json.loads(anatomy(data, "--json", "--method", "POST"))["derived"]
    assert posted[0]["kind"] == "caching-method"
    assert json.loads(anatomy(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", "--json"))["derived"] == []
