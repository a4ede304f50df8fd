"""What somebody looks for in a list: plain words, and tests of findings such as `severity >= warning`.

    finding == te-with-cl     has this finding            finding != te-with-cl   hasn't
    finding ~ te-             has one whose id holds this text
    severity >= warning       its worst finding is a warning or an error; also > < <= == !=

Everything else is a word. All have to be true.
"""

from __future__ import annotations

import difflib
import operator
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inspectd.capture.findings import Marks
    from inspectd.wire.span import Kind

_TEST: Final = re.compile(r"(?<!\S)(finding|severity)\s*+(==|!=|>=|<=|~|>|<)\s*+(\S*+)", re.IGNORECASE)
# What looks like a test of something else that a row has: as words it would find nothing, and nobody would know why.
_NO_TEST: Final = re.compile(
    r"(?<!\S)(method|target|path|url|status|code|reason|client|host|dest|mode|size|ms|time)\s*+(==|!=|>=|<=|~|>|<)(?=\s|\w|\Z)",
    re.IGNORECASE,
)
_COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
SEVERITIES: Final = ("good", "info", "warning", "error")


class NotATestError(InspectdError):
    """A test that can't be meant so."""


class FindingTest(NamedTuple):
    """That an exchange has, or hasn't, one of these findings."""

    ids: frozenset[str]
    has: bool = True

    def met(self, marks: Marks) -> bool:
        """Whether it is so."""
        return (not self.ids.isdisjoint(marks.ids)) == self.has

    def found(self, marks: Marks) -> set[str]:
        """The findings that it is about."""
        return set(self.ids & set(marks.ids)) if self.has else set()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The messages that have to be looked at."""
        from inspectd.capture.findings import kinds_of

        return kinds_of(self.ids)


class SeverityTest(NamedTuple):
    """How bad the worst finding of an exchange is; `good` is one without any."""

    comparison: str
    level: int

    def met(self, marks: Marks) -> bool:
        """Whether it is so."""
        return _COMPARISONS[self.comparison](marks.worst, self.level)

    def found(self, marks: Marks) -> set[str]:
        """The findings that it is about."""
        from inspectd.lint.catalogue import levels

        severity = levels()
        return {name for name in marks.ids if _COMPARISONS[self.comparison](severity[name], self.level)}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The messages that have to be looked at."""
        return "request", "response"


class Wanted(NamedTuple):
    """Words that must occur in a row, and tests that must be met by what is found in its messages."""

    words: tuple[str, ...]
    tests: tuple[FindingTest | SeverityTest, ...] = ()

    def met(self, marks: Marks) -> bool:
        """Whether all tests are."""
        return all(test.met(marks) for test in self.tests)

    def found(self, marks: Marks) -> tuple[str, ...]:
        """The ids of the findings that met the tests, the worst first."""
        named = {name for test in self.tests for name in test.found(marks)}
        return tuple(name for name in marks.ids if name in named)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The messages that have to be looked at for the tests."""
        needed = {kind for test in self.tests for kind in test.kinds}
        return tuple(kind for kind in ("request", "response") if kind in needed)


NOTHING_WANTED: Final = Wanted(())


def wanted(text: str) -> Wanted:
    """What a person typed, taken apart. `NotATestError` for a test that can't be meant so."""
    tests = tuple(_test(found[1].lower(), found[2], found[3].lower()) for found in _TEST.finditer(text))
    words = _TEST.sub(" ", text)
    if no_test := _NO_TEST.search(words):
        raise NotATestError(
            f"{no_test[1].lower()} is looked for by words alone, without {no_test[2]}",
            "Tests are of finding and severity.",
        )
    return Wanted(tuple(words.split()), tests)


def _test(what: str, comparison: str, value: str) -> FindingTest | SeverityTest:
    if not value:
        raise NotATestError(f"{what} {comparison} …", f"Say what it is compared with: {_example(what)}")
    if what == "severity":
        if value not in SEVERITIES or comparison == "~":
            raise NotATestError(f"severity {comparison} {value}", f"There are {', '.join(SEVERITIES)}.")
        return SeverityTest(comparison, SEVERITIES.index(value))
    from inspectd.lint.catalogue import catalogue

    known = catalogue()
    if comparison == "~":
        ids = frozenset(name for name in known if value in name)
        if not ids:
            raise NotATestError(f"no finding has {value!r} in its id", _near(value, known))
        return FindingTest(ids)
    if comparison not in ("==", "!="):
        raise NotATestError(f"finding {comparison} {value}", "Findings are compared with ==, != and ~.")
    if value not in known:
        raise NotATestError(f"there is no finding {value!r}", _near(value, known))
    return FindingTest(frozenset((value,)), has=comparison == "==")


def _near(value: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(value, known, 3, 0.5)
    return f"Did you mean {', '.join(near)}?" if near else "Write it like finding ~ te- for a part of an id."


def _example(what: str) -> str:
    return "finding == te-with-cl" if what == "finding" else "severity >= warning"


def completion(text: str) -> str | None:
    """The whole text that what was typed begins, where a test begins so; None when nothing fits."""
    found = None
    for found in _TEST.finditer(text):  # noqa: B007 - the last one
        pass
    if found is None or found.end() != len(text):
        last = text.rpartition(" ")[2].lower()
        example = next((_example(what) for what in ("finding", "severity") if what.startswith(last)), "")
        return text + example[len(last) :] if len(last) > 2 and example else None
    what, value = found[1].lower(), found[3].lower()
    if what == "severity":
        choices: tuple[str, ...] = SEVERITIES
    else:
        from inspectd.lint.catalogue import catalogue

        choices = tuple(catalogue())
    fitting = next((choice for choice in choices if choice.startswith(value)), None)
    return None if fitting is None or not value else text + fitting[len(value) :]
