"""A book of rules: the first that matches answers, sequences go on, and a change keeps what stayed the same."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.answer import make_answer
from inspectd.rules.book import CONTENT_KEPT, RuleBook, reply_rule
from inspectd.rules.file import load_tables, load_text
from inspectd.rules.match import Matcher
from inspectd.rules.mirror import Mirror
from inspectd.rules.program import Close, Program, Send
from inspectd.rules.request import CONTENT_PREFIX, Request
from inspectd.rules.responder import ORDINARY, Fixed, Plan, Planner
from inspectd.rules.sequence import PLACES
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from inspectd.rules.subject import Subject

NOWHERE = Path("/nowhere")
FALLBACK = Fixed(make_answer("599 Nothing"))


def book(*tables: dict[str, Any], **settings: Any) -> RuleBook:
    """A book with these rules, answering 599 when none matches."""
    made = RuleBook(FALLBACK, **settings)
    made.replace("test", load_tables(tables, source="test", base=NOWHERE))
    return made


def program(rules: RuleBook, asked: Request) -> Program:
    """What a book answers."""
    answer = rules.respond(asked, now=0, persist=True)
    assert isinstance(answer, Program)
    return answer


def line(rules: RuleBook, asked: Request) -> str:
    """The status line that a book answers, without its version; empty when it sends nothing."""
    data = b"".join(op.data for op in program(rules, asked).ops if isinstance(op, Send))
    return data.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ").decode("latin-1")


def lines(rules: RuleBook, count: int, asked: Request | None = None) -> list[str]:
    """The codes of so many answers to the same request."""
    return [line(rules, asked or get("/"))[:3] for _ in range(count)]


# -- which rule answers


def test_the_first_rule_that_matches_answers_whatever_its_kind() -> None:
    rules = book(
        {"match": "/a/b/c", "respond": "201"},
        {"match": "/a/b/*", "respond": "202"},
        {"match": "/a/**", "respond": "203"},
        {"match": {"path-regex": "/x.*"}, "respond": "204"},
        {"match": "/a/b/d", "respond": "205"},
        {"match": "/xy", "respond": "206"},
        {"match": "POST *", "respond": "207"},
    )
    asked = {target: line(rules, get(target)) for target in ("/a/b/c", "/a/b/d", "/a/", "/xy", "/a", "/")}
    assert asked == {
        "/a/b/c": "201", "/a/b/d": "202", "/a/": "203", "/xy": "204", "/a": "599 Nothing", "/": "599 Nothing",
    }  # fmt: skip
    assert line(rules, get("/xyz", method="POST")) == "204"
    assert line(rules, get("/q", method="POST")) == "207"


def test_conditions_on_the_head_and_the_content_are_asked_each_time() -> None:
    rules = book(
        {"match": {"path": "/a", "header": {"X-A": "1"}}, "respond": "201"},
        {"match": {"path": "/a", "body": "x"}, "respond": "202"},
        {"match": "/a", "respond": "203"},
    )
    for _ in range(2):
        assert line(rules, get("/a", "X-A: 1")) == "201"
        assert line(rules, get("/a", "X-A: 2")) == "203"
        assert line(rules, request(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", b"axa")) == "202"
        assert line(rules, request(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", b"aaa")) == "203"


def test_a_program_carries_the_id_of_its_rule_and_its_hold() -> None:
    rules = book(
        {"match": "/a", "name": "tea", "respond": "418"},
        {"match": "/b", "hold": {"timeout": "2s"}},
        {"match": "/c", "mirror": True},
    )
    assert program(rules, get("/a")).rule == "tea"
    held = program(rules, get("/b"))
    assert (held.rule, held.hold) == ("test#2", 2.0)
    mirrored = program(rules, get("/c"))
    assert mirrored.rule == "test#3"
    assert isinstance(mirrored.ops[0], Send)
    assert b"GET /c HTTP/1.1" in mirrored.ops[0].data
    assert program(rules, get("/d")).rule == ""


def test_a_plain_answer_is_the_same_program_again_while_the_second_lasts() -> None:
    """What the engine has worked out about a program is remembered by its identity."""
    rules = book({"match": "/a", "respond": "200 OK", "body": "hello"})
    assert program(rules, get("/a")) is program(rules, get("/a"))


def test_a_rule_with_cors_answers_the_preflight_of_its_method() -> None:
    rules = book({"match": "PUT /a", "respond": "200 OK", "cors": True})
    preflight = get("/a", "Origin: http://x.test", "Access-Control-Request-Method: PUT", method="OPTIONS")
    assert line(rules, preflight).startswith("20")
    assert program(rules, preflight).rule == "test#1"
    assert line(rules, get("/a", method="OPTIONS")) == "599 Nothing"


_SEGMENTS = st.sampled_from(["a", "b", "ab", "", "c.d"])
_TARGETS = st.lists(_SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
_GLOBS = st.lists(_SEGMENTS | st.sampled_from(["*", "**", "a*", "{x}", "**.d"]), max_size=4).map(
    lambda parts: ("/" + "/".join(parts)).replace("{x}", "{y}", 1).replace("{x}", "*", 3)
)
_MATCHES = st.one_of(
    _GLOBS,
    st.tuples(st.sampled_from(["GET", "POST|PUT", "*"]), _GLOBS).map(" ".join),
    st.just("*"),
    st.sampled_from([{"path-regex": "/a.*"}, {"header": {"X": "1"}}, {"path": "/**", "first": True}]),
)


@given(
    matches=st.lists(_MATCHES, max_size=8),
    targets=st.lists(_TARGETS, min_size=1, max_size=4),
    method=st.sampled_from(["GET", "POST"]),
    x=st.sampled_from(["1", "2"]),
)
def test_the_index_finds_what_going_through_all_rules_finds(
    matches: list[Any], targets: list[str], method: str, x: str
) -> None:
    rules = book(*({"match": match} for match in matches))
    for target in targets:
        asked = get(target, f"X: {x}", method=method)
        expected = next((rule for rule in rules.rules if rule.matcher.test(asked) is not None), None)
        found = rules.find(asked)
        assert (found and found[0]) is expected
        if found is not None and expected is not None:
            assert found[1] == expected.matcher.test(asked)
        assert [verdict.matched for verdict in rules.trial(asked)] == [
            rule.matcher.test(asked) is not None for rule in rules.rules
        ]


def test_among_a_thousand_rules_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a thousand rules as fast as one: the path leads to the rules that may fit."""
    kinds = ("GET /r/{}", "GET /api/v1/{}/*", "/{}/**", "/x/{}?q=1")
    rules = book(*({"match": kinds[number % 4].format(number)} for number in range(1000)))
    tried: list[str] = []
    captured = Matcher.captured

    def counted(matcher: Matcher, subject: Subject) -> dict[str, str] | None:
        tried.append(matcher.text)
        return captured(matcher, subject)

    monkeypatch.setattr(Matcher, "captured", counted)
    for target in ("/r/996", "/api/v1/997/x", "/998/a/b", "/x/999?q=1"):
        for _ in range(3):
            assert rules.find(get(target)) is not None
    assert tried == ["GET /r/996", "GET /api/v1/997/*", "/998/**", "/x/999?q=1"], "each once, then remembered"
    assert rules.find(get("/nowhere")) is None
    assert len(tried) == 4


