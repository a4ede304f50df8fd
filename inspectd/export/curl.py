"""A captured request as a curl command that sends it again.

curl is an HTTP client, not a byte gun: it writes its own line ends and white space and refuses some heads. The command
says the same as the request wherever curl can; where it can't, `notes` say what is different. Nothing of the request
can become an option, a file name or a second command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.text.shell import printf, quote
from inspectd.wire import read

if TYPE_CHECKING:
    from inspectd.wire import Field, Head, Message

LONGEST_CONTENT: Final = 48 * 1024
"""Content beyond this many bytes does not fit on a command line that can be pasted."""

_NEEDS_REQUEST_TARGET: Final = frozenset(b'#[]{}\\^`|"<> ')


@dataclass(frozen=True, slots=True)
class CurlCommand:
    """The command in printable ASCII, and what it does differently from the request it came from."""

    text: str
    notes: tuple[str, ...] = ()


def curl_command(request: bytes, *, address: str, whole: bool = True) -> CurlCommand:
    """The command for the first message in `request`, sent to `address` (`127.0.0.1:8080`, `unix:/run/x.sock`,
    `https://127.0.0.1:8443`).

    `whole` False says that `request` is only the beginning of what was captured. Raises `ValueError` when there is no
    head to repeat.
    """
    stream = read(request, "request")
    if not stream.messages:
        raise ValueError("there is no request line")
    message = stream.messages[0]
    head = message.head
    notes: list[str] = []
    method, target, version = head.text(head.method), head.text(head.target), head.text(head.version)
    content = b"".join(request[start:end] for start, end in message.content)

    words: list[list[str]] = [["curl", "-i"]]
    if version == b"HTTP/1.0":
        words[0].append("--http1.0")
    elif version != b"HTTP/1.1":
        notes.append("curl says HTTP/1.1")
    words[0] += _where(target, address, notes)
    if _says_something(method, content):
        words.append(
            ["--head"] if method == b"HEAD" and not content else ["-X", _word(method, notes, "the method")]
        )
    words += _fields(head, address, content, notes)
    before = ""
    if content:
        if len(content) > LONGEST_CONTENT or not whole:
            notes.append(f"the content is left out ({len(content):,} bytes captured and read)")
        elif b"\0" in content:
            before = printf(content) + " | "
            words.append(["--data-binary", "@-"])
        else:
            words.append(["--data-raw", quote(content)])
    if message.trailers:
        notes.append("trailer fields are left out")
    if not _is_exact(message, request, method, target, version):
        notes.append("white space and line ends are curl's, not the captured ones")
    return CurlCommand(before + " \\\n  ".join(" ".join(line) for line in words), tuple(notes))


def _where(target: bytes, address: str, notes: list[str]) -> list[str]:
    """The URL: always our own listener, never a host the peer named."""
    words = []
    if address.startswith("unix:"):
        words = ["--unix-socket", quote(address.removeprefix("unix:").encode())]
        base = "http://localhost"
    elif address.startswith("https://"):
        words, base = ["-k"], address
        notes.append("with -k curl doesn't check the certificate")
    else:
        base = f"http://{address}"
    if (
        target.startswith(b"/")
        and not _NEEDS_REQUEST_TARGET & set(target)
        and all(0x20 < byte < 0x7F for byte in target)
    ):
        if b"/." in target:
            words.append("--path-as-is")
        return [*words, quote(base.encode() + target)]
    return [*words, "--request-target", _word(target, notes, "the target"), quote(base.encode() + b"/")]


def _says_something(method: bytes, content: bytes) -> bool:
    """Whether curl would choose another method by itself."""
    return method != (b"POST" if content else b"GET")


def _fields(head: Head, address: str, content: bytes, notes: list[str]) -> list[list[str]]:
    words: list[list[str]] = []
    seen = set()
    for field in head.fields:
        name = field.name_bytes.lower()
        seen.add(name)
        if name == b"content-length" and field.value_bytes == str(len(content)).encode():
            continue
        if name == b"host" and field.value_bytes == address.encode() and field.name_bytes == b"Host":
            continue
        line = _field_line(field, notes)
        if line is not None:
            words.append(["-H", quote(line)])
    own = [b"Host", b"User-Agent", b"Accept"] + ([b"Content-Type"] if content else [])
    words += [["-H", quote(name + b":")] for name in own if name.lower() not in seen]
    return words


def _field_line(field: Field, notes: list[str]) -> bytes | None:
    name, value = field.name_bytes, field.value_bytes
    if name.startswith(b"@") or b"\0" in name + value or not name:
        # curl would read -H '@name' from a file.
        notes.append("a field line that curl can't send is left out")
        return None
    # `Name;` is how curl is told to send an empty value; `Name:` would remove the field.
    return name + b": " + value if value else name + b";"


def _word(word: bytes, notes: list[str], what: str) -> str:
    if b"\0" in word:
        notes.append(f"{what} holds NUL, which is left out")
        word = word.replace(b"\0", b"")
    return quote(word)


def _is_exact(message: Message, request: bytes, method: bytes, target: bytes, version: bytes) -> bool:
    lines = [b" ".join((method, target, version))]
    lines += [field.name_bytes + b": " + field.value_bytes for field in message.head.fields]
    return request[message.start : message.head_end] == b"\r\n".join(lines) + b"\r\n\r\n"
