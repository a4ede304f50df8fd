"""The real program over https, spoken to by real clients: curl, httpx, node, openssl, and Python's own ssl."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from inspectd.capture.reader import Capture
from tests.cli.test_cli_ca import inspectd, make_certificate
from tests.live_engine import LiveEngine, environment, receive_response

if TYPE_CHECKING:
    from collections.abc import Iterator

HTTPS = ("https://127.0.0.1:0",)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LiveEngine]:
    with LiveEngine(tmp_path, "--answer", "200 OK", "--body", "hello", listen=HTTPS) as running:
        yield running


def authority(engine: LiveEngine) -> str:
    return str(engine.capture.parent / "inspectd" / "ca.pem")


def run(engine: LiveEngine, *words: str, **extra: Any) -> subprocess.CompletedProcess[bytes]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, capture_output=True, timeout=60, check=False, **extra)


def test_curl_trusts_the_authority_and_the_line_says_how_it_was_encrypted(engine: LiveEngine) -> None:
    place = f"lab.test:{engine.port}"
    done = run(
        engine, "curl", "-s", "--cacert", authority(engine), "--resolve", f"{place}:127.0.0.1",
        f"https://{place}/a", f"https://{place}/b",
    )  # fmt: skip
    assert done.stdout == b"hellohello"
    first, second = engine.exchange(target="/a"), engine.exchange(target="/b")
    assert first["connection"] == second["connection"]
    assert first["tls"] == second["tls"]
    assert first["tls"]["sni"] == "lab.test"
    assert first["tls"]["alpn"] == "http/1.1"
    assert first["tls"]["version"] in {"TLSv1.2", "TLSv1.3"}
    engine.stop()
    shown = inspectd(engine.capture.parent, "show", engine.capture, str(first["id"])).stdout.decode()
    assert "name asked for: lab.test, certificate for lab.test" in shown


def test_curl_without_it_is_a_line_that_says_so(engine: LiveEngine) -> None:
    done = run(engine, "curl", "-s", f"https://localhost:{engine.port}/")
    assert done.returncode == 60
    line = engine.wait_for(lambda line: line["type"] == "connection")
    assert line["kind"] == "tls-refused"
    assert "unknown_ca" in line["sentence"]
    engine.stop()
    shown = inspectd(engine.capture.parent, "show", engine.capture, f"c{line['id']}").stdout.decode()
    assert "inspectd ca" in shown
    assert "ClientHello of" in shown


def test_httpx_and_node_and_pythons_ssl_are_answered(engine: LiveEngine) -> None:
    context = ssl.create_default_context(cafile=authority(engine))
    with httpx.Client(verify=context) as client:
        for _ in range(3):
            assert client.get(f"https://localhost:{engine.port}/httpx").text == "hello"
        assert client.get(f"https://127.0.0.1:{engine.port}/httpx").text == "hello"
    with (
        socket.create_connection(engine.address) as sock,
        context.wrap_socket(sock, server_hostname="x.test") as tls,
    ):
        tls.sendall(b"GET /ssl HTTP/1.1\r\nHost: a\r\n\r\n")
        assert receive_response(tls).endswith(b"hello")
    script = f"fetch('https://localhost:{engine.port}/node').then(r => r.text()).then(t => console.log(t))"
    env = {**os.environ, "NODE_EXTRA_CA_CERTS": authority(engine)}
    done = run(engine, "node", "-e", script, env=env)
    assert done.stdout == b"hello\n", done.stderr


def test_a_client_may_not_renegotiate(engine: LiveEngine) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    with subprocess.Popen(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{engine.port}",
            "-tls1_2",
            "-CAfile",
            authority(engine),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for line in client.stdout:
            if line.startswith(b"    Extended master secret"):
                break
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said, _ = client.communicate(timeout=60)
    assert b"no renegotiation" in said
    context = ssl.create_default_context(cafile=authority(engine))
    assert httpx.get(f"https://localhost:{engine.port}/", verify=context).text == "hello"


def test_a_certificate_of_ones_own_is_shown_to_everybody(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = make_certificate(tmp_path)
    with LiveEngine(
        tmp_path, "--cert", str(certificate), "--key", str(key), "-a", "204", listen=HTTPS
    ) as engine:
        place = f"own.test:{engine.port}"
        url, resolved = f"https://{place}/", f"{place}:127.0.0.1"
        assert (
            run(engine, "curl", "-sf", "--cacert", str(certificate), "--resolve", resolved, url).returncode
            == 0
        )
        assert run(
            engine, "curl", "-s", "--cacert", str(certificate), f"https://localhost:{engine.port}/"
        ).returncode
        engine.stop()
        with Capture.open(engine.capture) as capture:
            tls = capture.tls(1)
            assert tls is not None
            assert tls.certificate == "own.test"
            refused = capture.connection(2)
            assert refused is not None
            # curl looks for the name only when the handshake is complete
            assert "missed the name it wanted" in (refused.sentence or "")
    assert not (tmp_path / "inspectd" / "ca-key.pem").exists()


def test_the_mirror_over_https_leads_nowhere_in_clear_text(tmp_path: Path) -> None:
    with LiveEngine(tmp_path, listen=HTTPS) as engine:
        context = ssl.create_default_context(cafile=authority(engine))
        answer = httpx.get(
            f"https://localhost:{engine.port}/", verify=context, headers={"Accept": "text/html"}
        )
        links = re.findall(r'(?:href|action|src)="([^"]*)"', answer.text)
        assert links
        assert not [link for link in links if link.startswith("http:")]
        assert "https://localhost:*" in answer.headers["content-security-policy"]


def test_a_rule_can_ask_whether_a_request_was_encrypted(tmp_path: Path) -> None:
    rules = tmp_path / "tls.toml"
    rules.write_text('[[rule]]\nmatch = { path = "/", tls = true }\nrespond = "200 OK"\nbody = "safe"\n')
    with LiveEngine(tmp_path, "--rules", str(rules), "-a", "404", listen=(*HTTPS, "127.0.0.1:0")) as engine:
        context = ssl.create_default_context(cafile=authority(engine))
        assert httpx.get(f"https://localhost:{engine.port}/", verify=context).text == "safe"
        assert httpx.get(f"http://{engine.addresses[1]}/").status_code == 404
        evidence = engine.exchange(status=200)["evidence"]
        assert evidence["sent"] == evidence["planned"]


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of memory is read from /proc")
def test_a_large_download_takes_no_memory(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    options = ("-a", "200 OK", "--body-file", str(large), "--keep", "16MiB")
    with LiveEngine(tmp_path, *options, listen=HTTPS) as engine:
        done = run(engine, "curl", "-s", "--cacert", authority(engine), f"https://localhost:{engine.port}/", "-o",
                   "/dev/null", "-w", "%{size_download}", "-r", "0-10")  # fmt: skip
        assert done.returncode == 0
        before = high_water(engine.pid)
        done = run(engine, "curl", "-s", "--cacert", authority(engine), f"https://localhost:{engine.port}/", "-o",
                   "/dev/null", "-w", "%{size_download}")  # fmt: skip
        assert done.stdout == b"200000000"
        assert high_water(engine.pid) - before < 48 << 20


def high_water(pid: int) -> int:
    """Bytes that a process has had in memory at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_the_listening_line_says_https(engine: LiveEngine, tmp_path: Path) -> None:
    assert engine.addresses == [f"https://127.0.0.1:{engine.port}"]
    with subprocess.Popen(
        [sys.executable, "-m", "inspectd", "--headless", "--listen", "https://0"],
        env=environment(tmp_path / "other"),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=60)
    assert (
        re.match(rb"listening on https://127\.0\.0\.1:\d+ https://\[::1\]:\d+\n", line)
        or b"[::1]" not in line
    )
    assert json.dumps(engine.listening)
