"""Starting an agent, in steps each of which is safe to lose.

The liveness lock is held from before the row exists until the shim has finished, so a
launcher killed anywhere leaves a live session that the next invocation adopts, or a
`starting` row whose lock is free, which it ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from agentctl.adapters import registry
from agentctl.core import containers
from agentctl.core.ids import short
from agentctl.core.model import AgentRecord, FuseAction, Identity, Outcome, Session, Status
from agentctl.core.requests import abandoned, started
from agentctl.core.sweeping import named
from agentctl.errors import (
    AdapterUnavailable,
    AgentctlError,
    Interrupted,
    Locked,
    OperationFailed,
    StateUnusable,
)
from agentctl.host import flock as liveness
from agentctl.host import spawn, waiting
from agentctl.host.files import create_private, remove_directory, write_private
from agentctl.host.owner import give_files_to_owner, give_to_owner
from agentctl.host.paths import SessionFiles
from agentctl.ops.directories.locks import held_by, in_use
from agentctl.ops.reconcile import manifest, terminate
from agentctl.ops.reconcile.observe import has_ended, read_agent
from agentctl.ops.reconcile.reconcile import commit, reconcile, record_end
from agentctl.ops.sessions.doubt import way_out
from agentctl.ops.start import on_create as hooks
from agentctl.ops.start.plan import LaunchRequest, Plan, plan_launch
from agentctl.runtime import Runtime
from agentctl.store import fuses, locks, sessions
from agentctl.store.db import Database, reading, transaction

if TYPE_CHECKING:
    from agentctl.ops.worktrees.make import PlannedWorktree

PID_WITHIN = 60.0
"""Seconds that a shim gets to write the pid file; a loaded machine needs a few."""


@dataclass(frozen=True, slots=True)
class Launched:
    """The session as it is now; `notes` are for people."""

    session: Session
    notes: tuple[str, ...] = ()


def launch(
    runtime: Runtime, request: LaunchRequest, *, before_start: Callable[[], None] = lambda: None
) -> Launched:
    """Start an agent detached and return once it runs (or has succeeded already).

    Raises Locked where the directory, the name or the predecessor is taken,
    AdapterUnavailable without the program, OperationFailed if the agent ended badly
    inside `settle`; then the row stays and tells the story. A worktree that was made for
    it goes with it, unless something was left there.

    `before_start` is called until the agent is started, and may raise to prevent it.
    """
    db = runtime.state
    reconcile(runtime, db)
    planned = request.planned
    if planned is None and request.worktree is not None:
        from agentctl.ops.worktrees import make as worktrees

        planned = worktrees.plan_worktree(runtime, request.worktree, adapter=request.adapter)
        request = replace(request, planned=planned)
    notes = planned.notes if planned is not None else ()
    if request.adapter == "exec" and (found := containers.client(request.args)) is not None:
        notes = (*notes, containers.warning(found))
    launched = _launch_once(runtime, db, request, before_start)
    if not request.options.settle:
        return Launched(launched, notes)
    ended = _settle(runtime, db, launched, request.options.settle)
    if ended is None or ended.outcome is Outcome.SUCCEEDED:
        return Launched(ended or launched, notes)
    adapter = registry.load(ended.adapter)
    files = runtime.paths.session(ended.id)
    if ended.exit_code is not None and adapter.is_transient(ended.exit_code, files.log):
        if planned is not None:
            request = replace(request, planned=planned._replace(is_made=True))
        again = _launch_once(runtime, db, request, before_start)
        note = f"session {short(ended.id)} failed before it began ({ended.reason}); launched again"
        ended = _settle(runtime, db, again, request.options.settle)
        if ended is None or ended.outcome is Outcome.SUCCEEDED:
            return Launched(ended or again, (*notes, note))
    raise _ended_early(runtime, ended, planned)


def _launch_once(
    runtime: Runtime, db: Database, request: LaunchRequest, before_start: Callable[[], None]
) -> Session:
    plan = plan_launch(runtime, request)
    files = runtime.paths.session(plan.session.id)
    os.mkdir(files.directory, 0o700)
    give_to_owner(files.directory)
    lock = liveness.hold(files.lock)
    try:
        try:
            _insert(runtime, db, plan, request)
        except Exception:
            # Not an interrupt: it may come with the commit done. A directory without a row is prune's.
            remove_directory(files.directory)
            raise
        try:
            _make_worktree(plan)
        except BaseException as error:
            _give_up(runtime, db, plan.session, error)
            raise
        try:
            _write_files(runtime, plan, files)
            hooks.run_on_create(runtime, db, plan.session, before_start)
            before_start()
        except BaseException as error:
            _abandon(runtime, db, plan, error)
            raise
        try:
            shim = _spawn(runtime, plan, files, lock)
        except Exception as error:
            # Not an interrupt: it may come after the fork, and then the lock shows whether it runs.
            _abandon(runtime, db, plan, error)
            raise
    finally:
        os.close(lock)
    # From here on the shim holds the lock: an interrupt leaves a session that is adopted.
    try:
        _await_agent(runtime, db, plan, files, shim)
        give_files_to_owner(files.directory)
        return _record_start(runtime, db, plan, files)
    except KeyboardInterrupt:
        raise _goes_on(plan.session) from None
    finally:
        spawn.forget(shim)


def _insert(runtime: Runtime, db: Database, plan: Plan, request: LaunchRequest) -> None:
    """The first transaction: row, directory lock and fuse, or a refusal that names the holder."""
    session = plan.session
    with transaction(db):
        if session.name is not None and (holder := sessions.live_names(db).get(session.name)):
            raise Locked(
                f"the name {session.name} belongs to live session {short(holder)}",
                hint=f"choose another name, or stop it first: agentctl stop {short(holder)}",
            )
        if request.predecessor is not None:
            _refuse_live(runtime, db, request.predecessor, is_resume=request.is_resume)
        if request.max_running is not None:
            refuse_crowd(db, request.max_running, more=1)
        if not request.options.force:
            refuse_held(runtime, db, session.cwd)
        sessions.insert(db, session)
        if plan.fuse is not None:
            fuses.insert(db, plan.fuse)
        locks.acquire_for(db, session)


def _refuse_live(runtime: Runtime, db: Database, predecessor: Session, *, is_resume: bool) -> None:
    """Raise Locked for a live predecessor; on resume for any live run of its conversation, --force or not."""
    own = sessions.get(db, predecessor.id)
    native = predecessor.native_id if is_resume else None
    others = [row for row in sessions.unsettled(db) if row.native_id == native] if native else []
    for current in (*([own] if own is not None else []), *others):
        if current.is_settled:
            continue
        raise Locked(
            f"session {short(current.id)} is still {'lingering' if current.lingering else current.status}",
            hint=way_out(
                runtime, current, f"wait for it or stop it first: agentctl stop {short(current.id)}"
            ),
        )


def refuse_crowd(db: Database, most: int, *, more: int) -> None:
    """Raise Locked if `more` sessions beside those that are live would be more than `most`."""
    live = sum(not session.is_final for session in sessions.unsettled(db))
    if live + more > most:
        raise Locked(
            f"{live} sessions are live, and with {more} more there would be more than --max-running {most}",
            hint="wait for one of them: agentctl wait --any $(agentctl list -q)",
        )


def refuse_held(runtime: Runtime, db: Database, directory: str) -> None:
    """Raise Locked, naming the holder and the way out, if the directory is held."""
    held = locks.holders(db, directory)
    if not held:
        return
    first = held[0]
    if first.session_id is not None:
        holder, who = sessions.get(db, first.session_id), short(first.session_id)
        hint = f"wait for it (agentctl wait {who}), stop it, or pass --force to share"
        if holder is not None:
            hint = way_out(runtime, holder, hint)
        raise in_use(first, hint)
    raise held_by(first, "; --force launches anyway")


def _make_worktree(plan: Plan) -> None:
    """Make the session's worktree, if it has one; its program may come with it."""
    if plan.worktree is None:
        return
    from agentctl.ops.worktrees import make as worktrees

    worktrees.make_worktree(plan.worktree, session_id=plan.session.id, group=plan.session.group)
    program = plan.command.argv[0]
    if not os.access(program, os.X_OK):
        error = AdapterUnavailable(f"program {program} is not in the worktree, or cannot be run")
        _take_back(plan, error)
        raise error


