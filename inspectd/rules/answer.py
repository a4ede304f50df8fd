"""Fixed answers: from the words of a person to the program that sends them, byte for byte.

A status line and field lines are kept verbatim. What inspectd adds by itself is Date, Content-Length and
Connection, each only when the person gave none and only while it is in `Answer.auto`; the program lists what
was added. Nothing is repaired: an answer that contradicts itself is sent as it is, and `remarks` says what is
odd about it. Framing follows RFC 9112 §6.3 and RFC 9110 §8.6, persistence RFC 9112 §9.3.
"""

from __future__ import annotations

import re
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspectd.errors import InspectdError
from inspectd.rules.program import Close, Op, Program, Send, SendFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.rules.request import Request

AUTOMATIC: Final = frozenset({"date", "content-length", "connection"})
"""The fields that inspectd can add by itself, by their names in lower case."""

LARGE_FILE: Final = 1 << 20
"""A body file above this many bytes is read while it is sent."""

JOINED: Final = 65536
"""A body up to this many bytes is sent in one piece with its head."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# A whole status line opens with a version: a word with a "/" in it, or starting with "HTTP", or "ICY" (what
# Shoutcast servers say), or any word that a number follows.
_WHOLE_STATUS_LINE: Final = re.compile(r"[^\s0-9]\S*/|(?i:http)|ICY(?: |\Z)|[^\s0-9]\S* [0-9]")
# status-line = HTTP-version SP status-code SP [ reason-phrase ]
_STATUS_CODE: Final = re.compile(rb"[^ ]*+ ++([0-9]++)(?![^ ])")


class AnswerError(InspectdError):
    """An answer that can't be sent as it was written: what is wrong, and how to mend it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what, mend, exit_code=2)


