"""Sessions started outside agentctl, read from the agents' own stores.

Status goes as far as the evidence does: a process is a session's own only where the
adapter can prove it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache, partial

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Capability, NativeSession, Process
from agentctl.core import variables
from agentctl.core.ids import external_id, resolve
from agentctl.core.model import AgentVerdict, Outcome, Session, Source, Status, Tokens, as_stored
from agentctl.errors import AgentctlError
from agentctl.host import flock, processes
from agentctl.ops.external.cache import sessions_of, told
from agentctl.ops.external.which import discovering, store_paths
from agentctl.ops.found import Found
from agentctl.runtime import Runtime
from agentctl.store import sessions
from agentctl.store.db import Database, reading

SLACK = timedelta(seconds=1)
"""By so much a process may seem older than it is: the kernel tells when it booted in whole seconds."""

TITLE_PREFIX = "agentctl "
"""How a launch names its conversation where the program takes a title, followed by the session id."""


def external_sessions(
    runtime: Runtime,
    db: Database,
    *,
    adapter: str | None = None,
    live_only: bool = False,
    since: datetime | None = None,
) -> list[Found]:
    """External sessions of the adapters that can discover, newest first.

    With `live_only` those not over; with `since` those whose store has changed since then.
    An adapter that cannot answer becomes a notice of the runtime, not an error.
    """
    found: list[Found] = []
    for name in discovering(runtime):
        if adapter is None or adapter == name:
            with _noticing(runtime, name):
                found += _of_adapter(runtime, db, registry.load(name), live_only=live_only, since=since)
    return sorted(found, key=lambda one: one.session.created_at, reverse=True)


def _of_adapter(
    runtime: Runtime, db: Database, module: Adapter, *, live_only: bool, since: datetime | None
) -> list[Found]:
    paths = store_paths(runtime, module)
    if not paths:
        return []
    is_remote = Capability.REMOTE in module.CAPABILITIES
    running = [] if is_remote else _processes(module)
    with reading(db):
        rows = sessions.unsettled(db)
    if not _are_all_ours(running, {row.id for row in rows if row.adapter == module.NAME}):
        since = None  # a process may hold a session open that nobody has touched for weeks
    elif live_only and not is_remote:
        # Nothing can be live without a process that was started outside: no store need be read.
        return []
    was_read: list[int] = []

    def progress(done: int, of: int) -> None:
        was_read.append(done)
        runtime.progress(module.NAME, done, of)

    natives = [
        native
        for path in paths
        for native in sessions_of(
            db, module, path, since=since, progress=progress, notice=runtime.notices.append
        )
    ]
    if was_read and not is_remote:
        # Reading takes time: a session that began meanwhile must find its process.
        running = _processes(module)
    found = _judged(db, module, [native for native in natives if not native.is_child], running)
    return [one for one in found if not one.session.is_final] if live_only else found


def _judged(
    db: Database, module: Adapter, natives: Sequence[NativeSession], running: Sequence[Process]
) -> list[Found]:
    """Those of the sessions that no row stands for, each judged by its process."""
    with reading(db):
        tracked = sessions.native_ids(db, {native.native_id for native in natives})
        ours = sessions.known(db, {_launch_of(native) for native in natives})
        rows = sessions.unsettled(db)
    # Launched here, but its id for the conversation has not been read yet.
    unnamed = {row.id for row in rows if row.native_id is None and row.adapter not in registry.NAMELESS}
    # The agents of rows whose conversations are known are at work on these, and on no other.
    settled_pids = {(row.pid, row.start_token) for row in rows if row.native_id is not None}
    running = [one for one in running if (one.pid, one.start_token) not in settled_pids]
    hidden: list[NativeSession] = []
    shown: list[NativeSession] = []
    for native in natives:
        has_row = native.native_id in tracked or _launch_of(native) in ours
        (hidden if has_row else shown).append(native)
    proved = dict(module.match(shown, running))
    reopened = _reopened(module, hidden, running)
    proved |= {native.native_id: process for native, process in reopened}
    taken = {process.pid for process in proved.values()}
    free = [process for process in running if process.pid not in taken and process.session_tag is None]
    doubtful = _doubtful([native for native in shown if native.native_id not in proved], free)
    return [
        _found(module, native, process, doubtful.get(native.native_id))
        for native in (*shown, *(native for native, _ in reopened))
        if (process := proved.get(native.native_id)) is None or process.session_tag not in unnamed
    ]


def _doubtful(natives: Sequence[NativeSession], free: Sequence[Process]) -> dict[str, Process]:
    """Native id → a process that may be at work on it.

    Each may be on any unfinished session of its directory, and on one of those that are finished:
    the one that changed last, since nobody sits before all of them.
    """
    real = cache(os.path.realpath)
    found: dict[str, Process] = {}
    for process in sorted(free, key=lambda process: process.started_at, reverse=True):
        # `PWD` may be a link, or that of whoever started the process.
        places = {real(place) for place in (process.cwd, process.directory) if place}
        near = [
            native
            for native in natives
            if native.cwd and process.started_at <= native.updated_at and real(native.cwd) in places
        ]
        left = [native for native in near if native.native_id not in found]
        newest = max(left, key=lambda native: native.updated_at, default=None)
        for native in near:
            if native.is_open or native is newest:
                found.setdefault(native.native_id, process)
    return found


def _are_all_ours(running: Sequence[Process], ours: Collection[str]) -> bool:
    """Each is the agent of a live row; what such an agent has started in turn is none's."""
    tags = [process.session_tag for process in running]
    return all(tag in ours for tag in tags) and len(set(tags)) == len(tags)


