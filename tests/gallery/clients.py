"""Real clients against every case of the gallery; the table of what they did: `python -m tests.gallery.clients`.

Writes `clients.json` (everything) and `clients.md` (to read) beside this file; nobody edits them. With `--client NAME`
only these columns are made anew, and with `--only GLOB` the table of these cases goes to standard output instead. A
client that isn't installed is left out. Each client gets an engine of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspectd.gallery.catalogue import GROUPS, chosen, groups
from inspectd.gallery.serving import NOTHING, seen, served
from tests.browsers import chromium, firefox
from tests.gallery import browsers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from inspectd.gallery.catalogue import Case

HERE: Final = Path(__file__).parent
CURL_SECONDS: Final = 3
DRIVER_SECONDS: Final = 1800.0
TOGETHER: Final = 3
"""Runs of curl at once."""

Row = dict[str, Any]
Asked = tuple[str, dict[str, Row]]
"""A client's name and version, and a row for each case."""

_PORT: Final = re.compile(r"(127\.0\.0\.1|localhost)[:/]\d{4,5}|\bport[= ]\d{4,5}")
# What stands around the error that counts, in those of requests and urllib3.
_AROUND: Final = re.compile(
    r"\('Connection (?:aborted|broken)[.:]? ?',? |HTTPConnectionPool\([^)]*\): |\n\s*"
)
_NOISE: Final = re.compile(r"0x[0-9a-f]{6,}|after \d+ m?s|\d+ milliseconds|\(\d+\.\d+ sec\)")


async def with_curl(cases: Sequence[Case], address: str) -> Asked:
    """`curl -L --compressed`, with what the case asks for."""
    version = await _output("curl", "--version")
    room = asyncio.Semaphore(TOGETHER)
    rows: dict[str, Row] = {}

    async def one(case: Case) -> None:
        async with room:
            rows[case.name] = await _curl(case, address)

    await asyncio.gather(*map(one, cases))
    return version.splitlines()[0].partition(" (")[0], rows


async def _curl(case: Case, address: str) -> Row:
    words = [
        "curl",
        "-q",
        "-sS",
        "-L",
        "--compressed",
        "--noproxy",
        "*",
        "-o",
        "/dev/null",
        "--max-time",
        str(CURL_SECONDS),
    ]
    words += ["-w", "%{http_code} %{size_download} %{time_total}"]
    content = b"x" * case.upload
    if case.method == "HEAD":
        words.append("--head")
    elif case.upload:
        words += ["--upload-file", "-"] if case.method == "PUT" else ["--data-binary", "@-"]
        words += ["-H", "Expect: 100-continue" if case.expect else "Expect:"]
    if case.range is not None:
        words += ["-H", f"Range: {case.range}"]
    if case.credentials is not None:
        words += ["--anyauth", "-u", case.credentials]
    process = await asyncio.create_subprocess_exec(
        *words,
        f"http://{address}{case.path}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate(content)
    status, length, seconds = out.decode().split()
    return {
        "status": int(status) or None,
        "length": int(length),
        "error": error.decode("utf-8", "replace").strip().removeprefix("curl: ") or None,
        "exit_code": process.returncode,
        "seconds": float(seconds),
    }


def with_driver(*words: str) -> Callable[[Sequence[Case], str], Awaitable[Asked]]:
    """A program that reads the cases from its standard input and prints a JSON line for each."""

    async def ask(cases: Sequence[Case], address: str) -> Asked:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 20,
        )
        text = json.dumps([described(case, address) for case in cases]).encode()
        out, _ = await asyncio.wait_for(process.communicate(text), DRIVER_SECONDS)
        first, *lines = (json.loads(line) for line in out.splitlines())
        return first["version"], {line.pop("case"): line for line in lines}

    return ask


def described(case: Case, address: str) -> Row:
    """What a driver has to know of a case."""
    names = ("name", "method", "upload", "expect", "range", "credentials")
    return {"url": f"http://{address}{case.path}", **{name: getattr(case, name) for name in names}}


def with_browser(name: str) -> Callable[[Sequence[Case], str], Awaitable[Asked]]:
    """A real browser, headless."""

    async def ask(cases: Sequence[Case], address: str) -> Asked:
        return await asyncio.to_thread(browsers.visit_all, name, cases, address)

    return ask


