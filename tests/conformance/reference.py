"""Where the vectors of other projects lie: beside the checkout, never in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

REFERENCE: Final = Path(
    os.environ.get("INSPECTD_REFERENCE_DATA")
    or Path(__file__).resolve().parents[2].parent / "shared" / "data"
)
"""`INSPECTD_REFERENCE_DATA` names another place. Without the files, the tests that need them are skipped."""
