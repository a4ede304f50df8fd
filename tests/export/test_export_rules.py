"""A capture as a rule file: what is served by it is, byte for byte, what was recorded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.export.likeness import USUAL, likeness
from inspectd.export.recorded import rows_of
from inspectd.export.rules import LONGEST_TEXT, RuleFile, RuleWriter, as_text
from inspectd.rules.answer import preview
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_file, load_text
from inspectd.rules.passing import Passing
from inspectd.rules.program import Program, Wait
from inspectd.rules.request import Request
from inspectd.rules.units import wire_bytes
from inspectd.wire import ArrivedHead, RequestReader
from tests.export.recording import Conversation, record_gallery, talk, write_capture
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.export.likeness import Likeness
    from inspectd.rules.file import LoadedFile

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
_DATE = re.compile(rb"(?im)^(date|retry-after):[^\r\n]*")


def asking(head: bytes) -> Request | None:
    """A request as a rule sees it; None when these bytes are no head."""
    events = RequestReader(max_head=None, max_request_line=None).feed(head)
    if not events or not isinstance(events[0], ArrivedHead):
        return None
    return Request(events[0], b"", 0, complete=True, connection=1, number=1, peer="", local="")


def exported(
    path: Path,
    *,
    like: Likeness = USUAL,
    folder: Path | None = None,
    ids: tuple[range, ...] = (),
    timing: bool = False,
) -> RuleFile:
    with Capture.open(path) as capture:
        writer = RuleWriter(capture, like=like, folder=folder, timing=timing)
        return writer.write(rows_of(capture, ids))


def served(loaded: LoadedFile, head: bytes) -> bytes | None:
    """What these rules answer; None where none of them matches."""
    book = RuleBook(Passing("nobody"))
    book.replace("file", loaded.rules)
    request = asking(head)
    assert request is not None
    found = book.find(request)
    if found is None:
        return None
    program = book.respond(request, now=0.0, persist=True)
    assert isinstance(program, Program)
    return preview(program, 1 << 24)


def get(target: str = "/", host: str = "a.test", *more: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", *more, "", ""]).encode()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Conversation]]:
    return record_gallery(tmp_path_factory.mktemp("gallery"))


def test_the_gallery_is_served_again_byte_for_byte(
    gallery: tuple[Path, list[Conversation]], tmp_path: Path
) -> None:
    path, conversations = gallery
    rules = tmp_path / "rules.toml"
    made = exported(path, folder=tmp_path / "rules.answers")
    rules.write_text(made.text, "utf-8")
    assert len(conversations) > 100
    assert made.exchanges == len(conversations), made.left_out.sentence
    with LiveEngine(tmp_path, "--rules", str(rules), quiet=True) as engine:
        for one in conversations:
            again = talk(engine.address, one.request, len(one.answer), ends=one.end != "open")
            steady = [_DATE.sub(rb"\1", answer) for answer in (again.answer, one.answer)]
            assert (one.request, steady[0], again.end) == (one.request, steady[1], one.end)
        assert engine.stop() == 0


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(min_size=1, max_size=6000))
@example(answer=b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256)) * 20)
@example(answer=b'HTTP/1.1 200 "\\\\u0041 \xc3\xa9 \xe2\x82\xac \x7f\r\n\r\n')
@example(answer="HTTP/1.1 200 OK\r\n\r\n\u202e\u2066'''\"\"\"".encode())
@pytest.mark.parametrize("beside", [True, False])
def test_any_bytes_come_back_as_they_were(tmp_path: Path, answer: bytes, beside: bool) -> None:
    path = tmp_path / "a.inspectd"
    path.unlink(missing_ok=True)
    write_capture(path, [(get(), answer)])
    made = exported(path, folder=tmp_path / "a.answers" if beside else None)
    loaded = load_text(made.text, source="a.toml", base=tmp_path)

    assert served(loaded, get()) == answer
    assert all(character.isprintable() or character == "\n" for character in made.text)


targets = st.one_of(
    st.binary(min_size=1, max_size=60).map(lambda raw: raw.translate(None, b" \t\r\n\0")),
    st.text(alphabet="/.%*{}[]?&=#abé€\u202e\\~+:@", min_size=1, max_size=40).map(str.encode),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=targets, method=st.sampled_from([b"GET", b"OPTIONS", b"ge*t", b"\xff", b"G{}T"]))
@example(target=b"/../../../etc/passwd", method=b"GET")
@example(target=b"*", method=b"OPTIONS")
@example(target=b"/**?a=b", method=b"GET")
@example(target=b"/{x}/\xff?\xff=%ff", method=b"GET")
@example(target=b"http://u:p@h.test", method=b"GET")
def test_a_rule_matches_the_request_it_was_made_from(tmp_path: Path, target: bytes, method: bytes) -> None:
    head = b"%s %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % (method, target)
    if asking(head) is None:
        return
    path = tmp_path / "t.inspectd"
    path.unlink(missing_ok=True)
    write_capture(path, [(get("/other?x"), OK), (head, b"x" * (LONGEST_TEXT + 1) + b"\xff")])
    made = exported(path, folder=tmp_path / "out" / "t.answers")
    loaded = load_text(made.text, source="t.toml", base=tmp_path / "out")

    answer = served(loaded, head)
    assert answer is not None
    assert answer == (
        OK if target == b"/other?x" and method == b"GET" else b"x" * (LONGEST_TEXT + 1) + b"\xff"
    )
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.http")} == {"out/t.answers/2.http"}


@given(data=st.binary(max_size=300))
@example(data="é€\u00ad\u2028\x80".encode())
def test_text_stands_for_its_bytes(data: bytes) -> None:
    text = as_text(data)

    assert text is None or wire_bytes(text) == data


def test_the_same_request_answered_differently_is_a_sequence(tmp_path: Path) -> None:
    path = tmp_path / "s.inspectd"
    one, other = OK, OK.replace(b"200 OK", b"503 Busy")
    dated = [OK.replace(b"\r\n\r\n", b"\r\nDate: %d\r\n\r\n" % number) for number in (1, 2)]
    write_capture(
        path,
        [
            (get("/a"), other),
            (get("/a"), one),
            (get("/b"), dated[0]),
            (get("/b"), dated[1]),
            (get("/a"), other),
        ],
    )
    made = exported(path)
    rules = load_text(made.text, source="s.toml", base=tmp_path).rules

    assert [(rule.match, len(rule.answers.replies)) for rule in rules] == [("GET /a", 3), ("GET /b", 1)]
    book = RuleBook(Passing("nobody"))
    book.replace("file", rules)
    request = asking(get("/a"))
    assert request is not None
    programs = [book.respond(request, now=0.0, persist=True) for _ in range(4)]
    assert [preview(program) for program in programs if isinstance(program, Program)] == [
        other,
        one,
        other,
        other,
    ]
    assert served(load_text(made.text, source="s.toml", base=tmp_path), get("/b")) == dated[0]


def test_queries_and_hosts_are_told_apart_only_where_they_differ(tmp_path: Path) -> None:
    path = tmp_path / "q.inspectd"
    write_capture(path, [(get("/a"), OK + b"1"), (get("/a?x=1"), OK + b"2"), (get("/b"), OK + b"3")])
    text = exported(path).text
    assert re.findall(r"^match = (.*)$", text, re.MULTILINE) == ['"GET /a?"', '"GET /a?x=1"', '"GET /b"']

    path = tmp_path / "h.inspectd"
    write_capture(
        path,
        [
            (get("/", "a.test"), b"1"),
            (get("/", "b.test:81"), b"2"),
            (get("/", "b.test"), b"3"),
            (get("/", ""), b"4"),
        ],
    )
    loaded = load_text(exported(path).text, source="h.toml", base=tmp_path)
    asked = [get("/", "A.test"), get("/", "b.test:81"), get("/", "b.test"), get("/", "")]
    assert [served(loaded, head) for head in asked] == [b"1", b"2", b"3", b"4"]
    assert served(loaded, get("/", "c.test")) is None


def test_fields_are_compared_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "f.inspectd"
    heads = [get("/", "a", "Accept: text/html"), get("/", "a", "Accept: */*"), get("/", "a")]
    write_capture(path, [(head, b"%d" % number) for number, head in enumerate(heads)])
    made = exported(path, like=likeness("usual,headers:Accept"))
    loaded = load_text(made.text, source="f.toml", base=tmp_path)

    assert [served(loaded, head) for head in heads] == [b"0", b"1", b"2"]


def test_some_exchanges_by_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "i.inspectd"
    write_capture(path, [(get(f"/{number}"), OK) for number in range(1, 400)])

    assert re.findall(r"GET /(\d+)", exported(path, ids=(range(300, 302), range(7, 8))).text) == [
        "7",
        "300",
        "301",
    ]
    assert exported(path, ids=(range(250, 1 << 62),)).rules == 150
    with pytest.raises(InspectdError, match="nothing to make a rule of"):
        exported(path, ids=(range(400, 500),))


def test_waits_are_kept_when_asked_for(tmp_path: Path) -> None:
    path, rules = tmp_path / "w", tmp_path / "slow.toml"
    path.mkdir()
    rules.write_text('[[rule]]\nrespond = "200"\nbody = "slow"\npace = { before = "120ms" }\n')
    with LiveEngine(path, "--rules", str(rules), quiet=True) as engine:
        talk(engine.address, get(), 80, ends=False)
        engine.stop()
    made = exported(engine.capture, timing=True)
    book = RuleBook(Passing("nobody"))
    book.replace("file", load_text(made.text, source="w.toml", base=path).rules)
    request = asking(get())
    assert request is not None
    program = book.respond(request, now=0.0, persist=True)

    assert isinstance(program, Program)
    assert isinstance(program.ops[0], Wait)
    assert 0.1 <= program.ops[0].seconds < 30
    assert "before" not in exported(engine.capture).text


def test_long_answers_lie_beside_the_file_once_each(tmp_path: Path) -> None:
    path = tmp_path / "l.inspectd"
    long = OK + b"x" * LONGEST_TEXT
    write_capture(path, [(get("/a"), long), (get("/b"), long), (get("/c"), long + b"y")])
    made = exported(path, folder=tmp_path / "l.answers")
    (tmp_path / "l.toml").write_text(made.text)
    loaded = load_file(tmp_path / "l.toml")

    assert made.files == 2
    assert sorted(file.name for file in (tmp_path / "l.answers").iterdir()) == ["1.http", "3.http"]
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "l.answers").iterdir())
    assert [served(loaded, get(f"/{name}")) for name in "abc"] == [long, long, long + b"y"]


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(InspectdError, match="'colour' is nothing of a request"):
        likeness("method,colour")
    with pytest.raises(InspectdError, match="'headers:'"):
        likeness("headers:")
