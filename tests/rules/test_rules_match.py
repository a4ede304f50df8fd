"""What a match says, whom it lets through, and what it tells about those it doesn't."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.match import MatchErrors, compile_match
from inspectd.rules.patterns import PathGlob, PatternError, path_glob, text_glob
from inspectd.rules.tables import MatchTable
from inspectd.text.safe import safe
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from inspectd.rules.request import Request


def table(**keys: Any) -> MatchTable:
    """A match table as a file would have it."""
    return msgspec.convert({name.replace("_", "-"): value for name, value in keys.items()}, MatchTable)


def whole(body: bytes) -> Request:
    """A POST with all of its content, as for a rule that looks at it."""
    return replace(post(body), content=body)


def post(body: bytes, *lines: str, target: str = "/") -> Request:
    """A POST with content."""
    head = "\r\n".join((f"POST {target} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *lines, "", ""))
    return request(head.encode(), body)


# -- strings


@pytest.mark.parametrize(
    ("match", "method", "target", "matches"),
    [
        ("*", "GET", "/anything/at?all", True),
        ("*", "OPTIONS", "*", True),
        ("* /x", "BREW", "/x", True),
        ("GET *", "POST", "/x", False),
        ("GET /teapot", "GET", "/teapot", True),
        ("GET   /teapot  ", "GET", "/teapot", True),
        ("GET /teapot", "HEAD", "/teapot", False),
        ("GET /teapot", "get", "/teapot", False),
        ("GET|HEAD /teapot", "HEAD", "/teapot", True),
        ("/teapot", "PUT", "/teapot", True),
        ("/teapot", "PUT", "/teapot?milk=1", True),
        ("/teapot", "PUT", "/teapot/", False),
        ("/teapot", "PUT", "/Teapot", False),
        ("/a?x=1", "GET", "/a?x=1", True),
        ("/a?x=1", "GET", "/a?x=2", False),
        ("/a?x=1", "GET", "/a", False),
        ("/a?", "GET", "/a", True),
        ("/a?*", "GET", "/a?b", False),
        ("/a?*", "GET", "/a?*", True),
        ("/%7Ejo", "GET", "/%7Ejo", True),
        ("/%7Ejo", "GET", "/~jo", False),
        ("/ä", "GET", "/ä", True),
        ("/x", "GET", "http://other.test/x", True),
        ("/", "GET", "http://other.test", True),
        ("CONNECT *:443", "CONNECT", "host.test:443", True),
        ("CONNECT *:443", "CONNECT", "host.test:80", False),
    ],
)
def test_a_match_string(match: str, method: str, target: str, matches: bool) -> None:
    assert (compile_match(match).test(get(target, method=method)) is not None) is matches


@pytest.mark.parametrize(
    ("glob", "path", "captured"),
    [
        ("/pay/*", "/pay/1", {"1": "1", "*": "1"}),
        ("/pay/*", "/pay/", {"1": "", "*": ""}),
        ("/pay/*", "/pay/1/2", None),
        ("/pay/*", "/pay", None),
        ("/*.css", "/a.css", {"1": "a", "*": "a"}),
        ("/*.css", "/a.css.map", None),
        ("/*/*", "/a/b", {"1": "a", "2": "b", "*": "b"}),
        ("/files/**", "/files/a/b.txt", {"1": "a/b.txt", "**": "a/b.txt"}),
        ("/files/**", "/files/", {"1": "", "**": ""}),
        ("/files/**", "/files", None),
        ("/**/x", "/x", {"1": "", "**": ""}),
        ("/**/x", "/a/b/x", {"1": "a/b", "**": "a/b"}),
        ("/**/x", "/ax", None),
        ("/a**", "/ab/c", {"1": "b/c", "**": "b/c"}),
        ("/**/*.js", "/a/b/c.js", {"1": "a/b", "2": "c", "**": "a/b", "*": "c"}),
        ("/u/{user}/p/{post-id}", "/u/jo/p/7", {"user": "jo", "post-id": "7"}),
        ("/u/{user}", "/u/", None),
        ("/u/{user}", "/u/a/b", None),
        ("/u/{user}.{kind}", "/u/a.b.c", {"user": "a.b", "kind": "c"}),
        ("/u/{user}", "/u/%41%ff", {"user": "%41%ff"}),
        ("/a.b", "/axb", None),
        ("/a+(b)", "/a+(b)", {}),
        ("/[a]", "/[a]", {}),
        ("/[a]", "/a", None),
    ],
)
def test_a_path_glob(glob: str, path: str, captured: dict[str, str] | None) -> None:
    assert compile_match(glob).test(get(path)) == captured
    assert compile_match(table(path=glob)).test(get(path)) == captured


def test_what_was_captured_is_readable_whatever_the_bytes_are() -> None:
    matcher = compile_match("/{name}")
    assert matcher.test(request(b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n")) == {"name": "ä"}
    assert matcher.test(request(b"GET /\xe4\xff HTTP/1.1\r\n\r\n")) == {"name": "äÿ"}


def test_named_groups_of_a_regular_expression_are_captured() -> None:
    matcher = compile_match(table(path_regex=r"/v(?P<version>\d+)/(.*)"))
    assert matcher.test(get("/v12/a/b")) == {"1": "12", "version": "12", "2": "a/b"}
    assert matcher.test(get("/v12")) is None
    assert matcher.test(get("/x/v12/a")) is None, "the whole path has to match"


# -- the keys of a table


@pytest.mark.parametrize(
    ("keys", "target", "lines", "matches"),
    [
        ({"method": ["GET", "POST"]}, "/", [], True),
        ({"method": "PUT|POST"}, "/", [], False),
        # query
        ({"query": {"a": "1"}}, "/?a=1", [], True),
        ({"query": {"a": "1"}}, "/?b=1&a=2&a=1", [], True),
        ({"query": {"a": "1"}}, "/?a=11", [], False),
        ({"query": {"a": "1*"}}, "/?a=11", [], True),
        ({"query": {"a": "x y"}}, "/?a=x+y", [], True),
        ({"query": {"a": "x y"}}, "/?a=x%20y", [], True),
        ({"query": {"ä": "ö"}}, "/?%c3%a4=%F6", [], True),
        ({"query": {"a": "100%"}}, "/?a=100%", [], True),
        ({"query": {"a": "?"}}, "/?a=??", [], False),
        ({"query": {"a": True}}, "/?a", [], True),
        ({"query": {"a": True}}, "/?b", [], False),
        ({"query": {"a": False}}, "/?b", [], True),
        ({"query": {"a": False}}, "/?a=", [], False),
        ({"query": {"a": {"equals": ""}}}, "/?a=", [], True),
        ({"query": {"a": {"equals": "*"}}}, "/?a=x", [], False),
        ({"query": {"a": {"regex": "[0-9]+"}}}, "/?a=12", [], True),
        ({"query": {"a": {"regex": "[0-9]+"}}}, "/?a=12x", [], False),
        ({"query": {"a": {"present": True}}}, "/?a=12x", [], True),
        ({"path": "/p?a=1"}, "/p?a=1", [], True),
        # host: get() sends Host: localhost:8080
        ({"host": "localhost"}, "/", [], True),
        ({"host": "LOCALHOST"}, "/", [], True),
        ({"host": "localhost:8080"}, "/", [], True),
        ({"host": "localhost:*"}, "/", [], True),
        ({"host": "localhost:80"}, "/", [], False),
        ({"host": "*host"}, "/", [], True),
        ({"host": "*.test"}, "http://A.test:99/", [], True),
        ({"host": "localhost"}, "http://a.test/", [], False),
        ({"host": {"regex": "LOCAL.*"}}, "/", [], True),
        ({"host": {"regex": "local[a-z]+"}}, "/", [], True),
        ({"host": {"regex": "(?:a|local)host"}}, "/", [], True),
        ({"host": {"regex": "localhost:80"}}, "/", [], False),
        ({"host": {"regex": "localhost:80.."}}, "/", [], True),
        ({"host": {"equals": "Localhost"}}, "/", [], True),
        ({"host": True}, "/", [], True),
        ({"host": False}, "/", [], False),
        # fields
        ({"header": {"Accept": "*json*"}}, "/", ["accept: text/html, application/json;q=1"], True),
        ({"header": {"accept": "*json*"}}, "/", ["Accept: text/html"], False),
        ({"header": {"X-A": "2"}}, "/", ["X-A: 1", "x-a:\t2 \t"], True),
        ({"header": {"X-A": True}}, "/", ["X-A:"], True),
        ({"header": {"X-A": False}}, "/", ["X-AB: 1"], True),
        ({"header": {"X-A": False}}, "/", ["X-A: 1"], False),
        ({"header": {"X-A": "A"}}, "/", ["X-A: a"], False),
        ({"header": {"X-A": "[a-c]"}}, "/", ["X-A: b"], True),
        ({"header": {"X-A": "[!a-c]"}}, "/", ["X-A: b"], False),
        ({"header": {"X-A": "[]^-]"}}, "/", ["X-A: ]"], True),
        ({"header": {"X-A": "[]^-]"}}, "/", ["X-A: ^"], True),
        ({"header": {"X-A": "a.b"}}, "/", ["X-A: axb"], False),
        ({"header": {"X-A": "ä?"}}, "/", ["X-A: äö"], True),
        ({"header": {"X-A": "a", "X-B": "b"}}, "/", ["X-A: a"], False),
        # the connection
        ({"client": "127.0.0.1"}, "/", [], True),
        ({"client": "127.0.0.0/8"}, "/", [], True),
        ({"client": "127.9.9.9/8"}, "/", [], True),
        ({"client": "10.0.0.0/8"}, "/", [], False),
        ({"client": "::1"}, "/", [], False),
        ({"tls": False}, "/", [], True),
        ({"tls": True}, "/", [], False),
        ({"version": "HTTP/1.1"}, "/", [], True),
        ({"version": "HTTP/1.0"}, "/", [], False),
        ({"nth": 2}, "/", [], True),
        ({"nth": 1}, "/", [], False),
        ({"first": False}, "/", [], True),
        ({"first": True}, "/", [], False),
    ],
)
def test_a_key_of_a_table(keys: dict[str, Any], target: str, lines: list[str], matches: bool) -> None:
    matcher = compile_match(table(**keys))
    asked = get(target, *lines)
    assert (matcher.test(asked) is not None) is matches
    assert bool(matcher.why_not(asked)) is not matches
    assert not matcher.needs_content


@pytest.mark.parametrize(
    ("keys", "body", "matches"),
    [
        ({"body": "needle"}, b"hay needle hay", True),
        ({"body": "needle"}, b"hay", False),
        ({"body": "\u00e4"}, "ä".encode(), True),
        ({"body": "\u00e4"}, b"\xe4\xff", True),
        ({"body_regex": "^a.c$"}, b"abc", True),
        ({"body_regex": "b"}, b"abc", True),
        ({"body_regex": "(?m)^b$"}, b"a\nb\nc", True),
        ({"body_regex": "^b"}, b"abc", False),
        ({"json": {"$.a": 1}}, b'{"a": 1}', True),
        ({"json": {"$.a": 1}}, b'{"a": 1.0}', True),
        ({"json": {"$.a": 1}}, b'{"a": true}', False),
        ({"json": {"$.a": "1"}}, b'{"a": 1}', False),
        ({"json": {"$.a": True}}, b'{"a": null}', True),
        ({"json": {"$.a": True}}, b'{"b": 1}', False),
        ({"json": {"$.a": False}}, b'{"a": false}', True),
        ({"json": {"$.a": False}}, b'{"a": 0}', False),
        ({"json": {"$..id": 7}}, b'[{"id": 1}, {"x": {"id": 7}}]', True),
        ({"json": {"$.a": {"b": [1, 2]}}}, b'{"a": {"b": [1, 2]}}', True),
        ({"json": {"$.a": {"b": [1, 2]}}}, b'{"a": {"b": [2, 1]}}', False),
        ({"json": {"$[?match(@.n, 'a.*')]": True}}, b'[{"n": "xa"}, {"n": "ab"}]', True),
        ({"json": {"$[?search(@.n, 'b$')]": True}}, b'[{"n": "xa"}, {"n": 5}]', False),
        ({"json": {"$.a": 1}}, b"{nonsense", False),
        ({"json": {"$.a": 1}}, b"", False),
        ({"json": {"$.a": 1}}, b"[" * 100_000, False),
        ({"json": {"$..x": 1}}, b'{"a":' * 900 + b"1" + b"}" * 900, False),
    ],
)
def test_the_content(keys: dict[str, Any], body: bytes, matches: bool) -> None:
    matcher = compile_match(table(**keys))
    assert matcher.needs_content
    assert (matcher.test(post(body)) is not None) is matches
    assert bool(matcher.why_not(post(body))) is not matches


def test_a_path_that_goes_through_all_values_gives_up_on_very_many() -> None:
    body = whole(b"[" + b"[]," * 100_000 + b'{"id": 1}]')
    everywhere, here = compile_match(table(json={"$..id": 1})), compile_match(table(json={"$[-1].id": 1}))
    assert here.test(body) is not None
    assert everywhere.test(body) is None
    assert everywhere.why_not(body) == ["the content has more than 100,000 JSON values, too many for '$..id'"]
    assert everywhere.test(whole(b"[" + b"[]," * 10_000 + b'{"id": 1}]')) is not None


def test_json_that_is_longer_than_what_is_kept_is_said_to_be_so() -> None:
    assert compile_match(table(json={"$": True})).why_not(post(b"[" + b"1," * 100_000 + b"1]")) == [
        "the first 65,536 bytes of the content, all that is kept, are no JSON"
    ]


@pytest.mark.parametrize(
    ("peer", "network", "matches"),
    [
        ("[::1]:5000", "::1", True),
        ("[fe80::1%eth0]:5000", "fe80::/10", True),
        ("[::ffff:10.1.2.3]:5000", "10.0.0.0/8", True),
        ("unknown", "0.0.0.0/0", False),
        ("", "0.0.0.0/0", False),
    ],
)
def test_the_address_of_a_client(peer: str, network: str, matches: bool) -> None:
    asked = replace(get("/"), peer=peer)
    assert (compile_match(table(client=network)).test(asked) is not None) is matches


def test_a_request_line_without_a_version_is_http_0_9() -> None:
    assert compile_match(table(version="HTTP/0.9")).test(request(b"GET /x\r\n")) is not None


def test_a_field_is_found_in_a_head_that_is_not_grammatical() -> None:
    asked = request(b"GET / HTTP/1.1\nX-A : one\n two\n: nameless\nx-a: \xff\xfe\n\n")
    assert not asked.head.plain
    for keys in ({"X-A": "*two"}, {"x-a": "\xff\xfe"}, {"": "nameless"}, {"X-A": "one*", "Host": False}):
        assert compile_match(table(header=keys)).test(asked) is not None, keys


def test_a_preflight_matches_as_its_method_does() -> None:
    matcher = compile_match("PUT /x", preflight=True)
    lines = ("Origin: http://a.test", "Access-Control-Request-Method: PUT")
    assert matcher.test(get("/x", *lines, method="OPTIONS")) is not None
    assert matcher.test(get("/x", method="PUT")) is not None
    assert matcher.test(get("/x", method="OPTIONS")) is None
    assert matcher.test(get("/x", lines[0], "Access-Control-Request-Method: GET", method="OPTIONS")) is None
    assert matcher.why_not(get("/x", lines[0], "Access-Control-Request-Method: GET", method="OPTIONS")) == [
        "the preflight asks for 'GET', not PUT"
    ]
    assert compile_match("PUT /x").test(get("/x", *lines, method="OPTIONS")) is None


# -- what it says


def test_why_not_has_a_sentence_for_each_condition() -> None:
    matcher = compile_match(
        table(
            method=["POST", "PUT", "PATCH"],
            path="/pay/*",
            query={"a": "1", "b": True, "c": False},
            host="shop.test",
            header={"Accept": "*json*", "X-A": {"equals": "1"}},
            client="10.0.0.0/8",
            tls=True,
            version="HTTP/1.0",
            nth=1,
            first=True,
            body="x",
            body_regex="y+",
            json={"$.a": 1},
        )
    )
    asked = get("/\x1b[31mbuy?a=2&a=3&c=4", "Accept: text/html", method="post")
    assert matcher.why_not(asked) == [
        "the method is post, not POST, PUT or PATCH (methods are case-sensitive)",
        "the path '/\\x1b[31mbuy' does not fit '/pay/*'",
        "the query parameter 'a' has 2 values, and none of them is '1'",
        "the query parameter 'b' is missing",
        "the query parameter 'c' is there ('4'), and must not be",
        "the host is 'localhost', not 'shop.test'",
        "the field 'Accept' is 'text/html', which does not fit '*json*'",
        "the field 'X-A' is missing",
        "the client '127.0.0.1:50000' is not in 10.0.0.0/8",
        "the connection is not encrypted",
        "the version is 'HTTP/1.1', not 'HTTP/1.0'",
        "it is request 2 of its connection, not 1",
        "it is request 2 of its connection, not the first",
        "'x' is not in the content, which is empty",
        "'y+' is not found in the content, which is empty",
        "the content is empty",
    ]


def test_a_request_is_nearer_the_more_conditions_hold() -> None:
    asked = get("/teapt", "X-A: 1")
    near = [
        compile_match(match).closeness(asked)
        for match in ("GET /teapt", "GET /teapot", "GET /coffee", "POST /teapot", "POST /coffee")
    ]
    assert near == sorted(near, reverse=True)
    assert near[0] == 1


@pytest.mark.parametrize(
    ("match", "key", "what", "mend"),
    [
        ("", (), "an empty match", "Write '*'"),
        ("GET", (), "no path in the match 'GET'", "Write 'GET *'"),
        ("GET teapot", (), "not a path: 'teapot'", "write '/teapot'"),
        ("teapot/x", (), "not a path: 'teapot/x'", "write '/teapot/x'"),
        ("G(T /x", (), "not a method: 'G(T'", "GET|POST"),
        ("GET| /x", (), "not a method: ''", "GET|POST"),
        ("GET /a{b", (), "a brace that names nothing", "path-regex"),
        ("GET /{}", (), "a brace that names nothing", "path-regex"),
        ("GET /{a}/{a}", (), "{a} is twice", "own name"),
        (table(method=[]), ("method",), "no method in the list", ""),
        (table(path="x"), ("path",), "not a path: 'x'", "'/x'"),
        (table(method="GET", path="x"), ("path",), "not a path: 'x'", "'/x'"),
        (table(path_regex="("), ("path-regex",), "missing )", "backreferences"),
        (table(path_regex=r"(a)\1"), ("path-regex",), "invalid escape", "backreferences"),
        (table(path_regex="(?=a)"), ("path-regex",), "invalid perl operator", "look-around"),
        (table(path_regex="((a{1000}){1000}){1000}"), ("path-regex",), "invalid repe", ""),
        (table(body_regex="[z-a]"), ("body-regex",), "invalid character class range", ""),
        (table(header={"X": {"regex": "*"}}), ("header", "X"), "no argument for repetition", ""),
        (table(header={"X": "[a"}), ("header", "X"), "a [ without its ]", "equals"),
        (table(header={"X": {}}), ("header", "X"), "says nothing", "Give one of"),
        (
            table(query={"a": {"equals": "1", "glob": "2"}}),
            ("query", "a"),
            "equals and glob together",
            "one of",
        ),
        (table(host="[a"), ("host",), "a [ without its ]", "equals"),
        (table(client="localhost"), ("client",), "not an address or a network", "10.0.0.0/8"),
        (table(version="1.0"), ("version",), "not a version: '1.0'", "HTTP/1.0"),
        (table(nth=2, first=True), ("first",), "contradict", ""),
        (table(json={"a.b[": 1}), ("json", "a.b["), "not a JSON path", "RFC 9535"),
        (table(json={"": 1}), ("json", ""), "not a JSON path", "RFC 9535"),
        (table(body="\ud800"), ("body",), "a lone surrogate", ""),
        (table(path="/\ud800*"), ("path",), "a lone surrogate", ""),
        (table(header={"X": "\ud800"}), ("header", "X"), "a lone surrogate", ""),
        (table(header={"X": {"equals": "\ud800"}}), ("header", "X"), "a lone surrogate", ""),
    ],
)
def test_a_bad_match_says_what_is_wrong(
    match: str | MatchTable, key: tuple[str, ...], what: str, mend: str
) -> None:
    with pytest.raises(MatchErrors) as caught:
        compile_match(match)
    (error,) = caught.value.errors
    assert error.key == key
    assert what in error.what
    assert mend in error.mend
    assert error.what == safe(error.what, doubling=False)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(MatchErrors) as caught:
        compile_match(table(path_regex="(", client="x", header={"A": "["}, json={"$[": 1}))
    assert [error.key for error in caught.value.errors] == [
        ("path-regex",), ("header", "A"), ("client",), ("json", "$["),
    ]  # fmt: skip


# -- hostile


EVERYTHING = [
    compile_match(match)
    for match in (
        "*",
        "GET /**/a*b*/{c}",
        "/a?x=1",
        table(path_regex="(a|b|ab)*c"),
        table(query={"a": "*x*", "b": {"regex": "(.*)+"}, "": True}),
        table(host="*.test", header={"Accept": "*a*b*", "": True, "X": False, "Y": {"regex": ".+"}}),
        table(client="0.0.0.0/0", tls=False, version="HTTP/1.1", nth=2, first=False),
        table(body="x", body_regex="(x+x+)+y", json={"$..a[?@.b == 1]": 1, "$.*": True}),
    )
]


@given(line=st.binary(max_size=60), rest=st.binary(max_size=200), content=st.binary(max_size=100))
def test_no_bytes_make_a_matcher_raise(line: bytes, rest: bytes, content: bytes) -> None:
    for raw in (line + b"\r\n" + rest + b"\r\n\r\n", b"GET /" + line + b" HTTP/1.1\r\nX:" + rest + b"\n\n"):
        try:
            asked = request(raw, content)
        except IndexError:
            continue  # no head in it
        for matcher in EVERYTHING:
            captured = matcher.test(asked)
            why = matcher.why_not(asked)
            assert (captured is None) is bool(why)
            assert all(sentence == safe(sentence, doubling=False) for sentence in why)
            assert 0 <= matcher.closeness(asked) <= 1


@given(glob=st.text(alphabet="ab/*{}n.[", max_size=12), path=st.text(alphabet="ab/n.[", max_size=12))
def test_a_glob_compiles_or_says_why(glob: str, path: str) -> None:
    for compiling in (path_glob, text_glob):
        try:
            compiled = compiling(glob)
        except PatternError:
            continue
        if isinstance(compiled, PathGlob):
            compiled.match(path.encode())
        elif isinstance(compiled, str):
            assert compiled == glob
        else:
            compiled.fullmatch(path.encode())


@given(
    st.lists(st.sampled_from(["a", "/", "*", "**", "b", "."]), max_size=8),
    st.lists(st.sampled_from(["a", "/", "b", ".", "c"]), max_size=10),
)
def test_a_glob_means_what_its_parts_mean(parts: list[str], path_parts: list[str]) -> None:
    """Against a plain reading of the rules, by trying every length."""
    glob, path = "/" + "".join(parts), "/" + "".join(path_parts)
    assert (path_glob(glob).match(path.encode()) is not None) is _fits(glob, path)


def _fits(glob: str, path: str, before: str = "") -> bool:
    if not glob:
        return not path
    if glob.startswith("**"):
        rest = glob[2:]
        if before == "/" and rest.startswith("/") and _fits(rest[1:], path, "/"):
            return True
        return any(_fits(rest, path[n:], "*") for n in range(len(path) + 1))
    if glob[0] == "*":
        segment = len(path.partition("/")[0])
        return any(_fits(glob[1:], path[n:], "*") for n in range(segment + 1))
    return path[:1] == glob[0] and _fits(glob[1:], path[1:], glob[0])


def test_patterns_take_linear_time() -> None:
    """Each of these takes longer than the universe has when it backtracks."""
    path = "/" + "a" * 50_000
    for glob in ("/" + "*a" * 30 + "b", "/" + "**a" * 30 + "b", "/**/**/**/**/**/b"):
        assert compile_match(glob).test(get(path)) is None
    assert compile_match(table(path_regex="/(a+)+b")).test(get(path)) is None
    assert compile_match(table(query={"q": {"regex": "(a|aa)+b"}})).test(get(f"/?q={path}")) is None
    body = post(b'[{"n": "' + b"a" * 50_000 + b'"}]')
    assert compile_match(table(body_regex="(a+)+b")).test(body) is None
    assert compile_match(table(json={"$[?search(@.n, '(a+)+b')]": True})).test(body) is None
