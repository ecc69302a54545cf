"""Runs a user's hook below a keeper, and keeps what it printed, even of one that leaves children behind.

The keeper outlives whoever started it. A hook's files say what has become of it:

    PLACE.lock   held by its keeper; the hook does not have the descriptor
    PLACE.out    what it printed
    PLACE.pid    who it is: a hook whose keeper was killed can still be found and ended
    PLACE.code   its exit code, or `limit`
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from agentctl.core import variables
from agentctl.core.model import Held, Life
from agentctl.host import flock, processes, spawn, waiting
from agentctl.host.files import read_small, remove
from agentctl.host.shell import SHORT_OF, Ran, not_started, tail

if TYPE_CHECKING:
    from subprocess import Popen

KEEPERS_TIME = 15.0
"""Seconds that a keeper may take beyond the limit of its hook."""

DYING = 5.0
"""Seconds in which a process that was killed is gone, unless the kernel holds it."""

BECOME, COMMAND = f"{variables.SET}BECOME", f"{variables.SET}HOOK"
"""Variables of the keeper alone: `ps` shows arguments to everybody."""

_RUN = f"import os; exec(os.environ.pop('{BECOME}'))"

# Becomes the hook: says who it is while the keeper's group can still be ended as a whole, then leads
# a group of its own. Python changes LC_CTYPE in the C locale, and ignores two signals.
_BECOME = f"""
import os, signal, sys
place, token, locale = sys.argv[1:]
try:
    with open("/proc/self/stat", "rb") as file:
        ticks = file.read().rpartition(b")")[2].split()[19].decode()
except OSError:
    ticks = "-"
descriptor = os.open(place + ".pid.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
os.write(descriptor, (str(os.getpid()) + " " + token.replace("@", ticks)).encode())
os.close(descriptor)
os.rename(place + ".pid.new", place + ".pid")
os.setsid()
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
command = os.environ.pop("{COMMAND}")
os.environ.pop("LC_CTYPE", None)
if locale:
    os.environ["LC_CTYPE"] = locale
os.execv("/bin/sh", ["/bin/sh", "-c", command])
"""


def is_kept(place: str) -> bool:
    """A keeper is at work there."""
    return flock.probe(place + ".lock") is Held.YES


def forget(place: str, *, code: bool) -> None:
    """Delete the files of a hook whose end was recorded; the `code` and the lock too, or not."""
    for suffix in (".out", ".pid", ".limit", *((".code", ".lock") if code else ())):
        with suppress(OSError):
            remove(place + suffix)


def run(
    command: str,
    *,
    place: str,
    cwd: str,
    environ: Mapping[str, str],
    limit: float,
    again: bool = False,
) -> Ran | None:
    """Run `sh -c COMMAND` in `cwd`, at most `limit` seconds, with no standard input; None if it runs already.

    Output goes to a file: a hook that leaves a child behind cannot keep us waiting. At
    the limit its whole process group is ended. A hook that was started before at this place and
    whose end nobody has recorded is not run: the answer is how that one ended, unless `again`.
    """
    try:
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        lock = flock.hold(place + ".lock")
    except BlockingIOError:
        return None
    except OSError as error:
        return Ran(None, "", f"cannot start: {place}.lock: {error.strerror}", error.errno in SHORT_OF)
    try:
        if not again and (earlier := _ended(place, limit) or _orphan(place, limit)) is not None:
            return earlier
        forget(place, code=False)
        remove(place + ".code")
        started = _start(command, place, cwd, environ, limit, lock)
    finally:
        os.close(lock)
    if isinstance(started, Ran):
        return started
    try:
        import subprocess

        with suppress(subprocess.TimeoutExpired):
            started.wait(limit + KEEPERS_TIME)
    except BaseException:
        # Interrupted: the keeper and its hook are in sessions of their own, where ^C does not reach them.
        _end(started, place)
        raise
    ended = _ended(place, limit)
    if ended is None:
        # Killed or stopped: then this process keeps the hook to its limit.
        ended = _orphan(place, limit) or Ran(None, _tail(place), "its keeper was killed before it began")
        _end(started, place)
    return ended


def _start(
    command: str, place: str, cwd: str, environ: Mapping[str, str], limit: float, lock: int
) -> Popen[bytes] | Ran:
    import subprocess

    become = (sys.executable, "-I", "-S", "-c", _RUN, place, processes.token("@"))
    try:
        output = os.open(place + ".out", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return Ran(None, "", f"cannot start: {place}.out: {error.strerror}", error.errno in SHORT_OF)
    try:
        return subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                f'eval "${variables.PROGRAM}"',
                "agentctl-keeper",
                place,
                f"{limit:g}",
                *become,
                environ.get("LC_CTYPE", ""),
            ],
            cwd=cwd,
            env={
                **environ,
                variables.PROGRAM: spawn.program("keeper.sh"),
                BECOME: _BECOME,
                COMMAND: command,
            },
            stdin=lock,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return not_started(error, cwd)
    finally:
        os.close(output)


def _ended(place: str, limit: float) -> Ran | None:
    """What the keeper has written of the hook's end; None if it has written nothing."""
    word = (_read(place + ".code") or "").strip()
    if word == "limit":
        return Ran(None, _tail(place), f"ended at its limit of {limit:g} s")
    if not word.isdecimal():
        return None
    return Ran(int(word), _tail(place), None if word == "0" else f"exit {word}")


def _orphan(place: str, limit: float) -> Ran | None:
    """Wait for a hook whose keeper was killed, to its limit at most; None if there is none."""
    hook = _hook(place)
    if hook is None or not _is_alive(hook):
        return None
    ended_itself = waiting.poll(lambda: not _is_alive(hook), timeout=max(limit - _age(hook[0]), 0))
    _end_group(hook)
    # The keeper's timer may be there still, and have been faster.
    if ended_itself and not os.path.exists(place + ".limit"):
        return Ran(None, _tail(place), "its keeper was killed, and nobody saw how it ended")
    return Ran(None, _tail(place), f"ended at its limit of {limit:g} s")


def _hook(place: str) -> tuple[int, str] | None:
    pid, _, token = (_read(place + ".pid") or "").partition(" ")
    return (int(pid), token) if pid.isdecimal() else None


def _is_alive(hook: tuple[int, str]) -> bool:
    return processes.look(*hook) is Life.ALIVE


def _age(pid: int) -> float:
    """Seconds since a process began, whatever was done to the clock; 0 if that cannot be read."""
    stat, uptime = processes.stat_of(pid), (_read("/proc/uptime") or "").split()
    return float(uptime[0]) - int(stat.ticks) / os.sysconf("SC_CLK_TCK") if stat and uptime else 0.0


def _end(keeper: Popen[bytes], place: str) -> None:
    """End the keeper and what becomes its hook; then the hook, which said who it is before it left."""
    if keeper.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(keeper.pid, signal.SIGKILL)
        keeper.wait()
    if (hook := _hook(place)) is not None:
        _end_group(hook)


def _end_group(hook: tuple[int, str]) -> None:
    if _is_alive(hook):
        with suppress(ProcessLookupError):
            os.killpg(hook[0], signal.SIGKILL)
        waiting.poll(lambda: not _is_alive(hook), timeout=DYING)


def _read(path: str) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        return (read_small(path) or b"").decode()
    return None


def _tail(place: str) -> str:
    try:
        with open(place + ".out", "rb") as file:
            return tail(file.fileno())
    except OSError:
        return ""
