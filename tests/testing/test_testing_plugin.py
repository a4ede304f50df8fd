"""The pytest plugin, in runs of pytest of its own: what passes, what fails, what a failure shows, what stays apart."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., pytest.RunResult]

INI = "[pytest]\nfilterwarnings = error\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
CLIENT = """
import socket
import pytest

def ask(server, path="/x", more=""):
    with socket.create_connection(server.address, 30) as client:
        client.sendall(f"GET {path} HTTP/1.1\\r\\n{more}\\r\\n".encode("latin-1"))
        client.shutdown(socket.SHUT_WR)
        data = b""
        while part := client.recv(65536):
            data += part
        return data
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs pytest on a test file that begins with `CLIENT`; every warning is an error."""
    pytester.makeini(INI)

    def run(text: str, *options: str, apart: bool = False) -> pytest.RunResult:
        pytester.makepyfile(test_it=CLIENT + text)
        start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", "-p", "no:xdist", *options)

    return run


def test_a_test_that_gets_its_answers_passes(run: Run) -> None:
    result = run(
        """
def test_it(inspectd):
    rule = inspectd.on("GET /x").reply("200 OK", body="hello")
    assert ask(inspectd).endswith(b"hello")
    assert rule.requests[0].head == b"GET /x HTTP/1.1\\r\\n\\r\\n"
    assert rule.id == "test_it.py:14"
"""
    )

    result.assert_outcomes(passed=1)


def test_a_request_without_a_rule_fails_the_test_and_says_what_comes_near(run: Run) -> None:
    result = run(
        """
def test_it(inspectd):
    inspectd.on("GET /pay").reply("204 Done")
    assert b"404 No Rule Matches" in ask(inspectd, "/pya")
"""
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "no rule matches GET /pya",
            "*test_it.py:14 (GET /pay): the path '/pya' is not '/pay'",
            "*1 request on 1 *",
        ]
    )
    result.stdout.no_fnmatch_line("*traceback entries are hidden*")


def test_it_can_be_allowed(run: Run) -> None:
    run("def test_it(inspectd):\n    inspectd.allow_unmatched()\n    ask(inspectd)").assert_outcomes(passed=1)


def test_a_function_that_raises_fails_the_test_with_its_traceback(run: Run) -> None:
    result = run(
        """
def answer(request):
    number = int("seven")
    return "200 OK"

def test_it(inspectd):
    inspectd.on("GET /x").call(answer)
    assert b"500 " in ask(inspectd)
"""
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>   *number = int("seven")',
            "E   *ValueError: invalid literal*",
            "E   *while answering GET /x by the rule 'GET /x' (test_it.py:18)",
        ]
    )
    result.stdout.no_fnmatch_line("*traceback entries are hidden*")
    result.stdout.no_fnmatch_line("*inspectd/testing/*")
    result.stdout.no_fnmatch_line("*pytest_plugin*")


def test_a_function_that_raises_elsewhere_and_late_is_shown_there_and_nothing_of_ours(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(helper="def answer(request):\n    return {}['a']\n")
    result = run(
        """
import helper

@pytest.fixture
def leaving(inspectd):
    inspectd.on("GET /bye").call(helper.answer)
    yield
    ask(inspectd, "/bye")

def test_late(leaving):
    pass

def test_returned(inspectd):
    inspectd.on("GET /x").call(lambda request: 1.5)
    ask(inspectd)

def test_condition(inspectd):
    inspectd.on("GET /x", where=helper.answer)
    ask(inspectd)

def test_skipped(inspectd):
    inspectd.on("GET /x").call(lambda request: pytest.skip("not here"))
    ask(inspectd)
"""
    )

    result.assert_outcomes(passed=1, failed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "E   *KeyError: 'a'",
            "E   *while answering GET /bye by the rule 'GET /bye' (test_it.py:17)",
            "*failed on GET /x: WordsError: a function returned float, which is no answer",
            "E   *while answering GET /x by the rule 'GET /x' (test_it.py:29)",
            "*failed on GET /x: Skipped: not here",
        ]
    )
    for ours in "*traceback entries are hidden*", "*inspectd/testing/*", "*pytest_plugin*":
        result.stdout.no_fnmatch_line(ours)


def test_what_fails_beside_the_test_is_told_once_with_it(run: Run) -> None:
    result = run(
        """
def answer(request):
    raise ValueError("seven\\x1b[31m")

def test_function(inspectd):
    inspectd.on("GET /x").call(answer)
    ask(inspectd)
    assert b"200 " in ask(inspectd)

