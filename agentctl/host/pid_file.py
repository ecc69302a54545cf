"""The pid file: who the agent of a session is, and who its shim, as `shim.sh` writes them down.

Its words, as far as its version knew them:

    PID TICKS BOOT SHIM SHIM-TICKS MACHINE NAMESPACE [reaper]
"""

from __future__ import annotations

import os
from typing import NamedTuple

from agentctl.host.files import read_small
from agentctl.host.machine import UNREAD, Surroundings

REAPER = "reaper"
"""The last word where the shim adopts whatever loses its parent below it."""


class PidFile(NamedTuple):
    """Identities as the writer saw them; UNREAD for what it could not read or did not know."""

    pid: int
    ticks: str
    surroundings: Surroundings
    shim: int | None
    shim_ticks: str
    is_reaper: bool
    stat: os.stat_result
    """Of the file: whose it is, and when it was written, which is when the agent began."""


def read(path: str) -> PidFile | None:
    """What the file says; None if there is none, or it is not one that a shim wrote."""
    try:
        stat = os.stat(path)
        words = (read_small(path, 256) or b"").decode("ascii", "replace").split()
    except OSError:
        return None
    if len(words) < 3 or not words[0].isdigit():
        return None
    is_whole = len(words) >= 7
    return PidFile(
        pid=int(words[0]),
        ticks=words[1],
        surroundings=Surroundings(words[2], *(words[5:7] if is_whole else (UNREAD, UNREAD))),
        shim=int(words[3]) if len(words) > 3 and words[3].isdigit() else None,
        shim_ticks=words[4] if is_whole else UNREAD,
        is_reaper=words[7:8] == [REAPER],
        stat=stat,
    )
