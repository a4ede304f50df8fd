"""`inspectd attach`: the terminal UI on an engine that is running already."""

from __future__ import annotations

from pathlib import Path

import click

from inspectd.cli.group import SectionCommand
from inspectd.control import places
from inspectd.errors import InspectdError


def find_engine(asked: str | None) -> Path:
    """The control socket of the engine that is asked for: a socket's path, a process id, or the newest one.

    Raises `InspectdError` when it isn't there.
    """
    running = places.running_engines()
    if asked is None:
        if not running:
            raise InspectdError("no engine is running", "Start one: inspectd, or inspectd --headless")
        return running[0].socket
    if asked.isdigit():
        for engine in running:
            if engine.pid == int(asked):
                return engine.socket
        pids = ", ".join(str(engine.pid) for engine in running) or "none"
        raise InspectdError(f"no engine runs with process id {asked}", f"Running: {pids}")
    path = Path(asked)
    if not path.is_socket() or not places.is_alive(path):
        raise InspectdError(f"no engine answers at {path}", "Try: inspectd attach")
    return path


@click.command("attach", cls=SectionCommand)
@click.argument("engine", metavar="[SOCKET|PID]", required=False)
def attach(engine: str | None) -> int:
    """Open the screen on an engine that is running: the newest one, or the one with this socket or process id.

    Quitting the screen leaves the engine running.
    """
    from inspectd.cli.listening import farewell
    from inspectd.cli.run import require_terminal

    socket = find_engine(engine)
    require_terminal("inspectd control status")
    from inspectd.control.client import ControlClient
    from inspectd.tui import app

    with ControlClient(socket) as client:
        state = client.status()
    capture = Path(state.capture)
    code = app.run(capture, socket, child=None)
    farewell(capture)
    if places.is_alive(socket):
        print(f"the engine goes on; to end it: inspectd control stop --engine {state.pid}", flush=True)
    return code
