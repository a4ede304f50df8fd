"""What may stand in a rule file, table by table: the one definition behind the loader, the errors and the schema.

A struct is a TOML table, a field is a key of it. Nothing is interpreted here. Durations are `"300ms"`, `"2s"`, `"1m"`
or a number of seconds; sizes are `"4KiB"` or a number of bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from inspectd.rules.parts import (
    AuthTable,
    ChunkedTable,
    Coding,
    CodingTable,
    ConditionalTable,
    CookieTable,
    CorsTable,
    Duration,
    EventsTable,
    EventTable,
    FaultTable,
    HoldTable,
    InterimTable,
    PaceTable,
    PatchTable,
    Place,
    PollTable,
    Rate,
    RawLine,
    RedirectTable,
    ReplaceTable,
    RequestPatchTable,
    Size,
    Table,
    WebSocketAnswerTable,
    WebSocketMessageTable,
    WebSocketTable,
)

__all__ = [
    "AcceptTable",
    "AnswerTable",
    "AuthTable",
    "ChunkedTable",
    "Coding",
    "CodingTable",
    "ConditionalTable",
    "CookieTable",
    "CorsTable",
    "Duration",
    "EventTable",
    "EventsTable",
    "FaultTable",
    "FileTable",
    "HoldTable",
    "InterimTable",
    "MatchTable",
    "PaceTable",
    "PatchTable",
    "Place",
    "PollTable",
    "Rate",
    "RawLine",
    "RedirectTable",
    "ReplaceTable",
    "RequestPatchTable",
    "RuleTable",
    "Size",
    "Table",
    "TextMatch",
    "TextTest",
    "TlsTable",
    "WebSocketAnswerTable",
    "WebSocketMessageTable",
    "WebSocketTable",
]


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


# -- answers and rules


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
