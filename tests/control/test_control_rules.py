"""Rules over the control API of a real engine, and rule files that change under it."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.control.client import ControlClient, ControlError
from tests.control.talk import ask, by_socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live_engine import LiveEngine

    Start = Callable[..., LiveEngine]

BUSY = '[[rule]]\nmatch = "GET /busy"\nrespond = "503 Busy"\n'
TEAPOT = '[[rule]]\nname = "pot"\nmatch = "/pot"\nrespond = "418 I\'m a teapot"\nbody = "short"\n'


def until(check: Callable[[], Any], seconds: float = 30) -> Any:
    """What `check` returns when that is true at last; the engine looks at its files a few times a second."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def status_line(engine: LiveEngine, request: str) -> str:
    return ask(engine, request).partition(b"\r\n")[0].decode()


class TestOverTheApi:
    def test_rules_hold_from_the_next_request_on_and_go_again(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        shown = client.put_rules(BUSY + TEAPOT)

        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"
        assert status_line(engine, "GET /pot") == "HTTP/1.1 418 I'm a teapot"
        assert status_line(engine, "GET /else") == "HTTP/1.1 200 OK"
        (source,) = shown.sources
        assert (source.name, source.kind, source.error) == ("control", "control", None)
        assert [(each.id, each.line, each.match, each.answer) for each in source.rules] == [
            ("control:1", 1, "GET /busy", "503 Busy"),
            ("pot", 4, "/pot", "418 I'm a teapot"),
        ]
        assert [each.calls for each in client.rules().sources[0].rules] == [1, 1]
        assert client.status().rules == 2
        assert client.answer().description == "2 rules of control"
        assert client.answer().otherwise == "mirror"

        assert client.delete_rules().sources == ()
        assert status_line(engine, "GET /busy") == "HTTP/1.1 200 OK"
        assert client.answer().description == "mirror"
        assert client.answer().otherwise is None

    def test_an_answer_that_is_set_while_there_are_rules_is_for_the_rest(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY)
        current = client.set_answer(status="404 Nothing")

        assert (current.description, current.otherwise) == ("1 rule of control", "404 Nothing")
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"
        assert status_line(engine, "GET /else") == "HTTP/1.1 404 Nothing"
        client.delete_rules()
        assert status_line(engine, "GET /busy") == "HTTP/1.1 404 Nothing"

    def test_added_rules_come_first_and_have_ids_of_their_own(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY)
        shown = client.add_rules(rules=[{"match": "GET /busy", "respond": "429 Later"}])
        client.add_rules(BUSY.replace("503 Busy", "599 Newest"))

        assert status_line(engine, "GET /busy") == "HTTP/1.1 599 Newest"
        ids = [each.id for each in client.rules().sources[0].rules]
        assert len(ids) == len(set(ids)) == 3
        assert [each.answer for each in shown.sources[0].rules] == ["429 Later", "503 Busy"]

    def test_what_is_put_begins_anew_also_when_it_is_the_same(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        rules = '[[rule]]\nmatch = "/pay"\neach = ["503 Busy", "200 OK"]\n'
        seen = []
        for _ in range(2):
            client.put_rules(rules)
            seen += [status_line(engine, "GET /pay") for _ in range(2)]
            assert [each.calls for each in client.rules().sources[0].rules] == [2]

        assert seen == ["HTTP/1.1 503 Busy", "HTTP/1.1 200 OK"] * 2
        client.add_rules(TEAPOT)
        assert status_line(engine, "GET /pay") == "HTTP/1.1 200 OK"  # those that were there go on

    def test_files_are_read_by_the_engine_and_all_their_problems_told(
        self, engine: LiveEngine, client: ControlClient, tmp_path: Path
    ) -> None:
        good, bad, worse = (tmp_path / name for name in ("good.toml", "bad.toml", "worse.toml"))
        (tmp_path / "page.txt").write_text("from a file")
        good.write_text('[[rule]]\nmatch = "/page"\nbody-file = "page.txt"\n')
        bad.write_text('[[rule]]\nmatch = "/a"\nrespnd = "200"\n')
        worse.write_text("[[rule]\n")
        with pytest.raises(ControlError) as refused:
            client.put_rules(files=[good, bad, worse])

        places = [(each.source, each.line) for each in refused.value.problems]
        assert places == [(str(bad), 3), (str(worse), 1)]
        assert "respond" in refused.value.problems[0].what
        assert client.rules().sources == ()
        client.put_rules(files=[good])
        assert ask(engine, "GET /page").endswith(b"from a file")

    def test_relative_paths_need_a_base(
        self, engine: LiveEngine, client: ControlClient, tmp_path: Path
    ) -> None:
        (tmp_path / "page.txt").write_text("from a file")
        rules = '[[rule]]\nmatch = "/page"\nbody-file = "page.txt"\n'
        with pytest.raises(ControlError) as refused:
            client.put_rules(rules)
        (problem,) = refused.value.problems
        assert problem.key == "rule[0].body-file"
        assert "nothing says where it starts from" in problem.what
        with pytest.raises(ControlError):
            client.put_rules(rules=[{"each": ["200", {"raw_file": "../x"}]}])
        status, _ = by_socket(engine, "PUT /v1/rules", b'{"toml": "", "base": "here"}')
        assert status == 400

        client.put_rules(rules, base=tmp_path)
        assert ask(engine, "GET /page").endswith(b"from a file")

    def test_checking_changes_nothing(self, engine: LiveEngine, client: ControlClient) -> None:
        assert client.check_rules(BUSY + TEAPOT).rules == 2
        assert client.check_rules(TEAPOT + TEAPOT.replace('"pot"', '"kettle"')).remarks == (
            "kettle never answers: pot takes all that it matches",
        )
        idle = '[[rule]]\nname = "n"\nraw = "x"\nfault = { at = "byte 9", do = "close" }\n'
        nothing = 'The fault at "byte 9" (close) never happens: the answer has 1 byte.'
        assert client.check_rules(idle).remarks == (f"n: {nothing}",)
        checked = client.check_rules(
            '[[rule]]\nmatch = "/a"\nfault = { do = "rset" }\npace = { body = "x" }\n'
        )

        assert not checked.ok
        assert [each.line for each in checked.problems] == [3, 4]
        assert "reset" in checked.problems[0].what
        assert client.rules().sources == ()

    def test_a_large_text_goes_through(self, engine: LiveEngine, client: ControlClient) -> None:
        rules = "".join(
            f'[[rule]]\nmatch = "/{number}"\nrespond = "200 OK"\nbody = "{"x" * 1000} {number}"\n'
            for number in range(1000)
        )
        assert len(rules) > 1_000_000
        client.put_rules(rules)

        assert client.status().rules == 1000
        assert ask(engine, "GET /999").endswith(b"x 999")

    def test_showing_says_what_would_be_answered_and_why(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY + TEAPOT)
        shown = client.show_rules("GET /pot")

        assert shown.matched == "pot"
        assert [each.matched for each in shown.verdicts] == [False, True]
        assert "/busy" in shown.verdicts[0].why_not[0]
        assert shown.data.startswith(b"HTTP/1.1 418 I'm a teapot\r\n")
        assert shown.data.endswith(b"\r\n\r\nshort")
        assert shown.length == len(shown.data)
        assert any(line.startswith("Content-Length: 5") for line in shown.added)
        assert shown.timeline
        assert [each.calls for each in client.rules().sources[0].rules] == [0, 0]

        whole = client.show_rules(b"POST /busy HTTP/1.0\r\n\r\n")
        assert whole.matched is None
        odd = client.show_rules(
            "/x", toml='[[rule]]\nmatch = "/x"\nrespond = "999 Odd"\nheaders = [": nameless"]\n'
        )
        assert len(odd.remarks) >= 2
        assert all("RFC 9" in remark for remark in odd.remarks)
        other = client.show_rules(
            "/slow", toml='[[rule]]\nmatch="/slow"\npace={before="2s"}\nrespond="200"\n'
        )
        assert other.matched is not None
        assert any("2" in line and "ait" in line for line in other.steps)

    def test_events_tell_of_rules(self, engine: LiveEngine, client: ControlClient) -> None:
        seen: queue.Queue[tuple[str, Any]] = queue.Queue()

        def listen() -> None:
            with ControlClient(client.socket) as viewer:
                for event in viewer.events():
                    seen.put((event.name, json.loads(event.data)))

        thread = threading.Thread(target=listen)
        thread.start()
        assert seen.get(timeout=60)[0] == "answer"
        client.put_rules(BUSY)
        assert seen.get(timeout=60) == ("rules", {"rules": 1, "error": None})
        client.stop()
        thread.join(60)

    def test_two_at_once_leave_one_of_them_whole(self, engine: LiveEngine, client: ControlClient) -> None:
        def put(number: int) -> None:
            with ControlClient(client.socket) as other:
                other.put_rules(rules=[{"match": f"/{number}-{each}"} for each in range(50)])

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        matches = [each.match for each in client.rules().sources[0].rules]
        assert len(matches) == 50
        assert len({match.partition("-")[0] for match in matches}) == 1


HOSTILE: tuple[tuple[bytes, int], ...] = (
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b'"\xff"', 400),
    (b"null", 400),
    (b"{}", 400),
    (b'{"toml": 1}', 400),
    (b'{"toml": "", "rules": []}', 400),
    (b'{"unknown": 1}', 400),
    (b'{"rules": [1]}', 400),
    (b'{"rules": [{"match": {"path-regex": "("}}]}', 400),
    (b'{"rules": [{"match": "/a", "fault": {"do": "explode"}}]}', 400),
    (b'{"files": ["relative.toml"]}', 400),
    (b'{"files": ["/no/such/file.toml"]}', 400),
    (b'{"files": ["/dev/zero"]}', 400),
    (b'{"files": ["/a\\u0000b"]}', 400),
    (b'{"toml": "a = ' + b"[" * 100_000 + b'"}', 400),
    (b"[" * 200_000, 400),
    (b'{"toml": "' + b"x" * 9_000_000 + b'"}', 413),
)


@pytest.mark.parametrize(("content", "code"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_are_no_rules_is_refused_and_changes_nothing(
    engine: LiveEngine, client: ControlClient, content: bytes, code: int
) -> None:
    client.put_rules(BUSY)
    for method in ("PUT", "POST"):
        status, said = by_socket(engine, f"{method} /v1/rules", content)
        assert status == code, said
        assert said["error"]
    assert client.rules().sources[0].rules[0].match == "GET /busy"
    assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"


TWICE = """
[[rule]]
name = "twice"
match = "/pay"
each = [
    "503 Busy",
    { respond = "200 OK", body = "paid", pace = { before = "1ms" }, fault = { at = "body+50%", do = "close" } },
    { respond = "200 OK", hold = true },
]
"""


class TestOneRuleForTheRest:
    def test_its_answer_goes_to_whatever_no_rule_matches(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY + TWICE)
        current = client.answer_by_rule("twice")

        assert (current.description, current.otherwise) == ("2 rules of control", "rule twice")
        assert client.preview_rule("twice").data.startswith(b"HTTP/1.1 503 Busy\r\n")
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"
        assert status_line(engine, "GET /else") == "HTTP/1.1 503 Busy"
        assert ask(engine, "GET /else").endswith(b"\r\n\r\npa")
        assert [each.calls for each in client.rules().sources[0].rules] == [1, 2]
        assert client.mirror().otherwise == "mirror"
        assert status_line(engine, "GET /else") == "HTTP/1.1 200 OK"

    def test_a_named_rule_is_followed_and_one_that_is_gone_answers_as_before(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(TEAPOT + BUSY)
        client.answer_by_rule("pot")
        client.put_rules(BUSY + TEAPOT.replace("418", "599"))
        assert status_line(engine, "GET /else") == "HTTP/1.1 599 I'm a teapot"
        client.delete_rules()
        assert client.answer().description == "rule pot"
        assert status_line(engine, "GET /else") == "HTTP/1.1 599 I'm a teapot"

    def test_a_rule_without_a_name_is_known_by_its_text_and_not_by_its_line(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY)
        client.answer_by_rule("control:1")
        client.put_rules(BUSY.replace("/busy", "/other").replace("503", "599") + BUSY)
        assert status_line(engine, "GET /else") == "HTTP/1.1 503 Busy"
        assert client.answer().otherwise == "rule control:4"

    @pytest.mark.parametrize(
        "beside", ['"mirror": true', '"status": "200"', '"body": "a"', '"headers": ["A: b"]']
    )
    def test_it_is_one_answer_and_there_is_one(
        self, engine: LiveEngine, client: ControlClient, beside: str
    ) -> None:
        client.put_rules(TEAPOT)
        for path in ("PUT /v1/answer", "POST /v1/answer/preview"):
            status, said = by_socket(engine, path, b'{"rule": "pot", %s}' % beside.encode())
            assert (status, client.answer().otherwise) == (400, "mirror"), said
        with pytest.raises(ControlError, match="there is no rule 'tea'"):
            client.answer_by_rule("tea")
        with pytest.raises(ControlError, match="there is no rule 'tea'"):
            client.preview_rule("tea")

    def test_how_it_answers_is_said_in_the_list(self, client: ControlClient) -> None:
        (rule,) = client.put_rules(TWICE).sources[0].rules
        assert rule.answer == "503 Busy, 200 OK (after 1ms, close at body+50%), 200 OK (held)"


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "api.toml"
        path.write_text(BUSY)
        return path

    @pytest.fixture
    def engine(self, live_engine: Start, file: Path) -> LiveEngine:
        return live_engine("--rules", str(file), "--answer", "404")

    def replace(self, file: Path, text: str) -> None:
        """What an editor does: another file takes the place of the first."""
        other = file.with_suffix(".swp")
        other.write_text(text)
        other.replace(file)

    def test_they_are_used_and_read_again_when_they_change(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"
        assert status_line(engine, "GET /else") == "HTTP/1.1 404"
        assert client.answer().description == "1 rule of api.toml"
        self.replace(file, BUSY + TEAPOT)
        until(lambda: client.status().rules == 2)

        assert status_line(engine, "GET /pot") == "HTTP/1.1 418 I'm a teapot"
        (source,) = client.rules().sources
        assert (source.name, source.kind, source.path) == ("api.toml", "file", str(file))
        assert engine.stderr == ""

    def test_rules_that_stay_the_same_go_on_where_they_were(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        pay = '[[rule]]\nname = "pay"\nmatch = "/pay"\neach = ["503 Busy", "200 OK"]\n'
        self.replace(file, pay)
        until(lambda: status_line(engine, "GET /pay") == "HTTP/1.1 503 Busy")
        self.replace(file, TEAPOT + pay)
        until(lambda: client.status().rules == 2)

        assert status_line(engine, "GET /pay") == "HTTP/1.1 200 OK"
        assert [each.calls for each in client.rules().sources[0].rules] == [0, 2]

    def test_a_bad_edit_keeps_the_rules_and_says_where_it_is_wrong(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        file.write_text(BUSY + '[[rule]]\nmatch = "/x"\nrespnd = "200"\n')
        error = until(lambda: client.status().rules_error)

        assert error.startswith(f"{file}:6:1: rule[1].respnd: ")
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"
        until(lambda: "stay in use" in engine.stderr)
        assert f"inspectd: {file}:6:1: " in engine.stderr
        source = client.rules().sources[0]
        assert source.error is not None
        assert [each.line for each in source.error.problems] == [6]
        file.write_text(BUSY.replace("503", "599"))
        until(lambda: client.status().rules_error is None)
        assert status_line(engine, "GET /busy") == "HTTP/1.1 599 Busy"
        until(lambda: "can be used again" in engine.stderr)

    @pytest.mark.parametrize("how", ["gone", "empty"])
    def test_a_file_that_is_gone_or_empty_for_a_moment_changes_nothing(
        self, engine: LiveEngine, client: ControlClient, file: Path, how: str
    ) -> None:
        for _ in range(20):
            if how == "gone":
                file.unlink()
            else:
                os.truncate(file, 0)
            assert client.status().rules == 1
            file.write_text(BUSY)
        file.write_text(BUSY + TEAPOT)
        until(lambda: client.status().rules == 2)

        assert client.status().rules_error is None
        assert engine.stderr == ""

    def test_a_file_that_stays_gone_is_told_and_its_rules_stay(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        file.unlink()
        error = until(lambda: client.status().rules_error)

        assert "no such file" in error
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"

    def test_rules_from_the_api_come_before_those_of_files(
        self, engine: LiveEngine, client: ControlClient
    ) -> None:
        client.put_rules(BUSY.replace("503", "599"))

        assert [each.name for each in client.rules().sources] == ["control", "api.toml"]
        assert status_line(engine, "GET /busy") == "HTTP/1.1 599 Busy"
        client.delete_rules()
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"

    def test_reload_reads_at_once(self, engine: LiveEngine, client: ControlClient, file: Path) -> None:
        file.write_text(BUSY.replace("503", "599"))
        client.reload_rules()

        assert status_line(engine, "GET /busy") == "HTTP/1.1 599 Busy"

    def test_clients_see_whole_rules_only_while_a_file_is_written_over_and_over(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        over = threading.Event()

        def edit() -> None:
            number = 0
            while not over.is_set():
                number += 1
                self.replace(file, BUSY.replace("503 Busy", f"503 Busy {number}"))

        thread = threading.Thread(target=edit)
        thread.start()
        try:
            lines = {status_line(engine, "GET /busy") for _ in range(100)}
        finally:
            over.set()
            thread.join(60)

        assert all(line.startswith("HTTP/1.1 503 Busy") for line in lines)
        assert client.status().rules_error is None

    def test_a_file_that_was_missing_comes_later(
        self, engine: LiveEngine, client: ControlClient, file: Path
    ) -> None:
        self.replace(file, '[[rule]]\nmatch = "GET /busy"\nbody-file = "later.txt"\n')
        assert "later.txt" in until(lambda: client.status().rules_error)
        assert status_line(engine, "GET /busy") == "HTTP/1.1 503 Busy"

        (file.parent / "later.txt").write_text("here")
        assert until(lambda: client.status().rules_error is None)
        assert status_line(engine, "GET /busy") == "HTTP/1.1 200 OK"
