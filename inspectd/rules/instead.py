"""What a person probably meant who gave a key a value of the wrong type, written as it has to be.

A key, and how its value would look. What is quoted is safe text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inspectd.rules.problems import KeyPath

_LONGEST: Final = 60
_MOST: Final = 10  # items of a value that may be quoted
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TIME: Final = re.compile(r"[0-9.]+ *(?:ms|s|m|h)?")
_DEEDS: Final = ("close", "half-close", "reset", "stall", "truncate", "garbage")
_FIELD: Final = '"Name: value"'
_RATE: Final = '"4KiB/s"'
_SHORT: Final = '"300ms"'
_ORIGINS: Final = '["http://there.test"]'
_HINTS_TABLE: Final = '{ respond = "103 Early Hints" }'
_HINTS: Final = '"103 Early Hints"'
_PATH: Final = '"/a"'
_EITHER: Final = '"/a|/b"'
_JSON: Final = '"*json*"'
_COOKIE: Final = '"a=1"'
_BEARER: Final = '"token"'
_LONG: Final = '"5m"'
_WHILE: Final = '"30s"'
_FOUND: Final = '"302 Found"'
_USER: Final = '{ name = "password" }'


def example(path: KeyPath, value: Any) -> str:
    """How the value at this path might be written; empty when there is nothing better than its type to say."""
    names = [part.replace("_", "-") for part in path if isinstance(part, str)]
    *_, within, key = ["", "", *names]
    if isinstance(path[-1], int):
        key += "[]"
    make = _EXAMPLES.get(f"{within}.{key}", _EXAMPLES.get(key))
    return make(value if _is_small(value) else None) if make is not None else ""


def _is_small(value: Any) -> bool:
    """Whether a value may be quoted: a file can hold numbers of so many digits that Python refuses to write them."""
    if isinstance(value, dict):
        return len(value) <= _MOST and all(_is_small(key) and _is_small(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return len(value) <= _MOST and all(map(_is_small, value))
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return not isinstance(value, int) or abs(value) < 1 << 64


def _toml(value: Any, otherwise: str = "") -> str:
    """A small value as TOML, or `otherwise` for one that is large, or that TOML can't hold."""
    if isinstance(value, dict):
        pairs = {_toml(key) if not _BARE.fullmatch(key) else key: _toml(item) for key, item in value.items()}
        said = f"{{ {', '.join(f'{key} = {item}' for key, item in pairs.items())} }}"
        whole = all((*pairs, *pairs.values()))
    elif isinstance(value, (list, tuple)):
        items = [_toml(item) for item in value]
        said = f"[{', '.join(items)}]"
        whole = all(items)
    else:
        whole = isinstance(value, (str, int, float))
        said = safe(json.dumps(value, ensure_ascii=False), doubling=False) if whole else ""
    return said if whole and len(said) <= _LONGEST else otherwise


def _quoted(value: Any, otherwise: str) -> str:
    """A text or a number in quotes."""
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return _toml(str(value), otherwise) if plain else otherwise


def _headers(value: Any) -> str:
    if isinstance(value, str):
        return ""
    name, text = next(iter(value.items()), ("", "")) if isinstance(value, dict) else ("", "")
    line = _toml(f"{name}: {text}", _FIELD) if name and isinstance(text, (str, int)) else _FIELD
    return f"headers = [{line}]"


def _header_line(value: Any) -> str:
    pair = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value)
    return _toml(": ".join(value), _FIELD) if pair and len(value) == 2 else _FIELD


def _fault(value: Any) -> str:
    do = value if isinstance(value, str) and value in _DEEDS else "reset"
    return f'fault = {{ do = "{do}", at = "body+50%" }}'


def _pace(value: Any) -> str:
    if isinstance(value, str) and "/" in value:
        return f"pace = {{ body = {_toml(value, _RATE)} }}"
    timed = (
        not isinstance(value, bool) and isinstance(value, (str, int, float)) and _TIME.fullmatch(str(value))
    )
    return f"pace = {{ before = {_toml(value) if timed else _SHORT} }}"


