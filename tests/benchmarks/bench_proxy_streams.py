"""What passes through without an end in sight: a long download and upload beside socat, and single bytes of events.

    python -m tests.benchmarks.bench_proxy_streams [--mib 2048] [--events 500] [--mitmdump PATH]

Both ends are sockets of this process. A stream's speed is compared with that of socat, which copies the same bytes and
understands none of them; memory is resident memory as the kernel counts it. An event is one byte in an answer that has
no end, and its delay the time from one end to the other; mitmdump is told to pass such answers on while they come.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Final

from tests.benchmarks.bench_memory import AIM_MB, MIB, resident
from tests.benchmarks.contenders import SOCAT_BLOCK, inspectd, mitmdump, name_mitmdump, relay, socat
from tests.benchmarks.generator import REQUEST, cpu_seconds
from tests.benchmarks.servers import own_core, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Start = Callable[[], AbstractContextManager[tuple[int, int]]]

BLOCK: Final = bytes(range(256)) * 4096
TIMEOUT: Final = 60
NOTHING: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
EVENTS_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FIRST_EVENT: Final = b"data: the first one\n\n"
PAUSE_SECONDS: Final = 0.002
ADDED_P99_MS: Final = 1.0


@contextmanager
def ends(listener: socket.socket, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's connection to this port that has asked, and the one that comes to the server of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(REQUEST)
        while True:
            server, _ = listener.accept()
            server.settimeout(TIMEOUT)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.recv(65536):  # a proxy's port that was only tried has been connected through
                break
            server.close()
        with server:
            yield client, server


def pump(source: socket.socket, sink: socket.socket, head: bytes, mib: int) -> float:
    """Send a message with a content of so many MiB from one end to the other; seconds until all of it has arrived."""
    room = memoryview(bytearray(MIB))

    def send() -> None:
        source.sendall(head)
        for _ in range(mib):
            source.sendall(BLOCK)

    sending = Thread(target=send)
    began = time.monotonic()
    sending.start()
    left = len(head) + mib * MIB
    while left:
        got = sink.recv_into(room)
        if not got:
            raise SystemExit(f"the stream ended {left:,} bytes before its end")
        left -= got
    took = time.monotonic() - began
    sending.join()
    return took


def streams(listener: socket.socket, mib: int) -> None:
    """Print how fast long messages are in both directions, beside socat."""
    port = listener.getsockname()[1]
    found: dict[str, Start] = {
        "inspectd": lambda: inspectd("reverse", f"http://127.0.0.1:{port}", "--keep", "8GiB")
    }
    if shutil.which("socat"):
        found = {"socat": lambda: socat(port), **found}
    else:
        print("socat is not installed")
    size = mib * MIB
    messages = {
        "download": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size,
        "upload": b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size,
    }
    speeds: dict[tuple[str, str], float] = {}
    print(f"{mib:,} MiB; socat in blocks of {SOCAT_BLOCK // 1024} KiB")
    print(f"{'':22}{'MB/s':>8}{'share':>8}{'CPU s/GB':>10}{'MB at start':>13}{'at most':>9}")
    for direction, head in messages.items():
        for name, start in found.items():
            with start() as (proxy, pid), ends(listener, proxy) as (client, server):
                before, _ = resident(pid)
                used = cpu_seconds(pid)
                source, sink = server, client
                if direction == "upload":
                    source, sink = client, server
                    server.sendall(NOTHING)
                    client.recv(65536)
                speed = speeds[direction, name] = size / 1e6 / pump(source, sink, head, mib)
                used = (cpu_seconds(pid) - used) / (size / 1e9)
                _, most = resident(pid)
            share = speed / speeds.get((direction, "socat"), speed)
            line = f"{name + ', ' + direction:22}{speed:8,.0f}{share:8.0%}"
            if name != "socat":  # a child of it does the work
                line += f"{used:10.2f}{before:13.0f}{most:9.0f}   {verdict(most, AIM_MB, ' MB')}"
            print(line, flush=True)


def delays(client: socket.socket, server: socket.socket, count: int) -> list[float]:
    """How long single bytes are on their way, in milliseconds, from the shortest."""
    server.sendall(EVENTS_HEAD + FIRST_EVENT)
    begun = b""
    while not begun.endswith(FIRST_EVENT):
        begun += client.recv(65536)
    took = []
    for _ in range(count):
        time.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        server.send(b":")
        client.recv(1)
        took.append((time.perf_counter() - began) * 1e3)
    return sorted(took)


def events(listener: socket.socket, count: int, program: str | None) -> None:
    """Print what a byte of an answer that goes on and on is delayed by."""
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    found: dict[str, Start] = {
        "bare relay": lambda: relay(port),
        "inspectd, commit": lambda: inspectd("reverse", url, "--durability", "commit"),
        "inspectd, relaxed": lambda: inspectd("reverse", url, "--durability", "relaxed"),
    }
    if program:
        found["mitmdump"] = lambda: mitmdump(
            program, "--mode", f"reverse:{url}", "--set", "stream_large_bodies=1"
        )
    print(f"\n{count} events of one byte")
    print(f"{'':22}{'p50 ms':>9}{'p99 ms':>9}{'added p50':>11}{'added p99':>11}")
    with ends(listener, port) as (client, server):
        straight = delays(client, server, count)
    half, most = count // 2, count * 99 // 100
    print(f"{'straight':22}{straight[half]:9.3f}{straight[most]:9.3f}", flush=True)
    for name, start in found.items():
        with start() as (proxy, _), ends(listener, proxy) as (client, server):
            took = delays(client, server, count)
        added = took[most] - straight[most]
        line = f"{name:22}{took[half]:9.3f}{took[most]:9.3f}{took[half] - straight[half]:11.3f}{added:11.3f}"
        wanted = f"   {verdict(added, ADDED_P99_MS, ' ms')}" if name.startswith("inspectd") else ""
        print(line + wanted, flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--events", type=int, default=500)
    name_mitmdump(parser)
    asked = parser.parse_args()
    own_core(0, 1)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        listener.settimeout(TIMEOUT)
        streams(listener, asked.mib)
        events(listener, asked.events, asked.mitmdump)


if __name__ == "__main__":
    main()
