"""What the proofs share: engines that forward, and the five ways to a server that is a plain socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING

import pytest

from tests.browsers.tee import Tee
from tests.engine.proxy.certificates import Authority, serving
from tests.live_engine import LiveEngine
from tests.proof.dialogue import WAYS, Stage
from tests.proof.origins import SERVERS
from tests.proof.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.proof.dialogue import Way
    from tests.proof.origins import Ports


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Way, Stage]]:
    """One engine of each mode, and the ways through them."""
    program = (sys.executable, "-m", "inspectd")
    certificates = tmp_path_factory.mktemp("certificates")
    authority = Authority(certificates)
    with contextlib.ExitStack() as life:
        listeners = {way: life.enter_context(socket.create_server(("127.0.0.1", 0))) for way in WAYS}
        url = "http://127.0.0.1:{}".format(listeners["reverse"].getsockname()[1])
        folder = tmp_path_factory.mktemp("reverse")
        reverse = life.enter_context(LiveEngine(folder, interpreter=(*program, "reverse", url)))
        folder = tmp_path_factory.mktemp("proxy")
        trust = ("--trust", str(authority.file))
        proxy = life.enter_context(LiveEngine(folder, *trust, interpreter=(*program, "proxy")))
        found = {way: Stage(way, reverse if way == "reverse" else proxy, listeners[way]) for way in WAYS}
        found["tls"].server_context = serving(authority.leaf("127.0.0.1", "localhost"))
        context = ssl.create_default_context(cafile=str(folder / "inspectd" / "ca.pem"))
        found["tls"].client_context = context
        yield found
        assert [engine.stop() for engine in (reverse, proxy)] == [0, 0]
        assert "Traceback" not in reverse.stderr + proxy.stderr


class Servers:
    """The servers that people use, started when they are first asked for, and what clients trust them by."""

    def __init__(self, life: contextlib.ExitStack, folder: Path) -> None:
        self._life = life
        self._folder = folder
        authorities = folder / "authority"
        authorities.mkdir()
        self.authority = Authority(authorities)
        names = ("localhost", "127.0.0.1", "shop.test", "api.test", "live.test")
        self.certificate = self.authority.leaf(*names)
        self._started: dict[str, Ports] = {}

    def folder(self, name: str) -> Path:
        """Where the server of this name has its files."""
        return self._folder / name

    def start(self, name: str) -> Ports:
        """Where the server of this name listens."""
        if name not in self._started:
            folder = self.folder(name)
            folder.mkdir()
            self._started[name] = self._life.enter_context(SERVERS[name](folder, self.certificate))
        return self._started[name]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that people use."""
    with contextlib.ExitStack() as life:
        yield Servers(life, tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def watched(
    tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Callable[..., AbstractContextManager[Witness]]:
    """`with watched(command, *names, ...) as witness`: that command, with tees before it and before these servers.

    `{name}` in the command is the port of a server's tee, whose TLS port is `name+tls`.
    """

    @contextlib.contextmanager
    def run(
        *command: str, names: tuple[str, ...], listen: tuple[str, ...] = ("127.0.0.1:0",)
    ) -> Iterator[Witness]:
        folder = tmp_path_factory.mktemp("watched")
        log = folder / "secrets.txt"
        with contextlib.ExitStack() as life:
            tees: dict[str, Tee] = {}
            for name in names:
                ports = servers.start(name.removesuffix("+tls"))
                port = ports.secure if name.endswith("+tls") else ports.clear
                tees[name] = life.enter_context(Tee(("127.0.0.1", port)))
            words = [word.format(**{name: tee.port for name, tee in tees.items()}) for word in command]
            engine = life.enter_context(
                LiveEngine(
                    folder,
                    "--trust",
                    str(servers.authority.file),
                    listen=listen,
                    interpreter=(sys.executable, "-m", "inspectd", *words),
                    env={"SSLKEYLOGFILE": str(log)},
                )
            )
            witness = life.enter_context(Witness(engine, log, tees))
            yield witness
            assert engine.stop() == 0
            assert "Traceback" not in engine.stderr

    return run
