"""Credentials in what leaves: filled in byte for byte, counted, and nothing else touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.export.recorded import rows_of
from inspectd.export.redact import Found, Redaction
from inspectd.export.rules import RuleFile, RuleWriter
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Passing
from inspectd.rules.program import Program
from inspectd.wire import read
from tests.export.recording import write_capture
from tests.export.test_export_rules import asking

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.wire import Kind


def redacted(data: bytes, kind: Kind = "request", **names: list[str]) -> tuple[bytes, str]:
    found = Found()
    return Redaction(names.get("fields", ()), names.get("query", ())).message(
        data, kind, found
    ), found.sentence


@pytest.mark.parametrize(
    ("line", "without", "said"),
    [
        (b"Authorization: Bearer abc.def", b"Authorization: Bearer xxxxxxx", "Authorization"),
        (b"authorization:Basic dTpw", b"authorization:Basic xxxx", "authorization"),
        (b"Authorization: secret", b"Authorization: xxxxxx", "Authorization"),
        (b"Proxy-Authorization: Basic dTpw==", b"Proxy-Authorization: Basic xxxxxx", "Proxy-Authorization"),
        (b"Cookie: a=1; sid=abc;b", b"Cookie: a=x; sid=xxx;x", "Cookie (3)"),
        (b"X-Api-Key: 12 34", b"X-Api-Key: xxxxx", "X-Api-Key"),
        (b"X-API-KEY : 1", b"X-API-KEY : x", "X-API-KEY"),
        (b"Referer: http://h/?a=1&token=t#f", b"Referer: http://h/?a=1&token=x#f", "?token= in Referer"),
        (b"Referer: http://u:p@h/", b"Referer: http://xxx@h/", "user information in Referer"),
        (b"Cookie: a=1,\r\n two", b"Cookie: a=xx\r\n xxx", "Cookie (2)"),
        (b"Accept: */*", b"Accept: */*", ""),
        (b"X-Token-Count: 5", b"X-Token-Count: 5", ""),
        (b"Authorization:", b"Authorization:", ""),
    ],
)
def test_fields_of_requests(line: bytes, without: bytes, said: str) -> None:
    before, after = b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"

    assert redacted(before + line + after) == (before + without + after, said)


@pytest.mark.parametrize(
    ("target", "without"),
    [
        (b"/a?token=abc&b=1", b"/a?token=xxx&b=1"),
        (b"/a?b=1&API_KEY=abc", b"/a?b=1&API_KEY=xxx"),
        (b"/a?t%6Fken=abc;x", b"/a?t%6Fken=xxx;x"),
        (b"http://me:secret@a.test/?code=1", b"http://xxxxxxxxx@a.test/?code=x"),
        (b"/a?tokens=abc&token=", b"/a?tokens=abc&token="),
        (b"/token=abc", b"/token=abc"),
    ],
)
def test_targets(target: bytes, without: bytes) -> None:
    assert Redaction().target(target, Found()) == without
    head = b"GET %s HTTP/1.1\r\n\r\n"
    assert redacted(head % target)[0] == head % without


def test_answers_with_interim_ones_trailers_and_echoes() -> None:
    data = (
        b"HTTP/1.1 103 Early\r\nSet-Cookie: a=first; Path=/\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=0123456789; HttpOnly\r\nset-cookie: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        b"10\r\n>0123456789<    \r\n0\r\nX-Auth-Token: abc\r\n\r\n"
    )
    again, said = redacted(data, "response")

    assert again == (
        b"HTTP/1.1 103 Early\r\nSet-Cookie: a=xxxxx; Path=/\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=xxxxxxxxxx; HttpOnly\r\nset-cookie: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        b"10\r\n>xxxxxxxxxx<    \r\n0\r\nX-Auth-Token: xxx\r\n\r\n"
    )
    assert said == "Set-Cookie (2), X-Auth-Token, a credential in content"


def test_names_of_ones_own() -> None:
    data = b"GET /?mine=1&your=2 HTTP/1.1\r\nX-Mine: abc\r\n\r\n"

    again, said = redacted(data, fields=["x-MINE"], query=["Mine"])
    assert again == b"GET /?mine=x&your=2 HTTP/1.1\r\nX-Mine: xxx\r\n\r\n"
    assert said == "?mine=, X-Mine"
    assert redacted(data) == (data, "")


def test_what_frames_a_message_is_no_credential() -> None:
    with pytest.raises(InspectdError, match="'Content-length' says where a message ends"):
        Redaction(["Content-length"])


heads = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from(
            [b"Cookie", b"Set-Cookie", b"Authorization", b": ", b":", b"=", b";", b"\r\n", b"\n ", b"a", b"?token=",
             b"\r\n\r\n", b"\xff", b"\0", b"HTTP/1.1 200 OK\r\n", b"GET /?key=1 HTTP/1.1\r\n", b"://u@", b"Basic "]
        ),
        max_size=30,
    ).map(b"".join),
)  # fmt: skip


def framed(data: bytes, kind: Kind) -> list[object]:
    """Where messages, their fields and their contents begin and end."""
    return [
        (
            one.start,
            one.end,
            one.content,
            [(field.start, field.end) for field in (*one.head.fields, *one.trailers)],
        )
        for one in read(data, kind).messages
    ]


@given(data=heads, kind=st.sampled_from(["request", "response"]))
@example(data=b"GET /?token=abc HTTP/1.1\r\nCookie: a=b\r\n\r\n", kind="request")
def test_no_byte_moves_and_twice_is_as_once(data: bytes, kind: Kind) -> None:
    found = Found()
    again = Redaction().message(data, kind, found)

    assert len(again) == len(data)
    assert framed(again, kind) == framed(data, kind)
    assert all(mine in (its, ord("x")) for mine, its in zip(again, data, strict=True))
    assert bool(found.counts) or again == data
    assert Redaction().message(again, kind, Found()) == again


# ---------------------------------------------------------------------------------------------- in a rule file


SECRET = b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=topsecret\r\nContent-Length: 9\r\n\r\ntopsecret"
HEAD = b"GET /a?token=abcdef&b=1 HTTP/1.1\r\nHost: a\r\nCookie: sid=abc\r\n\r\n"


def exported(path: Path, redaction: Redaction | None) -> RuleFile:
    with Capture.open(path) as capture:
        writer = RuleWriter(capture, redaction=redaction, watch=Redaction())
        return writer.write(rows_of(capture))


def test_rules_without_credentials_still_match_and_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    write_capture(path, [(HEAD, SECRET), (HEAD.replace(b"abcdef", b"ghi").replace(b"b=1", b"b=2"), SECRET)])
    made = exported(path, Redaction())

    assert "topsecret" not in made.text
    assert "abcdef" not in made.text
    assert made.found.sentence == "Set-Cookie (2), a credential in content (2)"
    book = RuleBook(Passing("nobody"))
    book.replace("file", load_text(made.text, source="a.toml", base=tmp_path).rules)
    for token, number, matches in ((b"other", b"1", True), (b"t", b"2", True), (b"t", b"3", False)):
        request = asking(b"GET /a?token=%s&b=%s HTTP/1.1\r\nHost: a\r\n\r\n" % (token, number))
        assert request is not None
        assert (book.find(request) is not None) is matches
        program = book.respond(request, now=0.0, persist=True)
        assert isinstance(program, Program)
    assert SECRET.replace(b"topsecret", b"xxxxxxxxx").decode() in made.text.replace("\\r\\n", "\r\n")


def test_what_leaves_with_credentials_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    write_capture(path, [(HEAD, SECRET)])
    made = exported(path, None)

    assert made.found.sentence == "?token=, Set-Cookie, a credential in content"
    assert "topsecret" in made.text


def test_what_an_answer_echoes_of_the_request_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    asked = b"GET / HTTP/1.1\r\nAuthorization: Bearer 0123456789\r\nCookie: a=1; sid=abcdefghij\r\n\r\n"
    write_capture(path, [(asked, b"HTTP/1.1 200 OK\r\n\r\nYou sent:\n" + asked)])
    made = exported(path, Redaction())

    assert "Authorization: Bearer xxxxxxxxxx\\r\\nCookie: a=1; sid=xxxxxxxxxx" in made.text


WORD = b"s3cr3t-Passw0rd!"
START = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        START + b"Authorization:\r\n Bearer\r\n " + WORD + b"\r\n\r\n",
        START + b"aUTHORIZATION : bearer " + WORD + b"\r\n\r\n",
        START + b"Authorization Bearer " + WORD + b"\r\n\r\n",
        START + b"Authorization\x00: Bearer " + WORD + b"\r\n\r\n",
        START + b" Cookie: a=" + WORD + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n X-Api-Key: " + WORD + b"\r\n\r\n",
        START + b"Cookie: a=1\r\nCookie: b=\r\n " + WORD + b"\r\n\r\n",
        b"GET //u:" + WORD + b"@h/ HTTP/1.1\r\n\r\n",
        b"GET /;jsessionid=" + WORD + b"?x HTTP/1.1\r\n\r\n",
        b"GET /?Token=" + WORD + b"&%74oken=" + WORD + b" HTTP/1.1\r\n\r\n",
        START + b"Referer: 0;url=http://h/?a=b?c&token=" + WORD + b"\r\n\r\n",
        START + b"Authorization: Bearer " + WORD,
        b"GET /?token=" + WORD,
    ],
)
def test_a_secret_is_nowhere_however_it_is_spelled(request_bytes: bytes) -> None:
    again, said = redacted(request_bytes)

    assert WORD not in again
    assert said


@pytest.mark.parametrize(
    ("credential", "response"),
    [
        # user:s3cr3t-Passw0rd! in base64, and what a server makes of it
        (b"Authorization: Basic dXNlcjpzM2NyM3QtUGFzc3cwcmQh", b"Content-Length: 16\r\n\r\n" + WORD),
        (b"X-Api-Key: " + WORD, b"X-Echo: " + WORD + b"\r\nContent-Length: 0\r\n\r\n"),
        (
            b"X-Api-Key: " + WORD,
            b"Transfer-Encoding: chunked\r\n\r\n8\r\n"
            + WORD[:8]
            + b"\r\n8\r\n"
            + WORD[8:]
            + b"\r\n0\r\n\r\n",
        ),
        (b"Referer: /?token=s3cr3t%2DPassw0rd%21", b"Content-Length: 16\r\n\r\n" + WORD),
    ],
)
def test_an_echo_is_found_as_the_server_read_it(credential: bytes, response: bytes) -> None:
    asked = Found()
    redaction = Redaction()
    redaction.message(START + credential + b"\r\n\r\n", "request", asked)
    whole = b"HTTP/1.1 200 OK\r\n" + response

    again = redaction.message(whole, "response", Found(), known=asked.secrets)

    assert len(again) == len(whole)
    assert not any(part in again for part in (WORD, WORD[:8], WORD[8:]))


def test_an_echo_never_changes_how_a_message_is_read() -> None:
    words = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked-chunked\r\nContent-Encoding: gzip\r\n\r\nabc"
    found = Found()

    assert Redaction().message(words, "response", found, known={b"chunked-chunked": "Cookie"}) == words
    assert found.unsearched == {"with a coding": 1}


def test_short_credentials_are_taken_out_where_they_stand_by_themselves() -> None:
    asked, found = Found(), Found()
    redaction = Redaction()
    fields = b"X-Api-Key: QwErTyU\r\nCookie: sid=abc123; theme=html; n=2024; ok=true; a=b1; in=q1w2\r\n"
    redaction.message(START + fields + b"\r\n", "request", asked)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Echo: abc123\r\n\r\n"
    said = b'{"x-api-key":"QwErTyU","c":"sid=abc123;theme=html","n":2024,"ok":true,"a":"b1","in":"%3Dq1w2"}'

    again = redaction.message(head + said, "response", found, known=asked.secrets)

    assert again == head.replace(b"abc123", b"xxxxxx") + (
        b'{"x-api-key":"xxxxxxx","c":"sid=xxxxxx;theme=xxxx","n":2024,"ok":true,"a":"b1","in":"%3Dq1w2"}'
    )
    assert found.counts == {"a credential in another field": 1, "a credential in content": 3}
    assert found.left == {"Cookie in content": 4}