def _abandon(runtime: Runtime, db: Database, plan: Plan, error: BaseException) -> None:
    """Undo a launch whose agent never started: its worktree, what its hook left running, its row."""
    _take_back(plan, error)
    _give_up(runtime, db, plan.session, error)


def _take_back(plan: Plan, error: BaseException) -> None:
    """Undo `_make_worktree`; what stands in the way is told with the error that led here."""
    if plan.worktree is None:
        return
    from agentctl.ops.worktrees import make as worktrees

    try:
        worktrees.take_back(plan.worktree)
    except AgentctlError as trouble:
        _add(error, f"its worktree {plan.worktree.path} could not be removed: {trouble.message}")


def _add(error: BaseException, note: str) -> None:
    if isinstance(error, AgentctlError):
        error.message = f"{error.message}\n{note}"


def _write_files(runtime: Runtime, plan: Plan, files: SessionFiles) -> None:
    create_private(files.log)
    if plan.command.stdin is not None:
        write_private(files.prompt, plan.command.stdin.encode("utf-8", "surrogateescape"))
    manifest.write(runtime, plan.session, plan.fuse)


def _spawn(runtime: Runtime, plan: Plan, files: SessionFiles, lock: int) -> spawn.Detached:
    fuse = plan.fuse
    try:
        return spawn.start_shim(
            spawn.ShimRequest(
                session_id=plan.session.id,
                name=plan.session.name,
                files=files,
                lock=lock,
                argv=plan.command.argv,
                cwd=plan.session.cwd,
                stdin=os.devnull if plan.command.stdin is None else files.prompt,
                environ=plan.environ,
                patch=plan.patch,
                timed=fuse is not None and (fuse.action is FuseAction.STOP or fuse.warn_at is not None),
                interpreter=runtime.interpreter,
            )
        )
    except OSError as error:
        raise OperationFailed(f"the agent cannot be started: {error.strerror}") from error


