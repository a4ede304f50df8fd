"""The rule files that the command line names, loaded before anything is started."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inspectd.control.rules_in_use import RuleFiles
    from inspectd.rules.file import LoadedFile


def load_rule_files(paths: Sequence[Path]) -> RuleFiles | None:
    """The files in their order, compiled.

    Prints everything that is wrong with any of them, and raises `InspectdError`.
    """
    if not paths:
        return None
    from inspectd.control.rules_in_use import RuleFiles
    from inspectd.rules.file import RuleFileError, load_file
    from inspectd.rules.watch import Watched

    watched = Watched(paths)
    loaded: list[LoadedFile] = []
    count = 0
    for number, path in enumerate(paths):
        if path.absolute() in [before.absolute() for before in paths[:number]]:
            raise InspectdError(f"--rules {path} is there twice", "Name each file once.", exit_code=2)
        try:
            loaded.append(load_file(path))
        except RuleFileError as error:
            sys.stderr.write(f"{error}\n")  # its texts are safe for a terminal
            count += len(error.problems)
    if count:
        problems = "1 problem" if count == 1 else f"{count} problems"
        raise InspectdError(f"the rules can't be used: {problems}", "inspectd rules check FILE", exit_code=2)
    return RuleFiles(loaded, watched)
