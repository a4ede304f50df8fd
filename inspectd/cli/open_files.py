"""How many connections fit into the files that the system lets a process have open.

A process that has no file left can't even refuse a connection: the client sees a reset, and nobody learns why. So the
bound on connections stays below that, and the one too many gets its 503 and its row.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Final

RESERVED: Final = 40
"""Files for everything else: listeners, the capture, the control API, connections that are being refused."""


def fitting(connections: int) -> int:
    """How many of so many connections can be open at once, after this process's own limit was raised for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED
    if resource.RLIM_INFINITY != soft < wanted:
        aim = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it doesn't tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
            soft = aim
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - RESERVED))
