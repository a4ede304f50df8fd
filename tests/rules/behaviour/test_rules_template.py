"""Templates: values of the request, bytes that survive, and failures that stay one answer's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.behaviour.values import of_wire, to_wire
from inspectd.rules.behaviour.words import WordsError
from inspectd.rules.draft import CraftProblems
from tests.rules.behaviour.drafting import NOW, Acting
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.rules.request import Request


def _body(template: str, asked: Request | None = None, **given: Any) -> bytes:
    content = Acting(template=True, body=template)(asked, **given).content
    assert isinstance(content, bytes)
    return content


ASKED = request(
    b"POST /pay/7?a=1&a=2&b=%C3%BC+x HTTP/1.1\r\nHost: h.test\r\nX-Odd-Name: v\r\nX-Odd-Name: w\r\n"
    b"Last-Event-ID: 41\r\nContent-Length: 20\r\n\r\n",
    b'{"user": {"ids": [3, 4]}}',
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ method }} {{ target }} {{ version }}", "POST /pay/7?a=1&a=2&b=%C3%BC+x HTTP/1.1"),
        ("{{ path }}", "/pay/7"),
        ("{{ query.a }} {{ query_all.a | join('+') }} {{ query.b }}", "1 1+2 ü x"),
        ("{{ headers['x-odd-name'] }} {{ headers['X-ODD-NAME'] }} {{ headers.x_odd_name }}", "v v v"),
        ("{% for name, _ in fields %}{{ name[:4] }};{% endfor %}", "Host;X-Od;X-Od;Last;Cont;"),
        ("{{ host }} {{ last_event_id }}", "h.test 41"),
        ("{{ json.user.ids[1] }} {{ body | length }}", "4 25"),
        ("{{ captured.id }}", "7"),
        ("{{ client }} {{ connection }} {{ number }} {{ count }}", "127.0.0.1:50000 3 2 1"),
        ("{{ now | int }} {{ now | httpdate }}", "1700000000 Tue, 14 Nov 2023 22:13:20 GMT"),
        ("{{ query.b | urlencode }} {{ body | base64 }}", "%C3%BC%20x eyJ1c2VyIjogeyJpZHMiOiBbMywgNF19fQ=="),
        ("{{ json | tojson }} {{ '</a>' | json }}", '{"user":{"ids":[3,4]}} "</a>"'),
        ("{{ 'a-b-c' | replace('-', '+') }} {{ '%03d|%s' | format(7, 'x') }}", "a+b+c 007|x"),
        ("{{ 'a\nb\n\nc' | indent(2) }}", "a\n  b\n\n  c"),
        ("{{ 'a\n\nb' | indent(1, true, true) }}", " a\n \n b"),
        ("{{ ('Bearer x' | split(' '))[1] | upper }}", "X"),
        ("{% for name, value in query.items() %}{{ name }}={{ value }};{% endfor %}", "a=1;b=ü x;"),
        ("{% if query.a == '1' %}one{% else %}other{% endif %}", "one"),
        ("[{{ query.nobody }}{{ headers.nobody.at.all }}{{ json.x.y }}]", "[]"),
        ("{{ '<b>' }}{# a comment #}\n", "<b>\n"),
        ("{not a template}", "{not a template}"),
    ],
)
def test_a_template_sees_the_request(template: str, text: str) -> None:
    assert _body(template, ASKED, captured={"id": "7"}, now=NOW).decode() == text


def test_status_and_fields_are_templates_and_an_empty_line_is_left_out() -> None:
    acting = Acting(
        template=True,
        respond="{{ query.code }} {{ query.why }}",
        headers=[
            "X-A: {{ query.a }}",
            "{% if query.b %}X-B: yes{% endif %}",
            "X-C:plain",
            {"raw": "X-D: \u00e9{{ count }}"},
        ],
    )
    draft = acting(get("/?code=503&why=Busy&a=1"))
    assert draft.status_line == b"HTTP/1.1 503 Busy"
    assert draft.fields == [b"X-A: 1", b"X-C:plain", b"X-D: \xe91"]
    assert acting(get("/?code=200&b=1")).fields == [b"X-A: ", b"X-B: yes", b"X-C:plain", b"X-D: \xe92"]


def test_json_is_filled_in_and_stays_json() -> None:
    acting = Acting(
        template=True,
        json={
            "n": "{{ count }}",
            "all": "{{ query_all.q }}",
            "text": 'say "{{ query.q }}"',
            "list": ["{{ json.a }}", 1, None],
        },
    )
    draft = acting(get("/?q=%22%5C%0A%FF"))
    assert isinstance(draft.content, bytes)
    assert json.loads(draft.content) == {
        "n": 1,
        "all": ['"\\\n\xff'],
        "text": 'say ""\\\n\xff"',
        "list": [None, 1, None],
    }


def test_chance_is_the_same_for_the_same_call() -> None:
    template = "{{ uuid() }} {{ random(1, 1000000) }} {{ choice([1,2,3]) }} {{ uuid() }}"
    first, again, other = (_body(template, chance=chance) for chance in (1, 1, 2))
    assert first == again != other
    one, *_, two = first.split()
    assert re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one)
    assert one != two


def test_a_body_file_is_a_template_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("hello {{ query.name }}")
    acting = Acting(tmp_path, template=True, **{"body-file": "page.html"})
    assert acting(get("/?name=a")).content == b"hello a"
    file.write_text("good evening {{ query.name }}")
    assert acting(get("/?name=a")).content == b"good evening a"
    file.unlink()
    with pytest.raises(Exception, match="page"):
        acting(get("/"))


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        ({"body": "{{ query.a"}, "body", "can't be read"),
        ({"headers": ["A: b", "B: {% if %}"]}, "headers[1]", "can't be read"),
        ({"headers": ["A: {{ query }}\n"]}, None, ""),
        ({"respond": "{{ code }}"}, "respond", "nobody knows: code"),
        ({"json": {"a": ["{{ q | nope }}"]}}, "json.a[0]", "nobody knows: q"),
        ({"json": {"a": ["{{ query | nope }}"]}}, "json.a[0]", "nope"),
        ({"body": "{{ [1] | batch(9999999999) }}"}, "body", "batch"),
        ({"cookies": ["a={{ boom() }}"]}, "cookies[0]", "boom"),
        ({"body": "{{ haeders.x }}"}, "body", "Did you mean headers?"),
        ({"redirect": {"to": "/{{"}}, "redirect.to", "can't be read"),
        ({"respond": "what"}, "respond", "not a status"),
        ({"body-file": "nothing.txt"}, "body-file", "nothing.txt"),
        ({"body-file": "../secret"}, "body-file", "outside"),
        ({"body-hex": "zz"}, "body-hex", "hexadecimal"),
    ],
)
def test_what_can_be_known_to_fail_fails_when_the_rule_is_read(
    table: dict[str, Any], key: str | None, what: str, tmp_path: Path
) -> None:
    if key is None:
        with pytest.raises(WordsError):
            Acting(tmp_path, template=True, **table)()
        return
    with pytest.raises(CraftProblems) as caught:
        Acting(tmp_path, template=True, **table)
    assert [problem.key for problem in caught.value.problems] == [key]
    assert what in "".join(map(str, caught.value.problems))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CraftProblems) as caught:
        Acting(
            template=True,
            respond="{{",
            headers=["A: {{ who }}", "B: b", "C: {{ what }}"],
            cookies=["{{"],
            cors={"origins": ["\n"]},
            poll={"timeout": "soon"},
        )
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["cors.origins", "respond", "headers[0]", "headers[2]", "cookies[0]", "poll.timeout"]


@pytest.mark.parametrize(
    ("table", "target", "what"),
    [
        ({"headers": ["X-A: {{ query.a }}"]}, "/?a=1%0D%0ASet-Cookie:%20x", "made a line end"),
        ({"respond": "200 {{ query.a }}"}, "/?a=%0A", "made a line end"),
        ({"cookies": ["a={{ query.a }}"]}, "/?a=%0D", "made a line end"),
        ({"redirect": "{{ query.a }}"}, "/?a=%0D", "made a line end"),
        ({"respond": "{{ query.a }}"}, "/?a=Found", "no status"),
        ({"body": "{{ 1 / (query.a | int) }}"}, "/?a=0", "failed"),
        (
            {"body": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"},
            "/",
            "fuel",
        ),
        ({"body": "{{ random(query.a, 1) }}"}, "/?a=x%1B", "failed"),
        ({"body": "{{ choice([]) }}"}, "/", "failed"),
        ({"body": "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}"}, "/", "recursion"),
        ({"body": "{% include 'etc/passwd' %}"}, "/", "failed"),
        ({"body": "{{ 'a' * (query.n | int) }}"}, "/?n=1000000000000", "too large"),
        ({"body": "{{ 'a' | indent(query.n | int, true) }}"}, "/?n=1000000000000", "too large"),
        ({"body": "{{ query.f | format(1) }}"}, "/?f=%251000000000000d", "too wide"),
        ({"body": "{{ query.f | format(1) }}"}, "/?f=%25d%25d", "not enough"),
        ({"body": "{{ body | replace('', 'b' * 9000000) | replace('', 'b' * 9000000) }}"}, "/", "too large"),
        ({"body": "{% for i in range(1000) %}{{ 'a' * 100000 }}{% endfor %}"}, "/", "too large"),
        ({"body": "{% macro a() %}{{ 'a' * 9999999 }}{% endmacro %}" + "{{ a() }}" * 9}, "/", "too large"),
        ({"body": "{{ query.n.format(1) }}"}, "/?n=x", "no method"),
    ],
)
def test_what_fails_for_one_request_says_so(table: dict[str, Any], target: str, what: str) -> None:
    acting = Acting(template=True, **table)
    with pytest.raises(WordsError, match=what) as caught:
        acting(get(target))
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_nothing_of_python_is_within_reach() -> None:
    for name in ("headers.__class__", "headers._values", "''.__class__.__mro__", "uuid.__globals__"):
        assert _body("{{ " + name + " }}") == b""


@given(st.binary(max_size=60))
def test_bytes_come_out_as_they_went_in(data: bytes) -> None:
    assert to_wire(of_wire(data)) == data
    of_wire(data).encode()  # nothing in it that Rust's text can't hold
    asked = request(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(data), data)
    assert _body("{{ body }}", asked) == data


@given(st.binary(max_size=60))
def test_a_field_value_is_echoed_as_it_came(value: bytes) -> None:
    asked = request(b"GET / HTTP/1.1\r\nX-A: %s\r\n\r\n" % value.replace(b"\r", b"").replace(b"\n", b""))
    draft = Acting(template=True, headers=["X-B: {{ headers['x-a'] }}"])(asked)
    assert draft.fields == [b"X-B: " + asked.head.head.get(b"x-a")[0]]


_ALL = (
    "{{ method }}{{ target }}{{ path }}{{ query }}{{ query_all }}{{ version }}{{ headers }}{{ fields }}{{ host }}"
    "{{ body }}"
    "{{ json }}{{ json | tojson }}{{ query | urlencode }}{{ headers.a | upper }}{{ json.a.b }}"
)


@given(
    st.binary(max_size=200), st.binary(max_size=100) | st.from_regex(rb"[\[{\"0-9eE.,:}\]-]*", fullmatch=True)
)
def test_any_request_gives_an_answer_or_a_reason(head: bytes, content: bytes) -> None:
    asked = request(b"GET /" + head + b"\r\n\r\n", content)
    try:
        draft = Acting(template=True, body=_ALL, headers=["X: {{ target }}{{ headers }}"])(asked)
    except WordsError:
        return
    assert isinstance(draft.content, bytes)
    assert not any(b"\r" in line or b"\n" in line for line in draft.fields)


@pytest.mark.parametrize(("depth", "text"), [(150, b"[" * 150 + b"]" * 150), (100_000, b"null")])
def test_deep_json_is_no_trap(depth: int, text: bytes) -> None:
    content = b"[" * depth + b"]" * depth
    assert _body("{{ json | tojson }}", request(b"POST / HTTP/1.1\r\n\r\n", content)) == text


def test_json_that_is_too_deep_to_be_written_is_one_failure() -> None:
    asked = request(b"POST / HTTP/1.1\r\n\r\n", b"[" * 500 + b"]" * 500)
    with pytest.raises(WordsError, match="too deep"):
        _body("{{ json | tojson }}", asked)


def test_a_rule_without_templates_loads_no_template_engine() -> None:
    code = (
        "import sys; from pathlib import Path; from inspectd.rules.behaviour import steps;"
        "from inspectd.rules.tables import AnswerTable;"
        "steps(AnswerTable(cors=True, cookies=('a=b',), redirect='/'), base=Path());"
        "print([name for name in ('minijinja', 're2', 'hmac') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
