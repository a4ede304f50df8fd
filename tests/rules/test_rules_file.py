"""Rule files: all that is wrong with one is said at once, each thing on its line, and never by a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.book import RuleBook
from inspectd.rules.file import Problem, RuleFileError, load_file, load_tables, load_text
from inspectd.rules.mirror import Mirror
from inspectd.rules.program import Program
from inspectd.text.safe import safe
from tests.rules.rules_requests import get, sent


def problems(text: str, base: Path) -> list[Problem]:
    """What is wrong with the text of a rule file."""
    with pytest.raises(RuleFileError) as caught:
        load_text(text, source="api.toml", base=base)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems[:50])), "all of them are printed"
    return caught.value.problems


def test_a_file_becomes_rules_that_answer(tmp_path: Path) -> None:
    (tmp_path / "api.toml").write_text(
        """
        [[rule]]
        name = "tea"
        match = "GET /teapot"
        respond = "418 I'm a teapot"

        [[rule]]
        match = { path = "/pay/*", header.Accept = "*json*" }
        respond = "200 OK"
        body_file = "paid.json"

        [accept]
        do = "reset"
        count = 2
        """
    )
    (tmp_path / "paid.json").write_text("{}")
    loaded = load_file(tmp_path / "api.toml")
    assert [(rule.id, rule.name, rule.source, rule.line) for rule in loaded.rules] == [
        ("tea", "tea", "api.toml", 2),
        ("api.toml:7", None, "api.toml", 7),
    ]
    assert loaded.path == tmp_path / "api.toml"
    assert loaded.accept is not None
    assert (loaded.accept.do, loaded.accept.count) == ("reset", 2)
    book = RuleBook(Mirror())
    book.replace("api.toml", loaded.rules)
    tea = book.respond(get("/teapot"), now=0, persist=True)
    assert isinstance(tea, Program)
    assert sent(tea)[0] == "HTTP/1.1 418 I'm a teapot"
    assert tea.rule == "tea"
    paid = book.respond(get("/pay/7", "Accept: application/json"), now=0, persist=True)
    assert isinstance(paid, Program)
    assert (sent(paid)[2], paid.rule) == (b"{}", "api.toml:7")


def test_all_that_is_wrong_is_said_at_once_and_where(tmp_path: Path) -> None:
    text = """\
rul = 1

[[rule]]
match = "GET teapot"
respnd = "200"
fault = { do = "rset", at = "body", seed = "x" }
body = 5
path = "/a"

[[rule]]
match = { path-regex = "(a", client = "1.2.3", header.X = { equals = "1", glob = "2" } }
respond = "200 OK"
pace = { before = "3 parsecs", jitter = 2 }
when = "soon"
per = "clients"
then = "nxt"
body-file = "../secret"

[[rule]]
status = 404
each = []
json = { a = 1979-05-27, b = [1, nan] }