def test_very_many_targets_are_answered_and_not_all_remembered() -> None:
    rules = book({"match": "/a/*", "respond": "200"})
    for number in range(10_000):
        assert rules.find(get(f"/a/{number}")) is not None
    assert len(rules._snapshot._found) <= 4096
    long = "/a/" + "x" * 5000
    assert line(rules, get(long)) == "200"
    assert (b"GET", long.encode()) not in rules._snapshot._found


# -- sequences


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("last", ["201", "202", "202", "202"]),
        ("cycle", ["201", "202", "201", "202"]),
        ("404 Gone Fishing", ["201", "202", "404", "404"]),
        ("close", ["201", "202", "", ""]),
        ("next", ["201", "202", "203", "203"]),
    ],
)
def test_what_follows_the_last_answer(then: str, expected: list[str]) -> None:
    rules = book({"each": ["201", {"respond": "202"}], "then": then}, {"respond": "203"})
    assert lines(rules, 4) == expected
    assert [rule.calls for rule in rules.rules] == ([2, 2] if then == "next" else [4, 0])


def test_close_sends_nothing_and_closes() -> None:
    rules = book({"each": ["200"], "then": "close"})
    assert lines(rules, 1) == ["200"]
    assert [type(op) for op in program(rules, get("/")).ops] == [Close]


