"""What a rule is for: the `match` of a rule file, compiled once and asked for every request.

A matcher is a list of conditions that all have to hold. Those on the method and the target (`static`) have the same
result for every request of this method and target, so a book of rules remembers it. No request makes a matcher raise,
and no text in one makes it slow: patterns run on RE2, and JSON paths on the content that was kept.

Comparing: methods, versions and field values with case, field names and hosts without. Of several fields or query
parameters of one name any may match. The path is compared as sent, with its percent-encoding; query parameters are
decoded the way forms are encoded. Bytes are text as UTF-8, or where they are none, as ISO 8859-1.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from inspectd.errors import InspectdError
from inspectd.rules.conditions import (
    Body,
    BodyRegex,
    Client,
    ExactQuery,
    FieldValue,
    First,
    Host,
    Json,
    Method,
    MethodOrPreflight,
    Nth,
    Parameter,
    Path,
    PathRegex,
    Text,
    Tls,
    Version,
    names_port,
    shown,
)
from inspectd.rules.patterns import PatternError, path_glob, regex, text_glob
from inspectd.rules.subject import Subject
from inspectd.rules.tables import MatchTable, TextMatch
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inspectd.rules.conditions import Condition, JsonQuery
    from inspectd.rules.patterns import PathGlob
    from inspectd.rules.request import Request
    from inspectd.rules.tables import TextTest

_T = TypeVar("_T")
_R = TypeVar("_R")

_LONGEST_SHOWN: Final = 200  # characters of a path that is written as it should be
_ADDRESS: Final = re.compile(r"(?:https?://([^/]+)|(localhost|[^/]*[.:][^/]*))(/.*)?", re.IGNORECASE)
Key: TypeAlias = tuple[str, ...]
"""Where in a match something stands: `("header", "Accept")`; empty for a match that is a string."""

# method = token                                                         ; RFC 9110 §9.1
_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EVERYTHING: Final = frozenset({"*", "**", "/**"})


class MatchError(InspectdError):
    """One thing that is wrong with a match, and where in its table it stands."""

    def __init__(self, key: Key, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)
        self.key = key


class MatchErrors(InspectdError):  # noqa: N818  it is several
    """All that is wrong with one match."""

    def __init__(self, errors: list[MatchError]) -> None:
        super().__init__("\n".join(error.what for error in errors), errors[0].mend, exit_code=2)
        self.errors = errors


class Matcher:
    """Compiled conditions; `glob` is the path's, None when there is none.

    `needs_content` says whether it looks at the content, which is there only when a request is complete.
    """

    def __init__(
        self,
        text: str,
        static: tuple[Condition, ...],
        head: tuple[Condition, ...],
        content: tuple[Condition, ...],
    ) -> None:
        self.text = text
        """The match in a few words, for a list of rules."""
        self.static = static
        self.on_head = head
        self.dynamic = head + content
        self.conditions = static + head + content
        self.needs_content = bool(content)
        globs = [condition.glob for condition in static if isinstance(condition, Path)]
        self.glob: PathGlob | None = globs[0] if globs else None

    def test(self, request: Request) -> Mapping[str, str] | None:
        """What the wild parts of the path stood for when every condition holds, else None."""
        subject = Subject(request)
        captured = self.captured(subject)
        if captured is None or not all(condition.holds(subject) for condition in self.dynamic):
            return None
        return captured

    def captured(self, subject: Subject) -> dict[str, str] | None:
        """The same for the conditions on the method and the target alone."""
        captured: dict[str, str] = {}
        for condition in self.static:
            if isinstance(condition, (Path, PathRegex)):
                found = condition.captured(subject)
                if found is None:
                    return None
                captured |= found
            elif not condition.holds(subject):
                return None
        return captured

    def why_not(self, request: Request) -> list[str]:
        """A sentence for each condition that doesn't hold: "the method is GET, not POST". Safe text."""
        subject = Subject(request)
        return [condition.why_not(subject) for condition in self.conditions if not condition.holds(subject)]

    def closeness(self, request: Request) -> float:
        """How near a request comes, from 0 to 1: how many conditions hold, and how alike the paths are."""
        subject = Subject(request)
        near = 0.0
        for condition in self.conditions:
            if condition.holds(subject):
                near += 1
            elif isinstance(condition, Path):
                near += 0.9 * _alike(condition.glob.text.encode(), subject.path)
        return near / len(self.conditions) if self.conditions else 1.0


def _alike(one: bytes, other: bytes) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, one[:200], other[:200], autojunk=False).ratio()


