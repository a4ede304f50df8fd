"""`inspectd gallery run`: a command against the cases, its table, its limits; and curl against all of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inspectd.gallery.catalogue import cases
from tests.live_engine import ROOT

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

ASK = """
import os, socket, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
with socket.create_connection((url.hostname, url.port), timeout=30) as client:
    client.sendall(f"GET {url.path} HTTP/1.1\\r\\nHost: {url.netloc}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    answer = b""
    while piece := client.recv(65536):
        answer += piece
sys.stdout.buffer.write(answer.partition(b"\\r\\n\\r\\n")[2])
"""
"""A client of a few lines, so that these tests need nothing but Python."""


def gallery(*words: str, code: int = 0, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """Run `inspectd gallery` with these words; it has to end with this exit code."""
    run = subprocess.run(
        [sys.executable, "-m", "inspectd", "gallery", *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert run.returncode == code, run.stderr + run.stdout
    return run


def table(*words: str, **options: Any) -> dict[str, dict[str, Any]]:
    """The rows of a run with `--json`, by case."""
    run = gallery("run", "--json", *words, **options)
    return {row["case"]: row for row in json.loads(run.stdout)["cases"]}


def client(*more: str) -> tuple[str, ...]:
    """The words that run the small client."""
    return ("--", sys.executable, "-c", ASK, "{url}", *more)


CURL_ENDS = {
    "empty": 52,
    "reset": 56,
    "close-in-content": 18,
    "reset-in-content": 56,
    "length-larger": 18,
    "length-negative": 8,
    "chunk-early-close": 18,
    "chunk-early-reset": 56,
    "chunk-size-illegal": 56,
    "redirect-loop": 47,
    "redirect-chain-60": 47,
    "http-0.9": 1,
    "status-negative": 1,
    "nul-in-value": 8,
    "interim-100-close": 52,
    "stall": None,
    "stall-in-content": None,
    "no-length-keep-alive": None,
    "status-999": 0,
    "obs-fold": 0,
    "lf-only": 0,
    "trickle": 0,
    "interim-103": 0,
    "chunked-and-length": 0,
    "reset-after-answer": 0,
    "redirect-chain-15": 0,
    "stale-reset": 0,
}
"""How `curl -L` ends, in every version: its exit code, or None where only the time limit ends it."""


CURL = ("--", "curl", "-q", "-sS", "-L", "--noproxy", "*", "-o", "/dev/null", "{url}")


@needs_curl
def test_curl_goes_through_every_case() -> None:
    rows = table("--timeout", "4s", "--jobs", "3", *CURL)
    assert list(rows) == list(cases())
    waiting = [name for name, code in CURL_ENDS.items() if code is None]
    assert [rows[name]["exit_code"] for name in waiting] == [None] * len(waiting)
    assert rows["stall"]["ended_by"] == "client"


@needs_curl
def test_curl_ends_as_curl_does() -> None:
    ends = {name: code for name, code in CURL_ENDS.items() if code is not None}
    chosen = [word for name in ends for word in ("--only", name)]
    rows = table("--timeout", "100s", "--jobs", "3", *chosen, *CURL)
    assert {name: row["exit_code"] for name, row in rows.items()} == ends
    stale = rows["stale-reset"]
    assert (stale["requests"], stale["attempts"], stale["connections"], stale["reused"]) == (3, 2, 2, 1)
    loop = rows["redirect-loop"]
    assert (loop["requests"], loop["connections"], loop["reused"]) == (51, 1, 50)
    assert (rows["reset"]["ended_by"], rows["reset"]["how"]) == ("server", "rst")
    assert (rows["empty"]["ended_by"], rows["empty"]["how"]) == ("server", "fin")
    assert rows["status-999"]["acked"] in {None, rows["status-999"]["sent"]}


def test_the_table_says_what_the_command_did() -> None:
    run = gallery("run", "--only", "status-299", "--only", "half-close", *client())
    head, *rows = run.stdout.splitlines()
    assert head.split("  ")[0] == "case"
    assert [row.split()[0] for row in rows] == ["status-299", "half-close"]
    assert all("exit 0" in row and row.endswith("hello") for row in rows)


def test_every_field_of_the_json_table_is_in_the_readme() -> None:
    row = table("--only", "status-299", *client())["status-299"]
    section = (ROOT / "README.md").read_text("utf-8").partition("### The gallery\n")[2].partition("\n### ")[0]
    named = section.partition("a table to keep (")[2].partition(")")[0].split()
    assert [word.strip("`") for word in named] == sorted(row, key=[word.strip("`") for word in named].index)


def test_words_of_the_command_are_filled_in_and_the_rest_is_in_the_environment() -> None:
    say = (
        "import json, os, sys; print(json.dumps(sys.argv[1:] + [os.environ['INSPECTD_' + key] for key in"
        " ('CASE', 'METHOD', 'UPLOAD', 'EXPECT', 'RANGE', 'CREDENTIALS')]))"
    )
    rows = table(
        "--only", "expect-417", "--only", "range-right", "--only", "basic",
        "--", sys.executable, "-c", say, "{method}", "{name}", "at={url}",
    )  # fmt: skip
    said = {name: json.loads(row["output"]) for name, row in rows.items()}
    assert [words[2].startswith("at=http://127.0.0.1:") for words in said.values()] == [True] * 3
    assert said["expect-417"][:2] == ["PUT", "expect-417"]
    assert said["expect-417"][3:] == ["expect-417", "PUT", "2048", "100-continue", "", ""]
    assert said["range-right"][3:] == ["range-right", "GET", "0", "", "bytes=5-9", ""]
    assert said["basic"][3:] == ["basic", "GET", "0", "", "", "user:secret"]
    assert {row["requests"] for row in rows.values()} == {0}


def test_options_behind_the_command_are_its_own_also_without_the_two_dashes() -> None:
    say = "import sys; print(sys.argv[1:3])"
    rows = table("--only", "status-299", sys.executable, "-c", say, "--json", "-t", "{url}")
    assert rows["status-299"]["output"] == "['--json', '-t']"


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text(
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "print('hanging', flush=True)\n"
        "child.wait()\n"
    )
    rows = table("--only", "stall", "--timeout", "4s", "--", sys.executable, str(script), "{url}")
    assert rows["stall"]["outcome"] == "killed"
    assert rows["stall"]["exit_code"] is None
    assert rows["stall"]["output"] == "hanging"
    assert not lives((tmp_path / "child").read_text())


def test_what_a_command_prints_reaches_the_terminal_as_safe_text() -> None:
    run = gallery("run", "--only", "status-999", "--", sys.executable, "-c", "print('\\x1b[31mred{url}')")
    assert "\x1b" not in run.stdout
    assert "\\x1b[31mred" in run.stdout


def test_of_a_traceback_the_last_line_is_told() -> None:
    fail = (
        "import sys\n"
        "sys.tracebacklimit = 0 if '{name}' == 'status-299' else 100\n"
        "try: 1 / 0  # {url}\n"
        "except ZeroDivisionError as zero: raise OSError('it went wrong' + 3000 * '!') from zero"
    )
    rows = table("--only", "status-299", "--only", "status-999", "--", sys.executable, "-c", fail)
    assert rows["status-299"]["error"].startswith("ZeroDivisionError")  # no traceback: the first line is told
    assert rows["status-999"]["error"].startswith("OSError: it went wrong!")


def test_megabytes_of_output_are_read_and_thrown_away() -> None:
    loud = "import sys; print('first'); sys.stdout.write('x' * 30_000_000); sys.stderr.write('y' * 3_000_000) # {url}"
    rows = table("--only", "status-999", "--timeout", "60s", "--", sys.executable, "-c", loud)
    assert (rows["status-999"]["exit_code"], rows["status-999"]["output"]) == (0, "first")


def test_a_table_can_be_compared_with_an_earlier_one(tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(gallery("run", "--json", "--only", "status-299", *client()).stdout)
    gallery("run", "--only", "status-299", "--expect", str(before), *client())
    other = ("--", sys.executable, "-c", "raise SystemExit(3)", "{url}")
    run = gallery("run", "--only", "status-299", "--expect", str(before), *other, code=1)
    assert run.stderr.splitlines() == [
        "status-299: exit 0 before, now exit 3",
        "status-299: 1 request before, now 0",
    ]
    before.write_text("[]")
    run = gallery("run", "--only", "status-299", "--expect", str(before), *client(), code=1)
    assert "is no table of gallery run" in run.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "--", "curl", "http://somewhere"), 2, "{url} is nowhere in the command"),
        (
            ("run", "--only", "status-299", "--", "/no/such/program", "{url}"),
            1,
            "can't run '/no/such/program'",
        ),
        (("run", "--only", "status-299", "--", "curl -s {url} | head"), 1, "No shell is in between"),
        (("run", "--only", "nothing*", "--", "curl", "{url}"), 2, "there is no case 'nothing*'"),
        (
            ("run", "chunk*", "gzip-*", "--", "curl", "{url}"),
            2,
            "inspectd gallery run --only 'chunk*' --only 'gzip-*' -- curl {url}",
        ),
        (("run", "--bogus", "--", "curl", "{url}"), 2, "No such option"),
        (("run", "--timeout", "soon", "--", "curl", "{url}"), 2, "is not a time"),
        (("run",), 2, "Missing argument"),
        (("show", "stale-rset"), 2, "Did you mean stale-reset?"),
        (("xyzzy",), 1, "no case has 'xyzzy' in it"),
    ],
)
def test_a_mistake_is_one_or_two_lines(words: tuple[str, ...], code: int, said: str) -> None:
    run = gallery(*words, code=code)
    assert said in run.stderr
    assert len(run.stderr.splitlines()) <= 2
    assert run.stdout == ""


def test_ctrl_c_ends_a_run_and_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    hang = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "gallery", "run", "-t", "5m", "--only", "stall",
         "--", sys.executable, "-c", hang, "{url}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    child = started.read_text()
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130, error
    assert b"Traceback" not in error
    assert not lives(child)


def test_ctrl_c_leaves_the_table_of_what_was_run(tmp_path: Path) -> None:
    second = tmp_path / "second"
    os.mkfifo(second)
    hang = (
        "import os, sys, time\n"
        "if os.environ['INSPECTD_CASE'] == 'stall':\n"
        f"    open({str(second)!r}, 'w').close()\n"
        "    time.sleep(600)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "gallery", "run", "-t", "5m", "-j", "1", "--json",
         "--only", "status-299", "--only", "stall", "--", sys.executable, "-c", hang, "{url}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    second.read_bytes()
    run.send_signal(signal.SIGINT)
    output, error = run.communicate(timeout=60)
    assert run.returncode == 130, error
    assert [row["case"] for row in json.loads(output)["cases"]] == ["status-299"]
    assert error == b"interrupted: 1 of 2 cases were run\n"


def test_a_child_in_a_session_of_its_own_is_not_waited_for(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    leave = (
        "import subprocess, sys\n"
        "child = 'import time; time.sleep(600)'\n"
        "left = subprocess.Popen([sys.executable, '-c', child], start_new_session=True)\n"
        f"open({str(alive)!r}, 'w').write(str(left.pid))\n"
        "print('left', flush=True)\n"
    )
    hang = f"{leave}left.wait()\n"
    try:
        for script, limit, code in ((leave, "60s", 0), (hang, "4s", None)):
            words = ("--timeout", limit, "--", sys.executable, "-c", script, "{url}")
            row = table("--only", "status-299", *words)["status-299"]
            assert (row["exit_code"], row["output"], row["error"]) == (code, "left", "")
            os.kill(int(alive.read_text()), signal.SIGKILL)
            alive.unlink()
    finally:
        if alive.exists():
            os.kill(int(alive.read_text()), signal.SIGKILL)


def lives(pid: str) -> bool:
    """Whether a process still runs, as far as this machine can say."""
    state = Path("/proc") / pid / "stat"
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"