def test_one_answer_may_be_followed_by_another_too() -> None:
    assert lines(book({"respond": "503", "then": "200 OK"}), 3) == ["503", "200", "200"]
    assert lines(book({"respond": "503", "then": "next"}, {"respond": "204"}), 3) == ["503", "204", "204"]


def test_each_connection_client_or_session_has_a_place_of_its_own() -> None:
    def asked(connection: int, peer: str, session: str) -> Request:
        return replace(get("/", f"X-Session: {session}"), connection=connection, peer=peer)

    came = [
        asked(1, "10.0.0.1:1", "a"),
        asked(2, "10.0.0.1:2", "b"),
        asked(1, "10.0.0.1:1", "b"),
        asked(3, "10.0.0.2:1", "a"),
        replace(get("/"), connection=4, peer="[::1]:5"),
    ]
    expected = {
        "rule": ["201", "202", "203", "203", "203"],
        "connection": ["201", "201", "202", "201", "201"],
        "client": ["201", "202", "203", "201", "201"],
        "header:x-session": ["201", "201", "202", "202", "201"],
    }
    for per, codes in expected.items():
        rules = book({"each": ["201", "202", "203"], "per": per})
        assert [line(rules, one) for one in came] == codes, per


def test_places_are_bounded_and_the_oldest_are_forgotten() -> None:
    rules = book({"each": ["201", "202"], "per": "connection"})
    first, last = get("/"), replace(get("/"), connection=PLACES + 5)
    for number in range(PLACES + 5):
        line(rules, replace(first, connection=number))
    assert len(rules.rules[0].state.places) == PLACES
    assert line(rules, replace(first, connection=0)) == "201", "forgotten"
    assert line(rules, replace(first, connection=PLACES + 4)) == "202"
    assert line(rules, last) == "201"


def test_a_long_field_value_is_not_kept_as_a_place() -> None:
    rules = book({"each": ["201", "202"], "per": "header:X"})
    asked = get("/", f"X: {'x' * 5000}")
    assert lines(rules, 2, asked) == ["201", "202"]
    assert lines(rules, 1, get("/", f"X: {'x' * 5000}y")) == ["201"]
    assert all(len(str(place)) < 200 for place in rules.rules[0].state.places)


def test_chance_is_seeded_and_follows_the_weights() -> None:
    def drawn(seed: int) -> list[str]:
        each = [{"respond": "201", "weight": 3}, "202", {"respond": "203", "weight": 0}]
        return lines(book({"each": each, "pick": "weighted", "seed": seed}), 400)

    assert drawn(1) == drawn(1), "repeatable"
    assert drawn(1) != drawn(2)
    counted = Counter(drawn(1))
    assert counted["203"] == 0
    assert 250 < counted["201"] < 350


def test_the_seed_of_a_file_goes_with_every_chance_in_it() -> None:
    def drawn(seed: str) -> list[str]:
        text = f"{seed}\n[[rule]]\neach = ['201', '202']\npick = 'weighted'\n"
        rules = RuleBook(FALLBACK)
        rules.replace("f", load_text(text, source="f", base=NOWHERE).rules)
        return lines(rules, 60)

    assert drawn("") == drawn("seed = 0") == drawn("seed = 0")
    assert len({tuple(drawn(f"seed = {number}")) for number in range(5)}) == 5


def test_an_item_takes_from_its_rule_what_it_does_not_say_itself() -> None:
    rules = book(
        {
            "each": ["201", {"respond": "202", "headers": ["X-Own: 1"]}, {"raw": "raw"}],
            "headers": ["X-Rule: 1"],
            "auto": [],
            "pace": {"before": 1},
            "close": True,
        }
    )
    programs = [program(rules, get("/")) for _ in range(3)]
    sent = [b"".join(op.data for op in one.ops if isinstance(op, Send)) for one in programs]
    assert sent == [
        b"HTTP/1.1 201\r\nX-Rule: 1\r\n\r\n",
        b"HTTP/1.1 202\r\nX-Own: 1\r\n\r\n",
        b"raw",
    ]
    assert [type(one.ops[0]).__name__ for one in programs] == ["Wait"] * 3
    assert [type(one.ops[-1]).__name__ for one in programs] == ["Close"] * 3


# -- sources and changes


def code_rules(source: str, *codes: str) -> list[Any]:
    """Rules that match everything, answering these."""
    return load_tables([{"respond": code} for code in codes], source=source, base=NOWHERE)


