"""What the control API says, version 1: the JSON of requests and responses as values.

Both sides use these structs, so a field can't mean two things. New optional fields may come within `/v1`; a field
never changes its meaning there.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

PREFIX: Final = "/v1"
SOCKET_HOST: Final = "inspectd"
"""The Host that clients of the Unix socket send."""


class AnswerRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is to be answered from now on: the mirror, or a status line with fields and content.

    `PUT /v1/answer` and `POST /v1/answer/preview` take it. Text becomes bytes as UTF-8. `body_file` is the absolute
    path of a file on the engine's machine; `no_auto` names the fields that inspectd must not add by itself.
    """

    mirror: bool = False
    status: str | None = None
    headers: tuple[str, ...] = ()
    body: str | None = None
    body_base64: str | None = None
    body_file: str | None = None
    no_auto: tuple[str, ...] = ()


class CurrentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is being answered: a description for people, and the status line when it is always the same."""

    description: str
    status_line: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/status`. Times are ns since the epoch."""

    version: str
    pid: int
    addresses: tuple[str, ...]
    capture: str
    answer: CurrentAnswer
    exchanges: int
    connections_open: int
    started_ns: int
    capture_error: str | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `POST /v1/answer/preview`: what a plain GET would be sent, and nothing is changed.

    `bytes` (base64; `data` here) are the first 64 KiB of `length`; `steps` are sentences on what is done;
    `added` lists the field lines that inspectd adds by itself; `remarks` says what is odd about the answer.
    """

    encoded: str = msgspec.field(name="bytes")
    length: int
    steps: tuple[str, ...]
    added: tuple[str, ...]
    remarks: tuple[str, ...]
    label: str

    @property
    def data(self) -> bytes:
        """The bytes of the preview."""
        return base64.b64decode(self.encoded)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of every 4xx and 5xx: what is wrong, and the way out."""

    error: str
    mend: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event of `GET /v1/events`: `answer`, `clear`, `capture` or `stopping`, and what it says."""

    name: str
    data: str