def test_unmatched(inspectd):
    assert b"200 " in ask(inspectd)

@pytest.mark.xfail(strict=True)
def test_expected(inspectd):
    inspectd.on("GET /x").call(answer)
    assert b"200 " in ask(inspectd)

@pytest.fixture
def ready(inspectd):
    inspectd.on("GET /x").call(answer)
    assert b"200 " in ask(inspectd)

def test_setup(ready):
    pass
"""
    )

    result.assert_outcomes(failed=2, xfailed=1, errors=1)
    parts = re.split(r"^___.*? (\S+) ___+$", result.stdout.str(), flags=re.MULTILINE)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name in "test_function", "test_setup":
        assert "assert b'200 ' in" in shown[name]
        assert shown[name].count("failed on GET /x: ValueError: seven\\x1b[31m") == 1
        assert shown[name].count("in answer\n    raise ValueError(") == 1
    assert "(2 times)" in shown["test_function"]
    assert shown["test_unmatched"].count("\nno rule matches GET /x") == 1
    result.stdout.no_fnmatch_line("*ERROR at teardown*")


def test_a_failure_shows_the_traffic_and_keeps_the_capture_of_this_test(run: Run) -> None:
    result = run(
        """
def test_before(inspectd):
    inspectd.on("GET /before").reply("204 Done")
    ask(inspectd, "/before")

def test_it(inspectd):
    inspectd.on("GET /x").reply("503 Busy", "200 OK", headers=["X-A: 1"])
    ask(inspectd, more="Host: a\\r\\n")
    ask(inspectd, more="Host: a\\r\\n")
    socket.create_connection(inspectd.address).close()
    assert False
"""
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- inspectd -*",
            "inspectd saw 2 requests on *",
            "*test_it.py:18",
            "    > GET /x HTTP/1.1",
            "    > Host: a",
            "    < HTTP/1.1 503 Busy",
            "    < X-A: 1",
            "*bytes sent*new connection *",
            "    < HTTP/1.1 200 OK",
            "*attempt 2*after the one before*",
            "capture: inspectd open */test_it-test_it.inspectd",
            "exchange #3: inspectd show */test_it-test_it.inspectd 3",
        ]
    )
    assert re.findall(r"^  #(\d+) ", result.stdout.str(), re.MULTILINE) == ["2", "3"]
    (path,) = re.findall(r"^capture: inspectd open (.+)$", result.stdout.str(), re.MULTILINE)
    with Capture.open(path) as capture:
        rows = capture.exchanges_after(0, 10)
        assert [(row.id, row.target, row.status) for row in rows] == [(2, "/x", "503"), (3, "/x", "200")]
        assert [capture.request_bytes(row) for row in rows] == [b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"] * 2
        assert capture.evidence(rows[1].id) is not None
        assert all(row.closed_ns for row in capture.connections([row.connection for row in rows]))
    assert Path(path).stat().st_mode & 0o077 == 0


def test_captures_are_kept_where_they_are_wanted_and_only_of_failures(
    run: Run, pytester: pytest.Pytester
) -> None:
    result = run(
        """
@pytest.mark.parametrize("number", [1, 2])
def test_it(inspectd, number):
    inspectd.on("*")
    ask(inspectd, f"/{number}")
    assert number == 1
""",
        "--inspectd-keep=kept",
    )

    result.assert_outcomes(passed=1, failed=1)
    (kept,) = (pytester.path / "kept").iterdir()
    assert kept.name == "test_it-test_it-2.inspectd"
    with Capture.open(kept) as capture:
        assert [row.target for row in capture.exchanges_after(0, 10)] == ["/2"]


def test_hostile_bytes_do_nothing_to_the_terminal_of_a_report(run: Run) -> None:
    result = run(
        """
def test_it(inspectd):
    inspectd.on("*").raw(b"HTTP/1.1 200 \\x1b[31m\\r\\n\\r\\n\\x1b]0;title\\x07\\xe2\\x80\\xae")
    ask(inspectd, more="X: \\x1b[2J\\x9b1m\\r\\n")
    assert False
"""
    )

    result.assert_outcomes(failed=1)
    shown = result.stdout.str().partition("inspectd saw")[2]
    assert r"X: \x1b[2J\x9b1m" in shown
    assert not set("\x1b\x07\x9b\u202e") & set(shown)


def test_tests_have_nothing_of_each_other(run: Run) -> None:
    result = run(
        """
kept = {}

def test_before(inspectd):
    inspectd.on("GET /x").reply("200 OK", body="before")
    kept["address"] = inspectd.address
    kept["client"] = client = socket.create_connection(inspectd.address, 30)
    client.sendall(b"GET /x HTTP/1.1\\r\\n\\r\\nGET /half")
    assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")