def test_sources_stand_in_an_order() -> None:
    rules = RuleBook(FALLBACK)
    rules.replace("a", code_rules("a", "201"))
    rules.replace("b", code_rules("b", "202"))
    assert lines(rules, 1) == ["201"]
    rules.replace("front", code_rules("front", "203"), first=True)
    assert lines(rules, 1) == ["203"]
    rules.replace("a", code_rules("a", "204"))
    assert [name for name, _ in rules.sources] == ["front", "a", "b"], "a known source stays where it is"
    rules.remove("front")
    rules.remove("nobody")
    assert lines(rules, 1) == ["204"]
    rules.replace("a", [])
    assert lines(rules, 1) == ["202"]
    rules.remove("b")
    assert lines(rules, 1) == ["599"]


def test_what_a_book_says_of_itself() -> None:
    rules = RuleBook(Mirror())
    assert (rules.description, rules.status_line) == ("mirror", "")
    rules.fallback = FALLBACK
    assert (rules.description, rules.status_line) == ("599 Nothing", "HTTP/1.1 599 Nothing")
    rules.replace("api.toml", code_rules("api.toml", "201", "202"))
    assert (rules.description, rules.status_line) == ("2 rules of api.toml", "")
    rules.replace("control", code_rules("control", "203"), first=True)
    assert rules.description == "3 rules of control, api.toml"
    assert isinstance(rules, Planner)


def test_ids_are_unique_in_a_book() -> None:
    rules = RuleBook(FALLBACK)
    for source in ("one/api.toml", "two/api.toml"):
        text = "[[rule]]\nmatch = '/x'\nthen = 'next'\nrespond = '200'\n[[rule]]\nname = 'n'\nmatch = '/x'\n"
        rules.replace(source, load_text(text, source="api.toml", base=NOWHERE).rules)
    assert [rule.id for rule in rules.rules] == ["api.toml:1", "n", "api.toml:1#2", "n#2"]
    rules.replace("one/api.toml", [])
    assert program(rules, get("/x")).rule == "api.toml:1#2"


def test_a_rule_that_stays_the_same_keeps_its_calls_and_places() -> None:
    rules = RuleBook(FALLBACK)
    sequence = "[[rule]]\nmatch = '/s'\neach = ['201', '202', '203']\n"
    other = "[[rule]]\nmatch = '/o'\nrespond = '20{}'\n"
    rules.replace("f", load_text(sequence + other.format(4), source="f", base=NOWHERE).rules)
    assert lines(rules, 2, get("/s")) == ["201", "202"]
    assert lines(rules, 1, get("/o")) == ["204"]
    moved = "# a comment\n\n" + other.format(5) + sequence
    rules.replace("f", load_text(moved, source="f", base=NOWHERE).rules)
    assert [(rule.id, rule.calls) for rule in rules.rules] == [("f:3", 0), ("f:6", 2)]
    assert lines(rules, 1, get("/s")) == ["203"]


def test_rules_begin_anew_where_that_is_asked_for() -> None:
    rules = RuleBook(FALLBACK)
    table = {"match": "/s", "each": ["201", "202", "203"]}
    rules.replace("f", load_tables([table], source="f", base=NOWHERE))
    assert lines(rules, 2, get("/s")) == ["201", "202"]
    rules.replace("f", load_tables([table], source="f", base=NOWHERE), anew=True)
    assert [rule.calls for rule in rules.rules] == [0]
    assert lines(rules, 2, get("/s")) == ["201", "202"]


def test_equal_rules_keep_their_state_in_their_order() -> None:
    rules = RuleBook(FALLBACK)
    once = {"each": ["201", "202"], "then": "next"}
    rules.replace("t", load_tables([once, once], source="t", base=NOWHERE))
    assert lines(rules, 3) == ["201", "202", "201"]
    rules.replace("t", load_tables([once, once], source="t", base=NOWHERE))
    assert [rule.calls for rule in rules.rules] == [2, 1]
    assert lines(rules, 2) == ["202", "599"]


def test_the_same_rules_may_be_put_in_again_with_others_before_them() -> None:
    rules = book({"match": "/a", "each": ["201", "202"]})
    line(rules, get("/a"))
    more = load_tables([{"match": "/b"}], source="test", base=NOWHERE)
    rules.replace("test", [*more, *rules.rules])
    assert [(rule.id, rule.calls) for rule in rules.rules] == [("test#1#2", 0), ("test#1", 1)]
    assert line(rules, get("/a")) == "202"


