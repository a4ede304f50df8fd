"""What may stand in a rule file, table by table: the one definition behind the loader, the errors and the schema.

A struct is a TOML table, a field is a key of it. Nothing is interpreted here. Durations are `"300ms"`, `"2s"`, `"1m"`
or a number of seconds; sizes are `"4KiB"` or a number of bytes.
"""

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


# -- what a rule is for


class TextMatch(Table):
    """How a text has to be: one of these."""

    equals: str | None = None
    glob: str | None = None
    regex: str | None = None
    present: bool | None = None


TextTest: TypeAlias = Annotated[
    str | bool | TextMatch,
    Meta(description="a glob (* ? [..]), true for present, false for absent, or a table"),
]


class MatchTable(Table):
    """What a request must be like. Every key that is given has to hold."""

    method: str | tuple[str, ...] | None = None
    """`GET`, `GET|HEAD` or a list; with the case it is sent in."""
    path: (
        Annotated[
            str, Meta(description="a glob over the path: * within a segment, ** across; {name} captures one")
        ]
        | None
    ) = None
    path_regex: (
        Annotated[str, Meta(description="a regular expression over the whole path (RE2 syntax)")] | None
    ) = None
    query: dict[str, TextTest] | None = None
    """Query parameters, decoded as forms are; any of those with the name may match."""
    host: TextTest | None = None
    """The host asked for, in any case; with its port only where the test names one."""
    header: dict[str, TextTest] | None = None
    """Field values; any of the lines with the name, in any case, may match."""
    body: str | None = None
    """A text that stands in the content."""
    body_regex: str | None = None
    """A regular expression (RE2 syntax) that is found in the content."""
    json: (
        Annotated[
            dict[str, Any], Meta(description="JSON path -> the value it must have; true alone: it exists")
        ]
        | None
    ) = None
    client: (
        Annotated[str, Meta(description="an address or a network", examples=["127.0.0.1", "10.0.0.0/8"])]
        | None
    ) = None
    tls: bool | None = None
    """True: only over TLS; False: only in clear text."""
    version: Annotated[str, Meta(examples=["HTTP/1.0"])] | None = None
    """The version of the request line."""
    nth: Annotated[int, Meta(ge=1, description="only the nth request of its connection")] | None = None
    first: bool | None = None
    """True: only the first request of a connection; False: only on a reused one."""


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


class AnswerTable(Table):
    """One answer. At most one of the bodies, and one of the ways to make an answer as a whole."""

    respond: (
        Annotated[str, Meta(description="the status line, verbatim; a code alone gets HTTP/1.1 before it")]
        | None
    ) = None
    headers: Annotated[tuple[str | RawLine, ...], Meta(description="field lines, verbatim and in order")] = ()
    body: str | None = None
    body_repeat: Annotated[
        int, Meta(ge=1, le=1 << 30, description="`body` stands for so many copies of it")
    ] = 1
    json: Any = msgspec.UNSET
    body_file: str | None = None
    body_hex: str | None = None
    raw: (
        Annotated[
            str, Meta(description="the whole answer, byte-exact: each character up to U+00FF is a byte")
        ]
        | None
    ) = None
    raw_file: str | None = None
    raw_hex: str | None = None
    template: Annotated[
        bool,
        Meta(
            description="respond, headers, the body, cookies, redirect and events are MiniJinja templates over method,"
            " target, path, query, query_all, version, headers, fields, host, body, json, captured, client, connection,"
            " number, count, now, tls, last_event_id; random(low, high), choice(list), uuid()"
        ),
    ] = False
    auto: (
        Annotated[
            tuple[Literal["date", "content-length", "transfer-encoding", "content-type", "connection"], ...],
            Meta(description="fields that inspectd may add when they are not given; default: all of them"),
        ]
        | None
    ) = None
    interim: tuple[str | InterimTable, ...] = ()
    coding: Coding | tuple[Coding, ...] | CodingTable | None = None
    chunked: bool | ChunkedTable = False
    conditional: bool | ConditionalTable = False
    redirect: str | RedirectTable | None = None
    auth: AuthTable | None = None
    cookies: tuple[str | CookieTable, ...] = ()
    cors: bool | CorsTable = False
    folder: (
        Annotated[
            str,
            Meta(
                description="serve the files of this folder; the part of the path that ** matched names one"
            ),
        ]
        | None
    ) = None
    events: tuple[str | EventTable, ...] | EventsTable | None = None
    websocket: WebSocketTable | None = None
    poll: bool | str | PollTable = False
    mirror: Annotated[bool, Meta(description="answer with the client's own request")] = False
    proxy: Annotated[
        bool | str,
        Meta(
            description="a server answers: true is the one that the mode would ask, a URL names another",
            examples=[True, "http://localhost:3000"],
        ),
    ] = False
    proxy_host: Annotated[str | None, Meta(description="the value of Host that the server is sent")] = None
    patch: PatchTable | None = None
    pace: PaceTable | None = None
    fault: FaultTable | tuple[FaultTable, ...] | None = None
    hold: bool | HoldTable = False
    close: Annotated[bool, Meta(description="close the connection after this answer")] = False
    weight: Annotated[
        float, Meta(ge=0, description='with pick = "weighted": how often, beside the others of `each`')
    ] = 1.0


