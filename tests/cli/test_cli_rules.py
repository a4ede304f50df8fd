"""Rules from the command line: `--rules`, and everything of `inspectd control` that crafts answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live_engine import ROOT, LiveEngine, environment, receive_response

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

BUSY = '[[rule]]\nmatch = "GET /busy"\nrespond = "503 Busy"\n'
GET = b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n"


def inspectd(
    state: Path, *arguments: object, said: bytes | None = None, cwd: Path = ROOT
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", *map(str, arguments)],
        cwd=cwd,
        env=environment(state, {"PYTHONPATH": str(ROOT)}),
        input=said or b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LiveEngine]:
    (tmp_path / "engine").mkdir()
    with LiveEngine(tmp_path / "engine", "--answer", "404") as engine:
        yield engine


@pytest.fixture
def control(engine: LiveEngine, tmp_path: Path) -> Run:
    """Runs `inspectd control ...` for the engine."""
    return lambda *words, **options: inspectd(tmp_path / "engine", "control", *words, **options)


def ask(engine: LiveEngine) -> bytes:
    with engine.connect() as sock:
        sock.sendall(GET)
        return receive_response(sock)


def test_earlier_files_come_first(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(BUSY.replace("503 Busy", "599 One"))
    two.write_text(BUSY + '[[rule]]\nmatch = "/two"\nrespond = "200 Two"\n')
    with LiveEngine(tmp_path, "--rules", str(one), "-r", str(two)) as engine:
        assert ask(engine).startswith(b"HTTP/1.1 599 One\r\n")
        line = engine.exchange(id=1)

    assert line["rule"] == "one.toml:1"
    assert line["evidence"]["attempt"] == 1
    assert line["evidence"]["sent"] == line["evidence"]["planned"] == line["response_bytes"]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_words_that_are_no_utf_8_are_recorded_all_the_same(tmp_path: Path) -> None:
    rules = tmp_path / os.fsdecode(b"\xff.toml")
    rules.write_text(BUSY)
    with LiveEngine(tmp_path, "--rules", str(rules), "--answer", os.fsdecode(b"503 \xff")) as engine:
        assert ask(engine).startswith(b"HTTP/1.1 503 Busy\r\n")
        assert engine.exchange(id=1)["rule"] == "\\xff.toml:1"
        with engine.connect() as sock:
            sock.sendall(GET.replace(b"busy", b"else"))
            assert receive_response(sock).startswith(b"HTTP/1.1 503 \xff\r\n")
        assert engine.exchange(id=2)["label"] == "answer 503 \\xff"
        assert engine.stderr == ""


def test_show_asks_a_websocket_with_a_handshake(tmp_path: Path) -> None:
    rules = tmp_path / "ws.toml"
    rules.write_text('[[rule]]\nmatch = "GET /ws"\nwebsocket = { send = ["hello"] }\n')
    code, shown, errors = inspectd(tmp_path, "rules", "show", rules, "GET /ws")
    assert (code, errors) == (0, "")
    assert "101·Switching·Protocols" in shown.replace(" ", "·")
    assert "Sends 7 bytes." in shown
    assert "Answers what the client says" in shown
    _, refused, _ = inspectd(
        tmp_path, "rules", "show", rules, "GET /ws", "-H", "Upgrade: x", "-H", "Connection: upgrade"
    )
    assert "426" in refused


def test_show_tells_every_attempt(tmp_path: Path) -> None:
    rules = tmp_path / "pay.toml"
    rules.write_text(
        '[[rule]]\nname = "pay"\nmatch = "/busy"\neach = ["503", { raw = "HTTP/1.1 2", close = true }]\n'
    )
    with LiveEngine(tmp_path, "--rules", str(rules)) as engine:
        with engine.connect() as sock:
            sock.sendall(GET)
            receive_response(sock)
            sock.sendall(GET)
            assert receive_response(sock) == b"HTTP/1.1 2"
        engine.exchange(id=2)
        engine.stop()
    _, shown, _ = inspectd(tmp_path, "show", engine.capture, 2)
    title, first, second = shown.splitlines()[-3:]

    assert title == "rule pay"
    assert first.startswith("  attempt 1, exchange 1: on a new connection, ")
    assert second.startswith("▸ attempt 2, exchange 2: came after ")
    assert " on a reused connection, 10 of 10 bytes sent, " in second
    assert ", closed by the server, " in second


def test_lines_say_what_became_of_a_crafted_answer_as_they_come_and_later(tmp_path: Path) -> None:
    rules = tmp_path / "cut.toml"
    rules.write_text(
        '[[rule]]\nname = "cut"\nmatch = "/busy"\nrespond = "200 OK"\nbody = "0123456789"\n'
        'fault = { at = "body+50%", do = "reset" }\n'
    )
    with LiveEngine(tmp_path, "--rules", str(rules)) as engine:
        for number in (1, 2):
            with engine.connect() as sock:
                sock.sendall(GET)
                with pytest.raises(ConnectionResetError):
                    list(iter(lambda: sock.recv(65536), b""))
            assert engine.exchange(id=number)["rule"] == "cut"
        engine.stop()
    _, shown, _ = inspectd(tmp_path, "list", engine.capture)
    first, second = shown.splitlines()

    assert first.endswith("  ✗ reset  half of 10 bytes, rule cut")
    assert second.endswith("  ✗ reset ↺ 2  half of 10 bytes, rule cut")
    assert (
        "answered by rule cut: 200 OK, half of 10 bytes\n" in inspectd(tmp_path, "show", engine.capture, 2)[1]
    )


@pytest.mark.parametrize(
    "command", [("--headless", "--listen", "127.0.0.1:0"), ("serve", "--listen", "127.0.0.1:0")]
)
def test_rules_that_can_not_be_used_start_nothing_and_are_all_told(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    bad, worse = tmp_path / "bad.toml", tmp_path / "worse.toml"
    bad.write_text('[[rule]]\nmatch = "/a"\nrespnd = "200"\nfault = { do = "rset" }\n')
    worse.write_text("[[rule]\n")
    options = ("--rules", bad, "--rules", worse, "--rules", tmp_path / "gone.toml")
    code, out, said = inspectd(tmp_path, *command, *options)

    assert (code, out) == (2, "")
    places = [line for line in said.splitlines() if line.startswith(str(tmp_path))]
    assert [line.removeprefix(f"{tmp_path}/").split(":")[:2] for line in places] == [
        ["bad.toml", "3"],
        ["bad.toml", "4"],
        ["worse.toml", "1"],
        ["gone.toml", " can't read the rule file"],
    ]
    assert places[0].startswith(f"{bad}:3:1: rule[0].respnd: ")
    assert "inspectd: the rules can't be used: 4 problems\n" in said
    assert "Traceback" not in said


def test_what_a_hostile_file_says_does_not_reach_the_terminal(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[rule]]\n"\\u001b[31m\u202e" = 1\n')
    code, _, said = inspectd(tmp_path, "--headless", "--rules", bad)

    assert code == 2
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize("name", [".", "gone.toml", "/dev/zero"])
def test_what_is_no_file_is_said(tmp_path: Path, name: str) -> None:
    code, _, said = inspectd(tmp_path, "--headless", "--rules", tmp_path / name)

    assert code == 2
    assert "the rules can't be used: 1 problem\n" in said


def test_a_file_that_is_named_twice_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(BUSY)
    code, _, said = inspectd(
        tmp_path, "--headless", "--rules", "a.toml", "--rules", tmp_path / "a.toml", cwd=tmp_path
    )

    assert (code, "is there twice" in said) == (2, True)


def test_rules_are_set_shown_and_cleared(engine: LiveEngine, control: Run, tmp_path: Path) -> None:
    (tmp_path / "api.toml").write_text(BUSY)
    assert control("rules", tmp_path / "api.toml") == (0, "answers by 1 rule, then 404\n", "")
    assert ask(engine).startswith(b"HTTP/1.1 503 Busy")

    _, shown, _ = control("rules")
    assert shown == (
        "control: 1 rule, over the control API\n  api.toml:1  GET /busy  503 Busy  (called 1 time)\notherwise: 404\n"
    )
    assert json.loads(control("rules", "--json")[1])["sources"][0]["rules"][0]["calls"] == 1
    assert "answers    1 rule of control, then 404\n" in control("status")[1]
    assert control("answer", "405") == (0, "answers 1 rule of control, then 405\n", "")
    assert control("rules", "--clear") == (0, "answers by 0 rules, then 405\n", "")
    assert ask(engine).startswith(b"HTTP/1.1 405")


def test_rules_come_from_a_pipe_too(engine: LiveEngine, control: Run, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("from a file")
    rules = b'[[rule]]\nmatch = "/busy"\nbody-file = "page"\n'
    assert control("rules", "-", said=rules, cwd=tmp_path)[0] == 0

    assert ask(engine).endswith(b"from a file")


def test_rules_that_can_not_be_used_change_nothing(engine: LiveEngine, control: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[rule]]\nmatch = "/a"\nrespnd = "200"\n')
    code, out, said = control("rules", bad)

    assert (code, out) == (2, "")
    assert said.startswith(f"{bad}:3:1: rule[0].respnd: ")
    assert "inspectd: these rules can't be used: 1 problem\n" in said
    assert control("rules")[1] == "otherwise: 404\n"


@pytest.fixture
def waiting(engine: LiveEngine, control: Run) -> Iterator[socket.socket]:
    assert control("hold", "--timeout", "60s") == (0, "holds the next request\n", "")
    with engine.connect() as sock:
        sock.sendall(GET)
        while '"id":1' not in control("holds", "--json")[1]:
            pass
        yield sock


def test_what_is_held_is_listed_and_released(waiting: socket.socket, control: Run) -> None:
    _, shown, _ = control("holds")
    assert shown.startswith("    1  GET /busy  from 127.0.0.1:")
    assert shown.endswith(" of 60 s, then answer 404\n")
    assert "held       1, 0 to follow\n" in control("status")[1]
    assert control("release", 1) == (0, "", "")

    assert receive_response(waiting).startswith(b"HTTP/1.1 404")
    assert control("holds")[1] == "nothing is held\n"


@pytest.mark.parametrize(
    ("words", "said", "answer"),
    [
        (("--answer", "503 Busy", "-H", "X: 1", "--body", "b"), b"", b"HTTP/1.1 503 Busy\r\nX: 1\r\n"),
        (("--raw", "-", "--close"), b"HTTP/1.1 2 \xff\r\n\r\n", b"HTTP/1.1 2 \xff\r\n\r\n"),
    ],
)
def test_it_is_answered_otherwise(
    waiting: socket.socket, control: Run, words: tuple[str, ...], said: bytes, answer: bytes
) -> None:
    assert control("release", 1, *words, said=said) == (0, "", "")
    assert receive_response(waiting).startswith(answer)


def test_it_is_dropped_also_without_its_id_while_it_is_the_only_one(
    waiting: socket.socket, control: Run, engine: LiveEngine
) -> None:
    control("hold")
    with engine.connect() as other:
        other.sendall(GET)
        while '"id":2' not in control("holds", "--json")[1]:
            pass
        found, _, said = control("drop")
        assert (found, said.splitlines()[0]) == (2, "inspectd: 2 are held: 1, 2")
        assert control("reset", 2)[0] == 0
    assert control("drop") == (0, "", "")
    assert waiting.recv(1) == b""


def test_it_is_reset(waiting: socket.socket, control: Run) -> None:
    assert control("reset", 1)[0] == 0
    with pytest.raises(ConnectionResetError):
        waiting.recv(1)


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("release", 7), 1, "exchange 7 is not held"),
        (("release",), 2, "nothing is held"),
        (("drop",), 2, "nothing is held"),
        (("release", 1, "--all"), 2, "choose one"),
        (("drop", "x"), 2, "not a valid integer"),
        (("hold", 1, "--off"), 2, "choose one"),
        (("hold", "--timeout", "soon"), 1, "not a duration"),
        (("rules", "--clear", "x"), 2, "--clear takes no FILE"),
        (("rules", "-", "x"), 2, "stands alone"),
        (("rules", "gone.toml"), 2, "can't be used"),
    ],
)
def test_mistakes_are_said(control: Run, words: tuple[object, ...], code: int, what: str) -> None:
    found, _, said = control(*words)

    assert (found, what in said) == (code, True), said


def test_holding_is_counted_and_ended(engine: LiveEngine, control: Run) -> None:
    assert control("hold", 3)[1] == "holds the next 3 requests\n"
    assert control("hold", "--all")[1] == "holds every request\n"
    assert control("hold", "--off")[1] == "holds no more\n"
    assert control("release", "--all")[1] == "released 0\n"
    assert ask(engine).startswith(b"HTTP/1.1 404")


def test_the_screens_engine_says_why_rules_can_not_be_used(tmp_path: Path) -> None:
    """`inspectd --rules` hands its options on to an engine process of its own."""
    bad = tmp_path / "bad.toml"
    bad.write_text("[[rule]\n")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "--rules", str(bad), "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        env=environment(tmp_path, {"TERM": "xterm-256color"}),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    _, said = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == 2
    assert said.decode().startswith(f"{bad}:1:")