def test_rules_change_while_requests_come_in() -> None:
    """Each answer is that of one of the two generations; no request sees half of each."""
    rules = RuleBook(FALLBACK)
    generations = [
        [{"match": {"header": {"X": "1"}}, "respond": code}] * 20 + [{"respond": code}]
        for code in ("201", "202")
    ]
    rules.replace("t", load_tables(generations[0], source="t", base=NOWHERE))
    done = threading.Event()

    def change() -> None:
        for number in range(60):
            rules.replace("t", load_tables(generations[number % 2], source="t", base=NOWHERE))
        done.set()

    changing = threading.Thread(target=change)
    changing.start()
    seen = set()
    while not done.is_set():
        seen.add(line(rules, get("/")))
        assert {verdict.rule.answer for verdict in rules.trial(get("/"))} in ({"201"}, {"202"})
    changing.join()
    assert seen <= {"201", "202"}


def test_a_reply_of_ones_own_makes_a_rule() -> None:
    class Echo:
        label = "echo"

        def program(self, call: Any) -> Program:
            return Program((Send(f"{call.count} {call.captured['name']}".encode()),), rule="mine")

    rules = RuleBook(FALLBACK)
    rules.replace("python", [reply_rule("GET /{name}", Echo(), name="mine")])
    assert [line(rules, get("/jo")), line(rules, get("/al"))] == ["1 jo", "2 al"]
    (rule,) = rules.rules
    assert (rule.id, rule.match, rule.answer, rule.calls) == ("mine", "GET /{name}", "echo", 2)


# -- when it answers


def upload(target: str, *fields: str) -> Request:
    """A request of which only the head is there."""
    head = "\r\n".join((f"PUT {target} HTTP/1.1", "Host: h", "Content-Length: 9999", *fields, "", ""))
    return request(head.encode(), complete=False)


def test_a_plan_is_that_of_the_rule_that_will_answer() -> None:
    rules = book(
        {"match": {"path": "/early", "header": {"X": "1"}}, "when": "head"},
        {"match": "/early", "when": "content 2KiB"},
        {"match": "/silent", "invite": False},
        {"match": "/late"},
        {"match": "/both", "when": "head", "invite": False},
    )
    plans = {
        target: rules.plan(upload(target)) for target in ("/early", "/silent", "/late", "/both", "/none")
    }
    assert plans == {
        "/early": Plan(2048, True), "/silent": Plan(None, False), "/late": ORDINARY,
        "/both": Plan(0, False), "/none": ORDINARY,
    }  # fmt: skip
    assert rules.plan(upload("/early", "X: 1")) == Plan(0, True)
    assert not any(rule.calls for rule in rules.rules)


def test_while_a_rule_before_it_wants_the_content_a_request_is_waited_for() -> None:
    rules = book({"match": {"path": "/a", "body": "x"}}, {"match": "/**", "when": "head"})
    assert rules.plan(upload("/a")) == ORDINARY
    assert rules.plan(upload("/b")) == Plan(0, True)


def test_a_plan_looks_past_a_rule_whose_answers_are_used_up() -> None:
    rules = book({"respond": "417", "when": "head", "then": "next"}, {"respond": "200"})
    assert rules.plan(upload("/a")) == Plan(0, True)
    assert line(rules, upload("/a")) == "417"
    assert rules.plan(upload("/a")) == ORDINARY


def test_the_content_is_kept_as_far_as_a_rule_wants_it() -> None:
    for wants in (
        {"match": {"body": "x"}},
        {"match": {"body-regex": "x"}},
        {"match": {"json": {"$.a": 1}}},
        {"template": True, "body": "{{ 1 }}"},
        {"each": ["200", {"template": True, "body": "x"}]},
        {"each": ["200"], "template": True},
    ):
        rules = book(wants)
        assert rules.content_kept == CONTENT_KEPT, wants
        rules.remove("test")
        assert rules.content_kept == CONTENT_PREFIX
    assert book({"match": "/", "respond": "200"}).content_kept == CONTENT_PREFIX


# -- explaining