[accept]
do = "resett"
"""
    found = [(problem.line, problem.column, problem.key) for problem in problems(text, tmp_path)]
    assert found == [
        (1, 1, "rul"),
        (4, 1, "rule[0].match"),
        (5, 1, "rule[0].respnd"),
        (6, 11, "rule[0].fault.do"),
        (6, 37, "rule[0].fault.seed"),
        (7, 1, "rule[0].body"),
        (8, 1, "rule[0].path"),
        (11, 11, "rule[1].match.path-regex"),
        (11, 30, "rule[1].match.client"),
        (11, 55, "rule[1].match.header.X"),
        (13, 10, "rule[1].pace.before"),
        (13, 32, "rule[1].pace.jitter"),
        (14, 1, "rule[1].when"),
        (15, 1, "rule[1].per"),
        (16, 1, "rule[1].then"),
        (17, 1, "rule[1].body-file"),
        (20, 1, "rule[2].status"),
        (21, 1, "rule[2].each"),
        (22, 10, "rule[2].json.a"),
        (22, 34, "rule[2].json.b[1]"),
        (25, 1, "accept.do"),
    ]


@pytest.mark.parametrize(
    ("rule", "key", "what", "mend"),
    [
        ('respnd = "200"', "respnd", "unknown key 'respnd'; did you mean 'respond'?", ""),
        ('Respond = "200"', "Respond", "unknown key 'Respond'; did you mean 'respond'?", ""),
        ('bodyfile = "x"', "bodyfile", "unknown key 'bodyfile'; did you mean 'body-file'?", ""),
        ("status = 200", "status", "unknown key 'status'", "Here it is called respond."),
        ('delay = "1s"', "delay", "unknown key 'delay'", 'Write pace = { before = "300ms" }.'),
        ("reset = true", "reset", "unknown key 'reset'", 'Write fault = { do = "reset" }.'),
        ("fault = 'reset'", "fault", "expected a table or an", 'Write fault = { do = "reset", at = "body+50%" }.'),
        ("headers = { A = 'b' }", "headers", "expected an array, not a table", 'Write headers = ["A: b"].'),
        ("close = 'yes'", "close", "expected a boolean, not 'yes'", "About close: close the connection"),
        ('path = "/x"', "path", "unknown key 'path'", "It belongs into match: match = { path = ... }."),
        ('zebra = "x"', "zebra", "unknown key 'zebra'", "Known here: "),
        ('"\\u001b[2J" = 1', '"\\x1b[2J"', "unknown key '\\x1b[2J'", "Known here: "),
        ("respond = 200", "respond", "expected a string, not 200", 'in quotes: "200". About respond: the status'),
        ("respond = true", "respond", "expected a string, not true", ""),
        ("headers = 'X: 1'", "headers", "expected an array, not 'X: 1'", "Write it in brackets: ['X: 1']."),
        ("headers = [1]", "headers[0]", "expected a string or a table, not 1", ""),
        ("headers = ['X: 1', { rew = 'x' }]", "headers[1].rew", "unknown key 'rew'; did you mean 'raw'?", ""),
        ("headers = [{ A = '1' }]", "headers[0].A", "unknown key 'A'", 'headers = ["Name: value"]'),
        ("headers = [['A', '1']]", "headers[0]", "expected a string or a table, not an array", 'Write "A: 1".'),
        ("fault = ['stall']", "fault[0]", "expected a table", 'Write { do = "stall", at = "body+50%" }.'),
        ("pace = '1s'", "pace", "expected a table", 'Write pace = { before = "1s" }.'),
        ("pace = '4KiB/s'", "pace", "expected a table", 'Write pace = { body = "4KiB/s" }.'),
        ("pace = true", "pace", "expected a table", 'Write pace = { before = "300ms" }.'),
        ("auth = 'u:p'", "auth", "expected a table", 'Write auth = { basic = { u = "p" } }.'),
        ("auth.basic = 'u:p'", "auth.basic", "expected a table", 'Write basic = { u = "p" }.'),
        ("auth = { digest = true }", "auth.digest", "expected a table", 'Write digest = { name = "password" }.'),
        ("auth = { bearer = true }", "auth.bearer", "expected a string", 'Write bearer = "token".'),
        ("coding = true", "coding", "not true", 'Write coding = "gzip".'),
        ("cors = '*'", "cors", "expected a boolean or a table", "Write cors = true."),
        ("cors = ['http://a']", "cors", "not an array", 'Write cors = { origins = ["http://a"] }.'),
        ("interim = 103", "interim", "expected an array, not 103", 'Write interim = ["103"].'),
        ("interim = { respond = '103' }", "interim", "not a table", 'Write interim = [{ respond = "103" }].'),
        ("body = { a = 1, b = [true] }", "body", "expected a string", "Write json = { a = 1, b = [true] }."),
        ("cookies = { a = '1' }", "cookies", "expected an array", 'Write cookies = ["a=1"].'),
        ("hold = '5s'", "hold", "expected a boolean or a table", 'Write hold = { timeout = "5s" }.'),
        ("match = ['/a']", "match", "not an array", 'Write match = "/a".'),
        ("match = ['/a', '/b']", "match", "not an array", 'Write match = { path-regex = "/a|/b" }.'),
        ("match.header = 'X'", "match.header", "expected a table, not 'X'", "Write header.X = true."),
        ("match.header = ['X: 1']", "match.header", "expected a table", 'Write header.X = "1".'),
        ("match = 'http://a.test/b'", "match", "not a path", '{ host = "a.test", path = "/b" }'),
        ("match = 'GET localhost:80'", "match", "not a path", '{ host = "localhost:80", path = "/" }'),
        ("match = 'a/b'", "match", "not a path", "write '/a/b'"),
        ("match.json = { a = 1 }", "match.json.a", "a path begins with '$'", 'Write "$.a".'),
        ("chunked.extension = 3", "chunked.extension", "not 3", "About extension: what goes after each size"),
        ("match = 5", "match", "expected a string or a table, not 5", ""),
        ("match.nth = 0", "match.nth", "0 is less than 1", "the least"),
        ("match.nth = 99999999999999999999", "match.nth", "a number of more than 64 bits", ""),
        ("match.header.X = 1", "match.header.X", "expected a string, a boolean or a table, not 1", "a glob"),
        ("match.query.q = { equal = 'x' }", "match.query.q.equal", "unknown key 'equal'; did you mean 'equals'?", ""),
        ("match = 'GET'", "match", "no path in the match 'GET'", "Write 'GET *'"),
        ("match.json = { '$[' = 1 }", 'match.json."$["', "not a JSON path: '$['", "RFC 9535"),
        ("fault = { at = 'head' }", "fault", "the key 'do' is missing", "Known here: do, at"),
        ("fault.do = 'rest'", "fault.do", "'rest' is not one of ", ""),
        ("fault = [{ do = 'close' }, { do = 'clse' }]", "fault[1].do", "did you mean 'close'?", ""),
        ("fault = { do = 'close', at = 'bodi' }", "fault.at", "bodi", ""),
        ("pace.jitter = 1.5", "pace.jitter", "1.5 is more than 1", "the most"),
        ("pace.jitter = inf", "pace.jitter", "inf is no number to count with", ""),
        ("pace.body = '4KiB'", "pace.body", "not a rate", "4KiB/s"),
        ("pace.before = 1979-05-27T07:32:00Z", "pace.before", "not the date or time 1979-05-27", "300ms"),
        ("hold = { timeout = 'x' }", "hold.timeout", "not a duration", "300ms"),
        ("coding = 'gzp'", "coding", "'gzp' is not one of br, deflate, gzip, identity, zstd; did you mean 'gzip'?", ""),
        ("coding = 5", "coding", "expected one of br, ", ""),
        ("auto = ['datte']", "auto[0]", "did you mean 'date'?", ""),
        ("body_hex = '00'\nbody-hex = '01'", "body-hex", "body-hex is there twice", "one of them"),
        ("body-file = 'nowhere'", "body-file", "nowhere", ""),
        ("body-file = '/no/where'", "body-file", "/no/where", ""),
        ("body-file = '../x'", "body-file", "outside the folder of the rules", "absolute path"),
        ("folder = '..'", "folder", "outside the folder of the rules", "absolute path"),
        ("body-hex = 'xyz'", "body-hex", "", ""),
        ("raw = 'x'\nheaders = ['A: b']", "headers", "raw", ""),
        ('respond = "200\\n"', "respond", "a line end", ""),
        ("each = []", "each", "each is empty", ""),
        ("each = ['200']\nbody = 'x'", "body", "body and each together", "items of each"),
        ("each = ['200']\nbody_repeat = 2", "body-repeat", "body-repeat and each together", "items of each"),
        ("each = ['200']\nredirect = '/x'", "redirect", "redirect and each together", "items of each"),
        ("each = ['200', { respond = 5 }]", "each[1].respond", "expected a string, not 5", ""),
        ("each = ['200', { body-file = 'no' }]", "each[1].body-file", "no", ""),
        ("each = ['200', \"200 \\r\"]", "each[1].respond", "a line end", ""),
        ("each = ['200', '404']\npace.head = 'x'", "pace.head", "not a rate", ""),
        ("each = ['200']\nthen = 'newt'", "then", "'newt' is not one of last, cycle, close, next,", ""),
        ("each = ['200']\nthen = 'cyle'", "then", "or a status; did you mean 'cycle'?", "404 Not Found"),
        ("each = ['200']\nthen = \"404\\n\"", "then", "a line end", ""),
        ("each = ['200']\nper = 'header:'", "per", "'header:' is not one of rule, connection, client, header:NAME", ""),
        ("per = 'client'", "per", "per without each", ""),
        ("pick = 'weighted'", "pick", "pick without each", ""),
        ("each = ['200']\npick = 'weighted'\nthen = 'cycle'", "then", "then together with pick", ""),
        ("each = [{ weight = 0 }]\npick = 'weighted'", "each", "all weights are 0", ""),
        ("each = [{ weight = 2 }, '200']", "each[0].weight", "weight without pick", "weighted"),
        ("weight = 2", "weight", "the weight of a rule", "first rule that matches"),
        ('body-file = "\\u001b[2J\\u202e"', "body-file", "", ""),
        ('fault = { do = "close", at = "\\u202e\\u0007" }', "fault.at", "", ""),
        ('pace.head = "\\u202e\\u0007"', "pace.head", "", ""),
        ('raw-hex = "\\u202e\\u0007"', "raw-hex", "", ""),
        ('redirect = { to = "\\u202e\\n" }', "redirect.to", "", ""),
        ('template = true\nbody = "{{ \\u202e\\u0007 }}"', "body", "", ""),
        ("each = [{ weight = 1e308 }, { weight = 1e308 }]\npick = 'weighted'", "each", "the weights add up to", ""),
        ("per = 'cleint'", "per", "did you mean 'client'?", "header:X-Session"),
        ("when = 'content'", "when", "'content' is not one of request, head, content N", ""),
        ("when = 'content x'", "when", "not a size", ""),
        ("when = 'head'\nmatch.body = 'x'", "when", "when together with a condition on the content", ""),
        ("invite = false\nmatch.body = 'x'", "invite", "invite together with a condition on the content", ""),
        ("json = { a = [{ b = 07:32:00 }] }", "json.a[0].b", "the date or time 07:32:00 is no JSON value", "quotes"),
        ("json = -inf", "json", "-inf is no JSON value", "quotes"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_rule(rule: str, key: str, what: str, mend: str, tmp_path: Path) -> None:
    (problem,) = problems(f"\n\n[[rule]]\n{rule}\n", tmp_path)
    assert problem.key == f"rule[0].{key}"
    assert what in problem.what
    assert mend in problem.mend
    assert problem.path == "api.toml"
    assert problem.line is not None
    assert 4 <= problem.line <= 7
    assert problem.what
    for text in (problem.key, problem.what, problem.mend):
        assert text == safe(text, doubling=False)


@pytest.mark.parametrize(
    ("text", "place", "what", "mend"),
    [
        ("rule = 5", (1, 1), "expected an array, not 5", ""),
        ("\n[rule]\nrespond = '200'", (2, 2), "expected an array, not a table", "[[rule]]"),
        ("[[rules]]", (1, 3), "unknown key 'rules'; did you mean 'rule'?", ""),
        ("respond = '200'", (1, 1), "unknown key 'respond'", "[[rule]]"),
        ("seed = 'x'", (1, 1), "expected a whole number, not 'x'", ""),
        ("[accept]\ncount = 1", (1, 2), "the key 'do' is missing", "Known here"),
        ("[accept]\ndo = 'wait'\nfor = 'x'", (3, 1), "not a duration", ""),
        ("[accept]\ndo = 'wait'\ncount = 1", (3, 1), "count together with", "reset and close"),
        ("[accept]\ndo = 'reset'\nfor = 1", (3, 1), "for together with", "wait and refuse"),
        ("[accept]\ndo = 'reset'\ncount = 0", (3, 1), "0 is less than 1", ""),
        # not TOML
        ("[[rule]]\nrespond = 200 OK", (2, 15), "something follows a value on its line", 'respond = "200 OK"'),
        ("[[rule]]\nrespond = OK", (2, 11), "no value that TOML knows", "in quotes"),
        ('[[rule]]\nrespond = "200\nbody = "x"', (2, 15), "a text without its closing quote", "Close it"),
        ("[rule]\n[rule]", (2, 6), "the table [rule] is there twice", "[[rule]], in two brackets"),
        ("[[rule]]\n[rule.pace]\n[rule.pace]", (3, 11), "the table [rule.pace] is there twice", "into one of them"),
        ('[[rule]]\nraw = "\\x00"', (2, 10), "not TOML: ", "\\u00NN"),
        ('[[rule]]\nbody = "a', (2, 10), "not TOML: ", ""),
        ("a = 1\na = 2", (2, 6), "not TOML: 'a' is there twice in its table", "one of the two"),
        ("[[rule", (1, 7), "not TOML: ", ""),
        ("a = 1\r\nb = \r\n", (2, 5), "not TOML: ", ""),
        ("\x00", (1, 1), "not TOML: ", ""),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file(text: str, place: tuple[int, int], what: str, mend: str, tmp_path: Path) -> None:
    (problem,) = problems(text, tmp_path)
    assert (problem.line, problem.column) == place
    assert what in problem.what
    assert mend in problem.mend


def test_two_rules_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    text = "[[rule]]\nname = 'a'\n[[rule]]\nname = 'b'\n[[rule]]\nname = 'a'\n"
    assert list(map(str, problems(text, tmp_path))) == [
        """api.toml:6:1: rule[2].name: another rule is called 'a' too
  The first one is in line 2. Give each rule its own name."""
    ]


def test_what_an_item_takes_from_its_rule_is_wrong_there_and_once(tmp_path: Path) -> None:
    text = "[[rule]]\neach = ['200', '404', { raw = 'x' }]\nheaders = [\"A\\nB: 1\"]\npace.body = 'x'\n"
    assert [(problem.line, problem.key) for problem in problems(text, tmp_path)] == [
        (3, "rule[0].headers[0]"),
        (4, "rule[0].pace.body"),
    ]


# -- files


def load_error(path: Path) -> str:
    """What is said of a file that can't be loaded."""
    with pytest.raises(RuleFileError) as caught:
        load_file(path)
    return str(caught.value).replace(str(path), "FILE")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    assert "FILE: can't read the rule file: no such file" in load_error(tmp_path / "nowhere.toml")
    assert "FILE: the rule file is a directory" in load_error(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "FILE: the rule file is not an ordinary file" in load_error(tmp_path / "pipe")
    assert "can't read the rule file" in load_error(tmp_path / ("x" * 300))
    assert "can't read the rule file" in load_error(tmp_path / "a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "api.toml"
    path.write_text("")
    path.chmod(0)
    assert "can't read the rule file: permission denied" in load_error(path)


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "api.toml"
    path.write_bytes("[[rule]]\nbody = 'ö\xff'".encode("latin-1"))
    assert load_error(path).startswith("FILE:2:9: the byte 0xf6 is not UTF-8, and TOML is\n")
    path.write_bytes("[[rule]]".encode("utf-16"))
    assert load_error(path).startswith("FILE:1:1: the byte 0xff is not UTF-8")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "api.toml"
    path.write_bytes(b'\xef\xbb\xbf[[rule]]\r\nrespond = "204"\r\n\r\n[[rule]]\r\nrespond = "200"\r\n')
    assert [rule.id for rule in load_file(path).rules] == ["api.toml:1", "api.toml:4"]
    path.write_bytes(b'\xef\xbb\xbf[[rule]]\r\nrespond = "204"\r\n\r\n[[rule]]\r\nrespnd = "200"\r\n')
    assert load_error(path).startswith("FILE:5:1: rule[1].respnd")


def test_a_large_file_is_loaded_and_a_huge_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "api.toml"
    with path.open("w") as file:
        file.write(
            '[[rule]]\nbody = "' + "x" * 10_000_000 + "\"\n[[rule]]\nraw = '''" + "\\y" * 1_000_000 + "'''"
        )
    assert [rule.line for rule in load_file(path).rules] == [1, 3]
    with path.open("r+") as file:
        file.truncate((16 << 20) + 1)
    assert "FILE: the rule file has 16,777,217 bytes, more than 16,777,216" in load_error(path)


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    path = tmp_path / "api.toml"
    path.write_text("# nothing yet\n")
    loaded = load_file(path)
    assert (loaded.rules, loaded.accept) == ([], None)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        "a" + ".a" * 3_000 + " = 1",
        "[[rule]]\njson" + ".a" * 3_000 + " = 1",
        "[[rule]]\nmatch.json.'$.a'" + ".a" * 3_000 + " = 1",
        "[[rule]]\nmatch.json.'$" + "[0]" * 20_000 + "' = 1\nrespond = 5",
        "[[rule]]\nmatch.json.'$[?" + "(" * 20_000 + "' = 1\nrespond = 5",
        "[" + ".".join("a" * 3_000) + "]",
        "[[rule]]\nmatch.x" + ".a" * 200_000 + " = 1",  # tomllib alone would take 100 GB
        "a = " + "9" * 5000,
        "a = 2021-02-30",
    ],
)  # fmt: skip
def test_deep_nesting_and_long_numbers_are_mistakes_like_others(text: str, tmp_path: Path) -> None:
    assert len(problems(text, tmp_path)) >= 1


