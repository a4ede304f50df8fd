"""How connections were encrypted: written with the turn, read by the connection's id, gone with the connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from inspectd.capture.beside import TlsRecord
from inspectd.capture.model import TlsRow
from inspectd.capture.reader import Capture
from inspectd.capture.retention import Retention
from inspectd.capture.writer import CaptureWriter

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_agreed_is_read_as_it_was_written_and_goes_with_its_connection(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    writer = CaptureWriter(path)
    connection = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8443", 1)
    tls = TlsRecord(connection.id)
    tls.hello = b"\x16\x03\x01\x00\x01\x01"
    connection.save_tls(tls)
    writer.flush(2)
    with Capture.open(path) as capture:
        row = capture.tls(connection.id)
        assert row is not None
        assert row.hello == tls.hello
        assert row.version is None

        tls.sni, tls.version, tls.cipher, tls.alpn = (
            "lab.test",
            "TLSv1.3",
            "TLS_AES_128_GCM_SHA256",
            "http/1.1",
        )
        tls.certificate, tls.shaken_ns = "lab.test", 3
        connection.save_tls(tls)
        connection.save_tls(tls)
        writer.flush(4)
        assert capture.tls(connection.id) == TlsRow(
            connection=connection.id,
            hello=tls.hello,
            sni="lab.test",
            alpn="http/1.1",
            version="TLSv1.3",
            cipher="TLS_AES_128_GCM_SHA256",
            certificate="lab.test",
            shaken_ns=3,
            alert=None,
            sentence=None,
            shown=None,
        )
        assert capture.tls(connection.id + 1) is None

        connection.closed_ns = 5
        connection.save()
        writer.flush(6)
        retention = Retention(writer.db, 1 << 30)
        retention.clear()
        deadline = time.monotonic() + 60
        while retention.step():
            assert time.monotonic() < deadline
        assert capture.connection(connection.id) is None
        assert capture.tls(connection.id) is None
    writer.close(7)
