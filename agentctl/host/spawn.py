"""Starts detached processes: a session's shim, and a deliverer."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from agentctl.core import variables
from agentctl.host import flock, machine, surroundings
from agentctl.host.paths import SessionFiles
from agentctl.host.pid_file import REAPER

if TYPE_CHECKING:
    from subprocess import Popen

Detached: TypeAlias = "Popen[bytes]"
"""A child that outlives this process: polled, never waited for."""

RESET = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE)
"""A shell cannot undo what it was started ignoring, so these are reset before it starts."""

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class ShimRequest:
    """Everything that a shim needs to know."""

    session_id: str
    name: str | None
    """Shown by `ps`, as the id and the directory are."""
    files: SessionFiles
    lock: int
    """Descriptor that holds the liveness lock; the shim takes it over as its stdin."""
    argv: tuple[str, ...]
    cwd: str
    stdin: str
    environ: Mapping[str, str]
    """The launcher's own environment: the finalising call runs in it."""
    patch: Mapping[str, str | None]
    """What the agent sees differently; None removes."""
    timed: bool
    interpreter: str = sys.executable


SHIM = "shim.sh"


@cache
def program(name: str) -> str:
    """The text of one of the shell programs beside this module."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def start_shim(request: ShimRequest) -> Detached:
    """Start the shim in a session of its own; OSError without `sh` or without memory.

    Its output is the log and its error stream the tree, both locked: the agent inherits them.
    """
    environ, kept = surroundings.split(request.environ, program(SHIM))
    environ |= {variables.SHIM: request.session_id, variables.PROGRAM: program(SHIM)}
    environ[variables.RESTORE] = " ".join(name for name in kept if name not in request.patch)
    setting = {name: value for name, value in {**kept, **request.patch}.items() if value is not None}
    environ |= {f"{variables.SET}{name}": value for name, value in setting.items()}
    removing = [variables.RESTORE, *(name for name, value in request.patch.items() if value is None)]
    here = " ".join(machine.of_children())
    with ExitStack() as stack:
        log = flock.hold(request.files.log, append=True)
        stack.callback(os.close, log)
        tree = flock.hold(request.files.tree)
        stack.callback(os.close, tree)

        def start(here: str, before_exec: Callable[[], None] | None = None) -> Detached:
            own = (request.session_id, request.name or "-", request.files.directory, request.interpreter)
            timed = "1" if request.timed else "0"
            words = (*own, request.stdin, timed, here, " ".join(setting), " ".join(removing))
            argv = ["/bin/sh", "-c", f'eval "${variables.PROGRAM}"', "agentctl-shim", *words, *request.argv]
            return _detach(argv, request.cwd, environ, (request.lock, log, tree), before_exec)

        adopt = adopting_orphans()
        if adopt is not None:
            import subprocess

            with suppress(subprocess.SubprocessError):  # the kernel refused
                return start(f"{here} {REAPER}", adopt)
        return start(here)


def adopting_orphans() -> Callable[[], None] | None:
    """What makes a new process the reaper of everything below it; None where only PID 1 is one.

    Whatever loses its parent below a reaper becomes the reaper's child, so that a tool cannot
    leave the session by detaching itself. The attribute survives exec, and no program but the
    new process itself can set it: the library is bound here, before the fork.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None

    def adopt() -> None:
        if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError("prctl was refused")

    return adopt


def start_agentctl(arguments: Sequence[str], environ: Mapping[str, str]) -> Detached:
    """Start another invocation of this program, detached, outside any project's directory."""
    argv = [sys.executable, "-P", "-m", "agentctl", *arguments]
    return _detach(argv, "/", environ)


def _detach(
    argv: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    streams: tuple[int, int, int] | None = None,
    before_exec: Callable[[], None] | None = None,
) -> Detached:
    import subprocess

    stdin, stdout, stderr = streams or (subprocess.DEVNULL,) * 3
    with default_signals():
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environ),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=before_exec,
        )
    return process


def kill_group(process: Detached) -> None:
    """KILL a detached child and what runs in its group; it is not reaped yet, so its pid is its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def forget(process: Detached) -> None:
    """Mark a detached child as not to be waited for: init inherits it when this process ends."""
    if process.poll() is None:
        process.returncode = 0


@contextmanager
def default_signals() -> Iterator[None]:
    """Inside, a new process starts with default dispositions and an empty mask.

    A handler in Python becomes the default on exec, so giving an ignored signal a
    handler for a moment resets it in the child alone. Only the main thread can: it enters
    this around threads that start processes, for which nothing is ignored then.
    """
    ignored = [number for number in RESET if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
