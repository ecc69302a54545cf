"""Ending processes: one rung, or all that a session left behind.

Graceful signals go to the agent alone; what it started gets TERM once the agent has gone,
and KILL when the patience is over. Every process is identified again just before it is
signalled. No transaction is open in here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from agentctl.core.effects import Signal
from agentctl.core.model import Held, Identity, Life, Session
from agentctl.core.sweeping import Tree
from agentctl.host import clock, flock, pid_file, process_tree, processes, waiting
from agentctl.host.files import read_small, remove, write_private
from agentctl.host.paths import STOPPER, SessionFiles
from agentctl.host.process_tree import Whose

GONE_WITHIN = 5.0
"""Seconds that processes get to vanish after KILL."""

AT_LEAST = 2.0
"""Seconds that what the agent started gets between TERM and KILL."""


class Ended(NamedTuple):
    """What was ended beside the agent, and what could not be ended."""

    ended: Tree
    survivors: Tree


def agent_of(session: Session) -> Identity | None:
    """The recorded agent as a target, by its number here; None where none was recorded."""
    if session.pid is None or session.start_token is None:
        return None
    return _here(Identity(session.pid, session.start_token))


def _here(recorded: Identity) -> Identity:
    """A container's process has another number and namespace here than it has in there."""
    seen = processes.find(recorded.pid, recorded.start_token)
    ticks = recorded.start_token.partition(":")[0]
    return Identity(seen.pid, processes.token(ticks)) if seen.life is Life.ALIVE else recorded


def whose(session: Session, files: SessionFiles) -> Whose:
    """What there is to know of a session's processes before they are looked for."""
    shim, user = _shim_of(files)
    # The lock before the exit file, as in every look: the shim writes the one before it frees the other.
    held = flock.probe(files.lock)
    ended: float | None = None
    with suppress(OSError):
        ended = process_tree.ticks_since(clock.modified_at(os.stat(files.exit)))
    return Whose(
        session_id=session.id,
        sessions=os.path.dirname(files.directory),
        agent=agent_of(session),
        # A lock that is free was held by a shim that has gone: its number may be another's.
        shim=shim if held is Held.YES else None,
        user=user,
        ended=ended,
        has_left=shim is not None and held is Held.NO and ended is not None,
    )


def _shim_of(files: SessionFiles) -> tuple[Identity | None, int | None]:
    """The shim, if it adopts what loses its parent below it, and who ran the agent."""
    written = pid_file.read(files.pid)
    if written is None:
        return None, None
    user = written.stat.st_uid
    if written.shim is None or not written.is_reaper:
        return None, user
    return _here(Identity(written.shim, processes.token(written.shim_ticks, written.surroundings))), user


def tree(
    session: Session, files: SessionFiles, *, remembered: Iterable[Identity] = (), by_mark: bool = False
) -> Tree:
    """The session's processes now, without those that are stopping it; `by_mark` as in `snapshot`."""
    return process_tree.snapshot(
        whose(session, files), remembered=remembered, stoppers=stoppers(files), by_mark=by_mark
    )


@contextmanager
def declared(files: Iterable[SessionFiles]) -> Iterator[None]:
    """Inside, this process is known to every other command as one that is stopping these sessions.

    It may be a tool of the agent, and whoever records the end first ends the agent's tools.
    """
    pid = os.getpid()
    token = (processes.token_of(pid) or "").encode()
    paths = [one.stopper(pid) for one in files]
    try:
        for path in paths:
            with suppress(OSError):  # a full disk must not prevent the stop
                write_private(path, token)
        yield
    finally:
        for path in paths:
            with suppress(OSError):
                remove(path)


def stoppers(files: SessionFiles) -> frozenset[Identity]:
    """The processes that have declared so; one that was killed left its file, and is told by its token."""
    found = set()
    with suppress(OSError):
        for name in os.listdir(files.directory):
            pid = name.removeprefix(STOPPER)
            if name.startswith(STOPPER) and pid.isdecimal():
                token = (read_small(files.stopper(int(pid)), 256) or b"").decode("ascii", "replace")
                found.add(Identity(int(pid), token))
    return frozenset(found)


def send(session: Session, rung: Signal) -> None:
    """Send one rung of the ladder to the agent."""
    agent = agent_of(session)
    if agent is not None:
        send_alone(agent, rung.number)


def send_alone(target: Identity, number: int) -> None:
    """Signal one process, and wake it: a stopped one does not see TERM until it is continued."""
    try:
        if processes.signal_process(target.pid, target.start_token, number):
            processes.signal_process(target.pid, target.start_token, signal.SIGCONT)
    except PermissionError:
        return  # another user's process, such as sudo: reported as a survivor


def signal_all(targets: Iterable[Identity], number: int) -> None:
    for target in targets:
        send_alone(target, number)


def is_gone(session: Session) -> bool:
    """The recorded agent is not running any more."""
    agent = agent_of(session)
    return agent is None or not process_tree.alive([agent])


def end_all(
    look: Callable[[Iterable[Identity]], Tree], remembered: Iterable[Identity], patience: float
) -> Ended:
    """TERM everything that `look` finds, KILL what is left after `patience` seconds.

    `look` is given the processes known so far and finds these with new ones: a tool may start
    another while it is being ended. With no patience everything is killed at once.
    """
    seen: Tree = {}
    left = look(remembered)
    if patience > 0 and left:
        asked: set[Identity] = set()
        for _ in waiting.ticks(interval=0.02, timeout=patience):
            signal_all(left.keys() - asked, signal.SIGTERM)
            asked |= left.keys()
            seen |= left
            if not process_tree.alive(left):
                left = look(seen)
                if not left:
                    return Ended(seen, {})

    def is_over() -> bool:
        nonlocal left, seen
        left = look([*remembered, *seen])
        seen |= left
        signal_all(left, signal.SIGKILL)
        return not left

    waiting.poll(is_over, timeout=GONE_WITHIN, first=0.02)
    return Ended({one: name for one, name in seen.items() if one not in left}, left)


def finish(session: Session, files: SessionFiles, remembered: Iterable[Identity] = ()) -> Ended:
    """KILL everything that is left of a session."""
    return end_all(lambda known: tree(session, files, remembered=known), remembered, 0)