def _await_agent(
    runtime: Runtime, db: Database, plan: Plan, files: SessionFiles, shim: spawn.Detached
) -> None:
    """Until the shim has written who the agent is. A file, not a pipe: we may die, it must not."""

    def is_decided() -> bool:
        return os.path.exists(files.pid) or shim.poll() is not None

    if waiting.poll(is_decided, timeout=PID_WITHIN, first=0.001) and os.path.exists(files.pid):
        return
    spawn.kill_group(shim)
    error = OperationFailed(
        "the agent could not be started: its shim left no trace of it",
        hint=f"is the disk full? is {files.directory} writable?",
    )
    _abandon(runtime, db, plan, error)
    raise error


def _record_start(runtime: Runtime, db: Database, plan: Plan, files: SessionFiles) -> Session:
    """The second transaction: who the agent is. Losing it to an adopter is fine."""
    agent = read_agent(files)
    if agent is None:
        raise OperationFailed(f"{files.pid} cannot be read", hint="agentctl doctor looks for the cause")
    while True:
        with reading(db):
            current, fuse = sessions.get(db, plan.session.id), fuses.for_session(db, plan.session.id)
        if current is None or current.status is not Status.STARTING:
            break
        try:
            stored = commit(runtime, db, started(current, fuse, agent))
        except StateUnusable:
            # The user is told that nothing was started: then nothing may be at work.
            _undo(runtime, plan.session, agent)
            raise
        if stored is not None:
            return stored
    if current is not None and current.pid == agent.pid and current.status is Status.RUNNING:
        return current
    if current is not None and current.is_final and current.exit_code is not None:
        # It ran and ended before this process got a turn: its end is recorded.
        return current
    _undo(runtime, plan.session, agent)
    raise OperationFailed(f"session {short(plan.session.id)} was stopped while it was being launched")


def _undo(runtime: Runtime, session: Session, agent: AgentRecord) -> None:
    """End an agent whose row was ended or stopped before it could be recorded."""
    if agent.start_token is not None:
        recorded = session._replace(pid=agent.pid, start_token=agent.start_token)
        known = [Identity(agent.pid, agent.start_token)]
        terminate.finish(recorded, runtime.paths.session(session.id), known)


def _give_up(runtime: Runtime, db: Database, session: Session, error: BaseException) -> None:
    """End a row whose agent never started; its locks are freed with it."""
    if ended := hooks.end_what_it_left(runtime, db, session):
        _add(error, f"what its on-create hook had left running was ended: {named(ended)}")
    reason = str(error) or type(error).__name__
    with reading(db):
        current, fuse = sessions.get(db, session.id), fuses.for_session(db, session.id)
    if current is not None and not current.is_final:
        commit(runtime, db, abandoned(current, fuse, reason, runtime.clock()))


def _settle(runtime: Runtime, db: Database, session: Session, settle: timedelta) -> Session | None:
    """The session if it ended within `settle`, None if it is at work."""
    if session.is_final:
        return session
    files = runtime.paths.session(session.id)

    try:
        if not waiting.poll(lambda: has_ended(session, files), timeout=settle.total_seconds(), longest=0.05):
            return None
    except KeyboardInterrupt:
        raise _goes_on(session) from None
    record_end(runtime, db, session.id)
    with reading(db):
        current = sessions.get(db, session.id)
    return current if current is not None and current.is_final else None


def _goes_on(session: Session) -> Interrupted:
    """What a person who interrupts a launch must know: the agent is at work."""
    return Interrupted(
        f"session {session.id} has started and goes on",
        hint=f"agentctl stop {short(session.id)} ends it",
    )


def _ended_early(runtime: Runtime, session: Session, planned: PlannedWorktree | None) -> OperationFailed:
    """The error for an agent that ended badly at once: its reason and its last lines."""
    from agentctl.ops.sessions.logs import shown_lines

    lines = shown_lines(runtime, session, 10)
    said = "".join(f"\n  {line}" for line in lines)
    if planned is not None:
        from agentctl.ops.worktrees import make as worktrees

        left = worktrees.take_back_untouched(planned)
        said += f"\n{left}" if left else ""
    return OperationFailed(
        f"session {short(session.id)} ended at once: {session.reason}{said}",
        hint=f"agentctl status {short(session.id)} tells all, agentctl logs {short(session.id)} shows more",
    )