def _users(scheme: str) -> Callable[[Any], str]:
    def users(value: Any) -> str:
        name, _, password = value.partition(":") if isinstance(value, str) else ("", "", "")
        return f"{scheme} = {_toml({name: password}, _USER) if name and password else _USER}"

    return users


def _auth(value: Any) -> str:
    if value == "bearer":
        return 'auth = { bearer = "token" }'
    return f"auth = {{ {_users('digest' if value == 'digest' else 'basic')(value)} }}"


def _cors(value: Any) -> str:
    origins = [value] if isinstance(value, str) else value
    if origins in (["*"], ("*",)) or not isinstance(origins, (list, tuple)):
        return "cors = true"
    return f"cors = {{ origins = {_toml(origins, _ORIGINS)} }}"


def _interim(value: Any) -> str:
    if isinstance(value, dict) and "respond" in value:
        return f"interim = [{_toml(value, _HINTS_TABLE)}]"
    return f"interim = [{_quoted(value, _HINTS)}]"


def _match(value: Any) -> str:
    if not isinstance(value, (list, tuple)):
        return ""
    return f"match = {_toml(value[0], _PATH)}" if len(value) == 1 else f"match = {{ {_paths(value)} }}"


def _paths(value: Any) -> str:
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, (list, tuple)) else []
    plain = [text for text in texts if text.startswith("/") and re.fullmatch(r"[A-Za-z0-9/_-]+", text)]
    either = "|".join(plain) if plain and len(plain) == len(value) else "/a|/b"
    return f"path-regex = {_toml(either, _EITHER)}"


def _body(value: Any) -> str:
    return f"json = {_toml(value, '{ ... }')}" if isinstance(value, (dict, list, tuple)) else ""


def _fields_asked(value: Any) -> str:
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    name, colon, text = first.partition(":") if isinstance(first, str) else ("", "", "")
    key = name.strip() if _BARE.fullmatch(name.strip()) else "Accept"
    return f"header.{key} = {_toml(text.strip(), _JSON) if colon else 'true'}"


def _cookies(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    name, text = next(iter(value.items()), ("a", "1"))
    return f"cookies = [{_toml(f'{name}={text}', _COOKIE) if isinstance(text, (str, int)) else _COOKIE}]"


def _always(text: str) -> Callable[[Any], str]:
    return lambda _: text


_EXAMPLES: Final[Mapping[str, Callable[[Any], str]]] = {
    "headers": _headers,
    "headers[]": _header_line,
    "fault[]": lambda value: _fault(value).removeprefix("fault = "),
    "interim[]": lambda value: _quoted(value, _HINTS),
    "cors.headers": _always(""),
    "fault": _fault,
    "pace": _pace,
    "auth": _auth,
    "auth.basic": _users("basic"),
    "auth.digest": _users("digest"),
    "auth.bearer": lambda value: f"bearer = {_quoted(value, _BEARER)}",
    "coding": _always('coding = "gzip"'),
    "cors": _cors,
    "interim": _interim,
    "match": _match,
    "match.path": lambda value: _paths(value) if isinstance(value, (list, tuple)) else "",
    "match.header": _fields_asked,
    "match.body": _always(""),
    "body": _body,
    "cookies": _cookies,
    "hold": lambda value: f"hold = {{ timeout = {_toml(value, _LONG)} }}",
    "poll": lambda value: f"poll = {{ timeout = {_toml(value, _WHILE)} }}",
    "conditional": _always('conditional = { etag = "auto" }'),
    "redirect": lambda value: f'redirect = {{ to = "/there", status = {_quoted(value, _FOUND)} }}',
    "chunked": lambda value: (
        f"chunked = {{ sizes = [{_toml(value, '10') if isinstance(value, int) else '10'}] }}"
    ),
    "chunked.sizes": lambda value: f"sizes = [{_toml(value, '10') if isinstance(value, int) else '10'}]",
}
