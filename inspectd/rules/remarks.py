"""What is illegal or odd about the bytes of an answer, each with the bytes it is about and the section that says so.

It is made for a person who types an answer: total over any bytes, quick, and silent about a line that is still being
written. What there is to say comes from `inspectd.lint`; nothing is repaired.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.lint import Severity, catalogue
from inspectd.lint import findings as findings_in
from inspectd.rules.answer import preview
from inspectd.rules.passing import Pass
from inspectd.rules.program import LiveProgram

if TYPE_CHECKING:
    from inspectd.lint import Finding
    from inspectd.rules.program import Program

EXAMINED: Final = 256 * 1024
"""Bytes that are read at most; of what comes behind them nothing is said."""

MOST: Final = 100
"""Remarks that are made at most."""

_MANY_LINES: Final = 8192  # lines are dear: with more of them only the first bytes are looked at
_FEW_BYTES: Final = 16 * 1024
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++\Z")

_UNSAID: Final = frozenset(
    {"body-ambiguous-end", "cache-vary-encoding", "resp-content-type-missing", "resp-date-missing"}
)
"""What whoever writes an answer by hand leaves out and knows it, and what only sums up other remarks."""


class Remark(NamedTuple):
    """Something to know about bytes `start` up to, not including, `end`. The sentence is safe for a terminal."""

    sentence: str
    start: int
    end: int
    section: str
    id: str = ""
    """The id in the catalogue of `inspectd.lint`."""


def remarks_on(data: bytes, *, method: bytes = b"GET", complete: bool = True) -> list[Remark]:
    """What is illegal or odd about these bytes of an answer to a request of `method`, in the order of the bytes.

    `complete` says that nothing follows them. At most `MOST` remarks are made. Never raises.
    """
    examined = data[: EXAMINED if data.count(b"\n", 0, EXAMINED) <= _MANY_LINES else _FEW_BYTES]
    whole = complete and len(examined) == len(data)
    # Of the request no more than the method is known: its head never ends.
    request = b"%b / HTTP/1.1\r\n" % method if _METHOD.match(method) else None
    found = [
        _remark(each) for each in findings_in(examined, "response", eof=whole, request=request) if _told(each)
    ]
    found.sort(key=lambda remark: (remark.start, remark.end))
    return found[:MOST]


def remarks_of(program: Program | LiveProgram, *, method: bytes = b"GET") -> list[Remark]:
    """What is illegal or odd about the bytes that a program sends; of a live one nothing is known.

    Raises `AnswerError` when a file of it can't be read.
    """
    if isinstance(program, (LiveProgram, Pass)):
        return []
    data = preview(program, EXAMINED + 1)
    return remarks_on(data, method=method)


def _told(finding: Finding) -> bool:
    return finding.id not in _UNSAID and catalogue()[finding.id].level >= Severity.WARNING


def _remark(finding: Finding) -> Remark:
    """A finding in words, about the very bytes that it was made for."""
    entry = catalogue()[finding.id]
    start, end = finding.start, finding.end
    exact = finding.also[0] if finding.also else (start, end)
    if start <= exact[0] and exact[1] <= end:
        start, end = exact
    sentence = f"{entry.summary}: {finding.detail}." if finding.detail else f"{entry.summary}."
    return Remark(sentence, start, end, entry.spec, finding.id)
