"""The life of an engine process: start, say so, serve until a signal or the control API ends it, stop gracefully.

`inspectd --headless` and `inspectd serve` both live it; a `Front` is what differs. Nothing here imports the terminal
UI or httpx: a start costs little more than Python's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import signal
import socket
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.capture.directory import captures_directory, prune_old
from inspectd.cli.listening import FORCED_EXIT_CODE
from inspectd.cli.open_files import fitting
from inspectd.control import places
from inspectd.control.api import Api, Door, refusal
from inspectd.control.rules_in_use import RulesInUse
from inspectd.engine.listener import ListenError
from inspectd.engine.server import Engine
from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inspectd.control.rules_in_use import RuleFiles
    from inspectd.engine.config import EngineConfig
    from inspectd.rules.responder import Responder


SWITCH_SECONDS: Final = 0.0005
"""How long another thread may keep the engine's from running: a tenth of Python's default."""
_STATUS_SECONDS: Final = 1.0
_LONGEST_STATUS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Started:
    """An engine that is ready for its first connection."""

    addresses: tuple[str, ...]
    capture: Path
    control: Path
    control_tcp: str | None
    token_file: Path | None
    answer: str
    started_ns: int
    reach: tuple[str, ...]
    """One sentence for each listener that programs on other machines can reach, and for what does nothing."""


class Front(Protocol):
    """What a process shows of its engine. Called in the main thread, and never for long."""

    def started(self, started: Started, stop: Callable[[], None]) -> None:
        """The engine listens. `stop` ends it and may be called from any thread."""

    def trouble(self, sentence: str) -> None:
        """Something is wrong with the engine's capture or a rule file, or is right again."""

    def stopping(self) -> None:
        """A signal or the control API asked for the end; what is in flight is being finished."""

    def stopped(self) -> None:
        """The capture is complete and closed."""


def live(
    config: EngineConfig,
    responder: Responder,
    front: Front,
    *,
    control: str | None = None,
    rules: RuleFiles | None = None,
) -> None:
    """Run an engine until it is told to stop. It answers by the rules, and with `responder` where none matches.

    Raises `InspectdError` when it can't start.
    """
    with _patient_threads(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_live(config, RulesInUse(responder, rules), front, control))
    # The handlers went with the loop. What is left to do may take long when nobody reads: it can be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    front.stopped()


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    """Other threads (a printer, a rule file that is read, a look at the capture) let the engine's run more often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _live(config: EngineConfig, rules: RulesInUse, front: Front, control: str | None) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    control_socket = places.socket_path()
    control_tcp = None if control is None else _open_control_port(control)
    limits = replace(config.limits, connections=fitting(config.limits.connections))
    engine = Engine(replace(config, limits=limits), rules.responder)
    with _left_behind(control_socket, places.token_path()):
        try:
            addresses = await engine.start()
        except ListenError as problem:
            raise _with_our_own_engine(problem) from problem
        api = None
        try:
            rules.attach(engine)
            api = Api(engine, rules, over.set)
            await engine.listen_private(_open_control_socket(control_socket), Door(api), refusal)
            token_file = None
            if control_tcp is not None:
                token_file, token = _new_token()
                await engine.listen_private(control_tcp, Door(api, token), refusal)
            _on_signals(loop, over.set, control_socket)
            front.started(
                Started(
                    addresses=tuple(addresses),
                    capture=config.capture,
                    control=control_socket,
                    control_tcp=None if control_tcp is None else _address_of(control_tcp),
                    token_file=token_file,
                    answer=rules.responder.description,
                    started_ns=engine.started_ns,
                    reach=(*engine.warnings, *_idle(rules)),
                ),
                lambda: _from_any_thread(loop, over.set),
            )
            watching = asyncio.create_task(api.watch_capture(front.trouble))
            watching_rules = asyncio.create_task(rules.watch(front.trouble))
            warm = getattr(rules.fallback, "warm", None)
            if warm is not None:  # so that the first client doesn't wait for what every answer needs
                with contextlib.suppress(
                    OSError, ImportError
                ):  # no file is left: the first client asks again
                    await asyncio.to_thread(warm)
            with contextlib.suppress(InspectdError):  # a home that can't be written is no reason to end
                if config.capture.parent == captures_directory():
                    await asyncio.to_thread(prune_old)
            await over.wait()
            watching.cancel()
            watching_rules.cancel()
            front.stopping()
            if engine.unrecorded:
                front.trouble(f"{engine.unrecorded} connections passed unrecorded: --only asks for others")
            await api.close()
        finally:
            await engine.stop()
            if api is not None:
                api.closed()


def _idle(rules: RulesInUse) -> tuple[str, ...]:
    """A sentence about rules that have nothing to do here."""
    if not rules.handshakes_idle:
        return ()
    tables = len(rules.handshakes)
    idle = f"[[tls]] in the rules does nothing ({tables} of them): no listener speaks TLS, --listen https://8443 would"
    return (idle,)


def _with_our_own_engine(problem: ListenError) -> ListenError:
    """The same problem; when the port is taken and an engine of this person runs, with the way to it if that has it."""
    taken = isinstance(problem.__cause__, OSError) and problem.__cause__.errno == errno.EADDRINUSE
    running = places.running_engines() if taken else []
    port = re.search(r":(\d+)\)?: ", problem.what)
    own = next((each for each in running if port is not None and _listens(each.socket, int(port[1]))), None)
    if own is None:
        return problem
    way = f"it is an inspectd engine (process {own.pid}): inspectd attach, or inspectd control stop"
    return ListenError(problem.what, f"{problem.mend}; {way}", exit_code=problem.exit_code)


def _listens(control: Path, port: int) -> bool:
    """Whether the engine with this control socket says that it listens on this port."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_STATUS_SECONDS)
            asking.connect(str(control))
            asking.sendall(b"GET /v1/status HTTP/1.1\r\nHost: inspectd\r\nConnection: close\r\n\r\n")
            with asking.makefile("rb") as answer:
                status = json.loads(answer.read(_LONGEST_STATUS).partition(b"\r\n\r\n")[2])
        return any(str(address).endswith(f":{port}") for address in status["addresses"])
    return False