def compile_match(match: str | MatchTable, *, preflight: bool = False) -> Matcher:
    """Compile what a rule's `match` says.

    As a string it is `METHOD|METHOD PATH`, `PATH` or `*`; a `?` in the path opens the exact query. With `preflight` a
    CORS preflight of a method matches as the method does. Raises `MatchErrors` with all that is wrong.

    >>> compile_match("GET|HEAD /shop/{item}").text
    'GET|HEAD /shop/{item}'
    """
    if isinstance(match, MatchTable):
        return _Compiler(preflight=preflight).table(match)
    return _of_text(match, preflight=preflight)


@lru_cache(maxsize=1024)
def _of_text(text: str, *, preflight: bool) -> Matcher:
    """The same texts come again and again: a matcher doesn't change, so one serves all rules with its text."""
    return _Compiler(preflight=preflight).string(text)


class _Compiler:
    """Collects the conditions of one match, and all that is wrong with it."""

    def __init__(self, *, preflight: bool) -> None:
        self.preflight = preflight
        self.static: list[Condition] = []
        self.head: list[Condition] = []
        self.content: list[Condition] = []
        self.errors: list[MatchError] = []
        self.words: list[str] = []

    def string(self, text: str) -> Matcher:
        words = text.split(None, 1)
        if len(words) == 2:
            self.methods(words[0].split("|"), ())
            self.path(words[1].rstrip(), (), any_form="CONNECT" in words[0])
        elif not words:
            self.wrong((), "an empty match", "Write '*' for every request.")
        elif words[0][0] not in "/*" and _METHOD.fullmatch(words[0].replace("|", "")):
            self.wrong(
                (), f"no path in the match {shown(text)}", f"Write '{safe(words[0])} *' for every path."
            )
        else:
            self.path(words[0], ())
        return self.done(text.strip())

    def table(self, table: MatchTable) -> Matcher:
        if table.method is not None:
            given = table.method.split("|") if isinstance(table.method, str) else list(table.method)
            self.methods(given, ("method",))
        if table.path is not None:
            connect = "CONNECT" in table.method if table.method else ":" in table.path
            self.path(table.path, ("path",), any_form=connect)
        if table.path_regex is not None:
            pattern = self.tried(("path-regex",), regex, table.path_regex)
            if pattern is not None:
                self.static.append(PathRegex(table.path_regex, pattern))
                self.words.append(f"~{table.path_regex}")
        for name, value in (table.query or {}).items():
            self.texts(self.static, ("query", name), value, partial(Parameter, name))
        if table.host is not None:
            self.host(table.host)
        for name, value in (table.header or {}).items():
            self.texts(self.head, ("header", name), value, partial(FieldValue, name))
        self.connection(table)
        self.body(table)
        return self.done(" ".join(self.words) or "*")

    def methods(self, names: list[str], key: Key) -> None:
        if names == ["*"]:
            return
        for name in names:
            if not _METHOD.fullmatch(name):
                self.wrong(key, f"not a method: {shown(name)}", "Write 'GET /path' or 'GET|POST /path'.")
        self.words.append("|".join(names))
        if not names:
            self.wrong(key, "no method in the list", "Leave the key out for every method.")
        encoded = tuple(name.encode("utf-8", "replace") for name in names)
        if self.preflight and b"OPTIONS" not in encoded:
            self.head.append(MethodOrPreflight(Method(encoded)))
        else:
            self.static.append(Method(encoded))

    def path(self, text: str, key: Key, *, any_form: bool = False) -> None:
        path, mark, query = text.partition("?")
        if not path.startswith(("/", "*")) and not any_form:
            self.wrong(key, f"not a path: {shown(path)}", _path_instead(path))
            return
        self.words.append(text)
        if path not in _EVERYTHING:
            glob = self.tried(key, path_glob, path)
            if glob is not None:
                self.static.append(Path(glob))
        if mark:
            self.static.append(ExactQuery(query.encode("utf-8", "replace")))

    def host(self, value: TextTest) -> None:
        words = value if isinstance(value, str) else ""
        by_regex = False
        if isinstance(value, TextMatch):
            words = value.equals or value.glob or ""
            by_regex = value.regex is not None
            value = TextMatch(
                equals=value.equals and value.equals.lower(),
                glob=value.glob and value.glob.lower(),
                regex=value.regex and f"(?i){value.regex}",
                present=value.present,
            )
        elif isinstance(value, str):
            value = value.lower()
        self.texts(
            self.head, ("host",), value, lambda text: Host(text, None if by_regex else names_port(words))
        )

    def connection(self, table: MatchTable) -> None:
        if table.client is not None:
            try:
                self.head.append(Client(ip_network(table.client, strict=False)))
            except ValueError:
                self.wrong(
                    ("client",),
                    f"not an address or a network: {shown(table.client)}",
                    "Write 127.0.0.1, 10.0.0.0/8 or ::1.",
                )
            self.words.append(f"from {table.client}")
        if table.tls is not None:
            self.head.append(Tls(table.tls))
            self.words.append("over TLS" if table.tls else "in clear text")
        if table.version is not None:
            if "/" not in table.version:
                self.wrong(("version",), f"not a version: {shown(table.version)}", "Write 'HTTP/1.0'.")
            self.head.append(Version(table.version.encode("utf-8", "replace")))
            self.words.append(table.version)
        if table.nth is not None:
            self.head.append(Nth(table.nth))
            self.words.append(f"request {table.nth}")
        if table.first is not None:
            self.head.append(First(table.first))
            self.words.append("first request" if table.first else "reused connection")
        if table.nth is not None and table.first is not None and (table.nth == 1) is not table.first:
            self.wrong(("first",), "nth and first contradict each other", "Take one of them out.")

    def body(self, table: MatchTable) -> None:
        if table.body is not None and self.tried(("body",), _encodable, table.body) is not None:
            self.content.append(Body(table.body))
            self.words.append("body")
        if table.body_regex is not None:
            pattern = self.tried(("body-regex",), regex, table.body_regex)
            if pattern is not None:
                self.content.append(BodyRegex(table.body_regex, pattern))
            self.words.append("body-regex")
        for path, value in (table.json or {}).items():
            self.words.append(path)
            query = self.tried(("json", path), _json_path, path)
            if query is not None:
                self.content.append(Json(path, query, value, exists=value is True))

    def texts(
        self,
        conditions: list[Condition],
        key: Key,
        value: TextTest,
        make: Callable[[Text], Condition],
    ) -> None:
        """Add the condition that `make` makes of a test for a text."""
        text = self.tried(key, _text, value)
        if text is not None:
            conditions.append(make(text))
            sign = "~" if text.relation == "matches" else ""
            self.words.append(f"{'.'.join(key)}: {sign}{text.wanted}")

    def tried(self, key: Key, compile_it: Callable[[_T], _R], value: _T) -> _R | None:
        """What `compile_it` makes of a value, or None when it can't: that is noted."""
        try:
            return compile_it(value)
        except PatternError as error:
            self.wrong(key, error.what, error.mend)
            return None

    def wrong(self, key: Key, what: str, mend: str) -> None:
        self.errors.append(MatchError(key, what, mend))

    def done(self, text: str) -> Matcher:
        if self.errors:
            raise MatchErrors(self.errors)
        return Matcher(text, tuple(self.static), tuple(self.head), tuple(self.content))


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PatternError("a lone surrogate in the text", "Write it as UTF-8 text.") from None
    return text