@pytest.mark.parametrize(
    "key",
    ["respond", "json", "headers", "fault", "pace", "auth", "auth.basic", "auth.bearer", "cors", "interim", "match",
     "hold", "match.path", "match.header", "body", "cookies", "poll", "conditional", "redirect",
     "chunked", "chunked.sizes"],
)  # fmt: skip
@pytest.mark.parametrize(
    "value",
    [
        "0x" + "f" * 9000,
        "{ a = 0x" + "f" * 9000 + " }",
        "[0x" + "f" * 9000 + "]",
        '"' + "a:/" * 9000 + '"',
        "[[[1]]]",
    ],
    ids=["number", "table", "array", "text", "nested"],
)
def test_large_values_of_the_wrong_type_are_mistakes_like_others(
    key: str, value: str, tmp_path: Path
) -> None:
    said = ""
    try:
        load_text(f"[[rule]]\n{key} = {value}\n", source="a", base=tmp_path)
    except RuleFileError as error:
        said = str(error)
    assert len(said) < 2000


def test_what_stands_beside_a_mistake_is_looked_at_as_well(tmp_path: Path) -> None:
    found = problems("[[rule]]\nfault = { do = 'resett', at = 'bodi', after = 'soon' }", tmp_path)
    assert [problem.key for problem in found] == [
        "rule[0].fault.do",
        "rule[0].fault.at",
        "rule[0].fault.after",
    ]


