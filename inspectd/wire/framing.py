"""How long the content of a message is, who would say otherwise, and why (RFC 9112 §6.3).

A framing is a decision as a value: the step of RFC 9112 that settled it, the length it found, and the readings
that other parsers would take of the same bytes. Nothing is refused here; where the specification tells a
recipient to refuse, the most plausible reading is taken and the refusal is one of the alternatives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_LENGTH: Final = 2**63 - 1
"""Lengths are clamped to what a signed 64-bit counter holds; no stream gets there."""


class FramingStep(Enum):
    """The rule that settled a length: its name and its number in the list of RFC 9112 §6.3 (0: not in that list)."""

    NO_BODY_BY_METHOD = ("no-body-by-method", 1)
    NO_BODY_BY_STATUS = ("no-body-by-status", 1)
    SWITCHED = ("switched", 1)
    CONNECT = ("connect", 2)
    CHUNKED = ("chunked", 4)
    TRANSFER_UNTIL_CLOSE = ("transfer-until-close", 4)
    TRANSFER_UNKNOWN = ("transfer-unknown", 4)
    LENGTH_INVALID = ("length-invalid", 5)
    CONTENT_LENGTH = ("content-length", 6)
    NO_BODY_REQUEST = ("no-body-request", 7)
    UNTIL_CLOSE = ("until-close", 8)
    SIMPLE_REQUEST = ("simple-request", 0)
    SIMPLE_RESPONSE = ("simple-response", 0)
    UNFINISHED_HEAD = ("unfinished-head", 0)

    def __init__(self, label: str, number: int) -> None:
        self.label = label
        self.number = number

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another reading of the same bytes: who takes it, the length they find (None: not a count), and why."""

    reader: str
    length: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the content of a message ends, and how that was found.

    `length` is the number of content bytes when it is known from the head, else None.
    `chunked` and `until_close` say what delimits the content when no length does; `tunnel` that everything after
    the head belongs to another protocol; `lost` that nobody can know where the message ends.
    """

    step: FramingStep
    length: int | None
    sentence: str
    alternatives: tuple[Alternative, ...] = ()
    chunked: bool = False
    until_close: bool = False
    tunnel: bool = False
    lost: bool = False

    @property
    def ambiguous(self) -> bool:
        """Whether another parser may find another end of this message."""
        return bool(self.alternatives)


NO_BODY_REQUEST: Final = Framing(
    FramingStep.NO_BODY_REQUEST,
    0,
    "A request with neither Content-Length nor Transfer-Encoding has no content.",
)
UNFINISHED_HEAD: Final = Framing(
    FramingStep.UNFINISHED_HEAD, None, "The head has not ended, so nothing is known about the content."
)
SIMPLE_REQUEST: Final = Framing(
    FramingStep.SIMPLE_REQUEST,
    0,
    "An HTTP/0.9 request is one line: no version, no fields, no content, and nothing may follow it.",
    (
        Alternative(
            "a reader that takes a missing version for a slip",
            None,
            "It goes on reading field lines up to an empty line.",
        ),
    ),
)
SIMPLE_RESPONSE: Final = Framing(
    FramingStep.SIMPLE_RESPONSE,
    None,
    "There is no status line: an HTTP/0.9 response is content up to the close of the connection.",
    until_close=True,
)

_REFUSE = "a strict reader"

# Content-Length = 1*DIGIT                                               ; RFC 9110 §8.6
_LENGTH = re.compile(rb"[ \t]*+(\+?+)([0-9]++)[ \t]*+\Z")
_LEADING_DIGITS = re.compile(rb"[ \t\x0b\x0c\r]*+\+?+([0-9]++)")
# transfer-coding = token *( OWS ";" OWS transfer-parameter )            ; RFC 9112 §7
_CODING = re.compile(rb"[^;]*+")


def count(digits: bytes) -> int:
    """The number these ASCII digits spell, clamped to `LARGEST_LENGTH` so that a mile of digits costs nothing."""
    significant = digits.lstrip(b"0")
    return min(int(significant or b"0"), LARGEST_LENGTH) if len(significant) < 20 else LARGEST_LENGTH


def list_members(values: Sequence[bytes]) -> list[bytes]:
    """The members of a comma-separated list that may span several fields, white space stripped, empty ones left out."""
    members = (member.strip(b" \t") for member in b",".join(values).split(b","))
    return [member for member in members if member]


def has_option(values: Sequence[bytes], option: bytes) -> bool:
    """Whether a list field such as Connection holds this token, in any case."""
    return any(member.lower() == option for member in list_members(values))


def request_framing(
    method: bytes, version: bytes, transfer_encoding: Sequence[bytes], content_length: Sequence[bytes]
) -> Framing:
    """Decide the content of a request from its method, version and the values of the two framing fields."""
    if method == b"CONNECT":
        return Framing(
            FramingStep.CONNECT,
            0,
            "CONNECT has no content: once it is accepted, everything after the head is tunnel.",
            _other_framings(
                transfer_encoding, content_length, "a reader that frames CONNECT like any request"
            ),
            tunnel=True,
        )
    if transfer_encoding:
        return _transfer_framing(transfer_encoding, content_length, version, request=True)
    if content_length:
        return _length_framing(content_length)
    return NO_BODY_REQUEST


def response_framing(
    method: bytes,
    version: bytes,
    status: bytes,
    transfer_encoding: Sequence[bytes],
    content_length: Sequence[bytes],
) -> Framing:
    """Decide the content of the response that answers a request of this method (b"" when it isn't known)."""
    if status == b"101":
        return Framing(
            FramingStep.SWITCHED,
            0,
            "101 has no content: everything after the head belongs to the protocol that was agreed.",
            _other_framings(
                transfer_encoding, content_length, "a reader that frames 101 like a final response"
            ),
            tunnel=True,
        )
    if (len(status) == 3 and status[:1] == b"1") or status in {b"204", b"304"}:
        return Framing(
            FramingStep.NO_BODY_BY_STATUS,
            0,
            f"A {status.decode('ascii', 'replace')} response ends with its head, whatever its fields say.",
            # A 304 may tell the length that a 200 would have had (RFC 9110 §8.6): nobody is misled by it.
            ()
            if status == b"304"
            else _other_framings(transfer_encoding, content_length, "a reader that believes the fields"),
        )
    if method == b"HEAD":
        return Framing(
            FramingStep.NO_BODY_BY_METHOD,
            0,
            "The answer to HEAD ends with its head; its framing fields tell what GET would have sent.",
        )
    if method == b"CONNECT" and len(status) == 3 and status[:1] == b"2":
        return Framing(
            FramingStep.CONNECT,
            0,
            "A 2xx answer to CONNECT opens the tunnel: everything after the head is tunnel.",
            _other_framings(transfer_encoding, content_length, "a reader that missed the CONNECT"),
            tunnel=True,
        )
    if transfer_encoding:
        return _transfer_framing(transfer_encoding, content_length, version, request=False)
    if content_length:
        return _length_framing(content_length)
    return Framing(
        FramingStep.UNTIL_CLOSE,
        None,
        "With neither Content-Length nor Transfer-Encoding the content ends when the connection does.",
        until_close=True,
    )


def _other_framings(
    transfer_encoding: Sequence[bytes], content_length: Sequence[bytes], reader: str
) -> tuple[Alternative, ...]:
    """What a reader finds who uses the framing fields where the specification says they mean nothing."""
    if transfer_encoding:
        return (Alternative(reader, None, "It reads chunks after the head, as Transfer-Encoding says."),)
    if content_length:
        length = _length_framing(content_length).length
        if length:
            return (
                Alternative(reader, length, f"It reads {length} bytes of content, as Content-Length says."),
            )
    return ()


def _transfer_framing(
    transfer_encoding: Sequence[bytes], content_length: Sequence[bytes], version: bytes, *, request: bool
) -> Framing:
    """RFC 9112 §6.3 steps 3 and 4: Transfer-Encoding overrides Content-Length; only a final `chunked` delimits."""
    members = list_members(transfer_encoding)
    names = [
        coding[0].strip(b" \t").lower() if (coding := _CODING.match(member)) else b"" for member in members
    ]
    chunked = bool(names) and names[-1] == b"chunked"
    alternatives: list[Alternative] = []
    if chunked and members[-1].lower() != b"chunked":
        alternatives.append(
            Alternative(_REFUSE, None, "`chunked` takes no parameters, so it is not the chunked coding.")
        )
    if names.count(b"chunked") > 1:
        alternatives.append(
            Alternative(_REFUSE, None, "`chunked` may be applied only once; it refuses the message.")
        )
    if not chunked and any(b"chunked" in member.lower() for member in members):
        alternatives.append(
            Alternative(
                "a reader that searches for the word `chunked`",
                None,
                "It finds the word in Transfer-Encoding and reads chunks after the head.",
            )
        )
    if content_length:
        plain = _length_framing(content_length)
        alternatives.append(
            Alternative(
                "a reader that ignores Transfer-Encoding",
                plain.length,
                "It takes Content-Length for the truth; requests can be smuggled past two servers that differ here.",
            )
        )
    elif _is_old(version):
        alternatives.append(
            Alternative(
                "an HTTP/1.0 reader",
                0 if request else None,
                "Transfer-Encoding came with HTTP/1.1: it "
                + ("sees no content." if request else "reads until the connection closes."),
            )
        )
    if chunked:
        return Framing(
            FramingStep.CHUNKED,
            None,
            "`chunked` is the final transfer coding: the content is a series of chunks, and its end is the last chunk.",
            tuple(alternatives),
            chunked=True,
        )
    if not names:
        return _empty_transfer_framing(content_length, alternatives, request=request)
    if not request:
        return Framing(
            FramingStep.TRANSFER_UNTIL_CLOSE,
            None,
            "The final transfer coding is not `chunked`: the content ends when the connection does.",
            tuple(alternatives),
            until_close=True,
        )
    alternatives.append(
        Alternative(
            "a reader that doesn't know the coding", 0, "It skips Transfer-Encoding and sees no content."
        )
    )
    return Framing(
        FramingStep.TRANSFER_UNKNOWN,
        None,
        "A request whose final transfer coding is not `chunked` has no end that can be known; a server answers 400.",
        tuple(alternatives),
        lost=True,
    )


def _empty_transfer_framing(
    content_length: Sequence[bytes], alternatives: list[Alternative], *, request: bool
) -> Framing:
    """A Transfer-Encoding field that names no coding changes nothing, but not every reader sees it so."""
    refuses = Alternative(
        _REFUSE, None, "A Transfer-Encoding that names no coding breaks the grammar; it refuses the message."
    )
    if content_length:
        plain = _length_framing(content_length)
        return Framing(
            plain.step, plain.length, plain.sentence, (*plain.alternatives, refuses), lost=plain.lost
        )
    if request:
        return Framing(NO_BODY_REQUEST.step, 0, NO_BODY_REQUEST.sentence, (*alternatives, refuses))
    return Framing(
        FramingStep.UNTIL_CLOSE,
        None,
        "Transfer-Encoding names no coding: the content ends when the connection does.",
        (*alternatives, refuses),
        until_close=True,
    )


def _is_old(version: bytes) -> bool:
    """Whether this version is older than HTTP/1.1, where transfer codings began."""
    return version[:5].upper() == b"HTTP/" and version[5:] in {b"1.0", b"0.9", b"1", b"1."}


def _length_framing(values: Sequence[bytes]) -> Framing:
    """RFC 9112 §6.3 steps 5 and 6: one valid number, or a list of the same valid number."""
    # An empty member counts here: "Content-Length: ," spells no number at all.
    members = [member.strip(b" \t") for member in b",".join(values).split(b",")]
    if len(members) == 1 and members[0].isdigit() and members[0].isascii():
        return _counted(count(members[0]), members[0], ())
    lengths: list[int] = []
    alternatives: list[Alternative] = []
    valid = True
    for member in members:
        spelled = _LENGTH.match(member)
        if spelled is None:
            valid = False
            continue
        lengths.append(count(spelled[2]))
        if spelled[1]:
            alternatives.append(
                Alternative(_REFUSE, None, "A sign is not part of the number; it refuses the message.")
            )
    if not lengths:
        return Framing(
            FramingStep.LENGTH_INVALID,
            None,
            "Content-Length is not a number: where the content ends can't be known.",
            (
                Alternative(_REFUSE, None, "It refuses the message and closes the connection."),
                *_forgiving(values[0]),
            ),
            lost=True,
        )
    length = lengths[0]
    if not valid:
        alternatives.append(
            Alternative(_REFUSE, None, "Part of Content-Length is not a number; it refuses the message.")
        )
    alternatives.extend(
        Alternative(
            "a reader that takes the last Content-Length"
            if other == lengths[-1]
            else "a reader that takes another Content-Length",
            other,
            f"The values differ: it reads {other} bytes of content, not {length}.",
        )
        for other in dict.fromkeys(lengths[1:])
        if other != length
    )
    if any(other != length for other in lengths):
        alternatives.append(
            Alternative(_REFUSE, None, "Differing lengths can't both be true; it refuses the message.")
        )
    elif len(members) > 1 and valid and not alternatives:
        alternatives.append(
            Alternative(_REFUSE, None, "A repeated Content-Length may be refused (RFC 9110 §8.6).")
        )
    return _counted(length, members[0], tuple(alternatives))


def _counted(length: int, digits: bytes, alternatives: tuple[Alternative, ...]) -> Framing:
    if length == LARGEST_LENGTH:
        alternatives = (
            *alternatives,
            Alternative(
                "a reader with a fixed-size counter",
                None,
                "The number overflows its counter: it refuses the message, or reads the remainder as the length.",
            ),
        )
    return Framing(
        FramingStep.CONTENT_LENGTH,
        length,
        f"Content-Length says {length} bytes."
        if length < LARGEST_LENGTH
        else f"Content-Length has {len(digits)} digits, more bytes than anybody can send.",
        alternatives,
    )


def _forgiving(value: bytes) -> tuple[Alternative, ...]:
    """What a reader in the manner of C's atoi finds in a value that is not a number."""
    found = _LEADING_DIGITS.match(value)
    if found is None:
        return (Alternative("a forgiving reader", 0, "It takes what is not a number for zero."),)
    length = count(found[1])
    return (Alternative("a forgiving reader", length, f"It stops at the first odd byte and reads {length}."),)
