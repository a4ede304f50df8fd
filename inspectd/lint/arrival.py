"""Findings of a request's head at the moment it arrives, where every microsecond is somebody's request.

A client repeats its field lines from request to request, so what was found in a section is remembered by its bytes,
together with the method and version, while a target of harmless characters has nothing to find in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Severity
from inspectd.lint.run import Quick, findings

if TYPE_CHECKING:
    from inspectd.wire import ArrivedHead

# origin-form in which no checker of targets has an interest: no `//`, dot segments, `%` or sub-delims but in a query
_HARMLESS_TARGET: Final = re.compile(
    rb"(?:/(?!\.)[A-Za-z0-9_~-][A-Za-z0-9._~-]*+)*+/?+(?:\?[A-Za-z0-9._~=&/+-]*+)?+\Z"
)
_known: dict[tuple[bytes, bytes, bytes], Quick] = {}
_MOST: Final = 512
_SECTION_SIZE: Final = 4096
_LONGEST_TARGET: Final = 2048


def findings_of_head(head: ArrivedHead) -> Quick:
    """The ids found in a head and the worst severity among them."""
    section = head.section
    if section is None or len(section) > _SECTION_SIZE or len(head.target) > _LONGEST_TARGET:
        return _found(head.raw)
    if head.target[-1:] == b"." or not _HARMLESS_TARGET.match(head.target):
        return _found(head.raw)
    key = (head.method, head.version, section)
    known = _known.get(key)
    if known is None:
        known = _found(b"%b / %b\r\n%b" % key)
        if len(_known) >= _MOST:
            _known.clear()
        _known[key] = known
    return known


def _found(raw: bytes) -> Quick:
    from inspectd.lint.catalogue import levels

    severity = levels()
    ids = tuple(dict.fromkeys(finding.id for finding in findings(raw, "request", eof=False)))
    return Quick(ids, max((severity.get(each, Severity.INFO) for each in ids), default=Severity.GOOD))
