"""The three kinds of pattern that a rule may hold: path globs, text globs and regular expressions.

All of them run on RE2, in time linear in what they look at: the text comes from a stranger. Nothing here backtracks,
and no text makes it raise; a pattern that can't be compiled is a `PatternError` when the rule is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

import re2

from inspectd.errors import InspectdError
from inspectd.text.safe import safe

# A path glob, piece by piece: "**", "*", "{name}", a brace that names nothing, and what stands for itself.
_PATH_PIECES: Final = re.compile(r"(?<=/)\*\*/|\*\*|\*|\{[A-Za-z_][A-Za-z0-9_-]*\}|[{}]|[^*{}]+")
_PATH_WILD: Final = re.compile(r"[*{}]")
_WILD: Final = re.compile(r"[*?\[]")


class PatternError(InspectdError):
    """A pattern that can't be compiled: what is wrong, and how to mend it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)


class _Found(Protocol):
    def groups(self, default: bytes | None = None) -> tuple[bytes, ...]: ...
    def groupdict(self, default: bytes | None = None) -> dict[str | bytes, bytes]: ...


class Pattern(Protocol):
    """A compiled expression. Pass bytes: text as UTF-8."""

    def fullmatch(self, text: bytes) -> _Found | None:
        """What was found when the whole text matches."""

    def search(self, text: bytes) -> _Found | None:
        """What was found when some part of the text matches."""


def readable(data: bytes) -> str:
    """Bytes from the wire as text to compare: UTF-8 where they are, else each byte as the character of its number."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def regex(text: str) -> Pattern:
    """A regular expression in RE2's syntax, over UTF-8. Raises `PatternError` with RE2's complaint."""
    return _compile(_encodable(text), text)


def _compile(pattern: str | bytes, shown: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    if isinstance(pattern, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
        options.dot_nl = True
    try:
        compiled: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise PatternError(
            f"not a regular expression that RE2 takes: {safe(shown)!r}: {safe(why)}",
            "RE2 has no backreferences and no look-around; see github.com/google/re2/wiki/Syntax.",
        ) from None
    return compiled


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PatternError("a lone surrogate in a pattern", "Write it as UTF-8 text.") from None
    return text


@dataclass(frozen=True, slots=True)
class PathGlob:
    """A glob over a path. `literal` is the path when nothing in it is wild.

    `prefix` is what every path that fits begins with, up to and with a slash; empty when that can't be said. `suffix`
    is what it ends with.
    """

    text: str
    literal: bytes | None
    prefix: bytes
    suffix: bytes
    pattern: Pattern | None
    keys: tuple[tuple[str, ...], ...] = ()

    def match(self, path: bytes) -> dict[str, str] | None:
        """What the wild parts stood for, or None when the path is another one.

        A `{name}` is found under its name; each `*` and `**` under its number from "1", and the last one of each
        kind under "*" and "**".
        """
        if self.pattern is None:
            return {} if path == self.literal else None
        # Most paths that don't fit are known by their end, for a tenth of the price.
        found = self.pattern.fullmatch(path) if path.endswith(self.suffix) else None
        if found is None:
            return None
        captured: dict[str, str] = {}
        for names, value in zip(self.keys, found.groups(b""), strict=True):
            text = readable(value)
            for name in names:
                captured[name] = text
        return captured


def path_glob(text: str) -> PathGlob:
    """Compile a path glob: `*` is any part of one segment, `**` any part of the path, `{name}` one whole segment.

    Between two slashes `**` stands for any number of segments, none included. Percent-encoding is left as it is sent.
    Raises `PatternError` for a brace that names nothing, and for a name that is there twice.
    """
    data = _encodable(text).encode()
    expression: list[bytes] = []
    keys: list[list[str]] = []
    numbered = 0
    for piece in _PATH_PIECES.findall(text):
        if piece[0] == "*":
            numbered += 1
            star = piece.rstrip("/")
            for earlier in keys:
                if star in earlier:
                    earlier.remove(star)
            keys.append([str(numbered), star])
            expression.append({"*": rb"([^/]*)", "**": rb"(.*)", "**/": rb"(?:(.*)/)?"}[piece])
        elif piece[0] in "{}":
            name = piece[1:-1]
            if not name:
                raise PatternError(
                    f"a brace that names nothing in the path {safe(text)!r}",
                    "Write {name} for one segment; for a literal brace use path-regex.",
                )
            if any(name in earlier for earlier in keys):
                raise PatternError(
                    f"{{{name}}} is twice in the path {safe(text)!r}", "Give each one its own name."
                )
            keys.append([name])
            expression.append(rb"([^/]+)")
        else:
            expression.append(re2.escape(piece.encode()))
    if not keys:
        return PathGlob(text, data, _prefix(text), data, None)
    compiled = _compile(b"".join(expression), text)
    suffix = _PATH_WILD.split(text)[-1].encode()
    return PathGlob(text, None, _prefix(text), suffix, compiled, tuple(map(tuple, keys)))


def _prefix(text: str) -> bytes:
    """What every path of a glob begins with, up to a slash."""
    literal, slash, _ = _PATH_WILD.split(text, maxsplit=1)[0].rpartition("/")
    return (literal + slash).encode()


def text_glob(text: str) -> Pattern | str:
    """Compile a glob over a text: `*` any characters, `?` one, `[a-z]` and `[!a-z]` one of a set.

    Text without any of these comes back as it is: it has to be equal. Raises `PatternError` for a set that doesn't end.
    """
    if not _WILD.search(_encodable(text)):
        return text
    expression = ["(?s)"]
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*":
            expression.append(".*")
        elif character == "?":
            expression.append(".")
        elif character == "[":
            # The first character of a set belongs to it, even when it is "]".
            start = at + 1 if text[at : at + 1] == "!" else at
            end = text.find("]", start + 1)
            if end < 0:
                raise PatternError(
                    f"a [ without its ] in the glob {safe(text)!r}",
                    "Close the set, or write { equals = ... } for text that holds a [.",
                )
            members = re.sub(r"([\\\[\]^&~|])", r"\\\1", text[start:end])
            expression.append(f"[{'^' if start > at else ''}{members}]")
            at = end + 1
        else:
            expression.append(re2.escape(character))
    return _compile("".join(expression), text)