def test_after(inspectd):
    with kept["client"] as client, pytest.raises(ConnectionError):
        for _ in range(100):
            client.sendall(b" HTTP/1.1\\r\\n\\r\\n")
            if not client.recv(100):
                raise ConnectionResetError
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(kept["address"], 30)
    assert (inspectd.requests, inspectd.connections) == ([], [])
    inspectd.on("GET /x").reply("200 OK", body="after")
    assert ask(inspectd).endswith(b"after")
    assert inspectd.requests[0].evidence.attempt == 1
"""
    )

    result.assert_outcomes(passed=2)


def test_what_a_gate_holds_and_a_function_waits_for_ends_with_its_test(run: Run) -> None:
    result = run(
        """
import threading

clients = []
never = threading.Event()

def test_before(inspectd):
    gate = inspectd.on("GET /held").hold(timeout="300s")
    inspectd.on("GET /slow").call(lambda request: never.wait(300))
    for path in "/held", "/slow":
        client = socket.create_connection(inspectd.address, 30)
        client.sendall(f"GET {path} HTTP/1.1\\r\\n\\r\\n".encode())
        clients.append(client)
    gate.wait_held()
    inspectd.wait_for(2)

def test_after(inspectd):
    inspectd.on("*").reply("204 Done")
    assert b"204 Done" in ask(inspectd, "/held")
    never.set()
    for client in clients:
        client.close()
"""
    )

    result.assert_outcomes(passed=2)


def test_a_request_that_comes_while_other_fixtures_end_is_an_error(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def leaving(inspectd):
    yield
    ask(inspectd, "/bye")

def test_it(leaving):
    pass
"""
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["no rule matches GET /bye"])


def test_an_expected_failure_stays_one(run: Run) -> None:
    run("@pytest.mark.xfail(strict=True)\ndef test_it(inspectd):\n    ask(inspectd)").assert_outcomes(
        xfailed=1
    )


def test_the_server_of_the_session_stays_and_each_test_answers_for_itself(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="session")
def api(inspectd_session):
    inspectd_session.on("GET /x").reply("200 OK", body="same")
    return inspectd_session.port

def test_one(api, inspectd_session):
    assert ask(inspectd_session).endswith(b"same")

def test_two(api, inspectd_session):
    assert inspectd_session.port == api
    assert ask(inspectd_session).endswith(b"same")
    ask(inspectd_session, "/unknown")

def test_three(api, inspectd_session, inspectd):
    assert inspectd.port != api
    assert len(inspectd_session.requests) == 3
"""
    )

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_two*", "no rule matches GET /unknown"])
    (path,) = re.findall(r"^capture: inspectd open (.+)$", result.stdout.str(), re.MULTILINE)
    with Capture.open(path) as capture:
        assert [row.target for row in capture.exchanges_after(0, 10)] == ["/x", "/x", "/unknown"]


def test_asynchronous_tests_and_clients(run: Run) -> None:
    result = run(
        """
import asyncio, aiohttp, httpx

async def test_gate(inspectd):
    gate = inspectd.on("GET /x").hold()
    async with aiohttp.ClientSession() as client:
        asked = asyncio.create_task(client.get(inspectd.url("/x")))
        await gate.await_held()
        gate.release("200 OK", json={"a": 1})
        async with await asked as response:
            assert await response.json() == {"a": 1}

async def test_retry(inspectd):
    rule = inspectd.on("GET /x").reply("503 Busy", "200 OK")
    async with httpx.AsyncClient() as client:
        while (response := await client.get(inspectd.url("/x"))).status_code != 200:
            pass
    assert response.reason_phrase == "OK"
    assert [request.number for request in rule.requests] == [1, 2]

async def test_blocking_is_refused(inspectd):
    gate = inspectd.on("GET /x").hold()
    with pytest.raises(Exception, match="await gate.await_held"):
        gate.wait_held()
"""
    )

    result.assert_outcomes(passed=3)


def test_blocking_clients(run: Run) -> None:
    result = run(
        """
import http.client, urllib.request, requests, httpx

def test_it(inspectd):
    rule = inspectd.on("GET /x").reply("200 Fine", body="hello")
    with urllib.request.urlopen(inspectd.url("/x")) as response:
        assert (response.reason, response.read()) == ("Fine", b"hello")
    with requests.Session() as session:
        assert [session.get(inspectd.url("/x")).text for _ in range(2)] == ["hello", "hello"]
    with httpx.Client() as client:
        assert client.get(inspectd.url("x")).reason_phrase == "Fine"
    assert [request.number for request in rule.requests] == [1, 1, 2, 1]