def test_dots_in_a_text_are_no_nesting(tmp_path: Path) -> None:
    text = "[[rule]]\nbody = '" + "a." * 3_000 + "'"
    assert len(load_text(text, source="a", base=tmp_path).rules) == 1


def test_a_thousand_mistakes_are_all_kept_and_fifty_printed(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError) as caught:
        load_text("[[rule]]\nx = 1\n" * 1000, source="a", base=tmp_path)
    assert len(caught.value.problems) == 1000
    assert str(caught.value).endswith("\n... and 950 more")


# -- tables


def test_tables_are_loaded_without_a_file(tmp_path: Path) -> None:
    tables: list[dict[str, Any]] = [
        {"match": "/a", "respond": "204"},
        {"match": "/b", "respond": "204", "name": "b", "body_hex": None},
        {"each": ["200", {"json": None}]},
    ]
    rules = load_tables(tables, source="control", base=tmp_path)
    assert [(rule.id, rule.line) for rule in rules] == [("control#1", 0), ("b", 0), ("control#3", 0)]


def test_mistakes_in_tables_have_no_line(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError) as caught:
        load_tables([{"match": "/a"}, {"respnd": 1}, 5], source="control", base=tmp_path)  # type: ignore[list-item]
    assert list(map(str, caught.value.problems)) == [
        "control: rule[1].respnd: unknown key 'respnd'; did you mean 'respond'?",
        "control: rule[2]: expected a table, not 5",
    ]


