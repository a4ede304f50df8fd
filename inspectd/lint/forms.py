"""Dates, entity tags, structured fields: forms that several fields share (RFC 9110 §5.6.7, §8.8.3, RFC 9651)."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

DateForm: TypeAlias = Literal["current", "obsolete", "none"]

_MONTHS: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME: Final = rb"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
# IMF-fixdate = day-name "," SP date1 SP time-of-day SP GMT              ; RFC 9110 §5.6.7
_IMF: Final = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?:0[1-9]|[12][0-9]|3[01]) "
    + _MONTHS
    + rb" [0-9]{4} "
    + _TIME
    + rb" GMT\Z"
)
_OBSOLETE: Final = re.compile(
    rb"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [0-9]{2}-" + _MONTHS + rb"-[0-9]{2} " + _TIME + rb" GMT"
    rb"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) " + _MONTHS + rb" [ 0-9][0-9] " + _TIME + rb" [0-9]{4})\Z"
)
# entity-tag = [ weak ] opaque-tag                                       ; RFC 9110 §8.8.3
ENTITY_TAG: Final = re.compile(rb'(?:W/)?+"[!#-~\x80-\xff]*+"')

# The grammar of RFC 9651 §3. Inner lists don't nest, so expressions do.
_BARE: Final = (
    rb"(?:-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}(?![0-9.])|\"(?:[ !#-\[\]-~]|\\[\"\\])*+\""
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+|:[A-Za-z0-9+/=]*+:|\?[01]|@-?[0-9]{1,15}"
    rb"|%\"(?:[ !#$&-~]|%[0-9a-f]{2})*+\")"
)
_KEY: Final = rb"[a-z*][a-z0-9_\-.*]*+"
_PARAMETERS: Final = rb"(?:; *+" + _KEY + rb"(?:=" + _BARE + rb")?+)*+"
_ITEM: Final = _BARE + _PARAMETERS
_INNER: Final = rb"\( *+(?:" + _ITEM + rb"(?: ++" + _ITEM + rb")*+ *+)?+\)" + _PARAMETERS
_MEMBER: Final = rb"(?:" + _INNER + rb"|" + _ITEM + rb")"
_NEXT: Final = rb"[ \t]*+,[ \t]*+"
_ENTRY: Final = _KEY + rb"(?:=" + _MEMBER + rb"|" + _PARAMETERS + rb")"
_SHAPES: Final = {
    "item": re.compile(rb" *+" + _ITEM + rb" *+\Z"),
    "list": re.compile(rb" *+(?:" + _MEMBER + rb"(?:" + _NEXT + _MEMBER + rb")*+)?+ *+\Z"),
    "dictionary": re.compile(rb" *+(?:" + _ENTRY + rb"(?:" + _NEXT + _ENTRY + rb")*+)?+ *+\Z"),
}

Shape: TypeAlias = Literal["item", "list", "dictionary"]


def date_form(value: bytes) -> DateForm:
    """Which form of a date this is: the one to send, one of the two to read only, or none."""
    if _IMF.match(value):
        return "current"
    return "obsolete" if _OBSOLETE.match(value) else "none"


def is_structured(value: bytes, shape: Shape) -> bool:
    """Whether a value follows the grammar of structured fields; one that doesn't is ignored as a whole."""
    return _SHAPES[shape].match(value) is not None
