"""The Connection pane of a connection over TLS: what was agreed upon, or why nothing was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.beside import TlsRecord
from inspectd.capture.reader import Capture
from inspectd.capture.writer import CaptureWriter
from inspectd.tui.subject import Subject
from inspectd.tui.widgets.empty import curl_of, reachable, url_of
from tests.tui.panes_bench import Bench, whole_text

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord

OPENED = 1_700_000_000_000_000_000
HELLO = bytes.fromhex("16 0301 002d 01 000029 0303" + "00" * 32 + "00 0002 1301 01 00")


def connection(writer: CaptureWriter) -> tuple[ConnectionRecord, TlsRecord]:
    record = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8443", OPENED)
    tls = TlsRecord(record.id)
    tls.hello = HELLO
    record.save_tls(tls)
    return record, tls


async def shown(path: Path, key: int) -> str:
    with Capture.open(path) as capture:
        subject = Subject.load(capture, key)
        assert subject is not None
        app = Bench(subject)
        async with app.run_test(size=(120, 60)) as pilot:
            await pilot.press("7")
            await pilot.pause()
            return whole_text(app.detail.pane.main_view)


async def test_what_was_agreed_upon_is_in_the_pane(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.inspectd")
    record, tls = connection(writer)
    tls.sni, tls.version, tls.cipher, tls.alpn = "lab.test", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "http/1.1"
    tls.certificate, tls.shaken_ns = "lab.test", OPENED + 3_000_000
    record.describe("preconnect", "TLS handshake complete, no request.")
    writer.close(OPENED)
    text = await shown(writer.path, -record.id)
    for words in (
        "handshake complete: TLSv1.3",
        "lab.test",
        "TLS_AES_128_GCM_SHA256",
        "http/1.1, agreed by ALPN",
    ):
        assert words in text


def test_an_https_listener_is_pointed_at_with_its_own_scheme() -> None:
    assert reachable("https://127.0.0.1:8443") == "https://localhost:8443"
    assert reachable("https://192.0.2.7:8443") == "https://192.0.2.7:8443"
    assert url_of("https://localhost:8443") == "https://localhost:8443/"
    assert curl_of("https://localhost:8443") == "curl -ik https://localhost:8443/"


async def test_a_refused_certificate_is_told_with_its_alert_and_nothing_of_it_is_live(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "a.inspectd")
    record, tls = connection(writer)
    tls.sni = "\x1b[31mlab\u202e.test"
    tls.alert, tls.sentence = "unknown_ca", "The client refused the certificate."
    record.describe("tls-refused", tls.sentence)
    writer.close(OPENED)
    text = await shown(writer.path, -record.id)
    assert "unknown_ca" in text
    assert "The client refused the certificate." in text
    assert "\x1b" not in text
    assert "\u202e" not in text