class _Compiled:
    """The programs of one answer that are valid now, by what they depend on."""

    __slots__ = ("programs", "valid")

    def __init__(self) -> None:
        self.valid: object = None
        self.programs: dict[tuple[bytes, bool, bool], Program] = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, as a person wants it.

    `status_line` and each line of `fields` stand without their line ends. `body` is the content, or the file
    that holds it. `auto` names the fields that may be added (see `AUTOMATIC`); an empty set adds nothing. `label`
    says where the answer came from, and becomes `Program.label`.
    """

    status_line: bytes
    fields: tuple[bytes, ...] = ()
    body: bytes | Path = b""
    auto: frozenset[str] = AUTOMATIC
    label: str = ""
    _compiled: _Compiled = field(default_factory=_Compiled, init=False, repr=False, compare=False)


def parse_status(text: str) -> bytes:
    """The status line that a person means by `text`, verbatim.

    Text that opens with a digit is a status code with whatever follows it, and `HTTP/1.1 ` goes before it:
    `503` sends no trailing SP, `503 ` an empty reason phrase. Text that opens with a version (a word with a
    `/`, a word that begins with HTTP, `ICY`, or any word that a number follows) is the whole line. Characters
    are sent as UTF-8, undecodable bytes of a command line as they were. Raises `AnswerError` for anything
    else.

    >>> parse_status("418 I'm a teapot"), parse_status("HTTP/2.0 299")
    (b"HTTP/1.1 418 I'm a teapot", b'HTTP/2.0 299')
    """
    line = one_line(text, "status line")
    if line[:1].isdigit():
        return b"HTTP/1.1 " + line
    if _WHOLE_STATUS_LINE.match(text):
        return line
    raise AnswerError(
        f"not a status: {text!r}",
        "Start with a status code (503, '503 Back Soon') or write the whole line ('HTTP/1.1 503 Back Soon').",
    )


def parse_field(text: str) -> bytes:
    """The field line that a person means by `text`, verbatim: `Name: value`, with an empty name or no SP if
    wanted.

    A line that begins with SP or HTAB continues the one before it (obs-fold, RFC 9112 §5.2). Raises
    `AnswerError` for a line with neither colon nor fold, and for one that holds a line end.
    """
    line = one_line(text, "header")
    if b":" not in line and not line.startswith((b" ", b"\t")):
        raise AnswerError(f"no colon in the header {text!r}", "Write it as 'Name: value'.")
    return line


def one_line(text: str, what: str) -> bytes:
    """The bytes of a line that a person wrote, as UTF-8. `what` names it in the `AnswerError` for a line end."""
    for end in ("\r", "\n"):
        if end in text:
            raise AnswerError(f"a line end inside the {what} {text!r}", f"A {what} is one line: take it out.")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise AnswerError(f"a lone surrogate in the {what} {text!r}", "Write it as UTF-8 text.") from None


def make_answer(
    status: str = "200 OK",
    headers: Iterable[str] = (),
    body: bytes | Path = b"",
    *,
    auto: frozenset[str] = AUTOMATIC,
) -> Answer:
    """An answer from the words of a command line or an API call.

    Raises `AnswerError` when one of them can't be sent, or when a body file can't be read.
    """
    line = parse_status(status)
    label = f"answer {status.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')}"
    answer = Answer(line, tuple(parse_field(header) for header in headers), body, auto, label=label)
    if isinstance(body, Path):
        file_size(body)
    return answer


def status_code(status_line: bytes) -> int | None:
    """The number in a status line, or None when there is none. Not always three digits: it is what was
    written.
    """
    match = _STATUS_CODE.match(status_line)
    return int(match[1][:9]) if match else None


def imf_fixdate(now: float) -> str:
    """Seconds since the epoch as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), in any locale."""
    at = time.gmtime(now)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    )


def compile_answer(answer: Answer, request: Request, *, now: float, persist: bool) -> Program:
    """The program that answers `request`, from a cache while the clock's second and the file are the same.

    Raises `AnswerError` when the answer's body file can't be read.
    """
    head = request.head
    return compile_for(answer, method=head.method, version=head.version, now=now, persist=persist)


def compile_for(
    answer: Answer,
    *,
    now: float,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    persist: bool = True,
) -> Program:
    """The program that answers a request of this method and version: what `compile_answer` does, for a
    preview.
    """
    compiled = answer._compiled  # noqa: SLF001
    valid: object = int(now)
    if not isinstance(answer.body, bytes):
        valid = (valid, file_state(answer.body))
    if compiled.valid != valid:
        compiled.valid = valid
        compiled.programs.clear()
    key = (method if method in _SPECIAL_METHODS else b"", version == b"HTTP/1.0", persist)
    program = compiled.programs.get(key)
    if program is None:
        program = compiled.programs[key] = _build(answer, now, key)
    return program


_SPECIAL_METHODS: Final = frozenset({b"HEAD", b"CONNECT"})


def _build(answer: Answer, now: float, key: tuple[bytes, bool, bool]) -> Program:
    method, old_client, persist = key
    size = len(answer.body) if isinstance(answer.body, bytes) else file_size(answer.body)
    bodiless = has_no_content(method, status_code(answer.status_line))
    added, closes = automatic_fields(
        answer.status_line,
        answer.fields,
        answer.auto,
        size=size,
        method=method,
        old_client=old_client,
        persist=persist,
        now=now,
    )
    head = head_bytes(answer.status_line, answer.fields, added)
    ops: list[Op] = []
    if bodiless or not size:
        ops.append(Send(head))
    elif isinstance(answer.body, bytes):
        ops += [Send(head + answer.body)] if size <= JOINED else [Send(head), Send(answer.body)]
    elif size > LARGE_FILE:
        ops += [Send(head), SendFile(answer.body, 0, size)]
    else:
        ops.append(Send(head + _read_file(answer.body, size)))
    if closes:
        ops.append(Close())
    return Program(tuple(ops), label=answer.label, added=tuple(added))


def head_bytes(status_line: bytes, fields: Iterable[bytes], added: Iterable[str] = ()) -> bytes:
    """A head: the status line, the field lines as they are and those that were added, and the empty line."""
    return b"\r\n".join((status_line, *fields, *(line.encode("utf-8") for line in added), b"", b""))


def automatic_fields(
    status_line: bytes,
    fields: Iterable[bytes],
    auto: frozenset[str],
    *,
    size: int | None,
    method: bytes,
    old_client: bool,
    persist: bool,
    now: float,
    chunked: bool = False,
) -> tuple[list[str], bool]:
    """The field lines that inspectd adds to a head, and whether the connection closes after the answer.

    `size` is the number of bytes of content, None when nobody knows it; `chunked` says that the content is sent in
    chunks. A field is added when `auto` names it and `fields` has none of its name. `old_client` is one of HTTP/1.0,
    `persist` whether the connection may go on, and `now` in seconds since the epoch.
    """
    fields = tuple(fields)
    code = status_code(status_line)
    given = field_names(fields)
    automatic = auto - given
    framed = has_no_content(method, code) or "content-length" in given or "transfer-encoding" in given
    added: list[str] = []
    if "date" in automatic and not _interim(code):
        added.append(f"Date: {imf_fixdate(now)}")
    if _may_say_length(method, code):
        if chunked:
            if "transfer-encoding" in automatic:
                added.append("Transfer-Encoding: chunked")
                framed = True
        elif "content-length" in automatic and "transfer-encoding" not in given and size is not None:
            added.append(f"Content-Length: {size}")
            framed = True
    # What follows a CONNECT is meant for a tunnel: when there is none, nothing more of it is read.
    refused = method == b"CONNECT" and not has_no_content(method, code)
    closes = not persist or not framed or refused or "close" in _connection_options(fields)
    if "connection" in automatic:
        if closes:
            added.append("Connection: close")
        elif old_client or status_line.startswith(b"HTTP/1.0"):
            added.append("Connection: keep-alive")
    return added, closes


def has_no_content(method: bytes, code: int | None) -> bool:
    """Whether a response to `method` with this code ends with its head, whatever its fields say (RFC 9112
    §6.3).
    """
    if code is None:
        return method == b"HEAD"
    return (
        method == b"HEAD"
        or _interim(code)
        or code in {204, 304}
        or (method == b"CONNECT" and 200 <= code < 300)
    )


def _interim(code: int | None) -> bool:
    return code is not None and 100 <= code < 200


def _may_say_length(method: bytes, code: int | None) -> bool:
    """RFC 9110 §8.6: no Content-Length in 1xx, 204 and in what opens a tunnel; of no use in 304."""
    if code in {204, 304} or _interim(code):
        return False
    return method == b"HEAD" or not has_no_content(method, code)


def field_names(fields: Iterable[bytes]) -> frozenset[str]:
    """The names of some field lines, in lower case, without white space that would hide them from us only."""
    return frozenset(line.partition(b":")[0].strip().lower().decode("latin-1") for line in fields)


def _connection_options(fields: Iterable[bytes]) -> set[str]:
    """The options of Connection, in lower case. A line that begins with white space goes on with the one before."""
    values: list[bytes] = []
    within = False
    for line in fields:
        if within and line.startswith((b" ", b"\t")):
            values[-1] += line
            continue
        name, _, value = line.partition(b":")
        within = name.strip().lower() == b"connection"
        if within:
            values.append(value)
    return {option.strip().lower().decode("latin-1") for option in b",".join(values).split(b",")}


def file_state(path: Path) -> tuple[int, int, int]:
    """What changes when the file does. Only an ordinary file will do: a pipe would block whoever opens it."""
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(state.st_mode):
        what = "a directory" if stat.S_ISDIR(state.st_mode) else "not an ordinary file"
        raise AnswerError(f"can't use the body file {str(path)!r}: it is {what}", "Name an ordinary file.")
    return state.st_mtime_ns, state.st_size, state.st_ino


def file_size(path: Path) -> int:
    """The size in bytes of a body file that can be opened."""
    file_state(path)
    try:
        with path.open("rb") as file:
            return file.seek(0, 2)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_file(path: Path, size: int) -> bytes:
    """Exactly `size` bytes: a file that changed in this moment must not contradict its Content-Length."""
    if file_state(path)[1] != size:
        raise AnswerError(f"the body file {str(path)!r} changed while it was read", "Send the request again.")
    return read_slice(path, 0, size)


def read_slice(path: Path, offset: int, length: int) -> bytes:
    """Exactly `length` bytes of a file. Raises `AnswerError` when it can't be read, or has become shorter."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) != length:
        raise AnswerError(f"the body file {str(path)!r} changed while it was read", "Send the request again.")
    return data


