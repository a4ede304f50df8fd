"""The door to a shell: real shells read back the bytes that went in."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.text.shell import printf, quote

SHELLS = [shell for shell in ("bash", "zsh", "ksh") if shutil.which(shell)]
WORDS = [
    b"",
    b"plain",
    b"it's",
    b"a b",
    b"$(id)`id`;&|<>",
    b"!!",
    b"-rf",
    b"~root",
    b"=ls",
    b"a\nb\rc\td",
    b"\x1b[201~\xff\xfe\x80",
    b"\\",
    b"'\\''",
    "ü\u202e語".encode(),
    b"\x011",
    b"!\x1b!",
    bytes(range(1, 256)),
]


def read_back(shell: str, command: str) -> bytes:
    return subprocess.run([shell, "-c", command], capture_output=True, check=True).stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("word", WORDS)
def test_a_shell_reads_back_the_same_word(shell: str, word: bytes) -> None:
    assert read_back(shell, f"printf %s {quote(word)}") == word


@pytest.mark.parametrize("shell", [*SHELLS, "sh"])
@pytest.mark.parametrize("data", [*WORDS, b"a\x000%s\\n", b"%", b"\x00" * 3 + b"1", b"--help"])
def test_printf_writes_the_same_bytes(shell: str, data: bytes) -> None:
    assert read_back(shell, printf(data)) == data


@given(st.binary(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_bytes_come_back(data: bytes) -> None:
    word = data.replace(b"\0", b"")
    command = f"printf %s {quote(word)}; printf .; {printf(data)}"
    assert read_back("bash", command) == word + b"." + data


@given(st.binary())
def test_what_is_pasted_is_printable_ascii(data: bytes) -> None:
    for text in (quote(data.replace(b"\0", b"")), printf(data)):
        assert text.isascii()
        assert text.isprintable()


def test_nul_is_no_part_of_a_word() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote(b"a\0b")
