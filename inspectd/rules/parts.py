"""The parts of an answer that a rule file may name, a struct for each table; `tables` puts them together."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

Duration: TypeAlias = Annotated[
    str | int | float, Meta(description='"300ms", "2s", "1m", or a number of seconds')
]
Size: TypeAlias = Annotated[str | int, Meta(description='"4KiB", "2MB", or a number of bytes')]
Rate: TypeAlias = Annotated[
    str, Meta(description="bytes in a time", examples=["4KiB/s", "1B/20ms", "100B/1s"])
]
Place: TypeAlias = Annotated[
    str,
    Meta(
        description="a place in the answer: before its first byte (start), after the status line, the head or the body,"
        " after so many bytes of the whole answer (byte N), or some way into one of these parts",
        examples=[
            "start",
            "status-line",
            "head",
            "body",
            "byte 100",
            "body+50%",
            "head+10",
            "chunk 2",
            "50%",
        ],
    ),
]
Coding: TypeAlias = Literal["gzip", "deflate", "br", "zstd", "identity"]


class Table(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab"):
    """A TOML table. Keys of more than one word have a hyphen: `body-file`. An underscore is understood as well."""


# -- what an answer is made of


class RawLine(Table):
    """A field line as bytes: each character up to U+00FF stands for the byte of that number."""

    raw: str
    length: Annotated[Size, Meta(description="the line is filled up with the letter a to so many bytes")] = 0
    times: Annotated[int, Meta(ge=1, le=1_000_000, description="the line is sent so many times")] = 1


class CodingTable(Table):
    """Content codings, right or deliberately wrong."""

    apply: tuple[Coding, ...] = ()
    say: (
        Annotated[
            str, Meta(description="the value of Content-Encoding; default: what was applied, empty: no field")
        ]
        | None
    ) = None
    damage: Literal["truncate", "flip", "checksum", "garbage-after"] | None = None
    members: Annotated[int, Meta(ge=1, description="gzip: split the content into so many members")] = 1


class ChunkedTable(Table):
    """Chunked transfer coding, chunk by chunk."""

    sizes: (
        Annotated[
            tuple[Annotated[int, Meta(ge=1)], ...],
            Meta(description="sizes of the chunks; the last one repeats"),
        ]
        | None
    ) = None
    extension: Annotated[str, Meta(description="what goes after each size, verbatim", examples=[";a=b"])] = ""
    trailers: tuple[str | RawLine, ...] = ()
    size_lines: Annotated[
        tuple[str, ...],
        Meta(description="size lines to send instead of the right ones, verbatim, without line end"),
    ] = ()
    line_end: Annotated[str, Meta(description="the line end of the chunk framing", examples=["\\n"])] = "\r\n"
    last: Annotated[bool, Meta(description="whether the last chunk (and the trailer section) is sent")] = True


class InterimTable(Table):
    """An interim response before the final one."""

    respond: str
    headers: tuple[str | RawLine, ...] = ()
    after: Duration = 0
    times: Annotated[int, Meta(ge=1, le=100_000, description="it is sent so many times")] = 1


class RedirectTable(Table):
    """A redirect; `chain` leads through so many steps, `loop` never ends."""

    to: Annotated[str, Meta(description="the value of Location, verbatim")]
    status: Annotated[str, Meta(examples=["301", "302 Found", "308"])] = "302 Found"
    chain: Annotated[
        int,
        Meta(
            ge=0,
            description="so many redirects: through the rule's own path with ?hop=1, ?hop=2, ..., the last one to `to`;"
            " when that is the rule's own path, or blank, the request that comes then gets the ordinary answer",
        ),
    ] = 0
    loop: Annotated[
        bool,
        Meta(
            description="to `to` (blank: the rule's own path) again and again; with `chain`, so many addresses"
        ),
    ] = False


class AuthTable(Table):
    """Authentication that really checks. Without the right credentials the client gets a challenge."""

    scheme: Literal["basic", "digest", "bearer"] | None = None
    basic: dict[str, str] | None = None
    """User name to password."""
    digest: dict[str, str] | None = None
    bearer: str | tuple[str, ...] | None = None
    realm: str = "inspectd"
    proxy: Annotated[
        bool, Meta(description="407 and Proxy-Authenticate instead of 401 and WWW-Authenticate")
    ] = False
    algorithm: Literal["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"] = "SHA-256"
    stale: Annotated[int, Meta(ge=0, description="digest: say stale=true to so many right answers first")] = 0
    challenges: Annotated[
        tuple[str, ...], Meta(description="further challenges, verbatim, a field line each")
    ] = ()


class CookieTable(Table):
    """A cookie to set, attributes as given."""

    name: str
    value: str = ""
    path: str | None = None
    domain: str | None = None
    max_age: int | None = None
    expires: str | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str | None = None
    partitioned: bool = False


class CorsTable(Table):
    """CORS: answers preflights by itself and adds the fields to other answers, rightly or deliberately wrongly."""

    origins: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("*",)
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int | None = None
    wrong: (
        Literal[
            "no-origin",
            "other-origin",
            "two-origins",
            "wildcard-with-credentials",
            "no-method",
            "no-header",
            "preflight-redirect",
            "preflight-404",
        ]
        | None
    ) = None


class ConditionalTable(Table):
    """Validators and ranges: 304, 412, 206 and 416 are answered by themselves."""

    etag: Annotated[str, Meta(description='with its quotes; "auto" makes one from the content')] | None = None
    last_modified: (
        Annotated[str, Meta(description='an HTTP date, or "auto" for the time of the file')] | None
    ) = None
    ranges: bool = True
    wrong: (
        Literal[
            "ignore-range",
            "content-range-off-by-one",
            "content-range-other-total",
            "no-content-range",
            "always-304",
        ]
        | None
    ) = None


class EventTable(Table):
    """A server-sent event, or a comment, or just a pause."""

    data: str | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None
    raw: str | None = None
    after: Duration | None = None
    """How long to wait before it, instead of `every`."""


class EventsTable(Table):
    """An event stream."""

    send: tuple[str | EventTable, ...]
    every: Duration = 0
    repeat: bool = False
    close: bool = True
    """False: after the last event the stream stays open."""


class WebSocketMessageTable(Table):
    """A message of a WebSocket, or a frame that is wrong on purpose, or what happens to the connection."""

    text: str | None = None
    json: Any = msgspec.UNSET
    binary_hex: str | None = None
    ping: str | None = None
    pong: str | None = None
    close: Annotated[
        bool | int | None,
        Meta(description="a Close frame with this code, any there can be; true: without one"),
    ] = None
    reason: Annotated[str, Meta(description="close: why, in words")] = ""
    raw_hex: Annotated[str | None, Meta(description="these bytes, whatever they are")] = None
    do: Annotated[
        Literal["close", "half-close", "reset", "stall"] | None,
        Meta(description="what happens to the TCP connection, without a Close frame"),
    ] = None
    after: Duration | None = None
    """How long to wait before it, instead of `every`."""
    fragment: Annotated[int, Meta(ge=1, description="send it in frames of so many bytes")] | None = None
    masked: Annotated[bool, Meta(description="mask it, which only clients may")] = False
    rsv: Annotated[int, Meta(ge=0, le=7, description="the reserved bits: 4 is RSV1")] = 0
    length_form: Annotated[
        int | None, Meta(description="bits that the length takes, needed or not: 7, 16 or 64")
    ] = None
    length: Annotated[int, Meta(ge=0, description="the length that the frame claims")] | None = None
    opcode: Annotated[int, Meta(ge=0, le=15, description="instead of the right one")] | None = None
    fin: Annotated[bool | None, Meta(description="the FIN bit of the last frame")] = None


class WebSocketAnswerTable(Table):
    """What is said when a message comes. The first one that matches answers."""

    text: Annotated[str | None, Meta(description="a glob over a text message; default: any message")] = None
    binary: Annotated[bool | None, Meta(description="only binary messages, or only text")] = None
    send: tuple[str | WebSocketMessageTable, ...] = ()


class WebSocketTable(Table):
    """A WebSocket server: what it says by itself, and what it answers."""

    echo: Annotated[bool, Meta(description="send back what no item of `on` answers")] = False
    send: tuple[str | WebSocketMessageTable, ...] = ()
    every: Duration = 0
    """How long to wait between two messages of `send`."""
    repeat: bool = False
    on: tuple[WebSocketAnswerTable, ...] = ()
    protocol: Annotated[
        str | tuple[str, ...],
        Meta(description="subprotocols that are spoken: the first one offered is chosen"),
    ] = ()
    compress: Annotated[bool, Meta(description="permessage-deflate, when it is offered")] = False
    accept: Annotated[
        Literal["right", "wrong", "missing"], Meta(description="what Sec-WebSocket-Accept says")
    ] = "right"
    pong: Annotated[bool, Meta(description="whether pings are answered")] = True
    close_answer: Annotated[bool, Meta(description="whether a Close frame is answered")] = True
    ping_every: Annotated[
        Duration, Meta(description="ping so often; close with 1011 when no pong came until the next one")
    ] = 0
    idle: Annotated[Duration, Meta(description="close with 1001 when the client was silent for so long")] = 0
    largest: Annotated[Size, Meta(description="a longer message of the client is answered with 1009")] = (
        "1MiB"
    )


class PollTable(Table):
    """A long poll: the answer waits until a gate is opened; when the time is over, `otherwise` is the answer."""

    gate: Annotated[
        str | None, Meta(description="default: the name of the rule, else the path without its first slash")
    ] = None
    timeout: Duration = "30s"
    otherwise: str = "204 No Content"


class ReplaceTable(Table):
    """Words to find in a text, and what stands there instead, each time."""

    find: Annotated[str, Meta(min_length=1)]
    # `with` is a word of Python
    instead: str = msgspec.field(default="", name="with")


class RequestPatchTable(Table):
    """What is changed of a request before its server gets it."""

    target: Annotated[str | None, Meta(description="the request target, verbatim")] = None
    set: tuple[str | RawLine, ...] = ()
    remove: tuple[str, ...] = ()
    headers: tuple[str | RawLine, ...] = ()


class PatchTable(Table):
    """What is changed of a server's answer. Everything else reaches the client as it was sent."""

    respond: Annotated[str | None, Meta(description="another status line, verbatim")] = None
    set: Annotated[
        tuple[str | RawLine, ...],
        Meta(description="field lines, each instead of the first one of its name; further ones go"),
    ] = ()
    remove: Annotated[
        tuple[str, ...], Meta(description="names of fields that go, globs, in any case", examples=["X-*"])
    ] = ()
    headers: Annotated[tuple[str | RawLine, ...], Meta(description="field lines that are added")] = ()
    body: str | None = None
    json: Any = msgspec.UNSET
    body_file: str | None = None
    body_hex: str | None = None
    replace: Annotated[
        tuple[ReplaceTable, ...], Meta(description="in texts of up to 8 MiB, with their codings taken off")
    ] = ()
    request: RequestPatchTable | None = None


# -- how it is sent


class PaceTable(Table):
    """When the bytes of an answer leave."""

    before: Duration = 0
    head: Rate | None = None
    body: Rate | None = None
    all: Rate | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.0
    seed: int = 0


class FaultTable(Table):
    """Something goes wrong at a place in the answer."""

    do: Literal["close", "half-close", "reset", "stall", "truncate", "garbage"]
    at: Place = "start"
    bytes: (
        Annotated[str, Meta(description="garbage: these bytes instead of random ones; U+00NN is a byte")]
        | None
    ) = None
    length: Annotated[Size, Meta(description="garbage: how many random bytes")] = 64
    seed: int = 0
    after: Duration = 0
    """How long to wait at the place first."""
    per: Annotated[
        Literal["response", "connection"],
        Meta(description="where `byte N` counts from: the response, or all that was sent on its connection"),
    ] = "response"


class HoldTable(Table):
    """The exchange waits for a person or a test to decide."""

    timeout: Duration = "5m"
