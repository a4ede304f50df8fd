"""What is wrong with the JSON of a request, in the words of who wrote it: which key, what is wanted, how to mend it.

The decoder's own sentences are for programmers of this program.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT: Final = re.compile(r" - at `(?P<at>[^`]*)`\Z")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<key>.*)`")
_EXPECTED: Final = re.compile(
    r"Expected `(?P<wanted>[^`]*)`(?P<bound> [<>]=? \S+)?(?:, got `(?P<given>[^`]*)`)?"
)
_INVALID: Final = re.compile(r"Invalid enum value (?P<given>'.*'|\S+)", re.DOTALL)
_MALFORMED: Final = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)")
_NAMES: Final = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "null": "null",
    "array": "a list", "object": "an object",
}  # fmt: skip
"""The kinds of JSON values."""


class Mistake(NamedTuple):
    """What is wrong, and the way out."""

    error: str
    mend: str


def mistake_in(problem: Exception, kind: Any, example: Mapping[str, Any] | None = None) -> Mistake:
    """What the decoder's `problem` with JSON for a `kind` means. `example` is JSON that would do."""
    said = str(problem)
    place = _AT.search(said)
    at, said = (
        ("", said)
        if place is None
        else (place["at"].removeprefix("$").removeprefix("."), said[: place.start()])
    )
    like = f"Send JSON, like {json.dumps(example)}" if example is not None else "Send a JSON object."
    if not isinstance(problem, msgspec.ValidationError):
        return Mistake(_broken(said), like)
    if unknown := _UNKNOWN.fullmatch(said):
        where = f"{at}.{unknown['key']}" if at else unknown["key"]
        return Mistake(f"there is no key {where!r} here", _instead(unknown["key"], kind) if not at else like)
    if missing := _MISSING.fullmatch(said):
        return Mistake(f"the key {missing['key']!r} is missing", like)
    subject = repr(at) if at else "the content"
    if expected := _EXPECTED.fullmatch(said):
        wanted = _kinds(expected["wanted"]) + (expected["bound"] or "")
        given = f", not {_kinds(expected['given'])}" if expected["given"] else ""
        return Mistake(f"{subject} is {wanted}{given}", like)
    if invalid := _INVALID.fullmatch(said):
        return Mistake(f"{subject} can't be {invalid['given']}", _choices(at, kind) or like)
    return Mistake(f"{subject}: {said[:1].lower()}{said[1:]}", like)


def _broken(said: str) -> str:
    if malformed := _MALFORMED.fullmatch(said):
        return f"the content is no JSON: {malformed['what']}, at byte {malformed['byte']}"
    return (
        "the content is no JSON: it ends too early"
        if "truncated" in said
        else f"the content is no JSON: {said}"
    )


def _kinds(names: str) -> str:
    """`int | str` as `a whole number or text`."""
    return " or ".join(_NAMES.get(name, name) for name in names.split(" | "))


def _fields(kind: Any) -> dict[str, Any]:
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return {}
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _instead(key: str, kind: Any) -> str:
    """Which key may have been meant, and which there are."""
    names = list(_fields(kind))
    if not names:
        return ""
    there = f"There are: {', '.join(names)}."
    near = difflib.get_close_matches(key, names, 1)
    return f"Did you mean {near[0]!r}? {there}" if near else there


def _choices(key: str, kind: Any) -> str:
    """What may stand at a key that takes one of a few words."""
    words = getattr(_fields(kind).get(key), "__args__", ())
    return (
        f"Write one of: {', '.join(words)}." if words and all(isinstance(word, str) for word in words) else ""
    )
