"""Authentication: who passes, who is asked again, and how (RFC 7616, 7617, 6750)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.behaviour import credentials
from inspectd.rules.behaviour.digest import COUNTS_KEPT, LIFETIME, NONCES_KEPT, answer
from inspectd.rules.draft import CraftProblems
from tests.rules.behaviour.drafting import NOW, Acting
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from inspectd.rules.draft import Draft
    from inspectd.rules.request import Request

USERS = {"ann": "s3cret", "jäs": "пароль"}


def _passes(draft: Draft) -> bool:
    """Whether the content was reached; a challenge has nothing of it."""
    if draft.status_line == b"HTTP/1.1 200 OK":
        assert draft.content == b"content"
        return True
    assert draft.status_line.split(b" ")[1] in {b"400", b"401", b"407"}
    assert draft.content == b""
    assert draft.final
    return False


def _basic(user: str, password: str, encoding: str = "utf-8") -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()


@pytest.mark.parametrize(
    ("lines", "passes"),
    [
        ([_basic("ann", "s3cret")], True),
        ([_basic("ann", "s3cret").replace("Basic", "bAsIc  ")], True),
        ([_basic("jäs", "пароль")], True),
        ([_basic("jäs", "x", "latin-1")], False),
        ([_basic("ann", "s3cret ")], False),
        ([_basic("ann", "")], False),
        ([_basic("", "")], False),
        ([_basic("bob", "s3cret")], False),
        ([_basic("ann", "s3cret")[:-1]], False),
        ([_basic("ann", "s3cret") + "!"], False),
        ([_basic("ann", "s3cret")] * 2, False),
        (["Authorization: Basic"], False),
        (["Authorization: Basic ="], False),
        (["Authorization: Bearer YW5uOnMzY3JldA=="], False),
        (["Authorization:"], False),
        ([], False),
    ],
)
def test_basic_checks_name_and_password(lines: list[str], passes: bool) -> None:
    draft = Acting(auth={"basic": USERS, "realm": 'the "inner" \\ circle'})(get("/", *lines))
    assert _passes(draft) is passes
    if not passes:
        assert draft.fields == [
            b'WWW-Authenticate: Basic realm="the \\"inner\\" \\\\ circle", charset="UTF-8"'
        ]
        assert draft.added == [draft.fields[0].decode()]


def test_a_password_may_hold_a_colon_and_a_user_name_may_not() -> None:
    assert _passes(Acting(auth={"basic": {"a": "b:c"}})(get("/", _basic("a", "b:c"))))
    with pytest.raises(CraftProblems, match="colon"):
        Acting(auth={"basic": {"a:b": "c"}})


@pytest.mark.parametrize(
    ("lines", "status", "error"),
    [
        (["Authorization: Bearer good.token-1~+/=="], b"200", None),
        (["Authorization: bearer other"], b"200", None),
        (["Authorization: Bearer bad"], b"401", b"invalid_token"),
        (["Authorization: Bearer g\u00f6\u00f6d"], b"400", b"invalid_request"),
        (["Authorization: Bearer two words"], b"400", b"invalid_request"),
        (["Authorization: Bearer"], b"400", b"invalid_request"),
        (["Authorization: Bearer other", "Authorization: Bearer other"], b"400", b"invalid_request"),
        ([_basic("a", "b")], b"401", None),
        ([], b"401", None),
    ],
)
def test_bearer_says_what_is_wrong_with_a_token(lines: list[str], status: bytes, error: bytes | None) -> None:
    draft = Acting(auth={"bearer": ["good.token-1~+/==", "other"]})(get("/", *lines))
    assert draft.status_line.split(b" ")[1] == status
    if status != b"200":
        challenge = draft.get(b"www-authenticate") or b""
        assert challenge.startswith(b'Bearer realm="inspectd"')
        assert (b'error="%s"' % error in challenge) if error else (b"error" not in challenge)


def test_a_proxy_asks_in_its_own_words() -> None:
    acting = Acting(auth={"basic": USERS, "proxy": True})
    draft = acting(get("/", _basic("ann", "s3cret")))
    assert draft.status_line == b"HTTP/1.1 407 Proxy Authentication Required"
    assert draft.get(b"proxy-authenticate") == b'Basic realm="inspectd", charset="UTF-8"'
    assert _passes(acting(get("/", "Proxy-" + _basic("ann", "s3cret"))))


def test_several_schemes_and_verbatim_challenges_have_a_line_each() -> None:
    table = {"basic": USERS, "digest": USERS, "bearer": "t", "challenges": ["Odd", 'Negotiate, Foo a="b"']}
    acting = Acting(auth=table)
    lines = acting().fields
    assert [line.split(b" ")[1] for line in lines] == [b"Digest", b"Bearer", b"Basic", b"Odd", b"Negotiate,"]
    assert lines[-1] == b'WWW-Authenticate: Negotiate, Foo a="b"'
    assert _passes(acting(get("/", "Authorization: Bearer t")))
    assert _passes(acting(get("/", _basic("ann", "s3cret"))))
    assert _passes(acting(get("/", _digest(acting, get("/")))))


def test_a_scheme_alone_asks_everybody_and_what_says_nothing_is_refused() -> None:
    for scheme in ("basic", "digest", "bearer"):
        draft = Acting(auth={"scheme": scheme})(get("/", _basic("ann", "s3cret")))
        assert not _passes(draft)
        assert (draft.get(b"www-authenticate") or b"").lower().startswith(scheme.encode())
    for nobody in ({}, {"basic": USERS, "stale": 1}, {"bearer": "t", "algorithm": "MD5"}):
        with pytest.raises(CraftProblems):
            Acting(auth=nobody)


def test_a_challenge_can_be_read_by_the_page_that_got_it() -> None:
    acting = Acting(auth={"basic": USERS}, cors={"credentials": True}, cookies=["a=b"])
    draft = acting(get("/", "Origin: http://page.example"))
    assert [line.partition(b":")[0] for line in draft.fields] == [
        b"WWW-Authenticate",
        b"Vary",
        b"Access-Control-Allow-Origin",
        b"Access-Control-Allow-Credentials",
    ]
    preflight = get(
        "/", "Origin: http://page.example", "Access-Control-Request-Method: PUT", method="OPTIONS"
    )
    assert acting(preflight).status_line == b"HTTP/1.1 204 No Content"


# -- Digest

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^",]+))')


def _digest(
    acting: Acting, asked: Request, *, now: float = NOW, draft: Draft | None = None, **changed: str
) -> str:
    """The Authorization line of a client that answers a challenge (of `draft`), but for what is changed."""
    challenge = (draft or acting(asked, now=now)).get(b"www-authenticate") or b""
    said = {name: one or other for name, one, other in _PARAMETER.findall(challenge.decode())}
    user, password = changed.pop("user", "ann"), changed.pop("password", "s3cret")
    said |= {
        "username": user,
        "uri": asked.head.target.decode(),
        "nc": "00000001",
        "cnonce": "abc",
        "qop": "auth",
    }
    said |= {name: value for name, value in changed.items() if name != "response"}
    encoded = {name.encode(): value.encode() for name, value in said.items()}
    response = answer(said["algorithm"], asked.head.method, user.encode(), password.encode(), encoded)
    said["response"] = changed.get("response", response.decode())
    names = ("username", "realm", "nonce", "uri", "response", "algorithm", "opaque", "qop", "nc", "cnonce")
    bare = {"algorithm", "qop", "nc"}
    return "Authorization: Digest " + ", ".join(
        f"{name}={said[name]}" if name in bare else f'{name}="{said[name]}"' for name in names if said[name]
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", b"8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", b"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_the_specification_comes_out(algorithm: str, response: bytes) -> None:
    """RFC 7616 §3.9.1."""
    said = {
        b"realm": b"http-auth@example.org",
        b"nonce": b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        b"uri": b"/dir/index.html",
        b"nc": b"00000001",
        b"cnonce": b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        b"qop": b"auth",
    }
    assert answer(algorithm, b"GET", b"Mufasa", b"Circle of Life", said) == response


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
def test_digest_passes_the_right_answer_to_its_own_challenge(algorithm: str) -> None:
    acting = Acting(auth={"digest": USERS, "algorithm": algorithm})
    asked = get("/a?b=c")
    challenge = acting(asked).get(b"www-authenticate") or b""
    assert re.fullmatch(
        rb'Digest realm="inspectd", qop="auth", algorithm=%s, nonce="[0-9a-f.]+", opaque="[0-9a-f]{32}",'
        rb" charset=UTF-8" % algorithm.encode(),
        challenge,
    )
    assert _passes(acting(get("/a?b=c", _digest(acting, asked))))
    assert _passes(acting(get("/a?b=c", _digest(acting, asked, user="jäs", password="пароль"))))


@pytest.mark.parametrize(
    "changed",
    [
        {"password": "wrong"},
        {"user": "bob"},
        {"user": "bob", "password": ""},
        {"response": "0" * 64},
        {"realm": "elsewhere"},
        {"algorithm": "MD5"},
        {"uri": "/other"},
        {"qop": "auth-int"},
        {"qop": ""},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"cnonce": ""},
        {"opaque": "0" * 32},
    ],
)
def test_digest_refuses_what_is_wrong_and_does_not_call_it_stale(changed: dict[str, Any]) -> None:
    acting = Acting(auth={"digest": USERS})
    draft = acting(get("/", _digest(acting, get("/"), **changed)))
    assert not _passes(draft)
    assert b"stale" not in (draft.get(b"www-authenticate") or b"")


def test_a_digest_for_a_target_in_absolute_form_may_name_its_path() -> None:
    acting = Acting(auth={"digest": USERS})
    for uri in ("/x?y", "http://a.test/x?y"):
        line = _digest(acting, get("http://a.test/x?y"), uri=uri)
        assert _passes(acting(get("http://a.test/x?y", line)))


def test_an_extended_user_name_is_understood() -> None:
    acting = Acting(auth={"digest": USERS})
    line = _digest(acting, get("/"), user="jäs", password="пароль").replace(
        'username="jäs"', "username*=UTF-8''j%C3%A4s"
    )
    assert _passes(acting(get("/", line)))


def _is_stale(draft: Draft) -> bool:
    return not _passes(draft) and (draft.get(b"www-authenticate") or b"").endswith(b", stale=true")


def test_a_nonce_is_stale_when_it_is_old_unknown_or_forged() -> None:
    acting = Acting(auth={"digest": USERS})
    asked = get("/")
    line = _digest(acting, asked)
    assert _is_stale(acting(get("/", line), now=NOW + LIFETIME + 1))
    assert _is_stale(acting(get("/", line), now=NOW - 1))
    assert _passes(acting(get("/", line), now=NOW + LIFETIME))
    nonce = re.search(r'nonce="([^"]+)"', line)
    assert nonce is not None
    later = f"{int(NOW) + 1000:x}" + nonce[1][nonce[1].index(".") :]
    for other in ("x", "0.0.0.0", later, nonce[1][:-1] + "g", nonce[1].upper() + "A"):
        assert _is_stale(acting(get("/", _digest(acting, asked, nonce=other))))
    elsewhere = Acting(auth={"digest": USERS, "realm": "elsewhere"})
    foreign = re.search(rb'nonce="([^"]+)"', elsewhere().get(b"www-authenticate") or b"")
    assert foreign is not None
    assert _is_stale(acting(get("/", _digest(acting, asked, nonce=foreign[1].decode()))))


def test_a_count_is_good_once_in_any_order() -> None:
    acting = Acting(auth={"digest": USERS})
    challenge = acting()

    def answered(nc: str, number: int) -> Draft:
        again = get("/", _digest(acting, get("/"), draft=challenge, nc=nc))
        again.number = number
        return acting(again)

    assert _passes(answered("00000002", 2))
    assert _passes(answered("00000001", 3))
    assert _passes(answered("0000000A", 4))
    assert _is_stale(answered("00000002", 5))
    assert _is_stale(answered("0000000a", 6))
    assert _passes(answered("00000002", 2))  # the very same exchange, looked at once more


def test_what_is_remembered_of_nonces_is_bounded() -> None:
    acting = Acting(auth={"digest": USERS})
    challenge = acting()
    counts = [
        _passes(acting(get("/", _digest(acting, get("/"), draft=challenge, nc=f"{nc:08x}"))))
        for nc in range(COUNTS_KEPT + 2)
    ]
    assert counts == [True] * COUNTS_KEPT + [False] * 2
    for _ in range(NONCES_KEPT + 1):
        assert _passes(acting(get("/", _digest(acting, get("/")))))


@pytest.mark.parametrize("stale", [1, 3])
def test_so_many_right_answers_are_called_stale_first(stale: int) -> None:
    acting = Acting(auth={"digest": USERS, "stale": stale})
    draft = acting()
    for _ in range(stale):
        assert not _passes(acting(get("/", _digest(acting, get("/"), draft=draft, password="wrong"))))
        draft = acting(get("/", _digest(acting, get("/"), draft=draft)))
        assert _is_stale(draft)
    assert _passes(acting(get("/", _digest(acting, get("/"), draft=draft))))


_ANY = st.binary(max_size=80) | st.from_regex(
    rb'(?i:digest|basic|bearer) ([a-z*]+="?[a-z0-9=\\]*"?[, ]*)*', fullmatch=True
)


@given(_ANY)
def test_any_credentials_are_refused_without_harm(value: bytes) -> None:
    acting: Any = Acting(auth={"digest": USERS, "basic": USERS, "bearer": "a-long-token"})
    assert not _passes(acting(request(b"GET / HTTP/1.1\r\nAuthorization: " + value + b"\r\n\r\n")))
    credentials.parameters(value)
    credentials.extended(value)


_TOKENS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(st.dictionaries(_TOKENS, st.text(st.characters(codec="utf-8"), max_size=20), max_size=6))
def test_parameters_are_read_as_they_were_written(said: dict[str, str]) -> None:
    data = b", ".join(name.encode() + b"=" + credentials.quoted(value) for name, value in said.items())
    if b"\n" not in data:
        assert credentials.parameters(data) == {name.encode(): value.encode() for name, value in said.items()}


def test_reading_parameters_takes_linear_time() -> None:
    for data in (b"a=" * 200_000, b'a="' + b"\\" * 400_000, b" ," * 200_000 + b"a", b"a" * 400_000):
        credentials.parameters(data)
        credentials.split(data)
