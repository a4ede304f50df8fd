"""From the words of a test to the tables of a rule: those that a rule file has, so that one can become the other.

Nothing is compiled here, and nothing is decided about what is sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

import msgspec

from inspectd.errors import InspectdError
from inspectd.rules.tables import AnswerTable, RuleTable
from inspectd.testing.hiding import hidden

if TYPE_CHECKING:
    from inspectd.testing.answer import Answer

__tracebackhide__ = hidden

Headers: TypeAlias = Mapping[str, str] | Iterable[str | bytes | tuple[str, str]]
"""Field lines in order (`"X-A: 1"`; bytes are sent as they are), or names and values."""
Words: TypeAlias = "str | int | bytes | Mapping[str, Any] | AnswerTable | Answer"
"""One answer: a status, whole bytes, keys of a rule file, or what `answer(...)` gives."""


class AnswerWords(TypedDict, total=False):
    """What an answer can be made of; each is the key of the same name in a rule file."""

    headers: Headers
    body: str | bytes
    json: Any
    body_file: str | Path
    template: bool
    auto: Sequence[str]
    interim: Sequence[Any]
    coding: Any
    chunked: bool | Mapping[str, Any]
    conditional: bool | Mapping[str, Any]
    redirect: str | Mapping[str, Any]
    auth: Mapping[str, Any]
    cookies: Sequence[Any]
    cors: bool | Mapping[str, Any]
    folder: str | Path
    events: Sequence[Any] | Mapping[str, Any]
    poll: bool | str | Mapping[str, Any]
    mirror: bool
    proxy: bool | str
    proxy_host: str
    patch: Mapping[str, Any]
    close: bool
    weight: float
    pace: Mapping[str, Any]
    fault: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    hold: bool | Mapping[str, Any]


class WebSocketWords(TypedDict, total=False):
    """How a WebSocket is held, beside what it sends; the keys of `websocket` in a rule file."""

    echo: bool
    every: str | float
    repeat: bool
    on: Sequence[Mapping[str, Any]]
    protocol: str | Sequence[str]
    compress: bool
    accept: Literal["right", "wrong", "missing"]
    pong: bool
    close_answer: bool
    ping_every: str | float
    idle: str | float
    largest: str | int


class MatchWords(TypedDict, total=False):
    """What else a request must be like, beside method and path; the keys of `match` in a rule file."""

    method: str | Sequence[str]
    path: str
    path_regex: str
    query: Mapping[str, Any]
    host: Any
    header: Mapping[str, Any]
    body: str
    body_regex: str
    json: Mapping[str, Any]
    client: str
    tls: bool
    version: str
    nth: int
    first: bool


Do: TypeAlias = Literal["close", "half-close", "reset", "stall", "truncate", "garbage"]

_ANSWER_KEYS: Final = frozenset(AnswerTable.__struct_encode_fields__)
_RULE_KEYS: Final = frozenset(RuleTable.__struct_encode_fields__)


class WordsError(InspectdError):
    """A test asks for an answer that can't be."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)


def keys(words: Mapping[str, Any], *, rule: bool = False) -> dict[str, Any]:
    """The words of a call as keys and values of a table. Raises WordsError for a key that no table has."""
    found: dict[str, Any] = {}
    known = _RULE_KEYS if rule else _ANSWER_KEYS
    for word, value in words.items():
        key = word.replace("_", "-")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {near[0].replace('-', '_')!r}?" if near else ""
            raise WordsError(f"no answer has a {word!r}", hint)
        found.update(_value(key, value))
    return found


def _value(key: str, value: Any) -> dict[str, Any]:
    """One key, and the value that TOML would have for it."""
    if key == "headers":
        return {key: lines(value)}
    if key == "body" and isinstance(value, (bytes, bytearray)):
        return {"body-hex": value.hex()}
    if isinstance(value, Path):
        return {key: str(value)}
    return {key: value}


def lines(headers: Headers) -> list[str | dict[str, str]]:
    """Field lines as a rule file has them: those of bytes are sent verbatim."""
    if isinstance(headers, (str, bytes)):
        raise WordsError(f"headers is one text: {headers!r}", 'Give a list: headers=["X-A: 1"].')
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: list[str | dict[str, str]] = []
    for line in pairs:
        if isinstance(line, bytes):
            found.append({"raw": line.decode("latin-1")})
        elif isinstance(line, str):
            found.append(line)
        else:
            name, value = line
            found.append(f"{name}: {value}")
    return found


def one_answer(words: Words) -> dict[str, Any]:
    """The table of one answer, whichever way it was said."""
    if isinstance(words, AnswerTable):
        table: dict[str, Any] = msgspec.to_builtins(words)
        return table
    if isinstance(words, bytes):
        return {"raw": words.decode("latin-1")}
    if isinstance(words, (str, int)):
        return {"respond": str(words)}
    if isinstance(words, Mapping):
        return keys(words)
    return dict(words.table)


def websocket_of(send: Iterable[Any], words: WebSocketWords) -> dict[str, Any]:
    """The table of a WebSocket. In what it sends bytes are a binary message, and keys may have an underscore."""
    table = {key.replace("_", "-"): value for key, value in words.items()}
    if "on" in words:
        table["on"] = [{**on, "send": _messages(on.get("send", ()))} for on in words["on"]]
    return {**table, "send": _messages(send)}


def _messages(send: Iterable[Any]) -> list[Any]:
    if isinstance(send, (str, bytes, Mapping)):
        raise WordsError(f"send is one message: {send!r}", 'Give a list: send=["hello"].')
    return [_message(message) for message in send]


def _message(message: Any) -> Any:
    if isinstance(message, (bytes, bytearray)):
        return {"binary-hex": message.hex()}
    if isinstance(message, Mapping):
        return {key.replace("_", "-"): value for key, value in message.items()}
    return message


def match_of(match: str, words: MatchWords) -> str | dict[str, Any]:
    """The `match` of a rule: the text alone, or a table when there is more to say."""
    if not words:
        return match
    table = {key.replace("_", "-"): value for key, value in words.items()}
    method, _, path = match.rpartition(" ")
    path, mark, query = path.partition("?")
    if mark:
        raise WordsError(
            f"a query in {match!r} beside other conditions", f"Say query={{...}} instead of ?{query}."
        )
    if method and method != "*":
        table.setdefault("method", method.strip())
    if path != "*":
        table.setdefault("path", path)
    return table
