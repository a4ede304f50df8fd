"""A message as lines of safe text: its head as it came, its content as text or as a hex dump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from inspectd.text.hexdump import rows
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD_SHOWN: Final = 1024 * 1024
BODY_SHOWN: Final = 16 * 1024
_DUMPED: Final = 256
"""Bytes of a content that are shown when it isn't text."""


class Fetch(Protocol):
    """Gives bytes of the message from `offset` on, at most `limit`."""

    def __call__(self, *, offset: int, limit: int) -> bytes: ...


def message_lines(
    head: int, length: int, fetch: Fetch, *, prefix: str, remark: Callable[[str], str], content: bool = True
) -> Iterator[str]:
    """The lines of a message of `length` bytes, each behind `prefix`; with its `content`, or its head alone.

    `head` is the size of its head, 0 when that has not ended. `remark` paints what is said about bytes left out.
    """
    end = head or length
    shown = min(end, HEAD_SHOWN)
    for line in head_lines(fetch(offset=0, limit=shown)):
        yield prefix + line
    if shown < end:
        yield prefix + remark(f"… {end - shown} more bytes of the head")
    if content and head and length > head:
        data = fetch(offset=head, limit=BODY_SHOWN)
        yield prefix.rstrip(" ")
        for line in body_lines(data):
            yield prefix + line
        if length - head > len(data):
            yield prefix + remark(f"… {length - head - len(data)} more bytes")


def head_lines(head: bytes) -> Iterator[str]:
    """The lines of a head as safe text, without the empty line. A line end that isn't CRLF is shown."""
    while head:
        line, end, head = head.partition(b"\n")
        if end and line.endswith(b"\r"):
            line, end = line[:-1], b""
        if line or (end and head):
            yield safe(line) + ("\\n" if end else "")


def body_lines(content: bytes) -> Iterator[str]:
    """The beginning of a content as safe text, or as a hex dump when it isn't text."""
    if is_text(content):
        yield from (safe(line.removesuffix(b"\r")) for line in content.removesuffix(b"\n").split(b"\n"))
        return
    yield from (row.line() for row in rows(content[:_DUMPED]))
    if len(content) > _DUMPED:
        yield f"… {len(content) - _DUMPED} more bytes of this part"


def is_text(content: bytes) -> bool:
    """Whether a content reads as UTF-8 text with few controls. The cut at its end may go through a character."""
    try:
        text = content.decode()
    except UnicodeDecodeError as problem:
        if problem.start < len(content) - 3 or problem.reason != "unexpected end of data":
            return False
        text = content[: problem.start].decode()
    controls = sum(character < " " and character not in "\t\r\n" for character in text)
    return controls * 20 <= len(text)