def test_a_trial_says_of_each_rule_why_it_does_not_answer() -> None:
    rules = book(
        {"match": "POST /pay", "name": "pay"},
        {"match": {"path": "/pa*", "header": {"X": True}}, "name": "field"},
        {"match": "/pay", "name": "used", "each": ["200"], "then": "next"},
        {"match": "/{what}", "name": "here"},
        {"match": "*", "name": "later"},
    )
    line(rules, get("/pay"))
    told = [
        (verdict.rule.id, verdict.matched, dict(verdict.captured), verdict.why_not)
        for verdict in rules.trial(get("/pay"))
    ]
    assert told == [
        ("pay", False, {}, ("the method is GET, not POST",)),
        ("field", False, {}, ("the field 'X' is missing",)),
        ("used", False, {}, ("its answers are used up, and then comes the next rule",)),
        ("here", True, {"what": "pay"}, ()),
        ("later", True, {}, ()),
    ]


def test_a_preview_shows_the_next_answer_and_takes_nothing() -> None:
    rules = book({"match": "/s", "each": ["201", "202"]})
    for _ in range(3):
        rule, previewed = rules.preview(get("/s"), now=0)
        assert rule is rules.rules[0]
        assert previewed.label == "201"
    assert rules.rules[0].calls == 0
    assert lines(rules, 1, get("/s")) == ["201"]
    assert rules.preview(get("/s"), now=0)[1].label == "202"
    rule, previewed = rules.preview(get("/x"), now=0)
    assert rule is None
    assert previewed.label == "answer 599 Nothing"


def test_who_asks_in_vain_is_told_what_came_near() -> None:
    told: list[tuple[bytes, str]] = []
    rules = book(
        {"match": "GET /coffee", "respond": "200"},
        {"match": "POST /teapot", "respond": "200"},
        {"match": "GET /teapot", "name": "tea", "respond": "200"},
        {"match": {"method": "PUT", "path": "/x/y", "header": {"A": "1"}}, "respond": "200"},
        unmatched=lambda asked, why: told.append((asked.head.target, why)),
    )
    assert lines(rules, 1, get("/teapt")) == ["599"]
    assert lines(rules, 1, get("/teapot")) == ["200"]
    assert told == [
        (
            b"/teapt",
            """\
no rule matches GET /teapt
  tea (GET /teapot): the path '/teapt' is not '/teapot'
  test#1 (GET /coffee): the path '/teapt' is not '/coffee'
  test#2 (POST /teapot): the method is GET, not POST; the path '/teapt' is not '/teapot'""",
        )
    ]
    assert (
        RuleBook(FALLBACK).explain(get("/\x1b[2J")) == "no rule matches GET /\\x1b[2J\n  there are no rules"
    )


# -- hostile

_HOSTILE = book(
    {"match": "GET /**/x{a}/*", "template": True, "body": "{{ path }}{{ json }}"},
    {"match": {"query": {"a": "*x*"}, "header": {"": True}}, "each": ["200"], "per": "header:Host"},
    {"match": {"path-regex": ".*a"}, "mirror": True},
    {"match": {"json": {"$..a": 1}}, "respond": "201"},
    {"match": {"body": "\u00ff"}, "each": ["200", "404"], "per": "client", "then": "next"},
    {"match": {"host": "*", "client": "::/0"}, "auth": {"basic": {"a": "b"}}},
    {"match": "CONNECT *", "respond": "200"},
    {"match": {"first": True}, "when": "head"},
    unmatched=lambda asked, why: None,
)


@given(
    line=st.binary(max_size=60), fields=st.binary(max_size=120), content=st.binary(max_size=60),
    peer=st.text(max_size=20), number=st.integers(1, 3),
)  # fmt: skip
def test_any_request_gets_an_answer(
    line: bytes, fields: bytes, content: bytes, peer: str, number: int
) -> None:
    for raw in (line + b"\r\n" + fields + b"\r\n\r\n", b"GET /" + line + b" HTTP/1.1\r\n" + fields + b"\n\n"):
        try:
            asked = replace(request(raw, content), peer=peer, number=number)
        except IndexError:
            continue  # no head in it
        assert isinstance(_HOSTILE.plan(asked), Plan)
        previewed = _HOSTILE.preview(asked, now=0)
        answered = _HOSTILE.respond(asked, now=0, persist=True)
        assert (previewed[0].id if previewed[0] else "") == answered.rule
        _HOSTILE.explain(asked)
