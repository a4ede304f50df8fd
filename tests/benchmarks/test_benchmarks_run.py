"""The benchmarks run and print what they promise. Their figures are for people; only a collapse fails here."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.live_engine import ROOT


@pytest.mark.parametrize(
    ("name", "options", "promised"),
    [
        (
            "bench_exchange",
            ("--seconds", "0.3", "--rounds", "1"),
            r"uvloop, recorded, commit +[\d,]+ +[\d.]+ +[\d.]+ +aim",
        ),
        (
            "bench_latency",
            ("--seconds", "0.5", "--rounds", "1", "--rate", "200"),
            r"recorded, relaxed +[\d.]+ +[\d.]+ +[\d.]+ +-?[\d.]+",
        ),
        (
            "bench_rules",
            ("--rules", "20", "--seconds", "0.3", "--rounds", "1"),
            r"globs, in turn +[\d.]+ +[\d.]+ +[\d.]+ +aim[^$]*\n20 rules +[\d,]+ +[\d.]+ +[\d.]+ +aim",
        ),
        (
            "bench_proxy",
            ("reverse", "tls", "--seconds", "0.3", "--rounds", "1", "--rate", "100", "--mitmdump="),
            (
                r"reverse, clear[^$]+\nbare relay[^$]+\ninspectd, commit [^$]+TLS to both sides[^$]+\n"
                r"inspectd, relaxed +[\d,]+(?: +-?[\d.]+){4} +aim"
            ),
        ),
        (
            "bench_proxy_streams",
            ("--mib", "16", "--events", "50", "--mitmdump="),
            r"inspectd, download +[\d,]+ +\d+% [^$]+inspectd, upload [^$]+\ninspectd, commit +[\d.]+ +[\d.]+ +-?[\d.]+",
        ),
        (
            "bench_lint",
            ("--size", "400", "--rounds", "100"),
            r"on arrival, fields as before +[\d.]+ +aim 15[^$]*h11's parse [\d.]+[^$]*steeper than ×3 a doubling: ",
        ),
        ("bench_memory", ("--exchanges", "3000", "--upload-mib", "16"), r"upload of 16 MiB at \d+ MB/s"),
    ],
)
def test_a_short_run_prints_its_figures(name: str, options: tuple[str, ...], promised: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(promised, done.stdout), done.stdout


def test_an_upload_does_not_grow_the_engine() -> None:
    """64 MiB arrive, and resident memory grows by far less."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_memory", "--exchanges", "100", "--upload-mib", "64"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    upload = done.stdout.partition("upload of")[2]
    start, most = re.search(r"(\d+) MB at the start", upload), re.search(r"(\d+) MB at most", upload)
    assert start is not None
    assert most is not None
    assert int(most[1]) - int(start[1]) < 48, done.stdout