def _reopened(
    module: Adapter, hidden: Sequence[NativeSession], running: Sequence[Process]
) -> list[tuple[NativeSession, Process]]:
    """Conversations that have a row, and that a process started outside is at work on now.

    Somebody went on with them by the agent's own means: the row's end is not theirs.
    """
    outside = [process for process in running if process.session_tag is None]
    proved = module.match(hidden, outside) if hidden and outside else {}
    return [
        (native, process)
        for native in hidden
        if (process := proved.get(native.native_id)) is not None
        and process.started_at > native.created_at - SLACK
    ]


@contextmanager
def _noticing(runtime: Runtime, name: str) -> Iterator[None]:
    """Whatever is wrong with one adapter's store must not hide the other sessions: it becomes a notice."""
    try:
        yield
    except AgentctlError as error:
        runtime.notices.append(told(error))
    except Exception as error:
        if name in registry.ADAPTERS:
            raise
        # Another package's code.
        runtime.notices.append(f"adapter {name} failed: {type(error).__name__}: {error}")


def stand_ins(runtime: Runtime, db: Database, text: str) -> dict[str, Session]:
    """Ids of hidden external sessions that begin with `text` → the row that stands for each.

    Of several rows the live one, else the newest.
    """
    found = {}
    for name in discovering(runtime):
        natives: list[NativeSession] = []
        with _noticing(runtime, name):
            module = registry.load(name)
            for path in store_paths(runtime, module) if Capability.RESUME in module.CAPABILITIES else ():
                natives += sessions_of(
                    db,
                    module,
                    path,
                    progress=partial(runtime.progress, name),
                    notice=runtime.notices.append,
                )
        for native in natives:
            hidden = external_id(name, native.store_path, native.native_id)
            if hidden.startswith(text.lower()) and (row := _row_of(db, native)) is not None:
                found[hidden] = row
    return found


def _row_of(db: Database, native: NativeSession) -> Session | None:
    with reading(db):
        found = sessions.candidates(db, native.native_id)
        rows = [row for row in found if row.native_id == native.native_id]
        launched = sessions.get(db, _launch_of(native))
    return resolve(native.native_id, rows) if rows else launched


def _launch_of(native: NativeSession) -> str:
    """The session id in the title that a launch gave its conversation; empty for any other."""
    title = native.title or ""
    return title.removeprefix(TITLE_PREFIX) if title.startswith(TITLE_PREFIX) else ""


def _processes(module: Adapter) -> list[Process]:
    """This user's processes that run the adapter's program."""
    named = {
        pid: stat
        for pid, stat in processes.table().items()
        if stat.command in module.PROCESS_NAMES and not stat.is_zombie
    }
    locked = flock.held_files() if named else {}
    found = []
    for pid, stat in named.items():
        environ = processes.environment_of(pid)
        directory = processes.directory_of(pid)
        found.append(
            Process(
                pid=pid,
                argv=processes.arguments_of(pid),
                started_at=processes.started_at(stat),
                start_token=processes.token(stat.ticks),
                cwd=environ.get("PWD") or directory,
                directory=directory,
                session_tag=environ.get(variables.SESSION_ID),
                locked=frozenset(locked.get(pid, ())),
            )
        )
    return found


def _found(
    module: Adapter, native: NativeSession, process: Process | None, doubtful: Process | None
) -> Found:
    status, outcome, reason = _judge(module, native, process, doubtful)
    own = None if process is None or process.is_shared else process
    result = native.result
    session = Session(
        id=external_id(module.NAME, native.store_path, native.native_id),
        adapter=module.NAME,
        source=Source.EXTERNAL,
        cwd=native.cwd or "",
        status=status,
        outcome=outcome,
        reason=reason,
        created_at=native.created_at,
        started_at=native.created_at,
        ended_at=native.updated_at if status in (Status.STOPPED, Status.ERROR) else None,
        ladder=module.LADDER,
        pid=own.pid if own else None,
        start_token=own.start_token if own else None,
        native_id=native.native_id,
        model=native.model,
        prompt=native.title,
        tokens=native.tokens if native.tokens != Tokens() else result.tokens,
        cost_usd=result.cost_usd,
        turns=result.turns,
        result=result.text,
        notes=result.notes,
        store_path=native.store_path,
        transcript_path=result.transcript_path or native.store_path,
        adapter_version=result.adapter_version,
    )
    return Found(as_stored(session))


def _judge(
    module: Adapter, native: NativeSession, process: Process | None, doubtful: Process | None
) -> tuple[Status, Outcome | None, str]:
    """As far as the evidence goes, and no further."""
    if native.standing is not None:
        return native.standing
    if process is not None:
        is_busy = native.is_open if process.is_busy is None else process.is_busy
        status = Status.RUNNING if is_busy else Status.IDLE
        which = f"process {process.pid}{', which serves other sessions, too,' if process.is_shared else ''}"
        if process.waits_for is not None:
            return status, None, f"{which} waits for a person: {process.waits_for}"
        is_at_work = is_busy and not process.is_shared
        return status, None, f"{which} {'is working on it' if is_at_work else 'has it open'}"
    if doubtful is not None:
        status = Status.RUNNING if native.is_open else Status.IDLE
        return status, None, f"{module.PROGRAM} process {doubtful.pid} in its directory may be at work on it"
    if native.is_unasked:
        return Status.STOPPED, None, "it was opened, and nothing was asked in it"
    if native.is_open:
        return Status.STOPPED, None, "its last turn is unfinished and no process works on it"
    if native.result.verdict is AgentVerdict.ERROR:
        return Status.ERROR, Outcome.FAILED, native.result.text or "the agent reports an error"
    return Status.STOPPED, Outcome.SUCCEEDED, "its last turn is finished"
