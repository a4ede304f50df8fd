"""The page of a forward proxy that offers its CA: through the proxy, in tunnels, and to nobody else."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from inspectd.engine import ca
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.passing import Passing
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import proxying, tunnel

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running
    from tests.engine.proxy.tunnels import RunEngine


pytestmark = pytest.mark.usefixtures("own_authority")


def get(path: str, *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} http://inspectd.test{path} HTTP/1.1", "Host: inspectd.test", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def parted(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("form", ["pem", "der", "p12"])
async def test_the_certificate_is_given_in_each_form_and_nothing_else(
    run_engine: RunEngine, form: str
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin) as running:
        head, body = parted(await running.ask(get(f"/ca.{form}")))
        row = await running.exchange(1)
    own = ca.open_authority().certificate
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    if form == "p12":
        assert b"\r\nContent-Type: application/x-pkcs12\r\n" in head
        store = pkcs12.load_pkcs12(body, None)
        assert store.key is None
        assert store.cert is None
        assert [each.certificate for each in store.additional_certs] == [own]
    else:
        assert b"\r\nContent-Type: application/x-x509-ca-cert\r\n" in head
        load = x509.load_pem_x509_certificate if form == "pem" else x509.load_der_x509_certificate
        assert load(body) == own
        assert body == own.public_bytes(Encoding.PEM if form == "pem" else Encoding.DER)
    assert b"PRIVATE" not in body
    assert (row.method, row.status, row.label) == ("GET", "200", "inspectd's own page at inspectd.test")
    assert not origin.accepted


class _Page(HTMLParser):
    """Keeps the tags of a page, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_browsers_get_a_page_without_script_that_loads_nothing(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        answer = await running.ask(get("/?<script>", "Accept: text/html,*/*;q=0.8", "X: <b>"))
    head, body = parted(answer)
    assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in head
    assert b"\r\nContent-Security-Policy: default-src 'none'; " in head
    page = _Page(body.decode())
    authority = ca.open_authority()
    assert authority.fingerprint in page.text
    assert authority.name in page.text
    assert page.links == ["/ca.pem", "/ca.der", "/ca.p12"]
    assert not {"script", "b", "img", "link", "iframe", "form"} & set(page.tags)
    for system in ("Firefox", "iPhone", "Android", "Windows", "update-ca-certificates"):
        assert system in page.text
    assert str(authority.path) not in page.text


async def test_others_get_text(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        head, body = parted(await running.ask(get("", "Accept: */*")))
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
        assert ca.open_authority().fingerprint in body.decode()
        assert "http://inspectd.test/ca.pem" in body.decode()
        through = f"http://localhost:{running.port}"
        assert f"curl -x {through} --cacert inspectd-ca.pem https://example.test/" in body.decode()
        assert f"git -c http.proxy={through} " in body.decode()
        assert "localhost:8443" not in body.decode()
        direct = await running.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert f"curl -x {through} http://example.test/".encode() in direct
        assert (await running.ask(get("/else"))).startswith(b"HTTP/1.1 404 ")
        refused = await running.ask(get("/", "Content-Length: 3", method="POST") + b"abc")
        assert refused.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET, HEAD\r\n" in refused
        nothing = await running.ask(get("/ca.der", method="HEAD"))
        assert nothing.startswith(b"HTTP/1.1 200 OK\r\n")
        assert parted(nothing)[1] == b""


@pytest.mark.parametrize("host", ["inspectd.test", "INSPECTD.test."])
async def test_it_is_there_in_tunnels_whatever_the_options_say(run_engine: RunEngine, host: str) -> None:
    async with proxying(run_engine, Origin(), no_intercept=("*.test*",), only=("other",)) as running:
        client = await tunnel(running, 443, host, name="inspectd.test")
        await client.shake()
        await client.send(b"GET /ca.pem HTTP/1.1\r\nHost: inspectd.test\r\n\r\n")
        answer = await client.rest()
        await client.close()
        row = await running.exchange(2)
        assert running.engine.unrecorded == 0
    assert answer.endswith(ca.open_authority().certificate.public_bytes(Encoding.PEM))
    assert (row.target, row.status) == ("/ca.pem", "200")


async def test_it_is_there_through_socks(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        client = await running.connect()
        await client.send(b"\x05\x01\x00")
        assert await client.reader.readexactly(2) == b"\x05\x00"
        await client.send(b"\x05\x01\x00\x03\x0dinspectd.test\x00\x50")
        assert (await client.reader.readexactly(10))[:2] == b"\x05\x00"
        await client.send(b"GET /ca.der HTTP/1.1\r\nHost: inspectd.test\r\n\r\n")
        answer = await client.rest()
        await client.close()
    assert answer.endswith(ca.open_authority().certificate.public_bytes(Encoding.DER))


async def test_rules_come_first(run_engine: RunEngine, tmp_path: Path) -> None:
    text = '[[rule]]\nmatch = { host = "inspectd.test", path = "/" }\nrespond = "418 Teapot"\n'
    book = RuleBook(Passing("the servers"))
    book.replace("rules", load_text(text, source="rules", base=tmp_path).rules)
    async with proxying(run_engine, Origin(), book) as running:
        assert (await running.ask(get("/"))).startswith(b"HTTP/1.1 418")
        assert (await running.ask(get("/ca.pem"))).startswith(b"HTTP/1.1 200")


async def test_a_proxy_that_decrypts_nothing_has_none_to_offer(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), no_intercept=("*",)) as running:
        answer = await running.ask(get("/"))
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"decrypts nothing" in answer


async def test_who_asks_the_proxy_itself_is_told_of_it(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin()) as running:
        answer = await running.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"http://inspectd.test/" in answer


async def test_a_reverse_proxy_leaves_the_name_to_its_server(
    proxied: Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]],
) -> None:
    async with proxied() as (running, origin):
        client = await running.connect()
        await client.send(get("/"))
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == get("/")
        await client.close()
