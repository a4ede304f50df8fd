"""What whole heads say, for `inspectd anatomy --readings`: of requests what made them, of responses whether they may be
cached, of both whether the connection stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inspectd import explain
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inspectd.explain import Reading
    from inspectd.wire import Message


def readings_of(message: Message, method: bytes = b"GET") -> list[Reading]:
    """The readings of one message; `method` is that of the request that a response answers."""
    head = message.head
    fields = [(field.name_bytes, field.value_bytes) for field in head.fields]
    version = head.text(head.version) if head.version is not None else b""
    if message.kind == "request":
        asked = head.text(head.method) if head.method is not None else b""
        target = head.text(head.target) if head.target is not None else b""
        return explain.head(asked, target, fields, version=version)
    code = head.text(head.status) if head.status is not None else b""
    if message.interim or message.framing.tunnel or not code.isdigit() or len(code) != 3:
        return []
    options = [value.decode("latin-1") for name, value in fields if name.lower() == b"connection"]
    lasting = explain.persistence(version, options, kind="response", until_close=message.framing.until_close)
    kept = explain.cacheability(method.decode("latin-1"), (), int(code), fields)
    return [kept, *([lasting] if lasting is not None else [])]


def reading_rows(readings: Sequence[Reading]) -> Iterator[str]:
    """A line for each reading: what it is, and the evidence; safe for a terminal."""
    for each in readings:
        evidence = f" (because {' + '.join(each.because)})" if each.because else ""
        yield safe(f"{each.title}{evidence}", doubling=False)


def reading_facts(message: Message, readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """Readings for JSON, each with the offset at which its message starts."""
    return [
        {
            "start": message.start,
            "kind": each.kind,
            "title": each.title,
            "because": list(each.because),
            "paragraph": each.paragraph,
            "source": each.source,
            "must": [required.line for required in each.must],
        }
        for each in readings
    ]
