"""Which process this is, whether it is still the same one, and what it is doing.

Identity is pid + start token. A token names everything that makes a pid unique: on
Linux the start ticks, the boot, the machine and the pid namespace; elsewhere the
creation time. A bare pid is never believed. Linux is read from /proc directly:
psutil costs half of what `list` may cost, and is used elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import NamedTuple

from agentctl.core.model import Life
from agentctl.host import clock, machine
from agentctl.host.machine import LINUX, UNREAD, Surroundings


class Stat(NamedTuple):
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    ticks: str
    """Start in clock ticks since boot on Linux, creation time elsewhere."""
    is_zombie: bool
    is_suspended: bool = False
    """By SIGSTOP, or by a debugger."""
    command: str = ""
    """Name of the program as the kernel keeps it."""


def token(ticks: str, surroundings: Surroundings | None = None) -> str:
    """The start token of a process that began at `ticks`, here or in other surroundings."""
    return ":".join((ticks, *(surroundings or machine.here())))


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
        is_suspended=fields[0] in (b"T", b"t"),
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
                is_suspended=process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP),
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


class Seen(NamedTuple):
    """What became of a recorded process."""

    life: Life
    pid: int
    """Its number here, as another pid namespace has its own; the recorded one if it is not found."""
    is_suspended: bool = False


def look(pid: int, start_token: str | None) -> Life:
    """What became of the process that was recorded as `pid` with `start_token`."""
    return find(pid, start_token).life


def find(pid: int, start_token: str | None) -> Seen:
    """What became of the recorded process, its number here, and whether it is suspended."""
    parts = (start_token or "").split(":")
    if len(parts) != 4:
        return Seen(Life.UNREADABLE, pid)
    ticks, surroundings = parts[0], Surroundings(*parts[1:])
    here = machine.here()
    if not LINUX:
        return _find(pid, ticks) if surroundings.machine == here.machine else Seen(Life.FOREIGN, pid)
    if UNREAD in (ticks, surroundings.boot, here.boot):
        # Without a boot to compare, a match in all the rest is a sign of life; nothing is a sign of none.
        is_here = surroundings[1:] == here[1:] and UNREAD not in (ticks, *here[1:]) and _table_is_ours()
        seen = _find(pid, ticks) if is_here else None
        return seen if seen is not None and seen.life is Life.ALIVE else Seen(Life.UNREADABLE, pid)
    if surroundings.boot != here.boot:
        # Without a machine id nobody can tell another machine from an earlier boot of this one.
        if not machine.is_machine_id(surroundings.machine) or here.machine == UNREAD:
            return Seen(Life.UNREADABLE, pid)
        return Seen(Life.REBOOTED if surroundings.machine == here.machine else Life.FOREIGN, pid)
    if surroundings.namespace == here.namespace != UNREAD and _table_is_ours():
        return _find(pid, ticks)
    local = _local_pid(pid, ticks, surroundings.namespace)
    if local is None:
        return Seen(Life.UNSEEN, pid)
    return _find(local, ticks)


def _find(pid: int, ticks: str) -> Seen:
    """What became of a process of this table."""
    try:
        stat = stat_of(pid)
    except PermissionError:
        return Seen(Life.UNREADABLE, pid)
    if stat is None:
        return Seen(Life.UNREADABLE if _is_hidden(pid) else Life.GONE, pid)
    if stat.ticks != ticks:
        return Seen(Life.GONE, pid)
    return Seen(Life.ZOMBIE if stat.is_zombie else Life.ALIVE, pid, stat.is_suspended)


def _is_hidden(pid: int) -> bool:
    """A process that the table does not show lives nevertheless: mount option `hidepid`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # It is ours to signal and began just now, or the table is not all there.
    return LINUX and not os.path.exists(f"/proc/{pid}/stat")


@cache
def _table_is_ours() -> bool:
    """The mounted process table is that of this process's own pid namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _local_pid(pid: int, ticks: str, namespace: str) -> int | None:
    """The number in this table of what is `pid` in another pid namespace; None if it is not shown.

    A namespace shows its processes to all that it lies in, each under a number of its own.
    """
    for local in _pids():
        try:
            stat = stat_of(local)
            if stat is None or stat.ticks != ticks or _innermost_pid(local) != pid:
                continue
        except OSError:
            continue
        try:
            found = str(os.stat(f"/proc/{local}/ns/pid").st_ino)
        except OSError:
            found = UNREAD  # another user's process: its number and its start must do
        if UNREAD in (found, namespace) or found == namespace:
            return local
    return None


def _innermost_pid(pid: int) -> int | None:
    """The number of a process in its own pid namespace."""
    with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
        for line in file.read(4096).splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return None


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
    seen = find(pid, start_token)
    if seen.life is not Life.ALIVE:
        return False
    try:
        os.kill(seen.pid, number)
    except ProcessLookupError:
        return False
    return True


def _signal_by_descriptor(pid: int, start_token: str, number: int) -> bool:
    import signal

    local = find(pid, start_token).pid
    try:
        descriptor = os.pidfd_open(local)
    except ProcessLookupError:
        return False
    try:
        if find(pid, start_token)[:2] != (Life.ALIVE, local):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def recorded_token(pid: int, ticks: str, surroundings: Surroundings, recorded_at: datetime) -> str | None:
    """The start token of the process that wrote its own pid, ticks and surroundings at `recorded_at`.

    Where no process can read its ticks (no Linux), the creation time of the process that has
    the pid now is taken, if it began before the record and shortly before it.
    """
    if LINUX:
        return token(ticks, surroundings)
    try:
        stat = stat_of(pid)
    except OSError:
        return None
    if stat is None:
        return token("0")
    age = (recorded_at - started_at(stat)).total_seconds()
    return token(stat.ticks) if -1 <= age <= 10 else token("0")
