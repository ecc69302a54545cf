"""What makes a pid mean something: the boot, the machine and the pid namespace it belongs to."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import NamedTuple

LINUX = sys.platform == "linux"

UNREAD = "-"
"""Stands for what cannot be read: it equals nothing, not even itself on another look."""


class Surroundings(NamedTuple):
    """What makes a pid mean something; UNREAD for what cannot be read."""

    boot: str
    machine: str
    namespace: str


@cache
def here() -> Surroundings:
    """The surroundings of this process."""
    if not LINUX:
        import platform

        return Surroundings(UNREAD, platform.node() or UNREAD, UNREAD)
    ids = (_first_line("/etc/machine-id"), _first_line("/var/lib/dbus/machine-id"))
    return Surroundings(
        _first_line("/proc/sys/kernel/random/boot_id") or UNREAD,
        next((one for one in ids if one is not None and is_machine_id(one)), UNREAD),
        _namespace("pid"),
    )


def of_children() -> Surroundings:
    """The surroundings that a process started by this one has; a shim writes them down."""
    return here()._replace(namespace=_namespace("pid_for_children"))


def _namespace(name: str) -> str:
    try:
        return str(os.stat(f"/proc/self/ns/{name}").st_ino)
    except OSError:
        return UNREAD


def is_machine_id(text: str) -> bool:
    """Not a host name, which another container has tomorrow, nor the "uninitialized" of an image."""
    return len(text) == 32 and all(letter in "0123456789abcdef" for letter in text)


def _first_line(path: str) -> str | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return os.fsdecode(file.read(256)).partition("\n")[0].strip() or None
    except OSError:
        return None
