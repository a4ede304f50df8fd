"""What the control API says of held exchanges and of what was recorded, version 1.

Times that end in `_ns` are ns since the epoch: more digits than a number in JavaScript holds.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from inspectd.control.rules_messages import MatchJson  # noqa: TC001  msgspec looks for it

Seconds: TypeAlias = Annotated[
    str | int | float,
    Meta(description='"300ms", "2s", "1m", or a number of seconds', examples=["2s"]),
]
Id: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
WaitState: TypeAlias = Literal["arrived", "held", "answered", "ended"]


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold the next so many requests: 0 stops it, null holds all of them until it is changed.

    After `timeout` a held exchange gets its normal answer. `owner` names who asks, so that all of theirs can be
    released together. With `lease` that happens by itself when for so long nobody has asked `GET /v1/holds`: whoever
    wanted to decide is gone.
    """

    next: Annotated[int, Meta(ge=0)] | None
    timeout: Seconds = "5m"
    owner: str = ""
    lease: Seconds | None = None


class HeldShown(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that waits for somebody to decide. `answer` (base64) is the beginning of its normal answer, of
    `answer_length` bytes (null: its end isn't known); `timeout` are seconds from `since_ns` on.
    """

    id: int
    connection: int
    number: int
    peer: str
    method: str | None
    target: str | None
    since_ns: int
    timeout: float
    client_gone: bool
    rule: str
    owner: str
    request_head: str
    answer: str
    answer_length: int | None
    label: str


class HoldsShown(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for somebody to decide, the oldest first, and how many of the next requests will."""

    next: int | None
    timeout: float
    held: tuple[HeldShown, ...]


class ReleaseRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How a held exchange is answered: with nothing in it the normal answer; or exactly these bytes (`raw_base64`,
    with `close` the connection is closed after them, with `rest_from` the normal answer goes on behind them from that
    byte of it); or the fields of an answer; or a rule's answer (`rule`, its
    id); or a rule file's answer as text (`toml`, relative paths start from `base`).
    """

    raw_base64: str | None = None
    rest_from: Annotated[int, Meta(ge=0)] | None = None
    close: bool = False
    status: int | str | None = None
    headers: tuple[str, ...] = ()
    body: str | None = None
    body_base64: str | None = None
    body_file: str | None = None
    no_auto: tuple[str, ...] = ()
    rule: str | None = None
    toml: str | None = None
    base: str | None = None


class ReleaseAllRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Release everything that is held with its normal answer, and hold no more; with `owner` only what they hold."""

    owner: str | None = None


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """How many exchanges were released."""

    released: int


class HoldNews(msgspec.Struct, frozen=True, kw_only=True):
    """The events `held`, `gone` (the client has sent FIN meanwhile) and `released`.

    `outcome` says how it came to an end: `released` (the normal answer), `answered` (another one), `dropped`, `reset`,
    `timeout`, `stopped` or `lost`.
    """

    id: int
    connection: int
    method: str | None
    target: str | None
    outcome: str = ""


class EvidenceShown(msgspec.Struct, frozen=True, kw_only=True):
    """What a client did with a crafted answer: one attempt.

    `planned`, `sent` and `acked` are bytes: of the whole answer, handed to the socket, acknowledged by the client's
    kernel. `attempt` counts the same request coming again, `previous` is the exchange before and `gap_ms` the time
    since it. `ended_by` (client, server) and `how` (fin, rst, timeout) say how the connection ended with it, and
    `after_ms` how long after the last byte. Null: not known, or it has not happened.
    """

    exchange: int
    rule: str
    planned: int | None
    sent: int
    acked: int | None
    reused: bool
    attempt: int
    previous: int | None
    gap_ms: float | None
    ended_by: str | None
    how: str | None
    after_ms: float | None


class ExchangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded exchange, in short. Text from the wire is read as UTF-8, other bytes as `\\\\xNN`.

    `complete`: the request arrived whole; `answered`: the response was sent whole; `aborted`: the connection ended
    before. `status` is a number when it is 100 to 999, else the text that was sent. `started` is `started_ns` in the
    form of RFC 3339.
    """

    id: int
    connection: int
    number: int
    method: str | None
    target: str | None
    version: str | None
    status: int | str | None
    reason: str | None
    client: str | None
    label: str | None
    complete: bool
    answered: bool
    aborted: bool
    held: bool
    started: str
    started_ns: int
    answered_ns: int | None
    finished_ns: int | None
    request_bytes: int
    response_bytes: int
    evidence: EvidenceShown | None = None


class ExchangesShown(msgspec.Struct, frozen=True, kw_only=True):
    """Exchanges in the order of their ids. `newest` is the id of the newest one there is: the `after` of what comes
    next. `more`: there are further ones behind the last of these.
    """

    exchanges: tuple[ExchangeShown, ...]
    newest: int
    more: bool = False


class MessageShown(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `head` are its bytes as they were on the wire (interim responses included), `content` its content
    without chunk framing, both base64; `fields` are `[name, value]` in order, one character a byte. Of a content
    larger than 1 MiB only the beginning is there (`whole` is false).
    """

    head: str
    content: str
    content_length: int
    whole: bool
    fields: tuple[tuple[str, str], ...]

    @property
    def head_bytes(self) -> bytes:
        """The head as it was on the wire."""
        return base64.b64decode(self.head)

    @property
    def content_bytes(self) -> bytes:
        """The content, or its beginning."""
        return base64.b64decode(self.content)


class ServerCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a server's certificate is for, who vouches for that (RFC 4514), and from when to when (RFC 3339)."""

    names: tuple[str, ...]
    subject: str
    issuer: str
    not_before: str
    not_after: str


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """The encryption of a connection to a server. `trusted`: the certificate was found good; null: none was shown.
    `problem` is what is wrong, in a sentence, and `alert` the alert that ended it.
    """

    version: str | None
    cipher: str | None
    alpn: str | None
    sni: str | None
    trusted: bool | None
    problem: str | None
    alert: str | None
    certificate: ServerCertificate | None


class UpstreamShown(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an exchange at the server it was forwarded to: over which connection, through which proxy
    (`via`), how long each step took, what was changed in the request and in the response, and what went wrong.
    """

    origin: str
    via: str | None
    tls: ServerTls | None
    connection: int | None
    request_bytes: int
    response_bytes: int
    phases_ms: dict[str, float]
    changes: tuple[dict[str, str | None], ...]
    response_changes: tuple[dict[str, str | None], ...]
    failure: str | None


class FindingShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is found in a message, how bad that is (`info`, `warning`, `error`), and which of its bytes it is about."""

    id: str
    severity: str
    start: int
    end: int
    summary: str
    section: str
    detail: str


class ExchangeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded exchange with its messages, and all attempts of the same request, the oldest first. `upstream` is
    there when it was forwarded to a server.
    """

    exchange: ExchangeShown
    peer: str | None
    local: str | None
    request: MessageShown
    response: MessageShown | None
    added: tuple[str, ...]
    attempts: tuple[EvidenceShown, ...]
    upstream: UpstreamShown | None = None
    findings: tuple[FindingShown, ...] = ()
    response_findings: tuple[FindingShown, ...] = ()


class NearMiss(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that was not what was asked for, and why."""

    exchange: int
    method: str | None
    target: str | None
    why_not: tuple[str, ...]


class WaitRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Wait until `count` exchanges after the exchange `after` match and are as far as `state` says.

    `arrived`: the request is complete; `held`: it waits for somebody to decide; `answered`: its answer is over,
    whether whole or not; `ended`: its connection is over as well, so that its evidence is complete.
    """

    match: MatchJson = "*"
    count: Annotated[int, Meta(ge=1)] = 1
    after: Id = 0
    state: WaitState = "answered"
    timeout: Seconds = "5s"


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """What came. `ok`: it was enough in time; otherwise `near_misses` says what came instead."""

    ok: bool
    count: int
    newest: int
    exchanges: tuple[ExchangeShown, ...]
    near_misses: tuple[NearMiss, ...] = ()


class VerifyRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How many exchanges after the exchange `after` have to match: exactly `count`, or between the two bounds; with
    none of them at least one.
    """

    match: MatchJson = "*"
    count: Annotated[int, Meta(ge=0)] | None = None
    at_least: Annotated[int, Meta(ge=0)] | None = None
    at_most: Annotated[int, Meta(ge=0)] | None = None
    after: Id = 0


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is so, how many matched (the first 100 are in `exchanges`), and what came closest of the others."""

    ok: bool
    count: int
    exchanges: tuple[ExchangeShown, ...]
    near_misses: tuple[NearMiss, ...] = ()