def _from_any_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(call)


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None], *leftovers: Path) -> None:
    """SIGINT, SIGTERM and SIGHUP stop gracefully; SIGINT after that ends the process on the spot."""

    def ask() -> None:
        stop()
        loop.add_signal_handler(signal.SIGINT, force)

    def force() -> None:
        for path in leftovers:
            path.unlink(missing_ok=True)
        os._exit(FORCED_EXIT_CODE)

    asked_for = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to live on
        asked_for.append(signal.SIGHUP)
    for number in asked_for:
        loop.add_signal_handler(number, ask)


@contextlib.contextmanager
def _left_behind(*paths: Path) -> Iterator[None]:
    """Removes these files at the end, whatever happens."""
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _new_token() -> tuple[Path, str]:
    import secrets

    path, token = places.token_path(), secrets.token_urlsafe(32)
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="ascii") as file:
        file.write(token + "\n")
    return path, token


def _open_control_socket(path: Path) -> socket.socket:
    """A listening Unix socket that only this user may connect to. Its directory keeps everybody else out as well."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen()
    except OSError as problem:
        listening.close()
        raise InspectdError(f"the control socket {path} can't be made: {problem.strerror}") from problem
    listening.settimeout(0)
    return listening


def _open_control_port(asked: str) -> socket.socket:
    """A listening socket on a loopback address. Raises `InspectdError` for any other address."""
    import ipaddress

    host, colon, port = asked.rpartition(":")
    mend = "Write 127.0.0.1:PORT or [::1]:PORT; port 0 takes a free one."
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if not colon or not port.isdigit() or int(port) > 65535 or address is None or not address.is_loopback:
        raise InspectdError(f"--control {asked!r} is no port of a loopback address", mend, exit_code=2)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(address), int(port)))
        listening.listen()
    except OSError as problem:
        listening.close()
        raise InspectdError(
            f"--control {asked}: {problem.strerror}", "Choose another port, or port 0."
        ) from problem
    listening.settimeout(0)
    return listening


def _address_of(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
