"""Ending processes: one rung, a sweep, or the whole ladder watched to its end.

Graceful signals go to the agent alone; KILL goes to its whole tree. Every process is
identified again just before it is signalled. No transaction is open in here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from agentctl.core.effects import Signal
from agentctl.core.model import Life, Session
from agentctl.host import process_tree, processes, waiting
from agentctl.host.files import read_small, remove, write_private
from agentctl.host.paths import STOPPER, SessionFiles
from agentctl.host.process_tree import Identity

GONE_WITHIN = 5.0
"""Seconds that processes get to vanish after KILL."""


def agent_of(session: Session) -> Identity | None:
    """The recorded agent as a target, by its number here; None where none was recorded."""
    if session.pid is None or session.start_token is None:
        return None
    seen = processes.find(session.pid, session.start_token)
    ticks = session.start_token.partition(":")[0]
    # A container's process has another number and namespace here than it has in there.
    return Identity(seen.pid, processes.token(ticks) if seen.life is Life.ALIVE else session.start_token)


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


def send(session: Session, rung: Signal, spared: frozenset[Identity] = frozenset()) -> None:
    """Send one rung of the ladder; KILL to all but `spared`, which are stoppers as `stoppers` tells them."""
    if rung.number == signal.SIGKILL:
        kill(process_tree.snapshot(session.id, agent_of(session), stoppers=spared))
        return
    agent = agent_of(session)
    if agent is not None:
        send_alone(agent, rung.number)


def send_alone(agent: Identity, number: int) -> None:
    """Signal one process, and wake it: a stopped one does not see TERM until it is continued."""
    try:
        if processes.signal_process(agent.pid, agent.start_token, number):
            processes.signal_process(agent.pid, agent.start_token, signal.SIGCONT)
    except PermissionError:
        return  # another user's process, such as sudo: reported as a survivor


def is_gone(session: Session) -> bool:
    """The recorded agent is not running any more."""
    agent = agent_of(session)
    return agent is None or not process_tree.alive([agent])


def sweep(session: Session, spared: frozenset[Identity] = frozenset()) -> None:
    """End what a stopped agent left running: tools that carry its session id."""
    kill(process_tree.snapshot(session.id, agent_of(session), stoppers=spared))


def kill(targets: Iterable[Identity]) -> None:
    for target in targets:
        try:
            processes.signal_process(target.pid, target.start_token, signal.SIGKILL)
        except PermissionError:
            # Another user's process, such as one behind sudo: reported as a survivor.
            continue


def finish(
    session: Session, remembered: frozenset[Identity], spared: frozenset[Identity] = frozenset()
) -> frozenset[Identity]:
    """KILL what is left once the agent has gone; what survives that.

    Asks again until nothing is left, because a tool may start another while it is ended.
    """
    left: frozenset[Identity] = frozenset()

    def is_gone() -> bool:
        nonlocal left
        left = process_tree.snapshot(
            session.id, agent_of(session), remembered=remembered | left, stoppers=spared
        )
        kill(left)
        return not left

    waiting.poll(is_gone, timeout=GONE_WITHIN, first=0.02)
    return left


def climb_down(session: Session, is_over: Callable[[], bool]) -> frozenset[Identity]:
    """Walk a session's whole ladder while waiting for `is_over`; the processes that survive it.

    For a lingering process, whose row is final and keeps no stage.
    """
    remembered = process_tree.snapshot(session.id, agent_of(session))
    for rung in session.ladder:
        send(session, Signal(rung.signal))
        if waiting.poll(is_over, timeout=rung.wait.total_seconds()):
            break
    return finish(session, remembered)
