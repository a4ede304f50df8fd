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
_PAIR: Final = rb"[!#$&'*+\-.^_`|~0-9A-Za-z]++=[!#$&-+\--:<-\[\]-~]*+"
# What changes from request to request and matters to no other field: values of these shapes have no findings, so
# that sections which differ in nothing else are the same section.
_VARYING: Final = re.compile(
    rb"^(?:((?i:referer): )https?://[A-Za-z0-9._:-]++/[A-Za-z0-9._~/?&=+-]*+|(?i:cookie): "
    + _PAIR + rb"(?:; " + _PAIR + rb")*+)\r$",
    re.MULTILINE,
)  # fmt: skip
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
    known = _known.get((head.method, head.version, section))
    if known is None:
        key = (head.method, head.version, _VARYING.sub(_without_value, section))
        known = _known.get(key) or _found(b"%b / %b\r\n%b" % key)
        if len(_known) >= _MOST:
            _known.clear()
        _known[key] = _known[head.method, head.version, section] = known
    return known


def _without_value(line: re.Match[bytes]) -> bytes:
    return b"referer: http://a/\r" if line[1] else b"cookie: a=b\r"


def preload() -> None:
    """Read now what the first head would have to wait for: the catalogue and the lists of known names."""
    _found(
        b"GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nAny-Other: b\r\n\r\n"
    )


def _found(raw: bytes) -> Quick:
    from inspectd.lint.catalogue import levels

    severity = levels()
    ids = tuple(dict.fromkeys(finding.id for finding in findings(raw, "request", eof=False)))
    return Quick(ids, max((severity.get(each, Severity.INFO) for each in ids), default=Severity.GOOD))
