"""A captured request as a curl command: what curl then really sends, and what it can never be made to do."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inspectd.export.curl import LONGEST_CONTENT, curl_command
from inspectd.wire import read

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def received(command_for: object, request: bytes) -> bytes:
    """What arrives when a shell runs the command."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        got: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                data = b""
                while not (messages := read(data, "request", eof=False).messages) or not messages[0].complete:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    data += piece
                got.append(data)
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        command = curl_command(request.replace(b"ADDRESS", address.encode()), address=address)
        subprocess.run(["bash", "-c", command.text], capture_output=True, check=True, timeout=20)
        thread.join()
    return got[0].replace(address.encode(), b"ADDRESS")


@needs_curl
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: ADDRESS\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n",
        b"GET /a/../b?x=[1]&y={2}#f HTTP/1.1\r\nHost: ADDRESS\r\n\r\n",
        b"GET /\xff|\"<> HTTP/1.1\r\nHost: elsewhere.test\r\nX-A: it's \xfc\r\nX-A: 2\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: ADDRESS\r\nOrigin: http://a.test\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: ADDRESS\r\nContent-Type: a/b\r\nContent-Length: 12\r\n\r\n@/etc/passwd",
        b"PUT /p HTTP/1.1\r\nHost: ADDRESS\r\nContent-Length: 5\r\n\r\na\0b\r\n",
        b"DELETE /p HTTP/1.0\r\nHost: ADDRESS\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: ADDRESS\r\nX-Empty:\r\nCookie: a=b; c=$(id)\r\n\r\n",
    ],
)
def test_curl_sends_the_same_request(request_bytes: bytes) -> None:
    said, meant = (
        read(data, "request").messages[0] for data in (received(None, request_bytes), request_bytes)
    )
    assert said.head.text(said.head.method) == meant.head.text(meant.head.method)
    assert said.head.text(said.head.target) == meant.head.text(meant.head.target)
    assert said.head.text(said.head.version) == meant.head.text(meant.head.version)

    def fields(message: object) -> list[tuple[bytes, bytes]]:
        return sorted((field.name_bytes.lower(), field.value_bytes) for field in message.head.fields)  # type: ignore[attr-defined]

    assert fields(said) == fields(meant)


def test_a_request_that_curl_can_say_exactly_has_no_notes() -> None:
    request = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n"
    command = curl_command(request, address="127.0.0.1:1")
    assert (command.text, command.notes) == (
        "curl -i http://127.0.0.1:1/x \\\n  -H 'User-Agent: a' \\\n  -H 'Accept: */*'",
        (),
    )


def test_what_curl_does_differently_is_said() -> None:
    request = b"GET  /x HTTP/3.9\nHost: a\n@file: b\n\n"
    notes = curl_command(request, address="127.0.0.1:1").notes
    assert "curl says HTTP/1.1" in notes
    assert "a field line that curl can't send is left out" in notes
    assert "white space and line ends are curl's, not the captured ones" in notes


def test_long_content_is_left_out_and_said() -> None:
    size = LONGEST_CONTENT + 1
    request = b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    command = curl_command(request, address="127.0.0.1:1")
    assert "--data" not in command.text
    assert any("content is left out" in note for note in command.notes)


def test_a_unix_socket_is_named() -> None:
    command = curl_command(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", address="unix:/run/a b.sock")
    assert command.text.startswith("curl -i --unix-socket '/run/a b.sock' http://localhost/x")


def test_over_https_the_certificate_is_not_checked_and_that_is_said() -> None:
    command = curl_command(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", address="https://127.0.0.1:8443")
    assert command.text.startswith("curl -i -k https://127.0.0.1:8443/x")
    assert "with -k curl doesn't check the certificate" in command.notes


def test_bytes_without_a_request_line_have_no_command() -> None:
    with pytest.raises(ValueError, match="no request line"):
        curl_command(b"", address="127.0.0.1:1")


@given(st.binary(max_size=200))
@example(b"http:")
@settings(max_examples=200, deadline=None)
def test_any_bytes_make_a_command_of_printable_ascii_that_goes_only_to_us(data: bytes) -> None:
    try:
        text = curl_command(
            b"GET " + data + b" HTTP/1.1\r\n" + data + b"\r\n\r\n", address="127.0.0.1:1"
        ).text
    except ValueError:
        return
    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert text.startswith(("curl -i ", "printf '"))
    script = f'curl() {{ printf "%s\\0" "$@"; }}; {text}'
    words = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.split(b"\0")
    urls = [
        word
        for at, word in enumerate(words)
        if word.startswith(b"http") and words[at - 1] not in {b"--request-target", b"-H"}
    ]
    assert [url for url in urls if url.startswith(b"http://127.0.0.1:1/")] == urls
