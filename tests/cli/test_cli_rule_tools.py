"""`inspectd rules`: check, show, schema and sample, with no server anywhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inspectd.cli.rules import SAMPLE, asked_for
from inspectd.errors import InspectdError
from inspectd.rules.file import load_text
from inspectd.rules.tables import AcceptTable, MatchTable, PatchTable, RuleTable, TlsTable, WebSocketTable
from tests.live_engine import ROOT, LiveEngine, environment

ODD = """
[[rule]]
match = "POST /slow"
respond = "201 Created"

[[rule]]
match = "GET /slow"
respond = "HTTP/1.1 299 Odd"
headers = ["X-Odd : 1"]
body = "the first half, the second half"
pace = { before = "300ms" }
fault = { at = "body+50%", do = "reset" }

[[rule]]
match = { path = "/pay", header.X-Key = "abc", body-regex = "card" }
raw = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi\\u0000\\u00ff"
"""

TABLES = (RuleTable, MatchTable, AcceptTable, TlsTable, WebSocketTable, PatchTable)


def rules(*words: object, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run `inspectd rules` with these words; it has to end with this exit code."""
    argv = [sys.executable, "-m", "inspectd", "rules", *map(str, words)]
    run = subprocess.run(argv, capture_output=True, timeout=60, check=False, cwd=cwd)
    assert run.returncode == code, run.stderr.decode() + run.stdout.decode()
    return run


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.toml"
    path.write_text(ODD, encoding="utf-8")
    return path


def test_the_file_in_the_help_page_is_one_that_loads() -> None:
    loaded = load_text(SAMPLE, source="sample", base=Path("/"))
    assert len(loaded.rules) == 7
    page = rules("--help").stdout.decode()
    assert all(line in page for line in SAMPLE.splitlines())
    assert "inspectd rules check" in page
    assert rules("sample").stdout.decode() == SAMPLE


