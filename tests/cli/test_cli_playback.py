"""`inspectd export` and `inspectd playback` as a person uses them: a capture, and the same answers once more."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_cli_rules import inspectd
from tests.export.recording import Conversation, record_gallery, talk, write_capture
from tests.live_engine import ROOT, LiveEngine, environment, receive_response

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


def playback(
    directory: Path,
    capture: Path,
    *options: str,
    quiet: bool = False,
    listen: Sequence[str] = ("127.0.0.1:0",),
) -> LiveEngine:
    directory.mkdir(exist_ok=True)
    return LiveEngine(
        directory,
        *options,
        interpreter=(sys.executable, "-m", "inspectd", "playback", str(capture)),
        quiet=quiet,
        listen=listen,
    )


def get(target: str = "/", *more: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: a.test", *more, "", ""]).encode()


def ask(engine: LiveEngine, request: bytes) -> bytes:
    with engine.connect() as client:
        client.sendall(request)
        return receive_response(client)


def ask_until(engine: LiveEngine, request: bytes, last: bytes) -> bytes:
    with engine.connect() as client:
        client.sendall(request)
        got = b""
        while not got.endswith(last):
            got += client.recv(65536)
        return got


def expecting(engine: LiveEngine, head: bytes) -> tuple[bytes, bytes]:
    """What comes before the content, and what after it."""
    with engine.connect() as client:
        client.sendall(head)
        first = client.recv(65536)
        client.sendall(b"hi")
        return first, receive_response(client)


def answers(engine: LiveEngine, *requests: bytes) -> list[bytes]:
    """The contents of recorded answers, and the statuses of others."""
    found = [ask(engine, request) for request in requests]
    return [answer[-3:] if answer.startswith(OK) else answer[9:12] for answer in found]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.inspectd"
    write_capture(
        path,
        [
            (get("/a"), OK + b"a-1"),
            (get("/a"), OK + b"a-2"),
            (get("/b?x=1"), OK + b"b-1"),
            (get("/b", "Cookie: sid=abcdefghij"), OK + b"b-2"),
        ],
    )
    return path


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Conversation]]:
    return record_gallery(tmp_path_factory.mktemp("gallery"))


def test_the_gallery_is_played_back_byte_for_byte(
    gallery: tuple[Path, list[Conversation]], tmp_path: Path
) -> None:
    path, conversations = gallery
    with playback(tmp_path, path, quiet=True) as engine:
        for one in conversations:
            again = talk(engine.address, one.request, len(one.answer), ends=one.end != "open")
            assert again == one
        assert engine.stop() == 0
    assert "nothing was recorded" not in engine.stderr


def test_recorded_order_and_what_comes_after_it(capture: Path, tmp_path: Path) -> None:
    asked = [get("/a")] * 5
    for repeat, expected in (
        ("last", [b"a-1", b"a-2", b"a-2", b"a-2", b"a-2"]),
        ("cycle", [b"a-1", b"a-2", b"a-1", b"a-2", b"a-1"]),
        ("404", [b"a-1", b"a-2", b"501", b"501", b"501"]),
    ):
        with playback(tmp_path / repeat, capture, "--repeat", repeat, quiet=True) as engine:
            assert answers(engine, *asked) == expected
            engine.stop()


def test_what_was_not_recorded_is_explained_and_listed(capture: Path, tmp_path: Path) -> None:
    with playback(tmp_path / "p", capture) as engine:
        said = talk(engine.address, get("/b?x=2"), 1 << 16, ends=True).answer.decode()
        answers(engine, get("/b?x=2"), get("/\x1b[31m"))
        line = engine.exchange(id=1)
        engine.stop()

    assert said.startswith("HTTP/1.1 501 ")
    assert "Nothing was recorded for GET /b?x=2.\nThe nearest of what was:\n" in said
    assert "exchange 3 (GET /b?x=1): the query is 'x=2', not 'x=1'" in said
    assert (line["status"], line["label"]) == (501, "not recorded")
    assert engine.stderr.endswith(
        "inspectd: nothing was recorded for 3 requests:\n  GET /b?x=2 (2 times)\n  GET /\\x1b[31m\n"
    )


def test_what_is_told_of_recorded_requests_holds_no_credentials(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    write_capture(path, [(get("/a?token=SECRETTOKEN"), ok), (get("/plain"), ok), (get("/other"), ok)])
    with playback(tmp_path / "p", path) as engine:
        told = talk(engine.address, get("/a?token=guess"), 1 << 16, ends=True).answer.decode()
        plain = talk(engine.address, get("/plain?x"), 1 << 16, ends=True).answer.decode()
        engine.stop()

    assert "SECRETTOKEN" not in told
    assert "exchange 1 (GET /a?token=xxxxxxxxxxx): the query is another one" in told
    assert "(GET /other" not in told + plain
    assert "exchange 2 (GET /plain): " in plain


def test_matching_is_as_strict_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "m.inspectd"
    write_capture(path, [(get("/a", "Accept: one"), OK + b"one"), (get("/a", "Accept: two"), OK + b"two")])
    with playback(tmp_path / "f", path, "--match", "usual,headers:Accept", quiet=True) as engine:
        asked = [get("/a", "Accept: two"), get("/a", "Accept: one"), get("/a", "Accept: 3"), get("/a")]
        assert answers(engine, *asked) == [b"two", b"one", b"501", b"501"]
        engine.stop()
    with playback(tmp_path / "l", path, "--match", "loose", quiet=True) as engine:
        assert answers(engine, get("/a?any"), get("/a")) == [b"one", b"two"]
        engine.stop()


def test_content_is_compared_when_asked_for(tmp_path: Path) -> None:
    post = b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%s"
    rules = tmp_path / "r.toml"
    rules.write_text(
        '[[rule]]\nmatch = { body = "one" }\nrespond = "200 OK"\nauto = ["content-length"]\nbody = "one"\n'
        '[[rule]]\nrespond = "200 OK"\nauto = ["content-length"]\nbody = "two"\n'
    )
    (tmp_path / "rec").mkdir()
    bodies = [b"one", b"\xff\x00(two)*"]
    with LiveEngine(tmp_path / "rec", "--rules", str(rules), quiet=True) as engine:
        for body in bodies:
            ask(engine, post % (len(body), body))
        engine.stop()
    with playback(tmp_path / "p", engine.capture, "--match", "strict", quiet=True) as again:
        asked = [post % (len(body), body) for body in (*reversed(bodies), b"one more")]
        assert answers(again, *asked) == [b"two", b"one", b"501"]
        again.stop()


def test_otherwise_a_real_server_answers(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with LiveEngine(tmp_path / "server", "--answer", "299 Real", quiet=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        with playback(tmp_path / "p", capture, "--otherwise", url) as engine:
            assert answers(engine, get("/a"), get("/real"), get("/a")) == [b"a-1", b"299", b"a-2"]
            assert engine.exchange(id=2)["label"] == f"passed on to 127.0.0.1:{server.port}"
            engine.stop()
        server.stop()


def test_the_real_server_is_reached_as_the_options_say(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with LiveEngine(tmp_path / "server", "--answer", "299 Real", quiet=True) as server:
        place = f"real.test:{server.port}"
        options = ("--otherwise", f"http://{place}", "--resolve", f"{place}:127.0.0.1")
        with playback(tmp_path / "p", capture, *options) as engine:
            assert answers(engine, get("/real")) == [b"299"]
            engine.stop()
        server.stop()
    code, _, said = inspectd(tmp_path, "playback", capture, "--headless", "--insecure")
    assert code == 2
    assert "mean nothing without --otherwise" in said


def test_what_a_real_server_said_through_a_proxy_is_said_again(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "proxy").mkdir()
    rules = tmp_path / "server.toml"
    rules.write_text(
        '[[rule]]\nmatch = "/early"\ninterim = ["103 Early Hints"]\nrespond = "200 OK"\n'
        'auto = ["transfer-encoding"]\nchunked = { trailers = ["A: b"] }\nbody = "chunks"\n'
        '[[rule]]\nmatch = "/cut"\nrespond = "200 OK"\nbody = "0123456789"\n'
        'fault = { do = "reset", at = "body+50%" }\n[[rule]]\nmatch = "/until-close"\nrespond = "200 OK"\nauto = []\n'
        'body = "until"\nclose = true\n'
    )
    asked = [get("/early"), get("/cut"), get("/until-close")]
    with LiveEngine(tmp_path / "server", "--rules", str(rules), quiet=True) as server:
        reverse = (sys.executable, "-m", "inspectd", "reverse", f"http://127.0.0.1:{server.port}")
        with LiveEngine(tmp_path / "proxy", interpreter=reverse, quiet=True) as proxy:
            first = [talk(proxy.address, request, 1 << 16, ends=True) for request in asked[1:]]
            length = len(ask_until(proxy, asked[0], b"A: b\r\n\r\n"))
            first.insert(0, talk(proxy.address, asked[0], length, ends=False))
            proxy.stop()
        server.stop()
    with playback(tmp_path / "p", proxy.capture, quiet=True) as engine:
        again = [talk(engine.address, asked[0], length, ends=False)]
        again += [talk(engine.address, request, 1 << 16, ends=True) for request in asked[1:]]
        engine.stop()

    assert [one.end for one in first] == ["open", "reset", "eof"]
    assert again == first


def test_expected_100_is_said_once(tmp_path: Path) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    said = []
    (tmp_path / "rec").mkdir()
    with LiveEngine(tmp_path / "rec", "--answer", "200 OK", "--no-auto", "date", quiet=True) as engine:
        said.append(expecting(engine, head))
        engine.stop()
    with playback(tmp_path / "p", engine.capture, quiet=True) as again:
        said.append(expecting(again, head))
        again.stop()
    code, _, _ = inspectd(tmp_path, "export", engine.capture, "--rules", "-o", tmp_path / "r.toml")
    with LiveEngine(tmp_path, "--rules", str(tmp_path / "r.toml"), quiet=True) as ruled:
        said.append(expecting(ruled, head))
        ruled.stop()

    assert code == 0
    assert said == [(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")] * 3


def test_over_https(capture: Path, tmp_path: Path) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with playback(tmp_path / "p", capture, quiet=True, listen=("https://127.0.0.1:0",)) as engine:
        with engine.connect() as plain, context.wrap_socket(plain, server_hostname="a.test") as client:
            client.sendall(get("/a"))
            assert client.recv(65536) == OK + b"a-1"
        engine.stop()


def test_a_long_answer_is_read_while_it_is_sent(tmp_path: Path) -> None:
    body = tmp_path / "body.bin"
    body.write_bytes(bytes(range(256)) * 4096 * 5)
    (tmp_path / "rec").mkdir()
    with LiveEngine(tmp_path / "rec", "--answer", "200", "--body-file", str(body), quiet=True) as engine:
        first = talk(engine.address, get("/", "Connection: close"), 6 << 20, ends=True)
        engine.stop()
    with playback(tmp_path / "p", engine.capture) as again:
        assert talk(again.address, get(), 6 << 20, ends=True) == first._replace(request=get())
        line = again.exchange(id=1)
        again.stop()

    assert len(first.answer) > 5 << 20
    assert (line["status"], line["label"]) == (200, "recorded answer 1")


def test_what_is_played_is_not_what_is_recorded_to(capture: Path, tmp_path: Path) -> None:
    code, _, said = inspectd(tmp_path, "playback", capture, "--headless", "--capture", capture)

    assert (code, said.splitlines()[0]) == (
        2,
        f"inspectd: --capture {capture} is the capture that is played",
    )


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rules = tmp_path / "r.toml"
    rules.write_text(
        '[[rule]]\nmatch = { path = "*:443", method = "CONNECT" }\nrespond = "200"\n'
        '[[rule]]\nmatch = "/ws"\nrespond = "101 Switching"\n[[rule]]\nmatch = "/"\nrespond = "200"\n'
    )
    (tmp_path / "rec").mkdir()
    with LiveEngine(tmp_path / "rec", "--rules", str(rules)) as engine:
        for number, request in enumerate(
            (
                b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
                get("/ws", "Upgrade: x", "Connection: upgrade"),
                get(),
            ),
            1,
        ):
            ask_until(engine, request, b"\r\n\r\n")
            engine.exchange(id=number)
        engine.stop()
    code, text, said = inspectd(tmp_path, "export", engine.capture, "--rules")

    assert (code, text.count("[[rule]]")) == (0, 1)
    assert said == "inspectd: left out: 1 with CONNECT, 1 with another protocol after it\n"


def test_the_engine_of_a_screen(capture: Path, tmp_path: Path) -> None:
    code, _, said = inspectd(tmp_path, "playback", capture)
    assert code == 2
    assert "Without one: inspectd playback --headless" in said
    with subprocess.Popen(
        [sys.executable, "-m", "inspectd", "playback", "--serve", str(capture), "--listen", "127.0.0.1:0"],
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 0
    assert line["type"] == "listening"


def test_a_capture_without_an_answer_plays_nothing(tmp_path: Path) -> None:
    path = tmp_path / "e.inspectd"
    write_capture(path, [])
    code, _, said = inspectd(tmp_path, "playback", path, "--headless", "--listen", "0")

    assert (code, said.splitlines()[0]) == (1, f"inspectd: {path}: no answer is recorded in it")


# ------------------------------------------------------------------------------------------------- export


def test_export_to_standard_output_a_file_and_a_folder(capture: Path, tmp_path: Path) -> None:
    code, text, said = inspectd(tmp_path, "export", capture, "--rules")
    assert (code, text.count("[[rule]]"), said) == (0, 3, "")
    out = tmp_path / "out.toml"
    assert inspectd(tmp_path, "export", capture, "--rules", "-o", out) == (
        0,
        "",
        f"inspectd: {out}: 3 rules from 4 exchanges\ninspectd: Serve them: inspectd --rules {out}\n",
    )
    assert out.read_text() == text
    assert out.stat().st_mode & 0o077 == 0
    assert inspectd(tmp_path, "export", capture, "--rules", "-o", tmp_path)[0] == 0
    assert (tmp_path / "rules.toml").read_text() == text
    (tmp_path / "rules.toml").write_text("# edited\n")
    code, _, said = inspectd(tmp_path, "export", capture, "--rules", "-o", tmp_path)
    assert (code, (tmp_path / "rules.toml").read_text()) == (1, "# edited\n")
    assert "rules.toml is there already" in said
    assert "--force" in said
    assert inspectd(tmp_path, "export", capture, "--rules", "-o", tmp_path, "--force")[0] == 0
    assert (tmp_path / "rules.toml").read_text() == text
    code, checked, _ = inspectd(tmp_path, "rules", "check", out)
    assert (code, checked) == (0, f"{out}: 3 rules, nothing wrong\n")
    with LiveEngine(tmp_path, "--rules", str(out), quiet=True) as engine:
        asked = [get("/a"), get("/a"), get("/b?x=1"), get("/b")]
        assert answers(engine, *asked) == [b"a-1", b"a-2", b"b-1", b"b-2"]
        engine.stop()


def test_export_of_some_exchanges(capture: Path, tmp_path: Path) -> None:
    _, text, _ = inspectd(tmp_path, "export", capture, "--rules", "1", "3-")
    assert [line for line in text.splitlines() if line.startswith("about")] == [
        'about = "exchange 1"',
        'about = "exchange 3"',
        'about = "exchange 4"',
    ]
    for host, rules in (("a.test", 3), ("A.*", 3), ("a.test:80", 0)):
        _, text, _ = inspectd(tmp_path, "export", capture, "--rules", "--host", host)
        assert text.count("[[rule]]") == rules
    code, _, said = inspectd(tmp_path, "export", capture, "--rules", "--method", "POST")
    assert (code, said.splitlines()[0]) == (1, f"inspectd: {capture}: nothing to make a rule of")
    for absent in ("99", "70-99", "99-"):
        code, text, said = inspectd(tmp_path, "export", capture, "--rules", "1", absent)
        assert (code, text) == (1, "")
        assert said.startswith(f"inspectd: {capture}: there is no exchange {absent} in it")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say as what: --rules makes a rule file."),
        (("--rules", "x"), "'x' is no id: write 12, 20-25 or 20-; inspectd list prints the ids."),
        (("--rules", "5-4"), "'5-4' ends before it begins."),
        (("--rules", "--match", "colour"), "'colour' is nothing of a request that can be compared"),
    ],
)
def test_mistakes(capture: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, complaint = inspectd(tmp_path, "export", capture, *arguments)

    assert code == 2
    assert said in complaint.splitlines()[0]


def test_credentials_are_pointed_out_or_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "c.inspectd"
    write_capture(path, [(get("/?token=abc"), b"HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\n\r\n")])

    _, text, said = inspectd(tmp_path, "export", path, "--rules")
    assert "a=secret" in text
    assert said == "inspectd: credentials are in it: ?token=, Set-Cookie. Without: --redact\n"
    _, text, said = inspectd(tmp_path, "export", path, "--rules", "--redact")
    assert "secret" not in text
    assert "abc" not in text
    assert said == "inspectd: redacted: Set-Cookie\n"


def test_credentials_too_short_to_be_told_from_chance_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.inspectd"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsid=ab1"
    write_capture(path, [(get("/", "Cookie: sid=ab1"), answer)])

    _, text, said = inspectd(tmp_path, "export", path, "--rules", "--redact")
    assert "sid=ab1" in text
    assert said == "inspectd: left there, too short to be told from chance: Cookie in content\n"


def test_a_capture_that_is_being_written(tmp_path: Path) -> None:
    with LiveEngine(tmp_path, "--answer", "200 Live") as engine:
        ask(engine, get("/a"))
        engine.exchange(id=1)
        code, text, _ = inspectd(tmp_path, "export", engine.capture, "--rules")
        engine.stop()

    assert code == 0
    assert "HTTP/1.1 200 Live" in text
