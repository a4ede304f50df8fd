"""How much of an answer a person edits, and its Content-Length put right when they ask for it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from inspectd.text.escape import to_text
from inspectd.wire import read

if TYPE_CHECKING:
    from inspectd.tui.widgets.byteseditor import BytesEditor

EDITABLE: Final = 32 * 1024
"""Bytes of an answer that are edited at most; what lies behind them is sent as it was."""
LONGEST_LINE: Final = 16 * 1024
MOST_CHARACTERS: Final = 64 * 1024
MOST_LINES: Final = 4096
"""Characters of one line, characters and lines that are edited at most: what a key may cost."""


def editable(answer: bytes) -> int:
    """How many bytes of an answer are edited: all, or its beginning up to a line end near the limits above."""
    at = characters = 0
    for number, line in enumerate(BytesIO(answer[:EDITABLE])):
        length = max(len(line), len(to_text(line)))
        if length > LONGEST_LINE:
            return at + max(1, LONGEST_LINE * len(line) // length)
        characters += length
        if characters > MOST_CHARACTERS or number >= MOST_LINES:
            return at
        at += len(line)
    if at < len(answer) and (line_end := answer.rfind(b"\n", at - 1024, at)) >= 0:
        return line_end + 1
    return at


def fix_length(editor: BytesEditor, rest: int) -> str:
    """Set the Content-Length of the final response to the bytes behind its head and `rest` more; says what was done."""
    stream = read(editor.data, "response", methods=(editor.method.encode("utf-8", "surrogateescape"),))
    message = next((each for each in stream.messages if not each.interim), None)
    if message is None or not message.head.complete:
        return "There is no whole head: an empty line ends it, and Content-Length counts what comes then"
    fields = message.head.fields
    if any(each.name_bytes.lower() == b"transfer-encoding" for each in fields):
        return "Transfer-Encoding says where the content ends: a Content-Length beside it would contradict it"
    length = len(editor.data) - message.head_end + rest
    said = str(length).encode()
    lengths = [each for each in fields if each.name_bytes.lower() == b"content-length"]
    if not lengths:
        end = message.head_end
        blank = 2 if editor.data[:end].endswith(b"\r\n") else 1
        editor.replace_bytes(end - blank, end - blank, b"Content-Length: " + said + b"\r\n")
        return f"Content-Length: {length} was put in: the head had none"
    more = "; there are others, left as they are" if len(lengths) > 1 else ""
    field = lengths[0]
    if field.value_bytes == said:
        return f"Content-Length is {length} already, and so long is the content" + more
    if field.value:
        editor.replace_bytes(field.value[0][0], field.value[-1][1], said)
    else:
        editor.replace_bytes(field.name[1] + 1, field.name[1] + 1, b" " + said)
    return f"Content-Length is {length} now, as long as the content" + more