def _unreadable(path: Path, error: OSError | ValueError) -> AnswerError:
    why = str(getattr(error, "strerror", None) or error).lower()
    return AnswerError(
        f"can't read the body file {str(path)!r}: {why}", "Name a file that this user can read."
    )


def preview(program: Program, limit: int = 65536) -> bytes:
    """The first bytes that a program sends, at most `limit` of them. Waiting, holding and closing show
    nothing.
    """
    parts: list[bytes] = []
    room = limit
    for op in program.ops:
        if room <= 0:
            break
        if isinstance(op, Send):
            parts.append(op.data[:room])
        elif isinstance(op, SendFile):
            try:
                with op.path.open("rb") as file:
                    file.seek(op.offset)
                    parts.append(file.read(min(room, op.length)))
            except OSError as error:
                raise _unreadable(op.path, error) from error
        else:
            continue
        room -= len(parts[-1])
    return b"".join(parts)


def remarks(answer: Answer) -> list[str]:
    """What a person should know before this answer is sent, a sentence each. It is sent all the same."""
    code = status_code(answer.status_line)
    given = field_names(answer.fields)
    size = len(answer.body) if isinstance(answer.body, bytes) else file_size(answer.body)
    said: list[str] = []
    if code is None:
        said.append("The status line holds no status code: most clients will give up on it.")
    elif not 100 <= code <= 599:
        said.append(f"{code} is outside 100 to 599: each client decides for itself what it means.")
    if _interim(code):
        said.append(f"{code} is an interim status: a client goes on waiting for the final response.")
    if size and has_no_content(b"GET", code):
        said.append(f"A {code} response ends with its head: the body is not sent.")
    lengths = {
        line.partition(b":")[2].strip() for line in answer.fields if "content-length" in field_names([line])
    }
    if lengths and lengths != {str(size).encode()} and not has_no_content(b"GET", code):
        claimed = ", ".join(sorted(length.decode("latin-1") for length in lengths))
        said.append(f"Content-Length says {claimed}, and the body has {size} bytes.")
    if "transfer-encoding" in given:
        said.append("Transfer-Encoding is yours: the body is sent as it is and must hold the chunks itself.")
        if lengths:
            said.append(
                "Transfer-Encoding and Content-Length together: clients differ in which one they believe."
            )
    unframed = not ({"content-length", "transfer-encoding"} & given) and "content-length" not in answer.auto
    if unframed and not has_no_content(b"GET", code):
        said.append("Nothing says where the body ends: the connection is closed after it.")
    return said


