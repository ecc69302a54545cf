"""One look at one session: the lock, then the identity, then the exit file, in this order.

The shim writes the exit file before it lets the lock go, so a reader that looks at the
file last can never find both missing while the session ends in good order.
"""

from __future__ import annotations

import os
from datetime import datetime
from stat import S_ISREG

from agentctl.adapters import registry
from agentctl.core.decide import needs_listing
from agentctl.core.liveness import explain, judge, together
from agentctl.core.model import (
    AgentRecord,
    AgentVerdict,
    ExitRecord,
    Fuse,
    Held,
    Life,
    Listing,
    Liveness,
    Observation,
    Result,
    Session,
)
from agentctl.errors import AdapterUnavailable
from agentctl.host import clock, flock, pid_file, processes, waiting
from agentctl.host.files import read_small
from agentctl.host.paths import SessionFiles


def observe(session: Session, fuse: Fuse | None, files: SessionFiles, now: datetime) -> Observation:
    """What can be seen of `session`; the agent's store is asked only where `decide` needs it."""
    seen = look(session, files)
    if session.is_final:
        return seen
    if seen.exit is not None:
        # The row has no code yet, but the adapter must know that the run has ended.
        told = session._replace(exit_code=seen.exit.code)
        seen = seen._replace(result=report_of(told, files, ended=True))
    elif seen.liveness is Liveness.DEAD:
        # Nobody recorded how it ended; its log still shows what the agent said and spent.
        said = report_of(session, files, ended=True)
        seen = seen._replace(result=said._replace(verdict=AgentVerdict.SILENT))
    elif session.native_id is None and session.adapter not in registry.NAMELESS:
        seen = seen._replace(result=report_of(session, files, ended=False))
    if needs_listing(session, fuse, seen, now):
        seen = seen._replace(listing=listing_of(session))
    return seen


def look(session: Session, files: SessionFiles) -> Observation:
    """Lock, identity and exit file: evidence that costs no more than three small reads."""
    held = flock.probe(files.lock)
    agent = read_agent(files) if session.pid is None else None
    pid = session.pid if agent is None else agent.pid
    start_token = session.start_token if agent is None else agent.start_token
    seen = processes.find(pid, start_token) if pid is not None else None
    life = seen.life if seen is not None else None
    suspended = seen is not None and life is Life.ALIVE and seen.is_suspended
    tree = _probe_tree(files) if life is Life.UNSEEN else Held.UNKNOWN
    liveness = judge(held, life, tree)
    record = read_exit(files)
    if record is None and liveness is Liveness.DEAD and held is Held.UNKNOWN and life is not Life.REBOOTED:
        # Without a lock to wait for, give the shim a moment to write down how it ended.
        waiting.poll(lambda: os.path.exists(files.exit), timeout=1)
        record = read_exit(files)
    return Observation(
        liveness=liveness,
        evidence=explain(held, life, pid, tree) + (", suspended (SIGSTOP)" if suspended else ""),
        exit=record,
        agent=agent,
        supervised=held is not Held.NO,
        suspended=suspended,
        fired=os.path.exists(files.fired),
        booted_at=processes.booted_at() if life is Life.REBOOTED and held is not Held.YES else None,
    )


def _probe_tree(files: SessionFiles) -> Held:
    """Whether something that the shim started lives, wherever it is: what it inherited is locked."""
    from agentctl.store.journal import is_on_network

    # Over a network a lock that another machine holds may look free.
    held = Held.UNKNOWN if is_on_network(files.directory) else flock.probe(files.tree)
    return together(frozenset({held, flock.probe(files.log)}))


def has_ended(session: Session, files: SessionFiles) -> bool:
    """A fresh look: its end is on file, or nothing of it lives."""
    seen = look(session, files)
    return seen.exit is not None or seen.liveness is Liveness.DEAD


def read_exit(files: SessionFiles) -> ExitRecord | None:
    """The exit file: None if there is none; a null code if it is empty or unreadable."""
    try:
        stat = os.lstat(files.exit)
    except OSError:
        return None
    if not S_ISREG(stat.st_mode):
        return None  # no shim made this
    try:
        text = (read_small(files.exit, 16) or b"").strip()
    except OSError:
        text = b""
    code = int(text) if text.isdigit() and int(text) <= 255 else None
    return ExitRecord(code=code, at=clock.modified_at(stat))


def read_agent(files: SessionFiles) -> AgentRecord | None:
    """The pid file: None if there is none, or it is not one that a shim wrote."""
    written = pid_file.read(files.pid)
    if written is None:
        return None
    at = clock.modified_at(written.stat)
    token = processes.recorded_token(written.pid, written.ticks, written.surroundings, at)
    return AgentRecord(pid=written.pid, start_token=token, started_at=at)


def report_of(session: Session, files: SessionFiles, *, ended: bool) -> Result:
    """The agent's own report: everything once it has ended, its native id until then."""
    try:
        adapter = registry.load(session.adapter)
    except AdapterUnavailable as error:
        return Result(notes=(error.message,)) if ended else Result()
    try:
        if not ended:
            return Result(native_id=adapter.native_id(session, files.log))
        return _same_conversation(session, adapter.result(session, files.log))
    except Exception as error:
        if session.adapter in registry.ADAPTERS:
            raise
        # Another package's code: what is wrong with it must not keep a session from ending.
        return Result(notes=(f"adapter {session.adapter} failed: {type(error).__name__}: {error}",))


def _same_conversation(session: Session, result: Result) -> Result:
    """The report, an error if it is of another conversation than the one that was asked for.

    Some programs silently begin a new one if they do not know the id.
    """
    if session.native_id is None or result.native_id in (None, session.native_id):
        return result
    text = f"the agent went on with another conversation: {result.native_id}, not {session.native_id}"
    return result._replace(verdict=AgentVerdict.ERROR, text=text)


def listing_of(session: Session) -> Listing:
    """What the agent's own store says; unavailable where nobody can ask it."""
    try:
        return registry.load(session.adapter).listing(session)
    except AdapterUnavailable:
        return Listing.UNAVAILABLE
    except Exception:
        if session.adapter in registry.ADAPTERS:
            raise
        return Listing.UNAVAILABLE