def _text(value: TextTest) -> Text:
    """How a text has to be. Raises `PatternError`."""
    if isinstance(value, bool):
        return Text("is", "there" if value else "absent", None, present=value)
    if isinstance(value, str):
        value = TextMatch(glob=value)
    given = [name for name in ("equals", "glob", "regex", "present") if getattr(value, name) is not None]
    if len(given) != 1:
        raise PatternError(
            f"{' and '.join(given)} together" if given else "a test for a text that says nothing",
            "Give one of equals, glob, regex and present.",
        )
    if value.present is not None:
        return _text(value.present)
    if value.regex is not None:
        pattern = regex(value.regex)
        return Text("matches", value.regex, lambda text: pattern.fullmatch(text.encode()) is not None)
    wanted = text_glob(value.glob) if value.glob is not None else _encodable(value.equals or "")
    if isinstance(wanted, str):
        return Text("is", wanted, wanted.__eq__)
    return Text("fits", value.glob or "", lambda text: wanted.fullmatch(text.encode()) is not None)


def _json_path(path: str) -> JsonQuery:
    """A compiled JSON path (RFC 9535). Raises `PatternError`."""
    from inspectd.rules.json_path import compile_json_path

    return compile_json_path(path)


def _path_instead(path: str) -> str:
    """What somebody probably meant who wrote this for a path. Safe text."""
    there = _ADDRESS.fullmatch(path)
    if len(path) > _LONGEST_SHOWN:
        return "A path begins with '/'."
    if there is None:
        return f"A path begins with '/': write '/{safe(path)}'."
    host, rest = safe(there[1] or there[2]), safe(there[3] or "/")
    return f'Write match = {{ host = "{host}", path = "{rest}" }}, or the path alone for every host.'
