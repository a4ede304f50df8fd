"""What behaviours write into a draft: field lines, another answer altogether, or the problem that prevents one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.rules.answer import AnswerError, parse_status
from inspectd.rules.draft import CraftError, Draft
from inspectd.rules.units import UnitError, duration

if TYPE_CHECKING:
    from inspectd.rules.draft import Content

_PLAIN_TEXT: Final = b"Content-Type: text/plain; charset=utf-8"


def add(draft: Draft, line: bytes) -> None:
    """Put a field line into the draft that the rule didn't spell out itself."""
    draft.put(line)
    draft.added.append(line.decode("utf-8", "backslashreplace"))


def instead(draft: Draft, status: str, content: Content = b"") -> Draft:
    """A draft that says something else: its own status and content, no field of the first one."""
    return Draft(b"HTTP/1.1 " + status.encode(), content=content, auto=draft.auto, closes=draft.closes)


def in_words(draft: Draft, status: str) -> Draft:
    """Another answer, whose content is its status: `404 Not Found`."""
    said = instead(draft, status, f"{status}\n".encode())
    add(said, _PLAIN_TEXT)
    return said


def without(draft: Draft, names: frozenset[bytes]) -> None:
    """Take out the fields of these names (in lower case)."""
    draft.fields[:] = [line for line in draft.fields if name_of(line) not in names]
    draft.added[:] = [line for line in draft.added if name_of(line.encode()) not in names]


def name_of(line: bytes) -> bytes:
    """The name of a field line, in lower case."""
    return line.partition(b":")[0].strip().lower()


def one_line(key: str, text: str) -> bytes:
    """The bytes of text that stands in a line of the head, as UTF-8. Raises `CraftError` for a line end in it."""
    if "\r" in text or "\n" in text:
        raise CraftError(key, f"a line end inside {text!r}", "It goes into one line: take it out.")
    return utf8(key, text)


def utf8(key: str, text: str) -> bytes:
    """Text as UTF-8. Raises `CraftError` for a lone surrogate in it."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise CraftError(key, f"a lone surrogate in {text!r}", "Write it as UTF-8 text.") from None


def status(key: str, text: str) -> bytes:
    """The status line that `text` means (see `parse_status`). Raises `CraftError`."""
    try:
        return parse_status(text)
    except AnswerError as error:
        raise CraftError(key, error.what, error.mend) from None


def seconds(key: str, value: str | float) -> float:
    """A duration in seconds. Raises `CraftError`."""
    try:
        return duration(value)
    except UnitError as error:
        raise CraftError(key, error.what, error.mend) from None
