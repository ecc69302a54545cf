"""Runs a command and knows everything that it started, to end it or to keep it in mind.

The command runs below a small shell that adopts whatever loses its parent there. The shell
waits until it is released, so that what the command leaves running can be found before.
"""

from __future__ import annotations

import os
import select
import signal
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, NamedTuple

from agentctl.core.model import Identity
from agentctl.core.sweeping import Tree
from agentctl.host import processes, waiting
from agentctl.host.process_tree import below
from agentctl.host.shell import tail
from agentctl.host.spawn import adopting_orphans

if TYPE_CHECKING:
    from subprocess import Popen

BETWEEN_LOOKS = 0.02

_KEEPER = '(exec /bin/sh -c "$1") </dev/null >&2; echo $?; exec >&-; read -r released'


class Watched(NamedTuple):
    """How the command ended, and what it has left running."""

    error: str | None
    output: str
    left: Tree


def run(
    command: str, *, cwd: str, environ: Mapping[str, str], limit: float, check: Callable[[], None]
) -> Watched:
    """Run `sh -c COMMAND` for at most `limit` seconds; `check` is called all the while.

    Whatever `check` raises, as an interrupt does, ends the command and all that it started.
    """
    import subprocess

    with tempfile.TemporaryFile() as output:
        try:
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "agentctl-keeper", command],
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                preexec_fn=adopting_orphans(),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Watched(f"cannot start in {cwd}: {error}", "", {})
        with keeper:
            try:
                code = _await(keeper.stdout, limit, check) if keeper.stdout else None
                left = below(keeper.pid)
                if code is None:
                    _end(keeper)
            except BaseException:
                _end(keeper)
                raise
        said = tail(output.fileno())
    if code is None:
        return Watched(f"ended at its limit of {limit:g} s", said, {})
    return Watched(None if code == "0" else f"exit {code}", said, left)


def _await(told: IO[bytes], limit: float, check: Callable[[], None]) -> str | None:
    """The exit code of the command, None if it has none at the limit."""
    for _ in waiting.ticks(interval=0, timeout=limit):
        check()
        if select.select([told], [], [], BETWEEN_LOOKS)[0]:
            return told.readline().decode("ascii", "replace").strip() or "137"
    return None


def _end(keeper: Popen[bytes]) -> None:
    """KILL all that is below the keeper, again until nothing is left, and then the keeper."""

    def is_over() -> bool:
        left = below(keeper.pid)
        for one in left:
            _kill(one)
        return not left

    waiting.poll(is_over, timeout=2, first=0.01)
    os.killpg(keeper.pid, signal.SIGKILL)


def _kill(one: Identity) -> None:
    try:
        processes.signal_process(one.pid, one.start_token, signal.SIGKILL)
    except PermissionError:
        return  # another user's process
