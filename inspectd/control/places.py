"""Where the control sockets of running engines lie, and which of them are alive.

One engine, one socket: `DIRECTORY/PID.sock`, mode 0600 in a directory of mode 0700 that belongs to this user.
The directory is `$XDG_RUNTIME_DIR/inspectd` where the system gives one, else `run` beside the captures; a path
too long for a Unix socket falls back to one in `/tmp`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspectd.errors import InspectdError

LONGEST_SOCKET_PATH: Final = 100
"""Bytes of a Unix socket's path that every system takes (sun_path is 104 on macOS, 108 on Linux, with a NUL)."""


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine that accepted a connection on its control socket a moment ago."""

    pid: int
    socket: Path


def socket_directory() -> Path:
    """The directory of this user's control sockets, created when it is missing.

    Raises `InspectdError` when the directory belongs to somebody else or others may enter it.
    """
    for candidate in _candidates():
        if len(os.fsencode(candidate / "0000000000.sock")) <= LONGEST_SOCKET_PATH:
            directory = candidate
            break
    else:  # pragma: no cover - the last candidate is always short
        raise InspectdError("No directory is short enough for a control socket", "Set XDG_RUNTIME_DIR.")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as problem:
        raise InspectdError(
            f"The directory for control sockets can't be made: {directory}: {problem.strerror}",
            "Set XDG_RUNTIME_DIR to a directory of yours.",
        ) from problem
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InspectdError(
            f"{directory} must be a directory that only you may enter",
            f"Remove it, or: chmod 700 {directory}",
        )
    return directory


def socket_path(pid: int | None = None) -> Path:
    """The control socket of the engine with this process id (default: this process)."""
    return socket_directory() / f"{os.getpid() if pid is None else pid}.sock"


def token_path(pid: int | None = None) -> Path:
    """The 0600 file with the bearer token of an engine's TCP control port."""
    return socket_path(pid).with_suffix(".token")


def running_engines() -> list[RunningEngine]:
    """The engines of this user that answer, newest first. Sockets that nobody listens on are removed."""
    found: list[tuple[int, RunningEngine]] = []
    for path in socket_directory().glob("*.sock"):
        if not path.stem.isdigit():
            continue
        if is_alive(path):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, RunningEngine(int(path.stem), path)))
        else:
            path.unlink(missing_ok=True)
            path.with_suffix(".token").unlink(missing_ok=True)
    return [engine for _, engine in sorted(found, key=lambda pair: pair[0], reverse=True)]


def is_alive(path: Path) -> bool:
    """Whether something accepts connections on this socket. A full accept queue counts as alive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError as problem:
            return problem.errno not in {errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK, errno.EPROTOTYPE}
    return True


def _candidates() -> list[Path]:
    """XDG Base Directory Specification 0.8: a relative path is to be ignored."""
    candidates = []
    runtime, state = (os.environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"))
    if runtime.startswith("/"):
        candidates.append(Path(runtime) / "inspectd")
    if state.startswith("/"):
        candidates.append(Path(state) / "inspectd" / "run")
    else:
        with contextlib.suppress(RuntimeError):  # there is no home
            candidates.append(Path.home() / ".local" / "state" / "inspectd" / "run")
    candidates.append(Path("/tmp") / f"inspectd-{os.getuid()}")  # noqa: S108 - what is found there is checked
    return candidates
