"""The Connection pane of an exchange that a server answered: where it went, and what was changed on the way."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import msgspec
import pytest

from inspectd.capture.beside import ForwardRecord, TlsRecord
from inspectd.capture.reader import Capture
from inspectd.capture.writer import CaptureWriter
from inspectd.cli.upstream_text import forward_lines, upstream_json
from inspectd.control.showing import detail_shown
from inspectd.tui.subject import Subject
from tests.engine.proxy.certificates import Authority
from tests.tui.panes_bench import Bench, whole_text

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000_000_000_000
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def recorded(path: Path, changes: str | None, res_changes: str | None) -> Path:
    """A capture with an exchange that was forwarded."""
    writer = CaptureWriter(path / "a.inspectd")
    record = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8080", NOW)
    record.received(ASK, NOW)
    exchange = record.begin(0, NOW)
    record.end(exchange, len(ASK))
    record.settle(None)
    forward = ForwardRecord(exchange, "localhost:3000", NOW)
    forward.changes, forward.res_changes = changes, res_changes
    record.save_forward(forward)
    writer.close(NOW)
    return writer.path


async def shown(path: Path, number: int = 1) -> str:
    """What the pane says."""
    with Capture.open(path) as capture:
        subject = Subject.load(capture, number)
        assert subject is not None
        app = Bench(subject)
        async with app.run_test(size=(120, 60)) as pilot:
            await pilot.press("7")
            await pilot.pause()
            return whole_text(app.detail.pane.main_view)


async def test_changes_of_both_sides_are_told(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        json.dumps([{"what": "Host", "from": "a", "to": "b\x1b[31m"}]),
        json.dumps([{"what": "Set-Cookie", "from": "a=1\xff", "to": None}]),
    )
    text = await shown(path)
    assert "The server  localhost:3000" in text
    assert "inspectd changed of the request" in text
    assert "inspectd changed of the answer" in text
    assert "Set-Cookie: a=1\\xff → nothing" in text
    assert "\x1b" not in text
    with Capture.open(path) as capture:
        forward = capture.forward(1)
        assert forward is not None
        lines = list(forward_lines(forward, capture))
        assert "  changed by inspectd in the answer: Set-Cookie: a=1\\xff → nothing" in lines
        assert upstream_json(forward, capture)["upstream"]["response_changes"] == [
            {"what": "Set-Cookie", "from": "a=1\xff", "to": None}
        ]


@pytest.mark.parametrize("odd", ["{", "[1, [], {}]", '{"a": 1}', "null", "[" * 100_000])
async def test_nothing_that_a_capture_holds_breaks_the_pane(tmp_path: Path, odd: str) -> None:
    assert "The server  localhost:3000" in await shown(recorded(tmp_path, odd, odd))


async def test_how_the_server_was_reached_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "pki"
    directory.mkdir()
    leaf = Authority(directory).leaf("good.example.test", "10.0.0.1")
    writer = CaptureWriter(recorded(tmp_path, None, None))
    client = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8080", NOW)
    client.received(ASK, NOW)
    exchange = client.begin(0, NOW)
    client.end(exchange, len(ASK))
    client.settle(None)
    row = writer.upstream(client, "good.example.test:443", "a", "b", NOW, via="socks5://proxy.test:1080")
    tls = TlsRecord(row.id)
    tls.version, tls.cipher, tls.shaken_ns, tls.sentence = "TLSv1.3", "A_CIPHER", NOW, "Odd. --insecure."
    tls.shown = ssl.PEM_cert_to_DER_cert(leaf.read_text().partition("-----BEGIN PRIVATE")[0])
    row.save_tls(tls)
    forward = ForwardRecord(exchange, "good.example.test:443", NOW)
    forward.upstream, forward.resolve_ns, forward.connect_ns, forward.tls_ns = row.id, 83_145, 51_812_345, 1
    client.save_forward(forward)
    writer.close(NOW)
    text = await shown(writer.path, exchange.id)
    for said in (
        "via          socks5://proxy.test:1080",
        "certificate  for good.example.test, 10.0.0.1",
        "issuer       CN=Test Authority",
        "trusted      no",
        "Odd. --insecure.",
    ):
        assert said in text
    with Capture.open(writer.path) as capture:
        found = capture.forward(exchange.id)
        assert found is not None
        lines = list(forward_lines(found, capture))
        assert lines[0].endswith(f"on connection c{row.id} (new) via socks5://proxy.test:1080")
        assert lines[1] == "  TLS to the server: TLSv1.3, A_CIPHER"
        assert lines[2].startswith(
            "  its certificate (not trusted) is for good.example.test, 10.0.0.1, valid "
        )
        assert lines[3:] == ["  Odd. --insecure.", "  resolve 0.083 ms · connect 51.8 ms · tls 0 ms"]
        said_json = upstream_json(found, capture)["upstream"]
        assert (said_json["via"], said_json["tls"]["trusted"]) == ("socks5://proxy.test:1080", False)
        assert said_json["tls"]["certificate"]["names"] == ["good.example.test", "10.0.0.1"]
        row_shown = capture.exchange(exchange.id)
        assert row_shown is not None
        detail = detail_shown(capture, row_shown)
        assert json.loads(msgspec.json.encode(detail))["upstream"] == said_json