# -- anything


_WORDS = st.sampled_from(
    [
        "[[rule]]\n",
        "[accept]\n",
        "match = ",
        "respond = ",
        "each = ",
        "fault = ",
        "pace.",
        "json = ",
        "then = ",
        "when = ",
        "per = ",
        "'200'",
        "'GET /x'",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "do = ",
        "at = ",
        "'reset'",
        "'body+50%'",
        "5",
        "true",
        "1979-05-27",
        "'\x1b[31m'",
        "raw = ",
        '"""',
        '"',
        "hold = ",
        "seed = ",
    ]
)


@given(st.lists(_WORDS, max_size=25).map("".join) | st.text(max_size=100))
def test_any_text_is_loaded_or_says_what_is_wrong(text: str) -> None:
    found: list[Problem] | None = None
    try:
        load_text(text, source="api.toml", base=Path("/nowhere"))
    except RuleFileError as error:
        found = error.problems
    assert found is None or found
    for problem in found or ():
        assert str(problem) == safe(str(problem), newline=True, doubling=False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["match", "respond", "headers", "body", "json", "each", "then", "fault", "pace", "hold", "auth", "cors", "events",
     "coding", "chunked", "cookies", "conditional", "redirect", "poll", "interim", "weight", "seed", "name", "raw"]
)  # fmt: skip


@given(st.lists(st.dictionaries(_KEYS, _JSON, max_size=4), max_size=3))
def test_any_table_is_loaded_or_says_what_is_wrong(tables: list[dict[str, Any]]) -> None:
    found: list[Problem] | None = None
    try:
        load_tables(tables, source="control", base=Path("/nowhere"))
    except RuleFileError as error:
        found = error.problems
    assert found is None or found
