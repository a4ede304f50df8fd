"""A load generator of its own process: raw keep-alive sockets, a browser's twelve fields, no HTTP library.

    python tests/benchmarks/generator.py PORT [--pid SERVER] [--connections 64] [--seconds 4 | --requests N]
    python tests/benchmarks/generator.py PORT --rate 1000 --seconds 5
    python tests/benchmarks/generator.py PROXY_PORT --forward 127.0.0.1:3000 | --tunnel 127.0.0.1:3443 ...
    python tests/benchmarks/generator.py PORT --tls ...

PORT is the server's, or that of a proxy which is asked to forward to another server, or to open tunnels to one that
speaks TLS; no certificate is checked.

Without a rate each connection asks again as soon as it is answered; the figures are requests a second and the
server's CPU time a request. With a rate requests start on time whether or not earlier ones were answered, and
the figures are latencies from the planned start, so that a stall is counted for every request it delays.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import select
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

TICKS: Final = os.sysconf("SC_CLK_TCK")

REQUEST: Final = (
    b"GET /products/42?sort=price HTTP/1.1\r\n"
    b"Host: localhost:8080\r\n"
    b"Connection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="156", "Not_A Brand";v="24"\r\n'
    b"sec-ch-ua-mobile: ?0\r\n"
    b'sec-ch-ua-platform: "Linux"\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/156.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Sec-Fetch-Site: same-origin\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n"
    b"\r\n"
)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads (proc(5): stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Way(NamedTuple):
    """How the server is reached: on this port, with or without TLS, or through the proxy there, which forwards
    requests that name the server, or opens a tunnel to it for TLS.
    """

    port: int
    forward: str | None = None
    tunnel: str | None = None
    tls: bool = False

    @property
    def request(self) -> bytes:
        """What is asked."""
        named = self.forward or self.tunnel
        asked = REQUEST if named is None else REQUEST.replace(b"localhost:8080", named.encode(), 1)
        return asked if self.forward is None else asked.replace(b" /", f" http://{self.forward}/".encode(), 1)

    def open(self) -> socket.socket:
        """A connection on which the server can be asked."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tunnel is None:
            return _unchecked().wrap_socket(connection) if self.tls else connection
        connection.sendall(f"CONNECT {self.tunnel} HTTP/1.1\r\nHost: {self.tunnel}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                raise SystemExit(f"the proxy opened no tunnel: {answer!r}")
            answer += piece
        return _unchecked().wrap_socket(connection, server_hostname=self.tunnel.rpartition(":")[0])


@functools.cache
def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def response_length(connection: socket.socket, request: bytes) -> int:
    """Ask once and say how long the answer is; every later answer has the same length."""
    connection.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise SystemExit(f"the server closed a connection after {data!r}")
        data += piece
    head, _, content = data.partition(b"\r\n\r\n")
    _, found, rest = head.lower().partition(b"content-length:")
    if not found:
        raise SystemExit(f"the answer has no Content-Length: {head!r}")
    length = int(rest.partition(b"\r\n")[0])
    while len(content) < length:
        content += connection.recv(65536)
    return len(head) + 4 + length


def connections(way: Way, count: int) -> tuple[dict[int, socket.socket], int]:
    """Connected non-blocking sockets by file descriptor, and the length of an answer."""
    opened, length = {}, 0
    for _ in range(count):
        connection = way.open()
        length = response_length(connection, way.request)
        connection.setblocking(False)
        opened[connection.fileno()] = connection
    return opened, length


def saturate(
    way: Way, pid: int | None, count: int, seconds: float, requests: int | None, *, wait: float = 0
) -> dict[str, float]:
    """As many requests as the server answers, after half a second of warming up."""
    opened, length = connections(way, count)
    request = way.request
    poll = select.epoll()
    for fileno in opened:
        poll.register(fileno, select.EPOLLIN)
    receive = {fileno: connection.recv for fileno, connection in opened.items()}
    ask = {fileno: connection.send for fileno, connection in opened.items()}
    missing = dict.fromkeys(opened, length)
    for send in ask.values():
        send(request)

    def run(until: float, most: int) -> int:
        done = 0
        while time.monotonic() < until and done < most:
            for fileno, _ in poll.poll(wait):
                try:
                    data = receive[fileno](65536)
                except ssl.SSLWantReadError:  # it was no content, but a key for example
                    continue
                if not data:
                    raise SystemExit("the server closed a connection")
                left = missing[fileno] - len(data)
                if left > 0:
                    missing[fileno] = left
                    continue
                if left < 0:
                    raise SystemExit("an answer is longer than the first one was")
                missing[fileno] = length
                done += 1
                ask[fileno](request)
        return done

    run(time.monotonic() + 0.5, sys.maxsize)
    used, own, started = cpu_seconds(pid) if pid else 0.0, time.process_time(), time.monotonic()
    done = run(started + seconds, requests or sys.maxsize)
    took = time.monotonic() - started
    used = cpu_seconds(pid) - used if pid else 0.0
    return {
        "requests": done,
        "per_second": done / took,
        "server_cpu_us": used / done * 1e6,
        "server_cpu_share": used / took,
        "generator_cpu_share": (time.process_time() - own) / took,
    }


def pace(way: Way, count: int, seconds: float, rate: float) -> dict[str, float]:
    """Requests at fixed times, and how long after its time each one was answered, in milliseconds."""
    opened, length = connections(way, count)
    request = way.request
    idle = list(opened)
    begun: dict[int, float] = {}
    missing = dict.fromkeys(opened, length)
    waiting: list[float] = []
    latencies: list[float] = []
    start = time.perf_counter() + 0.1
    planned, total = 0, int(seconds * rate)
    while len(latencies) < total:
        now = time.perf_counter()
        while planned < total and start + planned / rate <= now:
            waiting.append(start + planned / rate)
            planned += 1
        while waiting and idle:
            fileno = idle.pop()
            begun[fileno] = waiting.pop(0)
            opened[fileno].send(request)
        pause = max(start + planned / rate - time.perf_counter(), 0) if planned < total else 1
        for fileno in select.select(list(begun), [], [], pause)[0]:
            try:
                missing[fileno] -= len(opened[fileno].recv(65536))
            except ssl.SSLWantReadError:
                continue
            if missing[fileno] == 0:
                missing[fileno] = length
                latencies.append(time.perf_counter() - begun.pop(fileno))
                idle.append(fileno)
    latencies.sort()
    return {
        "requests": total,
        "p50_ms": latencies[total // 2] * 1e3,
        "p99_ms": latencies[total * 99 // 100] * 1e3,
        "max_ms": latencies[-1] * 1e3,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument(
        "--wait", type=float, default=0, help="sleep so long for an answer instead of polling"
    )
    parser.add_argument("--forward", metavar="HOST:PORT")
    parser.add_argument("--tunnel", metavar="HOST:PORT")
    parser.add_argument("--tls", action="store_true")
    asked = parser.parse_args()
    way = Way(asked.port, asked.forward, asked.tunnel, asked.tls)
    if asked.rate:
        result = pace(way, asked.connections, asked.seconds, asked.rate)
    else:
        result = saturate(way, asked.pid, asked.connections, asked.seconds, asked.requests, wait=asked.wait)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
