"""`inspectd gallery`: list, show, export and serve, as a person uses them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.gallery.catalogue import cases, groups
from tests.live_engine import environment

if TYPE_CHECKING:
    from pathlib import Path


def gallery(*words: str, code: int = 0) -> bytes:
    """Standard output of `inspectd gallery` with these words; it has to end with this exit code."""
    run = subprocess.run(
        [sys.executable, "-m", "inspectd", "gallery", *words], capture_output=True, timeout=60, check=False
    )
    assert run.returncode == code, run.stderr.decode()
    return run.stdout


def test_the_list_has_every_case_under_its_group() -> None:
    lines = gallery().decode().splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == list(cases())
    assert [group.title for group in groups()] == [
        next(group.title for group in groups() if line.startswith(f"{group.title}  "))
        for line in lines
        if line and not line.startswith("  ") and "cases." not in line
    ]
    assert lines[-1].startswith(f"{len(cases())} of {len(cases())} cases.")


def test_words_narrow_the_list_with_and_without_its_name() -> None:
    assert gallery("gzip", "bomb") == gallery("list", "gzip", "bomb")
    assert b"gzip-bomb" in gallery("gzip", "bomb")
    assert [case["name"] for case in json.loads(gallery("list", "--json", "stale-", "connections"))] == [
        "stale-reset",
        "stale-close",
        "stale-post",
        "stale-408",
    ]


def test_show_says_section_correct_client_and_bytes() -> None:
    text = gallery("show", "chunk-size-illegal").decode()
    case = cases()["chunk-size-illegal"]
    assert case.title in text
    assert case.section in text
    assert "ILLEGAL" in text
    assert "The size of a chunk is not a hexadecimal number" in text
    assert "RFC 9112 §7.1" in text


def test_show_says_which_request_brings_each_answer_about() -> None:
    text = gallery("show", "stale-reset").decode()
    assert text.index("GET /stale-reset\n") < text.index("GET /stale-reset/again, on a used connection")
    assert "Resets the connection (RST)." in text
    assert "time 2 of 2" in gallery("show", "503-then-200").decode()


def test_show_writes_exactly_the_bytes() -> None:
    assert gallery("show", "lf-only", "--bytes") == b"HTTP/1.1 200 OK\nContent-Length: 6\nX-Lf: 1\n\nhello\n"


@pytest.mark.parametrize("name", ["nul-in-value", "value-escape-sequence", "http-2-frames", "reason-utf-8"])
def test_no_control_byte_of_a_case_reaches_the_terminal(name: str) -> None:
    shown = gallery("show", name)
    assert not {byte for byte in shown if byte < 32 and byte != 10}


def test_what_is_exported_is_a_rule_file_that_checks(tmp_path: Path) -> None:
    path = tmp_path / "exported.toml"
    path.write_bytes(gallery("export", "stale-*", "codings"))
    argv = [sys.executable, "-m", "inspectd", "rules", "check", str(path)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    chosen = [case for case in cases().values() if case.name.startswith("stale-") or case.group == "codings"]
    assert run.stdout == f"{path}: {sum(len(case.rules) for case in chosen)} rules, nothing wrong\n"
    text = path.read_text()
    assert all(f"# {case.title}." in text and case.correct in text for case in chosen)


def test_serve_answers_under_the_names_until_it_is_told_to_stop(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "inspectd", "gallery", "serve", "status-*", "-l", "127.0.0.1:0", "--json"]
    argv += ["--capture", str(tmp_path / "served.inspectd")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment(tmp_path)) as engine:
        assert engine.stdout is not None
        listening = json.loads(engine.stdout.readline())
        host, _, port = listening["addresses"][0].partition(":")
        for target, first in (
            ("/status-999", b"HTTP/1.1 999 Request denied"),
            ("/gzip-bomb", b"HTTP/1.1 404 Not Found"),
        ):
            with socket.create_connection((host, int(port)), timeout=60) as client:
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                assert client.recv(65536).startswith(first)
        lines = [json.loads(engine.stdout.readline()) for _ in range(2)]
        assert {line["target"]: line["status"] for line in lines} == {"/status-999": 999, "/gzip-bomb": 404}
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(60) == 0


def test_the_help_page_teaches_by_example() -> None:
    page = gallery("--help").decode()
    assert "inspectd gallery run -- curl -sSL {url}" in page
    for command in ("list", "show", "export", "serve", "run"):
        assert command in page
