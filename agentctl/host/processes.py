"""Which process this is, whether it is still the same one, and what it is doing.

Identity is pid + start token. A token names everything that makes a pid unique: on
Linux the start ticks, the boot, the machine and the pid namespace; elsewhere the
creation time. A bare pid is never believed. Linux is read from /proc directly:
psutil costs half of what `list` may cost, and is used elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import NamedTuple

from agentctl.core.model import Life
from agentctl.host import clock

LINUX = sys.platform == "linux"


class Stat(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    ticks: str
    """Start in clock ticks since boot on Linux, creation time elsewhere."""
    is_zombie: bool
    command: str = ""
    """Name of the program as the kernel keeps it."""


class Surroundings(NamedTuple):
    """What makes a pid mean something: "-" for what cannot be read."""

    boot: str
    machine: str
    namespace: str


@cache
def _here() -> Surroundings:
    """The surroundings of this process."""
    if not LINUX:
        import platform

        return Surroundings("-", platform.node() or "-", "-")
    return Surroundings(
        _first_line("/proc/sys/kernel/random/boot_id") or "-",
        _first_line("/etc/machine-id") or _first_line("/var/lib/dbus/machine-id") or os.uname().nodename,
        _namespace(),
    )


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "-"


def _first_line(path: str) -> str | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return os.fsdecode(file.read(256)).partition("\n")[0].strip() or None
    except OSError:
        return None


def token(ticks: str, *, boot: str | None = None) -> str:
    """The start token of a process that began at `ticks` here (or at `boot` of this machine)."""
    here = _here()
    return ":".join((ticks, boot or here.boot, here.machine, here.namespace))


def stat_of(pid: int) -> Stat | None:
    """The process table's line, None for no such process. PermissionError is raised."""
    if not LINUX:
        return _psutil_stat(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            line = file.read(1024)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _parse_stat(pid, line)


def _parse_stat(pid: int, line: bytes) -> Stat | None:
    # The command name may hold spaces and parentheses: fields are counted from its last ")".
    end = line.rfind(b")")
    fields = line[end + 2 :].split()
    if len(fields) < 20:
        return None
    return Stat(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        ticks=fields[19].decode("ascii"),
        is_zombie=fields[0] in (b"Z", b"X", b"x"),
        command=os.fsdecode(line[line.find(b"(") + 1 : end]),
    )


def _psutil_stat(pid: int) -> Stat | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Stat(
                pid=pid,
                parent=process.ppid(),
                group=os.getpgid(pid),
                ticks=f"{process.create_time():.3f}",
                is_zombie=process.status() == psutil.STATUS_ZOMBIE,
                command=process.name(),
            )
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except psutil.AccessDenied as error:
        raise PermissionError(str(error)) from error


def token_of(pid: int) -> str | None:
    """The start token of a living process; None when there is none to read."""
    try:
        stat = stat_of(pid)
    except OSError:
        return None
    return token(stat.ticks) if stat is not None else None


def look(pid: int, start_token: str | None) -> Life:
    """What became of the process that was recorded as `pid` with `start_token`."""
    if start_token is None:
        return Life.UNREADABLE
    parts = start_token.split(":")
    if len(parts) != 4:
        return Life.UNREADABLE
    ticks, boot, machine, namespace = parts
    here = _here()
    if machine != here.machine:
        return Life.FOREIGN
    if boot != here.boot:
        return Life.REBOOTED
    if namespace != here.namespace:
        return Life.FOREIGN
    try:
        stat = stat_of(pid)
    except PermissionError:
        return Life.UNREADABLE
    if stat is None or stat.ticks != ticks:
        return Life.GONE
    return Life.ZOMBIE if stat.is_zombie else Life.ALIVE


def booted_at() -> datetime | None:
    """When this machine was started, as its clock now puts it."""
    if LINUX:
        try:
            with open("/proc/stat", encoding="ascii") as file:
                for line in file:
                    if line.startswith("btime "):
                        return clock.from_epoch(int(line.split()[1]))
        except (OSError, ValueError):
            return None
        return None
    import psutil

    return clock.from_epoch(psutil.boot_time())


def table() -> dict[int, Stat]:
    """Every process that can be read, by pid."""
    found: dict[int, Stat] = {}
    for pid in _pids():
        try:
            stat = stat_of(pid)
        except OSError:
            continue
        if stat is not None:
            found[pid] = stat
    return found


def _pids() -> Iterable[int]:
    if LINUX:
        return (int(name) for name in os.listdir("/proc") if name.isdigit())
    import psutil

    return psutil.pids()


def environment_of(pid: int) -> Mapping[str, str]:
    """The environment a process was started with; empty where it cannot be read."""
    if LINUX:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                raw = file.read()
        except OSError:
            return {}
        pairs = (os.fsdecode(item).partition("=") for item in raw.split(b"\0") if item)
        return {name: value for name, separator, value in pairs if separator}
    import psutil

    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


def arguments_of(pid: int) -> tuple[str, ...]:
    """The argument vector of a process; empty where it cannot be read."""
    if LINUX:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                raw = file.read()
        except OSError:
            return ()
        return tuple(os.fsdecode(item) for item in raw.rstrip(b"\0").split(b"\0")) if raw else ()
    import psutil

    try:
        return tuple(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return ()


def directory_of(pid: int) -> str | None:
    """The working directory of a process, None where it cannot be read."""
    if LINUX:
        try:
            return os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            return None
    import psutil

    try:
        return psutil.Process(pid).cwd()
    except (psutil.Error, OSError):
        return None


def started_at(stat: Stat) -> datetime:
    """When a process began, for display and rough matching: it moves with the clock."""
    if not LINUX:
        return clock.from_epoch(float(stat.ticks))
    boot = booted_at() or clock.from_epoch(0)
    return clock.from_epoch(boot.timestamp() + int(stat.ticks) / os.sysconf("SC_CLK_TCK"))


def signal_process(pid: int, start_token: str, number: int) -> bool:
    """Send a signal if `pid` is still the process recorded; False if it is gone.

    On Linux through a pidfd: opened first, then identified, so that what was
    identified is what is signalled, whatever becomes of the pid meanwhile.
    """
    if hasattr(os, "pidfd_open"):
        return _signal_by_descriptor(pid, start_token, number)
    if look(pid, start_token) is not Life.ALIVE:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _signal_by_descriptor(pid: int, start_token: str, number: int) -> bool:
    import signal

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if look(pid, start_token) is not Life.ALIVE:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def recorded_token(pid: int, ticks: str, boot: str, recorded_at: datetime) -> str | None:
    """The start token of the process that wrote its own pid, ticks and boot at `recorded_at`.

    Where the writer could not read its ticks (no /proc), the creation time of the process
    that has the pid now is taken, if it began before the record and shortly before it.
    """
    if ticks != "-":
        return token(ticks, boot=None if boot == "-" else boot)
    try:
        stat = stat_of(pid)
    except OSError:
        return None
    if stat is None:
        return token("0")
    age = (recorded_at - started_at(stat)).total_seconds()
    return token(stat.ticks) if -1 <= age <= 10 else token("0")
