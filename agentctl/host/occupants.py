"""Who uses a directory: the processes whose working directory is in it."""

from __future__ import annotations

import os
from typing import NamedTuple

from agentctl.core import variables
from agentctl.host import processes


class Occupant(NamedTuple):
    pid: int
    name: str


def occupants(directory: str) -> list[Occupant]:
    """Processes that work at or below `directory`, as far as they can be read.

    Without this process, and without shims, which no longer need their directory.
    """
    found = []
    for pid in processes.table():
        place = processes.directory_of(pid)
        if place is None or pid == os.getpid() or not is_within(place, directory):
            continue
        if variables.SHIM not in processes.environment_of(pid):
            words = processes.arguments_of(pid)
            found.append(Occupant(pid, os.path.basename(words[0]) if words else "?"))
    return found


def is_within(path: str, directory: str) -> bool:
    """`path` is `directory` or below it; both absolute."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def size_of(directory: str) -> int:
    """Bytes that the files below take on the disk; what cannot be read counts as nothing."""
    total = 0
    if os.path.islink(directory):
        return total
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                continue  # deleted meanwhile
    return total
