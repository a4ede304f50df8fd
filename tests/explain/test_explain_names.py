"""Methods, status codes, fields, roles and steps: every name gets an answer, and the right one."""

from __future__ import annotations

import pytest

from inspectd import explain
from inspectd.wire.span import Role


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_an_explanation(role: Role) -> None:
    found = explain.role(role)
    assert found.title == role.value
    assert found.sentence.endswith(".")
    assert found.source


def test_a_method_is_explained_by_its_exact_name() -> None:
    assert explain.method("GET").source == "RFC 9110 §9.3.1"


def test_a_method_in_lower_case_is_said_to_be_another_one() -> None:
    found = explain.method("get")
    assert "not GET" in found.sentence
    assert found.see == ("GET",)


@pytest.mark.parametrize("name", ["", "FooBar", "\x00", "G" * 100_000])
def test_any_method_has_an_explanation(name: str) -> None:
    assert explain.method(name).sentence


def test_a_status_code_keeps_the_phrase_it_came_with() -> None:
    assert explain.status("404").title == "404 Not Found"
    assert explain.status("404", "Nope").title == "404 Nope"
    assert "Not Found" in explain.status("404", "Nope").paragraph


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("299", "successful"),
        ("499", "nginx"),
        ("700", "outside the classes"),
        ("000", "outside the classes"),
        ("99", "this one has 2"),
        ("1000", "this one has 4"),
        ("", "no status code"),
        ("2xx", "three digits belong here"),
        ("²00", "three digits belong here"),
    ],
)
def test_a_status_code_that_is_not_registered_is_explained_by_what_it_is(code: str, words: str) -> None:
    assert words in explain.status(code).sentence


def test_a_field_is_found_whatever_its_case() -> None:
    assert explain.field("sEc-fetch-MODE") == explain.field("Sec-Fetch-Mode")
    assert explain.field("sec-fetch-mode").title == "Sec-Fetch-Mode"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("X-Trace", "somebody's own making"),
        ("Sec-CH-Something", "client hint"),
        ("Sec-Something", "Only the browser"),
        ("Foo", "does not know"),
        ("", "without a name"),
        ("F" * 1_000_000, "does not know"),
    ],
)
def test_a_field_in_no_catalogue_is_explained_by_what_can_be_told(name: str, words: str) -> None:
    assert words.lower() in explain.field(name).sentence.lower()


def test_the_steps_of_a_connection_stand_in_the_order_they_happen() -> None:
    names = explain.step_names()
    order = [
        "socket",
        "setsockopt",
        "bind",
        "listen",
        "handshake",
        "accept",
        "recv",
        "send",
        "fin",
        "time-wait",
    ]
    assert [name for name in names if name in order] == order
    assert explain.step("listen").title == "listen()"
    assert explain.step("LISTEN()") == explain.step("listen")
    assert explain.step("accept queue") == explain.step("accept-queue")
    assert explain.step("SO_REUSEADDR").title == "SO_REUSEADDR"
    assert "does not know" in explain.step("teleport").sentence


@pytest.mark.parametrize(
    ("name", "title"),
    [("tls-handshake", "TLS handshake"), ("happy eyeballs", "happy eyeballs"), ("AF_INET", "AF_INET")],
)
def test_what_is_around_sockets_is_explained_like_a_step(name: str, title: str) -> None:
    assert explain.step(name).title == title
    assert name not in explain.step_names()
