"""What finding a rule costs: an answer with 1,000 rules loaded beside the same answer with one.

    python -m tests.benchmarks.bench_rules [--rules 1000] [--seconds 2] [--rounds 3] [--in-process]

The first table is `RuleBook.respond` alone, in this process: the same target again and again, each rule's own target in
turn, and targets that were never asked for before, of which nothing is remembered. The second is real engines over
sockets: the rule that answers stands last. Of several rounds the one that took least counts; the ratios compare
figures of one run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.responder import Fixed
from tests.benchmarks.servers import generate, recorded, verdict
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.request import Request
    from inspectd.rules.responder import Responder

AIM: Final = 1.3
ANSWER: Final = 'respond = "200 OK"\nheaders = ["Content-Type: text/plain"]\nbody = "hello, recorded world"\n'

KINDS: Final = {
    "exact paths": ('match = "GET /r/{}"', "/r/{}"),
    "globs": ('match = "GET /r/{}/*"', "/r/{}/x"),
    "globs from the root": ('match = "GET /**/r{}"', "/x/y/r{}"),
    "regular expressions": ("match = {{ path-regex = '/r/{}/[a-z]+' }}", "/r/{}/x"),
    "exact paths and a field": ('match = {{ path = "/r/{}", header.Accept = "*json*" }}', "/r/{}"),
}


def rule_file(match: str, numbers: Sequence[int]) -> str:
    """Rules of one kind, all of them with the same plain answer."""
    return "".join(f"[[rule]]\n{match.format(number)}\n{ANSWER}" for number in numbers)


def book(text: str) -> RuleBook:
    """A book with the rules of a text."""
    made = RuleBook(Fixed(make_answer("404")))
    made.replace("bench", load_text(text, source="bench", base=Path()).rules)
    return made


def microseconds(*cases: tuple[Responder, Sequence[Request]]) -> list[float]:
    """The CPU time of one answer in each case, the best of many short rounds.

    The cases take turns, so that what else the machine does hits all of them.
    """
    least = [float("inf")] * len(cases)
    turns = [max(1, 2_000 // len(requests)) for _, requests in cases]
    for _ in range(40):
        for number, (responder, requests) in enumerate(cases):
            respond = responder.respond
            started = time.thread_time()
            for _ in range(turns[number]):
                for request in requests:
                    respond(request, now=0.0, persist=True)
            took = time.thread_time() - started
            least[number] = min(least[number], took / (turns[number] * len(requests)))
    return [seconds * 1e6 for seconds in least]


def unseen(rules: RuleBook, requests: Sequence[Request], *, often: int = 1) -> float:
    """The time of an answer to a target of which nothing is remembered: each request is answered `often`."""
    best = float("inf")
    for _ in range(3):
        took = 0.0
        for _ in range(often):
            rules.replace("none", [])  # another snapshot, which remembers nothing
            started = time.thread_time()
            for request in requests:
                rules.respond(request, now=0.0, persist=True)
            took += time.thread_time() - started
        best = min(best, took / (often * len(requests)))
    return best * 1e6


def in_process(count: int) -> None:
    """The first table."""
    print(f"respond() alone, µs an answer{'1 rule':>13}{f'{count:,} rules':>14}{'ratio':>8}")
    (fixed,) = microseconds((Fixed(make_answer("200")), [get("/")]))
    print(f"{'no book: a fixed answer':36}{fixed:6.2f}")
    for kind, (match, target) in KINDS.items():
        lines = ("Accept: application/json",) if "field" in kind else ()
        asked = [get(target.format(number), *lines) for number in range(count)]
        last = asked[-1:]
        one, many = book(rule_file(match, [count - 1])), book(rule_file(match, range(count)))
        alone, same, turning = microseconds((one, last), (many, last), (many, asked))
        plain = not lines
        row(f"{kind}, the last one", alone, same, aim=plain)
        row(f"{kind}, in turn", alone, turning, aim=plain)
        row(f"{kind}, never seen", unseen(one, last, often=count), unseen(many, asked), aim=False)


def row(name: str, one: float, many: float, *, aim: bool) -> None:
    """A line of the first table."""
    ratio = many / one
    print(
        f"{name:36}{one:6.2f}{many:14.2f}{ratio:8.2f}{f'   {verdict(ratio, AIM)}' if aim else ''}", flush=True
    )


def over_sockets(count: int, seconds: float, rounds: int) -> None:
    """The second table."""
    print(f"\n64 connections, a GET with 12 fields\n{'':34}{'requests/s':>11}{'CPU µs':>9}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        matching = f'[[rule]]\nmatch = "GET /products/42"\n{ANSWER}'
        files = {"1 rule": Path(directory, "one.toml"), f"{count:,} rules": Path(directory, "many.toml")}
        one, many = files.values()
        one.write_text(matching)
        many.write_text(rule_file(KINDS["exact paths"][0], range(count - 1)) + matching)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in files}
        for _ in range(rounds):
            for name, path in files.items():
                with recorded("--rules", str(path)) as engine:
                    results[name].append(generate(engine.port, "--pid", engine.pid, "--seconds", seconds))
    least: dict[str, float] = {}
    for name, measured in results.items():
        best = min(measured, key=lambda result: result["server_cpu_us"])
        least[name] = best["server_cpu_us"]
        ratio = least[name] / next(iter(least.values()))
        said = f"   {verdict(ratio, AIM)}" if len(least) > 1 else ""
        print(
            f"{name:34}{best['per_second']:11,.0f}{best['server_cpu_us']:9.1f}{ratio:8.2f}{said}", flush=True
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-process", action="store_true", help="leave the engines out")
    asked = parser.parse_args()
    in_process(asked.rules)
    if not asked.in_process:
        over_sockets(asked.rules, asked.seconds, asked.rounds)


if __name__ == "__main__":
    main()
