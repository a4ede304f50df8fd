"""JSON paths (RFC 9535), with the functions `match` and `search` on RE2: the text they look at is a stranger's.

The library is loaded when the first rule needs it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.function_extensions import ExpressionType, FilterFunction

from inspectd.rules.patterns import Pattern, PatternError, regex
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.rules.conditions import JsonQuery

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]+\])*")


class _Expression(FilterFunction):
    """`match(text, expression)` and `search(text, expression)` (RFC 9535 §2.4.6, §2.4.7)."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012  as the base class has it
    return_type = ExpressionType.LOGICAL

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._compiled = lru_cache(maxsize=64)(_compiled)

    def __call__(self, value: object, expression: object) -> bool:
        """Whether the text matches; anything but text doesn't."""
        if not isinstance(value, str) or not isinstance(expression, str):
            return False
        pattern = self._compiled(expression)
        text = value.encode("utf-8", "replace")
        if pattern is None:
            return False
        return (pattern.fullmatch(text) if self._whole else pattern.search(text)) is not None


def _compiled(expression: str) -> Pattern | None:
    try:
        return regex(expression)
    except PatternError:
        return None


def _environment() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    environment.function_extensions["match"] = _Expression(whole=True)
    environment.function_extensions["search"] = _Expression(whole=False)
    return environment


_ENVIRONMENT = _environment()


def compile_json_path(path: str) -> JsonQuery:
    """A compiled path. Raises `PatternError` when it is none."""
    try:
        return _ENVIRONMENT.compile(path)
    except (JSONPathError, RecursionError, ValueError) as error:
        # The library's own str() of its errors fails on an empty path.
        why = str(error.args[0]) if error.args else "nested too deeply"
        if _NAME.fullmatch(path):
            what, mend = "a path begins with '$'", f'Write "$.{path}".'
        else:
            what, mend = safe(why), "Write '$.user.name' or '$..id'; see RFC 9535."
        raise PatternError(f"not a JSON path: {safe(path)!r}: {what}", mend) from None
