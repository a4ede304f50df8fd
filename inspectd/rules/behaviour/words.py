"""Words of a rule on their way to bytes: the same for each call, or templates over the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from inspectd.errors import InspectdError
from inspectd.rules.behaviour import saying
from inspectd.rules.draft import CraftError, CraftProblems
from inspectd.rules.units import UnitError, wire_bytes

if TYPE_CHECKING:
    from inspectd.rules.draft import Call

_T = TypeVar("_T")

Text: TypeAlias = Callable[["Call"], bytes]
"""The bytes of some words for one call. A template that fails raises `WordsError`."""


def gathered(makes: Iterable[Callable[[], _T]]) -> list[_T]:
    """What each of these makes. Raises `CraftProblems` with the problems of all of them."""
    made: list[_T] = []
    problems: list[CraftError] = []
    for make in makes:
        try:
            made.append(make())
        except CraftProblems as several:
            problems += several.problems
        except CraftError as problem:
            problems.append(problem)
    if problems:
        raise CraftProblems(problems)
    return made


class WordsError(InspectdError):
    """Words that can't be said for this call: why, in safe text, and how to mend it."""


class Words(Protocol):
    """Reads the words of a table. `key` is where they stand, for the `CraftError` when they can't be used."""

    def line(self, key: str, text: str) -> Text:
        """Words that stand in a line of the head: no line end is in them."""

    def text(self, key: str, text: str) -> Text:
        """Words of any number of lines."""

    def raw(self, key: str, text: str) -> Text:
        """Words in which each character up to U+00FF is a byte, of any number of lines."""


class Fixed:
    """Words that stand for themselves."""

    def line(self, key: str, text: str) -> Text:
        """The words as UTF-8."""
        return _always(saying.one_line(key, text))

    def text(self, key: str, text: str) -> Text:
        """The words as UTF-8."""
        return _always(saying.utf8(key, text))

    def raw(self, key: str, text: str) -> Text:
        """The bytes that the words stand for."""
        try:
            return _always(wire_bytes(text))
        except UnitError as error:
            raise CraftError(key, error.what, error.mend) from None


def _always(data: bytes) -> Text:
    return lambda call: data  # noqa: ARG005
