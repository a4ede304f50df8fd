"""What is wrong with rules, as data: where it stands, what is wrong there, and how to mend it.

Everything wrong with a file is reported at once. Texts are safe for a terminal: what they quote has been escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where something stands in tables: `("fault", 0, "at")`."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_KEY_PART: Final = re.compile(r"\[([0-9]+)\]|([^.\[]+)")


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """One thing that is wrong with a rule. `key` leads to it from the rule's table on."""

    key: KeyPath
    what: str
    mend: str = ""


class RuleProblems(InspectdError):  # noqa: N818  it is several
    """All that is wrong with one rule."""

    def __init__(self, problems: Sequence[KeyProblem]) -> None:
        lines = [
            f"{written(problem.key)}: {problem.what}" if problem.key else problem.what for problem in problems
        ]
        super().__init__("\n".join(lines), problems[0].mend, exit_code=2)
        self.problems = list(problems)


def written(key: KeyPath) -> str:
    """A key as a person would write it: `rule[2].fault.do`. Elements are counted from 0."""
    parts: list[str] = []
    for part in key:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            from inspectd.text.safe import clip, safe

            name = part if _PLAIN_KEY.fullmatch(part) else f'"{clip(safe(part[:200]), 40)}"'
            parts.append(f".{name}" if parts else name)
    return "".join(parts)


def read_key(text: str) -> KeyPath:
    """The path in a key of the form `fault[1].at`, whose elements are counted from 0."""
    return tuple(int(number) if number else name for number, name in _KEY_PART.findall(text))


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice that is most like a word; empty when none is."""
    found = get_close_matches(word[:100].lower().replace("_", "-"), list(choices), n=1, cutoff=0.6)
    return found[0] if found else ""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'reset'?` for the choice that is most like a word; empty when none is."""
    near = nearest(word, choices)
    return f"; did you mean '{near}'?" if near else ""


def either(words: Iterable[str]) -> str:
    """Words as an enumeration: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
