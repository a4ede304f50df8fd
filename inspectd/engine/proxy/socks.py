"""The server's side of SOCKS: what a client asks to be connected to, and the bytes that it is told.

SOCKS 5 is RFC 1928, its passwords are RFC 1929; SOCKS 4 and 4a have memos of their author only. Nothing is sent from
here, and every length a client states is bounded by a single octet.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from inspectd.engine.proxy.routes import Failure, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    CheckPassword: TypeAlias = Callable[[bytes, bytes], bool]

_NO_METHOD: Final = 0xFF
_NO_AUTHENTICATION: Final = 0
_USER_AND_PASSWORD: Final = 2
_CONNECT: Final = 1
_COMMANDS: Final = {2: "BIND", 3: "UDP ASSOCIATE"}
_IPV4, _NAME, _IPV6 = 1, 3, 4
_TEXT_LIMIT: Final = 255  # octets of a user or a name in SOCKS 4, which states no length

_SUCCEEDED: Final = 0
_GENERAL_FAILURE: Final = 1
_NOT_ALLOWED: Final = 2
_HOST_UNREACHABLE: Final = 4
_REFUSED: Final = 5
_COMMAND_NOT_SUPPORTED: Final = 7
_ADDRESS_NOT_SUPPORTED: Final = 8
_SOCKS4_GRANTED: Final = 0x5A
_SOCKS4_REJECTED: Final = 0x5B

_BY_STATUS: Final = {508: _NOT_ALLOWED, 504: _HOST_UNREACHABLE, 502: _GENERAL_FAILURE}


class Say(NamedTuple):
    """Send this, and go on."""

    data: bytes


class Asked(NamedTuple):
    """The client wants to be connected to this server; `rest` is what it sent behind that."""

    origin: Origin
    rest: bytes


class Refused(NamedTuple):
    """Send this, if anything, and close; `sentence` says why."""

    data: bytes
    sentence: str


class Socks:
    """One conversation, fed with bytes however they are cut."""

    def __init__(self, check: CheckPassword | None = None) -> None:
        """With `check` a client has to give a user and a password, for which this returns whether they will do."""
        self._check = check
        self._data = bytearray()
        self._read: Callable[[], Say | Asked | Refused | None] = self._read_version
        self.version = "SOCKS"
        """What the client speaks, as people write it."""

    def feed(self, data: bytes) -> list[Say | Asked | Refused]:
        """What to do after these bytes; nothing more comes behind Asked or Refused."""
        self._data += data
        found: list[Say | Asked | Refused] = []
        while self._data and (step := self._read()) is not None:
            found.append(step)
            if not isinstance(step, Say):
                break
        return found

    # -- what the client is told

    @property
    def granted(self) -> bytes:
        """It is connected."""
        return self._reply4(_SOCKS4_GRANTED) if self._is_4 else _reply5(_SUCCEEDED)

    def failed(self, failure: Failure) -> bytes:
        """It could not be connected, and this is as much as the protocol can say about it."""
        return self._reply4(_SOCKS4_REJECTED) if self._is_4 else _reply5(_code(failure))

    @property
    def _is_4(self) -> bool:
        return self.version.startswith("SOCKS4")

    @staticmethod
    def _reply4(code: int) -> bytes:
        return bytes((0, code)) + bytes(6)

    # -- what the client says

    def _take(self, length: int) -> bytes:
        taken = bytes(self._data[:length])
        del self._data[:length]
        return taken

    def _read_version(self) -> Say | Asked | Refused | None:
        if self._data[0] == 4:
            self.version = "SOCKS4"
            self._read = self._read_request4
        else:
            self.version = "SOCKS5"
            self._read = self._read_methods
        return self._read()

    def _read_methods(self) -> Say | Refused | None:
        """VER, NMETHODS, METHODS[NMETHODS]                                                       ; RFC 1928 §3"""
        data = self._data
        if len(data) < 2 or len(data) < 2 + data[1]:
            return None
        offered = self._take(2 + data[1])[2:]
        wanted = _NO_AUTHENTICATION if self._check is None else _USER_AND_PASSWORD
        if wanted not in offered:
            why = (
                "it offers no way to go without a password"
                if self._check is None
                else "it offers no user and password"
            )
            return Refused(bytes((5, _NO_METHOD)), f"The client can't be let in: {why}.")
        self._read = self._read_request5 if self._check is None else self._read_password
        return Say(bytes((5, wanted)))

    def _read_password(self) -> Say | Refused | None:
        """VER = 1, ULEN, UNAME[ULEN], PLEN, PASSWD[PLEN]                                         ; RFC 1929 §2"""
        data = self._data
        if len(data) < 2 or len(data) < 3 + data[1]:
            return None
        end = 2 + data[1]
        if len(data) < end + 1 + data[end]:
            return None
        taken = self._take(end + 1 + data[end])
        assert self._check is not None
        if taken[0] != 1 or not self._check(taken[2:end], taken[end + 1 :]):
            return Refused(b"\x01\x01", "The user or the password is wrong.")
        self._read = self._read_request5
        return Say(b"\x01\x00")

    def _read_request5(self) -> Asked | Refused | None:
        """VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT                                                ; RFC 1928 §4"""
        data = self._data
        if len(data) < 5:
            return None
        version, command, _, kind, first = data[:5]
        if version != 5:
            return Refused(_reply5(_GENERAL_FAILURE), f"The request has the version {version}, not 5.")
        lengths = {_IPV4: 4, _IPV6: 16, _NAME: 1 + first}
        if kind not in lengths:
            return Refused(
                _reply5(_ADDRESS_NOT_SUPPORTED), f"Addresses of the type {kind} are not known (RFC 1928 §5)."
            )
        if len(data) < 6 + lengths[kind]:
            return None
        taken = self._take(6 + lengths[kind])
        if command != _CONNECT:
            name = _COMMANDS.get(command, f"the command {command}")
            return Refused(
                _reply5(_COMMAND_NOT_SUPPORTED), f"The client asks for {name}; only CONNECT is served."
            )
        address, port = taken[4:-2], int.from_bytes(taken[-2:])
        host = _host(address[1:]) if kind == _NAME else str(ipaddress.ip_address(address))
        return self._asked(host, port, _reply5(_GENERAL_FAILURE))

    def _read_request4(self) -> Asked | Refused | None:
        """VN = 4, CD, DSTPORT, DSTIP, USERID, NULL; 4a: DSTIP is 0.0.0.x, and a name and NULL follow."""
        data = self._data
        if len(data) < 9:
            return None
        refused = self._reply4(_SOCKS4_REJECTED)
        if self._check is not None:
            return Refused(
                refused, "The client can't be let in: SOCKS4 has no passwords, and one is demanded."
            )
        command, port, address = data[1], int.from_bytes(data[2:4]), bytes(data[4:8])
        end = data.find(0, 8)
        if end < 0 or end - 8 > _TEXT_LIMIT:
            too_long = len(data) - 8 > _TEXT_LIMIT
            return Refused(refused, "The user is longer than 255 octets.") if too_long else None
        host: str | None = str(ipaddress.IPv4Address(address))
        if address[:3] == bytes(3) and address[3]:
            self.version = "SOCKS4a"
            begin, end = end + 1, data.find(0, end + 1)
            if end < 0 or end - begin > _TEXT_LIMIT:
                too_long = len(data) - begin > _TEXT_LIMIT
                return Refused(refused, "The name is longer than 255 octets.") if too_long else None
            host = _host(bytes(data[begin:end]))
        self._take(end + 1)
        if command != _CONNECT:
            name = _COMMANDS.get(command, f"the command {command}")
            return Refused(refused, f"The client asks for {name}; only CONNECT is served.")
        return self._asked(host, port, refused)

    def _asked(self, host: str | None, port: int, refused: bytes) -> Asked | Refused:
        if host is None or not port:
            return Refused(refused, "The client names no host and port that could be connected to.")
        return Asked(Origin(host, port), self._take(len(self._data)))


def _reply5(code: int) -> bytes:
    """VER, REP, RSV, ATYP, BND.ADDR, BND.PORT: the address is 0.0.0.0, which clients don't look at ; RFC 1928 §6"""
    return bytes((5, code, 0, _IPV4)) + bytes(6)


def _code(failure: Failure) -> int:
    return _REFUSED if failure.refused else _BY_STATUS.get(failure.status, _GENERAL_FAILURE)


def _host(name: bytes) -> str | None:
    """A host's name, which may be an address; None when it can't be one."""
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        return None
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return text if text and all("!" <= each <= "~" for each in text) else None
