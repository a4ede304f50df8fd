"""ClientHellos of real programs, taken from a socket as they come, against what those programs were told to offer."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from inspectd.explain import tls as meaning
from inspectd.wire import Role
from inspectd.wire.tls import ClientHello, Incomplete, client_hello, is_grease, ja3, ja4, pieces
from tests.browsers.driver import BrowserError
from tests.browsers.starting import start

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "plain.test"


class Ear:
    """A socket that hears one hello out and hangs up, as often as somebody calls."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(60)
                data = b""
                while isinstance(client_hello(data), Incomplete) and (more := client.recv(65536)):
                    data += more
                self.heard.append(data)

    def close(self) -> None:
        """Hang up for good."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)

    def hellos(self) -> list[ClientHello]:
        """What was said, after `close`; connections without a byte left out."""
        found = []
        for data in self.heard:
            hello = client_hello(data)
            if data:
                assert isinstance(hello, ClientHello)
                check(hello, data)
                found.append(hello)
        assert found
        return found


def check(hello: ClientHello, data: bytes) -> None:
    """What is true of every sane hello: whole, without problems, each byte with a role and each number with a name."""
    assert hello.complete
    assert hello.problems == ()
    assert hello.end == len(data)
    assert hello.server_name == NAME.encode()
    found = pieces(data)
    assert b"".join(data[piece.start : piece.end] for piece in found) == data
    assert Role.GARBAGE not in {piece.role for piece in found}
    for piece in found:
        assert not meaning.piece(piece, data).title.startswith(("unknown", "(cut off)")), piece
    assert re.fullmatch(r"t1[23]d\d{4}\w\w_[0-9a-f]{12}_[0-9a-f]{12}", ja4(hello))
    assert re.fullmatch(r"771,[\d-]+,[\d-]+,[\d-]+,[\d-]*", ja3(hello)[0])
    assert int(ja4(hello)[4:6]) == sum(not is_grease(suite) for suite in hello.cipher_suites)
    assert int(ja4(hello)[6:8]) == sum(not is_grease(each.kind) for each in hello.extensions)


def heard(call: Callable[[int], object]) -> ClientHello:
    """The hello of a client that `call` makes talk to a port."""
    ear = Ear()
    try:
        call(ear.port)
    finally:
        ear.close()
    return ear.hellos()[-1]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program, or skip without it."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def curl(*options: str) -> ClientHello:
    """The hello of curl with these options."""
    return heard(
        lambda port: run(
            "curl", "-sk", "--noproxy", "*", *options, "--resolve", f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/"
        )
    )  # fmt: skip


def test_curl() -> None:
    hello = curl()
    assert b"http/1.1" in hello.alpn
    assert 0x0304 in hello.versions


def test_curl_that_is_told_to_speak_http_1_and_old_tls() -> None:
    hello = curl("--http1.1", "--tlsv1.2", "--tls-max", "1.2")
    assert hello.alpn == (b"http/1.1",)
    assert hello.versions == (0x0303,)
    assert hello.key_shares == ()
    assert ja4(hello).startswith("t12d")
    assert ja4(hello).partition("_")[0].endswith("h1")


def test_openssl_and_what_it_says_itself_about_its_hello() -> None:
    told: list[str] = []
    hello = heard(
        lambda port: told.append(
            run(
                "openssl", "s_client", "-trace", "-connect", f"127.0.0.1:{port}", "-servername", NAME,
                "-alpn", "h2,x-own", "-groups", "X25519:P-256",
            ).stdout
        )
    )  # fmt: skip
    assert hello.alpn == (b"h2", b"x-own")
    assert hello.supported_groups[:2] == (29, 23)
    assert [group for group, _ in hello.key_shares] == [29]
    if "cipher_suites" not in told[0]:
        pytest.skip("this openssl was built without -trace")
    own = re.findall(r"\{0x(..), 0x(..)\} (\S+)", told[0])
    assert [int(high + low, 16) for high, low, _ in own] == list(hello.cipher_suites)
    assert [name for _, _, name in own] == [
        meaning.cipher_suite(suite).title for suite in hello.cipher_suites
    ]
    kinds = [int(number) for number in re.findall(r"extension_type=\S+\((\d+)\), length=", told[0])]
    assert kinds == [each.kind for each in hello.extensions]
    schemes = [int(number, 16) for number in re.findall(r"\S+ \(0x(....)\)\n", told[0])]
    assert [scheme for scheme in schemes if scheme in hello.signature_algorithms] == list(
        hello.signature_algorithms
    )


def test_the_names_of_cipher_suites_are_those_that_openssl_has() -> None:
    listed = run("openssl", "ciphers", "-stdname", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").stdout
    names = {int(high + low, 16): name for high, low, name in re.findall(r"0x(..),0x(..) - (\S+)", listed)}
    assert len(names) > 50
    assert {suite: meaning.cipher_suite(suite).title for suite in names} == names


def test_python() -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1", "h2"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def call(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as client,
            pytest.raises(OSError, match=r".*"),
            context.wrap_socket(client, server_hostname=NAME),
        ):
            pass

    hello = heard(call)
    assert hello.alpn == (b"http/1.1", b"h2")
    assert hello.versions == (0x0304, 0x0303)
    known = [each["id"] & 0xFFFF for each in context.get_ciphers()]
    assert [suite for suite in hello.cipher_suites if suite != 0x00FF] == known


def test_node() -> None:
    script = (
        f"require('tls').connect({{port: +process.argv[1], host: '127.0.0.1', servername: '{NAME}',"
        " ALPNProtocols: ['h2', 'x-own'], minVersion: 'TLSv1.3'}).on('error', () => {})"
    )
    hello = heard(lambda port: run("node", "-e", script, str(port)))
    assert hello.alpn == (b"h2", b"x-own")
    assert hello.versions == (0x0304,)


def browsed(name: str) -> list[ClientHello]:
    """The hellos of a browser that goes to an https:// address twice."""
    ear = Ear()
    try:
        with start(name) as browser:
            for path in ("a", "b"):
                with pytest.raises(BrowserError):
                    browser.open(f"https://{NAME}:{ear.port}/{path}")
    finally:
        ear.close()
    return ear.hellos()


def test_chromium() -> None:
    hellos = browsed("chromium")
    for hello in hellos:
        assert hello.protocols == (b"h2", b"http/1.1")
        assert 0x0304 in hello.versions
        assert is_grease(hello.cipher_suites[0])
        assert is_grease(hello.extensions[0].kind)
        assert is_grease(hello.extensions[-1].kind)
        assert is_grease(hello.supported_groups[0])
        assert is_grease(hello.key_shares[0][0])
        assert hello.encrypted_client_hello
        assert hello.certificate_compression == (2,)
        assert hello.application_settings == (b"h2",)
        assert ja4(hello).partition("_")[0].endswith("h2")
    # It shuffles its extensions: JA3 changes from hello to hello, JA4 does not.
    assert len({ja4(hello) for hello in hellos if not hello.resumes}) == 1
    assert len({ja3(hello) for hello in hellos}) > 1


def test_firefox() -> None:
    hellos = browsed("firefox")
    for hello in hellos:
        assert hello.protocols == (b"h2", b"http/1.1")
        assert 0x0304 in hello.versions
        assert hello.extension(28) is not None
        assert hello.extension(34) is not None
        assert not any(is_grease(each.kind) for each in hello.extensions)
    # After a failure it tries again with fewer extensions, but the same cipher suites.
    assert len({ja4(hello).split("_")[1] for hello in hellos}) == 1