_PROBLEMS: Final = {
    400: ("Bad Request", "This is not a request that an HTTP/1.1 server should answer (RFC 9112)."),
    407: ("Proxy Authentication Required", "This proxy wants to know who uses it."),
    408: ("Request Timeout", "The rest of the request did not arrive in time."),
    414: ("URI Too Long", "The request line is longer than inspectd is set to read."),
    431: ("Request Header Fields Too Large", "The head is longer than inspectd is set to read."),
    500: ("Internal Server Error", "The answer that was asked for can't be sent."),
    501: ("Not Implemented", "inspectd does not do that."),
    502: ("Bad Gateway", "The server that this is forwarded to gave no answer."),
    503: ("Service Unavailable", "As many connections are open as inspectd is set to allow."),
    504: ("Gateway Timeout", "The server that this is forwarded to took too long."),
    505: ("HTTP Version Not Supported", "inspectd speaks HTTP/1.1 here."),
    508: ("Loop Detected", "This would be forwarded to inspectd itself."),
}


def problem_answer(status: int, sentence: str = "", mend: str = "") -> Answer:
    """The answer of inspectd itself when it can't give the one that was asked for. It closes the connection.

    `sentence` says what is wrong (each status has one of its own) and `mend` what to do about it. Both must
    be words of inspectd or safe text: they are sent as UTF-8 plain text.
    """
    reason, usual = _PROBLEMS.get(status, ("", "inspectd can't answer this."))
    title = f"{status} {reason}".rstrip()
    text = f"{title}\n\n{sentence or usual}\n{mend}"
    return Answer(
        f"HTTP/1.1 {status} {reason}".encode(),
        (
            b"Content-Type: text/plain; charset=utf-8",
            b"X-Content-Type-Options: nosniff",
            b"Cache-Control: no-store",
            b"Connection: close",
        ),
        (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace"),
        label=f"problem {title}",
    )
