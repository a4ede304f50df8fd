"""Templates over the request: the status line, field lines, content and other words of an answer.

The language is MiniJinja's (the Jinja that a template can't break out of): no file can be included, no attribute of a
Python object reached, and a budget of instructions ends a template that doesn't end. What a request can make large is
bounded; only a template that is written to double a text over and over takes all memory there is. Names that nobody
knows are found when the rule is loaded; what fails later fails for that one answer.

Bytes survive. A byte of the request that isn't UTF-8 becomes a private character on the way into a template and
that byte again on the way out. A line end that comes from a request never gets into the head: such an answer is
refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

from minijinja import Environment, TemplateError

from inspectd.rules.behaviour.values import FILTERS, NAMES, Values, of_wire, readable, sample, to_wire
from inspectd.rules.behaviour.words import WordsError
from inspectd.rules.draft import CraftError
from inspectd.rules.units import UnitError, wire_bytes
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inspectd.rules.behaviour.words import Text
    from inspectd.rules.draft import Call

FUEL: Final = 500_000
"""Instructions that one template may take: some ten milliseconds."""

LARGEST_TEMPLATE: Final = 1 << 20
"""Bytes of a body file that is a template."""

LARGEST_FILLED: Final = 64 << 20
"""Characters that the expressions of one template may add to its text."""

_GLOBALS: Final = frozenset(
    {"range", "dict", "namespace", "debug", "cycler", "joiner", "caller", "super", "self", "loop"}
)
_UNKNOWN: Final = frozenset({"UnknownFilter", "UnknownFunction", "UnknownTest"})
_BRACES: Final = re.compile(r"\s*+\{\{[-+]?(.*?)[-+]?\}\}\s*", re.DOTALL)


class Templates:
    """Reads the words of a table as templates (see `Words`)."""

    def __init__(self) -> None:
        self._environment = Environment(
            fuel=FUEL,
            pycompat=False,  # methods of text are not bounded; filters do the same
            undefined_behavior="chainable",
            keep_trailing_newline=True,
            auto_escape_callback=lambda name: None,  # noqa: ARG005
            filters={"urlencode": _urlencode, "tojson": _to_json, "json": _to_json, **FILTERS},
            finalizer=self._measured,
        )
        for name in ("batch", "slice"):  # they make as many items as they are asked for
            self._environment.remove_filter(name)
        self._left = LARGEST_FILLED
        self._count = 0
        self._latest: tuple[Call, dict[str, Any]] | None = None

    def line(self, key: str, text: str) -> Text:
        """A template whose result is one line: a line end in it raises `WordsError`."""
        return self._one_line(key, self.text(key, text))

    def raw_line(self, key: str, text: str) -> Text:
        """The same for words in which each character up to U+00FF is a byte."""
        return self._one_line(key, self.raw(key, text))

    def text(self, key: str, text: str) -> Text:
        """A template of any number of lines."""
        try:
            return self.bytes(key, text.encode())
        except UnicodeEncodeError:
            raise CraftError(key, f"a lone surrogate in {text!r}", "Write it as UTF-8 text.") from None

    def raw(self, key: str, text: str) -> Text:
        """A template in which each character up to U+00FF is a byte."""
        try:
            return self.bytes(key, wire_bytes(text))
        except UnitError as error:
            raise CraftError(key, error.what, error.mend) from None

    def bytes(self, key: str, source: bytes) -> Text:
        """A template that stands in these bytes. Raises `CraftError` when it can't be read."""
        if b"{" not in source:
            return lambda call: source  # noqa: ARG005
        name = self._add(key, of_wire(source))
        return lambda call: to_wire(self._render(key, name, call))

    def json(self, key: str, value: Any) -> Callable[[Call], Any]:
        """A JSON value each of whose texts is a template.

        A text that is one expression and nothing else, such as `"{{ count }}"`, becomes that value: here a number.
        """
        if isinstance(value, str):
            return self._json_text(key, value)
        if isinstance(value, Mapping):
            members = {name: self.json(f"{key}.{name}", member) for name, member in value.items()}
            return lambda call: {name: member(call) for name, member in members.items()}
        if isinstance(value, (list, tuple)):
            items = [self.json(f"{key}[{index}]", item) for index, item in enumerate(value)]
            return lambda call: [item(call) for item in items]
        return lambda call: value  # noqa: ARG005

    def _json_text(self, key: str, text: str) -> Callable[[Call], Any]:
        if "{" not in text:
            return lambda call: text  # noqa: ARG005
        name = self._add(key, text)
        expression = self._alone(text)
        if expression is not None:
            return lambda call: readable(self._evaluate(key, expression, call))
        return lambda call: readable(self._render(key, name, call))

    def _alone(self, text: str) -> str | None:
        """The expression that a text consists of, or None when there is anything else in it."""
        braces = _BRACES.fullmatch(text)
        if braces is None:
            return None
        try:
            self._environment.undeclared_variables_in_str("{% if (" + braces[1] + ") %}{% endif %}")
        except TemplateError:
            return None
        return braces[1]

    def _one_line(self, key: str, rendered: Text) -> Text:
        def one_line(call: Call) -> bytes:
            data = rendered(call)
            if b"\r" in data or b"\n" in data:
                raise WordsError(
                    f"the template of {key} made a line end, which would begin another line of the head: {safe(data)}",
                    "Encode what comes from the request, as in {{ query.name | urlencode }}.",
                )
            return data

        return one_line

    def _add(self, key: str, source: str) -> str:
        """Read a template and try it with an ordinary request; its name."""
        self._count += 1
        name = f"{key} {self._count}"
        try:
            self._environment.add_template(name, source)
            unknown = self._environment.undeclared_variables_in_template(name) - NAMES - _GLOBALS
        except TemplateError as error:
            raise CraftError(key, f"the template can't be read: {_why(error)}", _SYNTAX) from None
        if unknown:
            raise CraftError(
                key, f"the template uses what nobody knows: {', '.join(sorted(unknown))}", _meant(unknown)
            )
        try:
            self._environment.render_template(name, **sample())
        except TemplateError as error:
            if error.kind in _UNKNOWN:
                raise CraftError(key, f"the template can't work: {_why(error)}", _SYNTAX) from None
        except Exception:  # noqa: BLE001, S110  with the values of another request it may well work
            pass
        return name

    def _render(self, key: str, name: str, call: Call) -> str:
        values = self._values(call)
        return str(self._try(key, lambda: self._environment.render_template(name, **values)))

    def _evaluate(self, key: str, expression: str, call: Call) -> Any:
        values = self._values(call)
        return self._try(key, lambda: self._environment.eval_expr(expression, **values))

    def _measured(self, value: object) -> object:
        """Count what an expression adds. The text of it is MiniJinja's to make."""
        if isinstance(value, str):
            self._left -= len(value)
            if self._left < 0:
                raise ValueError("the text would be too large")
        return NotImplemented

    def _values(self, call: Call) -> dict[str, Any]:
        """The values of a call: the same for all its templates, so that `random` goes on from one to the next."""
        latest = self._latest
        if latest is None or latest[0] is not call:
            latest = self._latest = (call, Values(call).names())
        return latest[1]

    def _try(self, key: str, make: Callable[[], Any]) -> Any:
        self._left = LARGEST_FILLED
        try:
            return make()
        except TemplateError as error:
            why = _why(error)
        except Exception as error:  # noqa: BLE001  a filter that was given what it can't take
            why = safe(str(error) or type(error).__name__)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # how a panic of Rust arrives
                raise
            why = safe(str(error))
        raise WordsError(f"the template of {key} failed: {why}", "Mend it for requests like this one.")


_SYNTAX: Final = "Templates are MiniJinja: {{ query.name }}, {% if headers.cookie %}...{% endif %}."


def _why(error: TemplateError) -> str:
    """What a template's error says, in one line."""
    line = f" (line {error.line})" if error.line is not None and error.line > 1 else ""
    return safe(f"{error.detail or error.message}{line}")


def _meant(unknown: Iterable[str]) -> str:
    """What was probably meant, or else everything that there is."""
    near = {near for name in unknown for near in get_close_matches(name, NAMES, 1, 0.5)}
    if near:
        return f"Did you mean {' or '.join(sorted(near))}?"
    return f"It may use {', '.join(sorted(NAMES))}."


def _urlencode(value: object) -> str:
    if isinstance(value, Mapping):
        return "&".join(f"{_urlencode(name)}={_urlencode(member)}" for name, member in value.items())
    return "" if value is None else quote_from_bytes(to_wire(str(value)), safe="/")


def _to_json(value: object) -> str:
    return json.dumps(readable(value), ensure_ascii=False, separators=(",", ":"))
