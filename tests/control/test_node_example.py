"""The worked example for other languages, run by a real node: rules, retries, evidence, holds, near misses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live_engine import ROOT, environment

NODE = shutil.which("node")
EXAMPLE = Path(__file__).parent / "example.mjs"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_test_in_javascript_says_what_is_answered_and_learns_what_its_client_did(tmp_path: Path) -> None:
    assert NODE is not None
    done = subprocess.run(
        [NODE, EXAMPLE, sys.executable, "-m", "inspectd"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    saw = json.loads(done.stdout)

    assert saw["paid"] == {"attempt": 3, "text": "paid"}
    assert [(each["status"], each["attempt"]) for each in saw["attempts"]] == [
        (503, 1),
        (200, 2),
        (200, 3),
    ]
    assert (saw["attempts"][1]["ended_by"], saw["attempts"][1]["how"]) == ("server", "rst")
    assert (saw["verified"]["ok"], saw["verified"]["count"]) == (True, 3)
    assert saw["held"] == {"status": 200, "reason": "By hand", "text": "decided"}
    assert saw["missed"]["ok"] is False
    assert "POST" in saw["missed"]["near_misses"][0]["why_not"][0]
    assert saw["exit"] == 0