def test_the_rules_in_the_readme_load_and_its_table_names_keys_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("### Answer by rule\n")[2].partition("\n### ")[0]
    (block,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    assert len(load_text(block, source="readme", base=ROOT).rules) == 3
    rows = re.findall(r"^\| [^|]+ \| (.+) \|$", section, re.MULTILINE)
    named = {word for row in rows[1:] for word in re.findall(r"`([a-z-]+)`", row)}
    keys = {name for table in TABLES for name in table.__struct_encode_fields__}
    values = {
        "close",
        "half-close",
        "reset",
        "stall",
        "truncate",
        "garbage",
        "start",
        "status-line",
        "head",
        "body",
        "wait",
        "refuse",
    }
    assert named - keys - values == set()
    assert set(RuleTable.__struct_encode_fields__) - named <= {
        "name",
        "about",
        "body-repeat",
        "json",
        "weight",
    }


def test_the_examples_of_keys_in_the_readme_load(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Keys of a rule file\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("a page")
    loaded = load_text(block, source="readme", base=tmp_path)
    assert len(loaded.rules) == block.count("[[rule]]")
    assert loaded.accept is not None


def test_check_says_that_all_is_well_and_lists_the_rules(odd: Path) -> None:
    assert rules("check", odd).stdout.decode() == f"{odd}: 3 rules, nothing wrong\n"
    listed = rules("check", "-v", odd).stdout.decode().splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["odd.toml:2", "odd.toml:6", "odd.toml:14"]


def test_check_says_everything_that_is_wrong_with_line_and_column(tmp_path: Path, odd: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[rule]]\nrespnd = "200"\n\n[[rule]]\nfault = { do = "rset" }\n', encoding="utf-8")
    run = rules("check", bad, odd, code=1)
    said = run.stderr.decode()
    assert f"{bad}:2:" in said
    assert "did you mean 'respond'" in said
    assert f"{bad}:5:" in said
    assert "'reset'" in said
    assert said.splitlines()[-1] == "inspectd: 2 problems"
    assert run.stdout.decode() == f"{odd}: 3 rules, nothing wrong\n"


def test_check_counts_handshakes_and_says_where_they_happen(tmp_path: Path) -> None:
    both, empty = tmp_path / "both.toml", tmp_path / "empty.toml"
    both.write_text(
        '[[tls]]\nname = "a.*"\ndo = "reset"\n[[tls]]\nversion = "TLSv1.2"\n[accept]\ndo = "reset"\n',
        encoding="utf-8",
    )
    empty.write_text("", encoding="utf-8")
    first, second, third = rules("check", both, empty).stdout.decode().splitlines()
    assert first == f"{both}: 2 [[tls]] tables and [accept], nothing wrong"
    assert second.startswith(f"{both}: [[tls]] is about listeners that speak TLS")
    assert third == f"{empty}: 0 rules, nothing wrong and nothing in it"


def test_handshakes_that_nobody_makes_are_told_of_when_an_engine_starts(tmp_path: Path) -> None:
    file = tmp_path / "tls.toml"
    file.write_text('[[tls]]\ndo = "reset"\n', encoding="utf-8")
    told = []
    for listen in ("127.0.0.1:0", "https://127.0.0.1:0"):
        with LiveEngine(tmp_path, "--rules", str(file), listen=(listen,)) as engine:
            shown = subprocess.run(
                [sys.executable, "-m", "inspectd", "control", "rules", "--engine", str(engine.pid)],
                cwd=ROOT,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
            engine.stop()
        told.append((("[[tls]] in the rules does nothing" in engine.stderr), "do nothing" in shown))
        assert "handshakes: 1 [[tls]] table" in shown
    assert told == [(True, True), (False, False)]


def test_check_tells_of_rules_that_never_answer(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text('[[rule]]\nmatch = "/a/**"\nhold = true\n[[rule]]\nmatch = "GET /a/b"\nrespond = "200"\n')
    two.write_text('[[rule]]\nname = "late"\nmatch = "POST /a/*"\nrespond = "200"\n', encoding="utf-8")
    assert rules("check", one, two).stdout.decode().splitlines() == [
        f"{one}: 2 rules, nothing wrong",
        f"{two}: 1 rule, nothing wrong",
        "one.toml:4 (GET /a/b) never answers: one.toml:1 (/a/**) comes first",
        "late (POST /a/*) never answers: one.toml:1 (/a/**) comes first",
    ]
    assert rules("check", two, one).stdout.decode().splitlines()[2:] == [
        "one.toml:4 (GET /a/b) never answers: one.toml:1 (/a/**) comes first"
    ]


def test_check_and_show_tell_of_what_does_nothing(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(
        '[accept]\ndo = "reset"\n[[rule]]\nname = "n"\nmatch = "/a"\nraw = "0123456789"\n'
        'fault = { at = "byte 1000", do = "reset" }\n',
        encoding="utf-8",
    )
    two.write_text('[accept]\ndo = "close"\n[[rule]]\nname = "n"\nmatch = "/a"\nrespond = "200"\n')
    nothing = 'The fault at "byte 1000" (reset) never happens: the answer has 10 bytes.'
    assert rules("check", one, two).stdout.decode().splitlines() == [
        f"{one}: 1 rule and [accept], nothing wrong",
        f"{two}: 1 rule and [accept], nothing wrong",
        f"{two}: its [accept] does nothing: that of {one} comes first",
        "n (/a) of two.toml never answers: n (/a) of one.toml comes first",
        f"n (/a) of one.toml: {nothing}",
    ]
    shown = rules("show", one, "/a").stdout.decode()
    assert nothing in shown
    assert shown.startswith("  accept   one.toml  resets connections\n  answers  n  /a")


def test_check_and_show_tell_of_what_clients_do_not_understand(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        '[[rule]]\nmatch = "/a"\nrespond = "OK 200"\nheaders = ["nocolon"]\n[[rule]]\nmatch = "/b"\n'
    )
    told = [line.partition("): ")[::2] for line in rules("check", path).stdout.decode().splitlines()[1:]]
    assert [of for of, _ in told] == ["a.toml:1 (/a", "a.toml:1 (/a", "a.toml:5 (/b"]
    words = ["no status line that clients understand", "has no colon", "says nothing of its answer"]
    assert all(said in sentence for said, (_, sentence) in zip(words, told, strict=True))
    assert told[0][1] in rules("show", path, "/a").stdout.decode()
    assert "note   It says nothing of its answer" in rules("show", path, "/b").stdout.decode()


def test_check_lists_what_answers_do_and_what_happens_to_connections(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        '[accept]\ndo = "close"\ncount = 2\n[[rule]]\nmatch = "/a"\nbody = "x"\nchunked = true\ncoding = "gzip"\n'
        'interim = ["103"]\nauth = { digest = { u = "p" } }\n'
    )
    assert [
        line.split("  ")[-1].strip() for line in rules("check", "-v", path).stdout.decode().splitlines()[1:]
    ] == [
        "closes 2 connections at once",
        "200 OK (digest auth, gzip, chunked, 1 interim)",
    ]


def test_show_says_which_answer_of_a_poll_is_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[[rule]]\nmatch = "/a"\npoll = "gate"\nrespond = "200 Ready"\n')
    shown = rules("show", path, "/a").stdout.decode()
    other, normal = shown.partition("otherwise:\n")[2].split("When it is let go before:\n")
    assert "204" in other
    assert "200·Ready" in normal


def test_check_of_what_is_no_file_is_a_line(tmp_path: Path) -> None:
    run = rules("check", tmp_path / "nowhere.toml", code=1)
    assert b"no such file" in run.stderr
    assert b"Traceback" not in run.stderr


def test_show_says_which_rule_answers_and_why_the_earlier_ones_do_not(odd: Path) -> None:
    text = rules("show", odd, "GET /slow").stdout.decode()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "no       odd.toml:2  POST /slow"
    assert lines[1] == "the method is GET, not POST"
    assert lines[2].startswith("answers  odd.toml:6  GET /slow")
    assert lines[3] == "1 rule behind it"


def test_show_prints_bytes_times_faults_what_was_added_and_what_is_illegal(odd: Path) -> None:
    text = rules("show", odd, "GET /slow").stdout.decode()
    assert "Waits 300 ms." in text
    assert "Resets the connection (RST)." in text
    assert "X-Odd" in text
    assert "the second half" not in text
    assert "added  Content-Length: 31" in text
    assert 'White space between a field name and its colon: "X-Odd". RFC 9112 §5.1' in text


def test_show_asks_with_fields_and_content(odd: Path) -> None:
    matched = rules("show", odd, "POST /pay", "-H", "X-Key: abc", "--body", "card=1").stdout.decode()
    assert "answers  odd.toml:14" in matched
    missed = rules("show", odd, "POST /pay", "-H", "X-Key: other").stdout.decode()
    assert "no rule matches: the mirror answers" in missed
    assert "X-Key" in missed


def test_show_tells_later_answers_of_a_rule_as_well(tmp_path: Path) -> None:
    path = tmp_path / "twice.toml"
    path.write_text(
        '[[rule]]\nmatch = { path = "/a", nth = 3 }\nrespond = "418"\n\n'
        '[[rule]]\nmatch = "/a"\neach = ["503 Busy", "200 OK"]\n',
        encoding="utf-8",
    )
    firsts = [
        rules("show", path, "/a", "--nth", nth, "--bytes").stdout.split(b"\r\n")[0] for nth in (1, 2, 3, 4)
    ]
    assert firsts == [b"HTTP/1.1 503 Busy", b"HTTP/1.1 200 OK", b"HTTP/1.1 418", b"HTTP/1.1 200 OK"]


def test_show_writes_exactly_the_bytes(odd: Path) -> None:
    run = rules("show", odd, "POST /pay", "-H", "X-Key: abc", "--body", "card=1", "--bytes")
    assert run.stdout == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\x00\xff"


def test_what_a_rule_says_reaches_the_terminal_as_safe_text(tmp_path: Path) -> None:
    path = tmp_path / "evil.toml"
    path.write_text('[[rule]]\nname = "\\u001b[31mevil"\nmatch = "/a"\nraw = "\\u001b]0;owned\\u0007"\n')
    for words in (("show", path, "/a"), ("check", "-v", path)):
        assert b"\x1b" not in rules(*words).stdout


def test_several_files_are_tried_in_their_order(tmp_path: Path, odd: Path) -> None:
    first = tmp_path / "first.toml"
    first.write_text('[[rule]]\nrespond = "204 No Content"\n', encoding="utf-8")
    assert "answers  first.toml:1" in rules("show", first, odd, "/slow").stdout.decode()
    assert "answers  odd.toml:6" in rules("show", odd, first, "/slow").stdout.decode()


def test_schema_is_json_schema_that_knows_the_keys() -> None:
    schema = json.loads(rules("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "body-file" in json.dumps(schema)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "FILE", "GET", "/w"), "put the request in quotes: inspectd rules show "),
        (("show", "FILE", "slow"), "names no path"),
        (("show", "FILE", "/a", "-H", "no colon"), "is no field line"),
        (("show", "FILE"), "Missing argument"),
        (("show", "FILE", "GET /", "--body-file", "/no/such/file"), "does not exist"),
    ],
)
def test_a_mistake_is_one_or_two_lines(odd: Path, words: tuple[str, ...], said: str) -> None:
    run = rules(*(str(odd) if word == "FILE" else word for word in words), code=2)
    assert said in run.stderr.decode()
    assert len(run.stderr.splitlines()) <= 2


def test_a_request_is_made_of_the_words_of_a_person() -> None:
    asked = asked_for("PUT /a?b=1", ["Host: there", "X-A: ö"], b"content")
    assert (asked.head.method, asked.head.target) == (b"PUT", b"/a?b=1")
    assert asked.content == b"content"
    assert asked.head.get(b"host") == b"there"
    assert asked_for("/only-a-path").head.method == b"GET"
    with pytest.raises(InspectdError):
        asked_for("GET / HTTP/1.1\r\nX: 1", ["X: 1\r\nY: 2"])


def test_a_pipe_is_a_rule_file_too() -> None:
    argv = [sys.executable, "-m", "inspectd", "rules"]
    for words, text, code, said in (
        (["check", "-"], SAMPLE.encode(), 0, b"-: 7 rules, nothing wrong\n"),
        (["show", "-", "GET /teapot", "--bytes"], SAMPLE.encode(), 0, b"HTTP/1.1 418 I'm a teapot\r\n"),
        (["check", "-"], b"\xff", 1, b"standard input is not UTF-8"),
        (["show", "-", "/"], b"x", 2, b"standard input:1:2: not TOML"),
    ):
        run = subprocess.run([*argv, *words], input=text, capture_output=True, timeout=60, check=False)
        assert run.returncode == code
        assert (run.stdout + run.stderr).startswith(said) or b"inspectd: " + said in run.stderr


def test_wrong_files_are_told_of_in_the_same_way_by_check_and_show(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[[rule]]\nbogus = 1\n")
    checked = rules("check", "a.toml", "none.toml", code=1, cwd=tmp_path)
    shown = rules("show", "a.toml", "none.toml", "/", code=2, cwd=tmp_path)
    assert shown.stderr == checked.stderr
    assert b"\\x0a" not in shown.stderr
    assert shown.stdout == b""


def test_without_a_command_the_help_page_is_what_is_wrong() -> None:
    run = rules(code=2)
    assert run.stdout == b""
    assert run.stderr == rules("--help").stdout


@pytest.mark.parametrize("words", [(), ("check",), ("show",), ("schema",), ("sample",)])
def test_help_pages_fit_a_terminal_of_80_columns(words: tuple[str, ...]) -> None:
    assert max(map(len, rules(*words, "--help").stdout.decode().splitlines())) <= 80