class RuleTable(AnswerTable):
    """A rule: what it is for, and one answer, or several in `each`."""

    name: str | None = None
    """Its id, instead of the line it stands on."""
    about: str | None = None
    """What it is for, in words."""
    match: str | MatchTable = "*"
    """`"GET|HEAD /path/*"`, `"/path?query"`, `"*"`, or a table."""
    when: Annotated[
        str,
        Meta(
            description="answer when the request is complete, when its head is, or after so many bytes of its content",
            examples=["request", "head", "content 1000"],
        ),
    ] = "request"
    invite: Annotated[bool, Meta(description="whether Expect: 100-continue is answered with 100")] = True
    each: tuple[str | AnswerTable, ...] | None = None
    """Several answers, one after the other: status lines, or tables that take what they don't say from the rule."""
    then: Annotated[
        str,
        Meta(
            description="after the last of `each`: last, cycle, close, next (the next rule that matches) or a status",
            examples=["last", "cycle", "404", "close", "next"],
        ),
    ] = "last"
    per: Annotated[
        str,
        Meta(
            description="who has a place of their own in `each`",
            examples=["rule", "connection", "client", "header:NAME"],
        ),
    ] = "rule"
    pick: Literal["in-order", "weighted"] = "in-order"
    """Whether `each` is gone through, or chance decides by the weights."""
    seed: int = 0
    """What chance starts from: the same seed, the same answers."""


class AcceptTable(Table):
    """What happens to connections before a byte is read."""

    do: Literal["reset", "close", "wait", "refuse"]
    count: (
        Annotated[int, Meta(ge=1, description="reset, close: to so many connections; default: all")] | None
    ) = None
    after: Annotated[int, Meta(ge=0, description="after so many connections that are accepted as usual")] = 0
    # `for` is a word of Python
    seconds: (
        Annotated[Duration, Meta(description="wait, refuse: for so long; default: until it is changed")]
        | None
    ) = msgspec.field(default=None, name="for")


class TlsTable(Table):
    """What is wrong on purpose in the TLS handshake of clients that ask for a name. The first that fits counts."""

    name: Annotated[
        str,
        Meta(description="a glob over the name that the client asks for (SNI); * fits who names none, too"),
    ] = "*"
    certificate: (
        Annotated[
            Literal["expired", "not-yet-valid", "wrong-name", "self-signed", "unknown-issuer"],
            Meta(description="the flaw of the certificate that is shown"),
        ]
        | None
    ) = None
    version: (
        Annotated[
            Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
            Meta(description="the only version that is agreed to"),
        ]
        | None
    ) = None
    do: (
        Annotated[
            Literal["abort", "close", "reset", "stall"],
            Meta(
                description="instead of answering the ClientHello: a fatal alert, FIN, RST, or nothing at all"
            ),
        ]
        | None
    ) = None
    alert: Annotated[
        Literal[
            "handshake_failure",
            "unrecognized_name",
            "protocol_version",
            "insufficient_security",
            "internal_error",
            "access_denied",
            "decode_error",
            "illegal_parameter",
            "unexpected_message",
            "no_application_protocol",
        ],
        Meta(description="abort: which alert (RFC 8446 §6)"),
    ] = "handshake_failure"


class FileTable(Table):
    """A rule file."""

    rule: tuple[RuleTable, ...] = ()
    accept: AcceptTable | None = None
    tls: tuple[TlsTable, ...] = ()
    seed: int | None = None
