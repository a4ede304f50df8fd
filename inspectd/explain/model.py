"""What an explanation is: a title, a sentence first, then a paragraph, then where the specification says so.

Texts that quote the wire (a field's value, a path) quote it as it came, only shortened: whoever shows them sends
them through `inspectd.text.safe` like every other byte of the wire.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a name or a value means.

    `sentence` stands alone and ends with a full stop; `paragraph` may be empty; `source` names a specification and
    its section; `grammar` is the rule in ABNF where there is one; `see` names related fields, methods or roles.
    """

    title: str
    sentence: str
    paragraph: str
    source: str
    grammar: str = ""
    see: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a field value: offsets into the value, what the piece is called, what it means (if known)."""

    start: int
    end: int
    label: str
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class Requirement:
    """A field the answer has to carry before the client goes on, and why; without a name, a status."""

    name: str
    value: str
    why: str

    @property
    def line(self) -> str:
        """The field line as it would stand in the answer, without its line end, or what the status has to be."""
        return f"{self.name}: {self.value}" if self.name else self.value


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an answer meets a requirement; `note` says what is wrong with it, or is empty."""

    requirement: Requirement
    met: bool
    note: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What method, target and fields say together.

    `kind` is a stable name (`cors-preflight`), `because` the evidence as it stands in the head, strongest first,
    `must` what the answer has to say for the client to be content.
    """

    title: str
    because: tuple[str, ...]
    paragraph: str
    source: str
    kind: str = ""
    must: tuple[Requirement, ...] = ()
