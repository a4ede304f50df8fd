"""Handshakes that go wrong on purpose: what a client sees of each flaw, and what is recorded of it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import warnings
from typing import TYPE_CHECKING

import pytest

from inspectd.rules.file import RuleFileError, load_text
from inspectd.rules.tables import TlsTable
from tests.engine.tls_client import LISTEN, TlsClient, trusting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


pytestmark = pytest.mark.usefixtures("own_authority")


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("wrong-name", "Hostname mismatch"),
        ("self-signed", "self-signed certificate"),
        ("unknown-issuer", "self-signed certificate in certificate chain"),
    ],
)
async def test_a_client_finds_the_very_flaw_and_its_refusal_is_a_row(
    run_engine: RunEngine, flaw: str, complaint: str
) -> None:
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes((TlsTable(certificate=flaw),))  # type: ignore[arg-type]  # one of its words
        client = await TlsClient.connect(running)
        with pytest.raises(
            ssl.SSLCertVerificationError, match=complaint.replace("self-signed", "self.signed")
        ):
            await client.shake()
        await client._flush()
        await client.close()
        row = await running.closed()
        assert row.kind == "tls-refused"
        assert "A rule wants its flaw" in (row.sentence or "")
        # Who doesn't look is answered as usual.
        careless = ssl.create_default_context()
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        client = await TlsClient.connect(running, careless)
        await client.shake()
        await client.send(GET)
        assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200")
        await client.close()


async def test_the_first_table_that_fits_the_name_counts_and_none_is_as_usual(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes(
            (TlsTable(name="*.lab.test", certificate="expired"), TlsTable(name="*.test", do="reset"))
        )
        client = await TlsClient.connect(running, name="a.lab.test")
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await client.shake()
        await client.close()
        client = await TlsClient.connect(running, name="B.test")
        with pytest.raises(ConnectionResetError):
            await client.shake()
        await client.close()
        client = await TlsClient.connect(running, name="localhost")
        await client.shake()
        await client.close()
        running.engine.set_handshakes(())
        client = await TlsClient.connect(running, name="b.test")
        await client.shake()
        await client.close()


async def test_who_leaves_without_an_alert_or_goes_on_is_told_of_the_rule(run_engine: RunEngine) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    wanted = "A rule wants its flaw: it is for wrong-name.invalid."
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes((TlsTable(certificate="wrong-name"),))
        client = await TlsClient.connect(running, careless)
        await client.shake()
        await client.close()
        row = await running.closed()
        assert (row.kind, row.sentence) == (
            "tls-refused",
            f"The client left after the handshake, with no request and no alert. {wanted}",
        )
        client = await TlsClient.connect(running, careless)
        await client.shake()
        await client.send(GET)
        await client.until(b"hello")
        await client.close()
        await running.closed(2)
        tls = running.capture.tls(2)
        assert tls is not None
        assert wanted in (tls.sentence or "")


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1", "TLSv1.2"])
async def test_one_version_only(run_engine: RunEngine, version: str) -> None:
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes((TlsTable(version=version),))  # type: ignore[arg-type]  # one of its words
        client = await TlsClient.connect(running, trusting(version=ssl.TLSVersion.TLSv1_3))
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            await client.shake()
        await client.close()
        assert f"A rule allows {version} only." in ((await running.closed()).sentence or "")
        context = trusting()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
        client = await TlsClient.connect(running, context)
        await client.shake()
        assert client.tls.version() == version
        await client.send(GET)
        assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200")
        await client.close()


async def test_an_abort_is_the_alert_that_was_named(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes((TlsTable(do="abort", alert="unrecognized_name"),))
        client = await TlsClient.connect(running)
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await client.shake()
        await client.close()
        row = await running.closed()
        assert row.kind == "tls-failed"
        assert row.sentence == "A rule wants this handshake to be answered with the alert unrecognized_name."
        tls = running.capture.tls(1)
        assert tls is not None
        assert tls.alert == "unrecognized_name"


async def test_a_handshake_can_be_closed_or_met_with_silence(run_engine: RunEngine) -> None:
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes((TlsTable(name="a.test", do="close"), TlsTable(do="stall")))
        client = await TlsClient.connect(running, name="a.test")
        with pytest.raises(ssl.SSLEOFError):
            await client.shake()
        await client.close()
        client = await TlsClient.connect(running, name="b.test")
        shaking = asyncio.create_task(client.shake())

        def told() -> bool:
            row = running.capture.connection(2)
            return (
                row is not None and row.sentence == "A rule wants this handshake to be answered with silence."
            )

        await running.eventually(told)
        assert not shaking.done()
        shaking.cancel()
        await client.close()
        assert (await running.closed(2)).closed_by == "client"


async def test_curl_says_what_a_rule_file_wanted(run_engine: RunEngine, tmp_path: Path) -> None:
    loaded = load_text('[[tls]]\nname = "old.*"\ncertificate = "expired"\n', source="a.toml", base=tmp_path)
    async with run_engine(listen=LISTEN) as running:
        running.engine.set_handshakes(loaded.tls)
        url = f"https://old.test:{running.port}/"
        argv = ["curl", "-sS", "--resolve", f"old.test:{running.port}:127.0.0.1", url]
        found = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
        assert found.returncode == 60  # the certificate is not accepted


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ('[[tls]]\nname = "a"\n', "tls[0]", "nothing is wrong"),
        ('[[tls]]\ndo = "reset"\ncertificate = "expired"\n', "tls[0].certificate", "together with"),
        ('[[tls]]\ncertificate = "expired"\nalert = "internal_error"\n', "tls[0].alert", "without an abort"),
        ('[[tls]]\ncertificate = "expird"\n', "tls[0].certificate", "expird"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_key(
    tmp_path: Path, text: str, key: str, what: str
) -> None:
    with pytest.raises(RuleFileError) as caught:
        load_text(text, source="a.toml", base=tmp_path)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert what in problem.what
    assert problem.line is not None