""",
        apart=True,
    )

    result.assert_outcomes(passed=1)


def test_each_worker_of_xdist_has_an_engine_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(
        test_it=CLIENT
        + """
@pytest.mark.parametrize("number", range(20))
def test_it(inspectd, inspectd_session, number):
    inspectd.on("GET /x").reply("200 OK", body=str(number))
    assert ask(inspectd).endswith(b"\\r\\n\\r\\n%d" % number)
    assert number != 7

@pytest.mark.inspectd_sweep("every-line", body="hello")
def test_sweep(inspectd_sweep):
    assert ask(inspectd_sweep.server) == inspectd_sweep.sent
"""
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n2")

    result.assert_outcomes(passed=19 + 5, failed=1)
    result.stdout.fnmatch_lines(["capture: inspectd open *test_it-test_it-7.inspectd"])


def test_the_listening_address_can_be_set(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini(INI + "inspectd_listen = [::1]:0\n")
    run(
        "def test_it(inspectd):\n    assert inspectd.host == '::1'\n    assert '[::1]' in inspectd.url()"
    ).assert_outcomes(passed=1)


def test_files_are_found_beside_the_test(run: Run, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("rules.toml").write_text('[[rule]]\nmatch = "/x"\nbody-file = "body.txt"\n')
    pytester.path.joinpath("body.txt").write_text("beside")
    pytester.mkdir("elsewhere")

    result = run(
        """
def test_it(inspectd, monkeypatch):
    monkeypatch.chdir("elsewhere")
    inspectd.load("rules.toml")
    assert ask(inspectd).endswith(b"beside")
    inspectd.assert_all_called()
"""
    )

    result.assert_outcomes(passed=1)


def test_the_marker_and_the_fixtures_are_known(run: Run) -> None:
    result = run("def test_it():\n    pass", "--strict-markers", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.inspectd_sweep(*"])
    result = run("def test_it():\n    pass", "--fixtures")
    result.stdout.fnmatch_lines(["inspectd_session *", "inspectd_sweep -- *", "inspectd -- *"])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("@pytest.mark.inspectd_sweep(bdoy='x')\ndef test_it(inspectd_sweep):\n    pass", "*'bdoy'*"),
        ("@pytest.mark.inspectd_sweep(body='x')\ndef test_it():\n    pass", "*wants the fixture*"),
        ("def test_it(inspectd_sweep):\n    pass", "*wants its marker*"),
    ],
)
def test_a_sweep_that_can_not_be_is_one_sentence(run: Run, test: str, said: str) -> None:
    result = run(test)

    assert result.parseoutcomes().get("errors") == 1
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*site-packages*")


def test_trouble_at_the_door_ends_with_its_test(run: Run) -> None:
    result = run(
        """
def test_before(inspectd):
    inspectd.accept.refuse()
    with pytest.raises(ConnectionRefusedError):
        ask(inspectd)

def test_after(inspectd):
    inspectd.on("*").reply("204 Done")
    assert b"204 Done" in ask(inspectd)
"""
    )

    result.assert_outcomes(passed=2)


def test_a_mistake_is_shown_at_its_line_and_nothing_of_ours(run: Run) -> None:
    result = run(
        """
def test_fault(inspectd):
    inspectd.on("GET /x").reply("200 OK", body="x").fault("rst")

def test_place(inspectd):
    inspectd.on("GET /x").reset(at="boody")

def test_waiting(inspectd):
    inspectd.wait_for(2, timeout=0.01)
"""
    )

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *fault*do: 'rst' is not one of *reset*",
            "E *fault*at: *boody*",
            "E *none of 2 requests for '[*]' came within 0.01 s; no request came at all",
        ]
    )
    result.stdout.no_fnmatch_line("*inspectd/testing/*")
    result.stdout.no_fnmatch_line("capture: *")


def test_a_fixed_port_is_the_same_in_each_test(run: Run, pytester: pytest.Pytester) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pytester.makeini(INI + f"inspectd_listen = 127.0.0.1:{port}\n")

    result = run(
        f"""
@pytest.mark.parametrize("number", range(3))
def test_it(inspectd, number):
    assert inspectd.port == {port}
    inspectd.on("/x").reply("200 OK", body=str(number))
    assert ask(inspectd).endswith(b"%d" % number)
    assert len(inspectd.requests) == 1
"""
    )

    result.assert_outcomes(passed=3)
