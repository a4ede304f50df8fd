"""The command line. This module stays light: every command lives in a module that is imported when it is asked for."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The `inspectd` command. Exits with 0 when all is well, 1 when the job failed, 2 for wrong usage."""
    try:
        from inspectd.cli.root import run_command_line

        code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were loaded
        code = 130
    sys.exit(code)