CLIENTS: Final[dict[str, tuple[bool, Callable[[Sequence[Case], str], Awaitable[Asked]]]]] = {
    "curl": (shutil.which("curl") is not None, with_curl),
    "httpx": (True, with_driver(sys.executable, "-m", "tests.gallery.drive", "httpx")),
    "requests": (True, with_driver(sys.executable, "-m", "tests.gallery.drive", "requests")),
    "aiohttp": (True, with_driver(sys.executable, "-m", "tests.gallery.drive", "aiohttp")),
    "node": (shutil.which("node") is not None, with_driver("node", str(HERE / "drive_fetch.mjs"))),
    "chromium": (chromium.BINARY is not None, with_browser("chromium")),
    "firefox": (firefox.BINARY is not None, with_browser("firefox")),
}
"""Every client: whether it is installed, and how it is run."""


async def run_client(name: str, cases: Sequence[Case]) -> Asked:
    """One client against these cases: its version, and a row a case with what the engine saw."""
    with tempfile.TemporaryDirectory(prefix="inspectd-clients-") as folder:
        capture = Path(folder) / "clients.inspectd"
        async with served(cases, capture) as address:
            version, rows = await CLIENTS[name][1](cases, address)
        evidence = seen(capture)
    for case in cases:
        row = rows.setdefault(case.name, {"status": None, "length": None, "error": "no row"})
        if row["error"]:
            row["error"] = _NOISE.sub("...", _PORT.sub(r"HOST", row["error"]))[:200]
        row.update(asdict(evidence.get(case.name, NOTHING)))
        for left_out in ("seconds", "planned"):  # what would differ each time, or says nothing new
            row.pop(left_out, None)
    return version, rows


async def _output(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


# --------------------------------------------------------------------------------------------------------- the table


def as_markdown(table: Row) -> str:
    """The table to read: a row a case, a column a client."""
    names = list(table["clients"])
    titles = {group.name: group.title for group in groups()}
    lines = [
        "# What clients do with the gallery",
        "",
        "Written by `python -m tests.gallery.clients`. A cell says what the client's ordinary call made of the answer:",
        "the status and the bytes of content that its caller got, or the error. ×3 says that the engine saw three",
        "requests, `2c` that they came on two connections. A browser *shows* a page, *downloads*, or *waits* until",
        "it is stopped.",
        "",
        *(f"- {version}" for version in table["clients"].values()),
        "",
    ]
    for group in GROUPS:
        rows = [row for row in table["cases"] if row["group"] == group]
        if not rows:
            continue
        lines += [
            f"## {titles[group]}",
            "",
            f"| case | {' | '.join(names)} |",
            "|---" * (len(names) + 1) + "|",
        ]
        lines += [f"| `{row['case']}` | {' | '.join(cell(row[name]) for name in names)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def cell(row: Row) -> str:
    """What one client did with one case, in a few words."""
    if row["error"]:
        error = _AROUND.sub("", row["error"])
        short = error if len(error) <= 70 else error[:69] + "…"
        text = f"**{short}**" if row["status"] is None else f"{row['status']}, then **{short}**"
    else:
        said = [row["status"], None if row["length"] is None else f"{row['length']} B", row.get("did")]
        text = ", ".join(str(word) for word in said if word is not None)
    if row["requests"] != 1:
        text += f" ×{row['requests']}"
    if len(set(row["methods"])) > 1:
        text += f" {'→'.join(row['methods'][:4])}"
    if row["connections"] > 1:
        text += f" {row['connections']}c"
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def main() -> None:
    """Runs the clients and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--client", action="append", default=[], choices=sorted(CLIENTS))
    options = parser.parse_args()
    cases = chosen(options.only)
    before = (
        json.loads((HERE / "clients.json").read_text("utf-8"))
        if options.client and not options.only
        else None
    )
    versions: dict[str, str] = before["clients"] if before else {}
    known = {row["case"]: row for row in before["cases"]} if before else {}
    rows: list[Row] = [known.get(case.name, {}) | {"case": case.name, "group": case.group} for case in cases]
    for name, (installed, _) in CLIENTS.items():
        if options.client and name not in options.client:
            continue
        if not installed:
            print(f"{name} is not installed", file=sys.stderr)
            continue
        version, found = asyncio.run(run_client(name, cases))
        versions[name] = version
        for row in rows:
            row[name] = found[row["case"]]
        print(f"{name}: {len(found)} cases", file=sys.stderr, flush=True)
    table = {"clients": versions, "cases": rows}
    if options.only:
        print(as_markdown(table))
        return
    write(table)


def write(table: Row) -> None:
    """Writes both files."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in table["cases"])
    text = f'{{"clients": {json.dumps(table["clients"])}, "cases": [\n{lines}\n]}}\n'
    (HERE / "clients.json").write_text(text, "utf-8")
    (HERE / "clients.md").write_text(as_markdown(table), "utf-8")


if __name__ == "__main__":
    main()
