"""What the control API says of rules, version 1. Tables of rules are those of `rules.tables`, as JSON objects.

A request takes a table as it comes, so that the rules' own loader says what is wrong with it; the schema names the
struct that it has to be.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from inspectd.control.messages import Complaint  # noqa: TC001  msgspec looks for it

RuleJson: TypeAlias = Annotated[
    dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/RuleTable"})
]
AcceptJson: TypeAlias = Annotated[
    dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/AcceptTable"})
]
MatchJson: TypeAlias = Annotated[
    str | Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/MatchTable"})],
    Meta(description='what requests have to be like: "POST /pay/*", or a table'),
]


class RulesRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Rules, in one of three ways: a rule file's text, a list of its tables, or files that the engine reads itself.

    `base` is the absolute path of the folder that relative paths in `toml` and `rules` start from; without it they are
    refused. Paths in `files` are absolute.
    """

    toml: str | None = None
    rules: tuple[RuleJson, ...] | None = None
    files: tuple[str, ...] | None = None
    base: str | None = None


class RuleShown(msgspec.Struct, frozen=True, kw_only=True):
    """A rule in use. `line` is where it stands in its file, 0 where there is none; `calls` how often it answered."""

    id: str
    name: str | None
    line: int
    match: str
    answer: str
    calls: int


class RulesProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a source's newest rules are not in use."""

    problems: tuple[Complaint, ...]


class SourceShown(msgspec.Struct, frozen=True, kw_only=True):
    """Where rules come from: a file that is watched, or what was put over the control API. `error` says why a change
    of the file is not in use: then its rules from before are.
    """

    name: str
    kind: Literal["file", "control"]
    path: str | None = None
    error: RulesProblem | None = None
    rules: tuple[RuleShown, ...] = ()


class RulesShown(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in use, in the order in which they are tried, and what is answered where none matches."""

    sources: tuple[SourceShown, ...]
    fallback: str
    handshakes: int = 0
    """`[[tls]]` tables."""
    handshakes_idle: bool = False
    """These do nothing: no listener speaks TLS, and no tunnel is looked into."""


class RulesChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether rules could be used, the problems when they couldn't, and how many there are.

    `remarks` are sentences on what is allowed and hardly meant: a rule that never answers.
    """

    ok: bool
    rules: int
    problems: tuple[Complaint, ...] = ()
    remarks: tuple[str, ...] = ()


class ShowRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request that nobody sent: what would be answered to it?

    `request` is `GET /slow`, or a whole request with its line ends; `request_base64` the same as bytes. With `toml`
    (and `base`) these rules are asked instead of those in use.
    """

    request: str | None = None
    request_base64: str | None = None
    toml: str | None = None
    base: str | None = None


class VerdictShown(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a rule matches, and why it doesn't."""

    rule: str
    match: str
    matched: bool
    why_not: tuple[str, ...] = ()


class RuleShowing(msgspec.Struct, frozen=True, kw_only=True):
    """What would be answered, without answering it.

    `matched` is the rule's id, null for what answers where none matches. `bytes` (base64; `data` here) are the first
    64 KiB of `length`, which is null while an answer's end isn't known; `timeline` tells what happens when.
    """

    matched: str | None
    verdicts: tuple[VerdictShown, ...]
    encoded: str = msgspec.field(name="bytes")
    length: int | None
    steps: tuple[str, ...]
    timeline: tuple[str, ...]
    added: tuple[str, ...]
    remarks: tuple[str, ...]
    label: str

    @property
    def data(self) -> bytes:
        """The bytes of the answer."""
        return base64.b64decode(self.encoded)


class RulesNews(msgspec.Struct, frozen=True, kw_only=True):
    """The event `rules`: how many are in use, and what is wrong with a file that was changed."""

    rules: int
    error: str | None = None


class AcceptShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen to connections before a byte is read (null: nothing), and what happens now.

    `now` says so in words; empty while connections are let in. `seen` connections came since, and `left` are still
    concerned, or still let in before it sets in (null: without a bound). `waiting` lie in the kernel's queue, where the
    system tells.
    """

    accept: AcceptJson | None
    now: str
    seen: int
    left: int | None
    waiting: int | None


class GateShown(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that answers wait at, whether they pass it from now on, and how many were `waiting` there when it was
    asked for: 0 may mean that no rule holds at a gate of this name.
    """

    name: str
    open: bool
    waiting: int = 0
