"""What the options of an engine mean."""

from __future__ import annotations

import click
import pytest

from inspectd.cli import options
from inspectd.cli.root import root


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65536),
        ("1k", 1000),
        ("1KiB", 1024),
        ("500MB", 500_000_000),
        ("2GiB", 2 * 1024**3),
        ("1.5 MiB", 1_572_864),
        ("3b", 3),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert options.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "big", "1XB", "1e3", "٣", "NaN", "1 k i b"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size"):
        options.parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30", 30), ("30s", 30), ("5m", 300), ("1.5h", 5400)]
)
def test_times(text: str, seconds: float) -> None:
    assert options.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "soon", "1d", "inf"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        options.parse_duration(text)


def test_a_bare_port_means_both_loopback_addresses_and_all_else_stays_as_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "_has_ipv6_loopback", lambda: True)
    assert options.listen_addresses("9000") == ["127.0.0.1:9000", "[::1]:9000"]
    assert options.listen_addresses("0") == ["localhost:0"]
    assert options.listen_addresses("https://9000") == ["https://127.0.0.1:9000", "https://[::1]:9000"]
    assert options.listen_addresses("https://0/") == ["https://localhost:0"]
    for asked in ("[::]:80", ":8080", "unix:/x", "name.test:1", "nonsense", "٣"):
        assert options.listen_addresses(asked) == [asked]


def test_a_machine_without_ipv6_listens_on_the_other_loopback_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "_has_ipv6_loopback", lambda: False)
    assert options.listen_addresses("9000") == ["127.0.0.1:9000"]


def test_without_a_word_about_the_answer_it_is_the_mirror() -> None:
    assert options.answer_request({}).mirror


def test_a_body_alone_is_a_200() -> None:
    request = options.answer_request({"body": "hi", "no_auto": ("all",)})

    assert (request.status, request.body) == ("200 OK", "hi")
    assert set(request.no_auto) == {"date", "content-length", "connection"}


@pytest.mark.parametrize(
    "name", ["run", "explain", "reverse", "proxy", "browser", "export", "playback", "lint", "list", "show"]
)
def test_help_fits_eighty_columns(name: str) -> None:
    found = root.get_command(click.Context(root), name)
    assert found is not None
    page = found.get_help(found.context_class(found, info_name=name, terminal_width=80, max_content_width=80))

    assert [line for line in page.splitlines() if len(line) > 80] == []
