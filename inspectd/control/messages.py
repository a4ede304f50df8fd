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
    """What is to be answered from now on: the mirror, a rule's answer, or a status line with fields and content.

    `status` is a code, as text or a number, or a whole status line.
    `PUT /v1/answer` and `POST /v1/answer/preview` take it. Text becomes bytes as UTF-8. `body_file` is the absolute
    path of a file on the engine's machine; `no_auto` names the fields that inspectd must not add by itself. `rule` is
    the id of a rule in use: its answer goes to every request that no rule matches.
    """

    mirror: bool = False
    rule: str | None = None
    status: int | str | None = None
    headers: tuple[str, ...] = ()
    body: str | None = None
    body_base64: str | None = None
    body_file: str | None = None
    no_auto: tuple[str, ...] = ()


class CurrentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is being answered: a description for people, and the status line when it is always the same.

    While rules are in use `otherwise` describes what is answered where none of them matches. `passes`: where none does,
    requests go on to their servers.
    """

    description: str
    status_line: str | None = None
    otherwise: str | None = None
    passes: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/status`. Times are ns since the epoch.

    `rules` is the number of rules in use, `rules_error` what is wrong with a rule file that was changed: then its rules
    from before stay. `held` exchanges wait for somebody to decide, and the next `hold_next` will (null: all of them).
    `unrecorded` connections passed through a proxy that records --only others. `mode` is "answer", "proxy", or
    "reverse" with the URL of its `server`; `insecure`: the certificates of servers are not checked. `at_start`
    describes what was answered when the engine started, where it is something else now.
    """

    version: str
    pid: int
    addresses: tuple[str, ...]
    capture: str
    answer: CurrentAnswer
    exchanges: int
    connections_open: int
    started_ns: int
    capture_error: str | None = None
    rules: int = 0
    rules_error: str | None = None
    held: int = 0
    hold_next: int | None = 0
    unrecorded: int = 0
    mode: str = "answer"
    server: str | None = None
    insecure: bool = False
    at_start: str | None = None


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


class Complaint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with rules: where (`source` is a file, or `control`; lines and columns count from 1, 0
    where they are not known), which key, what, and the way out.
    """

    what: str
    mend: str = ""
    key: str = ""
    source: str = ""
    line: int = 0
    column: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of every 4xx and 5xx: what is wrong, and the way out. Wrong rules list all their `problems`."""

    error: str
    mend: str = ""
    problems: tuple[Complaint, ...] = ()


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done, and there is nothing to say: `{}`."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event of `GET /v1/events`, and what it says as JSON.

    `answer`, `rules`, `held`, `gone`, `released`, `clear`, `capture` or `stopping`.
    """

    name: str
    data: str
