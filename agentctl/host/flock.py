"""Locks on files, such as the liveness lock: the kernel frees one when its last holder has gone."""

from __future__ import annotations

import errno
import fcntl
import os

from agentctl.core.model import Held
from agentctl.host import waiting
from agentctl.host.owner import give_to_owner

_PROVES_NOTHING = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


PROBED_WITHIN = 1.0
"""Seconds that a lock which others probe is asked for: a probe holds it for an instant."""


def hold(path: str, *, append: bool = False, within: float = PROBED_WITHIN) -> int:
    """Create the lock file and hold it; the descriptor is the hold. Close it to hand it over.

    With `append` what is written through the descriptor is added to the file. Raises
    BlockingIOError if another process holds the lock for longer than a probe.

    On a file system without flock the descriptor is returned anyway: the lock then proves
    nothing, and `probe` says so.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else 0), 0o600)
    give_to_owner(path)

    def is_taken() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _PROVES_NOTHING:
                raise
        return True

    try:
        if not waiting.poll(is_taken, timeout=within):
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def probe(path: str) -> Held:
    """Whether somebody holds the lock. Never creates the file, never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return Held.UNKNOWN
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Held.YES
    except OSError:
        return Held.UNKNOWN
    else:
        return Held.NO
    finally:
        os.close(descriptor)


def try_hold(path: str) -> int | None:
    """Hold the lock if it is free; None if somebody else has it."""
    try:
        return hold(path, within=0)
    except BlockingIOError:
        return None


def held_files() -> dict[int, set[tuple[int, int]]]:
    """Process → device and inode, as `stat` has them, of each file that it has locked.

    Empty on systems without /proc/locks. The kernel lists the device of the file system, while
    btrfs gives `stat` another one for each subvolume: so each process's open files are compared.
    """
    return {pid: _as_stat(pid, listed) for pid, listed in _listed().items()}


def _as_stat(pid: int, listed: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the process's open files whose inodes are listed; what is listed if they cannot be read."""
    inodes = {inode for _, inode in listed}
    found = set()
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    stat = entry.stat()
                except OSError:
                    continue
                if stat.st_ino in inodes:
                    found.add((stat.st_dev, stat.st_ino))
    except OSError:
        return listed
    return found


def _listed() -> dict[int, set[tuple[int, int]]]:
    """What /proc/locks says, with the file systems' own devices."""
    try:
        with open("/proc/locks", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    found: dict[int, set[tuple[int, int]]] = {}
    for line in lines:
        words = line.split()
        # The line of a waiting process has `->` after its number: that process does not hold the lock.
        if len(words) < 8 or words[1] == b"->":
            continue
        try:
            major, minor, inode = words[5].split(b":")
            device = os.makedev(int(major, 16), int(minor, 16))
            found.setdefault(int(words[4]), set()).add((device, int(inode)))
        except ValueError:
            continue
    return found
