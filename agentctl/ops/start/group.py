"""Starting several agents side by side: one group, a worktree and a branch for each.

Each slot is a launch like any other, in a thread of its own: hooks and slow starts of one
do not hold up the rest. What can be refused for all is refused before anything is made.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

from agentctl.adapters import registry
from agentctl.core.ids import group_id
from agentctl.core.plan import branches, suffixes
from agentctl.core.slots import Matrix, Slot
from agentctl.errors import AgentctlError, Interrupted, NotFound, UsageFault
from agentctl.host import matrix, repository, spawn
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.ops.start.launch import Launched, launch, refuse_crowd
from agentctl.ops.start.plan import LaunchRequest
from agentctl.ops.worktrees.make import PlannedWorktree, WorktreeRequest, check_branch, fetch, plan_worktree
from agentctl.runtime import Runtime
from agentctl.store.db import reading

if TYPE_CHECKING:
    from concurrent.futures import Future


HOOKS_END_WITHIN = 3.0
"""Seconds that hooks get to be ended with all they started, once a launch was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What became of one slot: a session, or the error that kept it from running."""

    slot: Slot
    branch: str
    path: str
    launched: Launched | None = None
    error: AgentctlError | None = None


@dataclass(frozen=True, slots=True)
class GroupLaunched:
    """Every slot of a parallel launch, in the order given."""

    group: str
    slots: tuple[Started, ...]

    @property
    def exit_code(self) -> int:
        """0 all started, 3 some of them, 1 none; 130 if ^C kept some from it."""
        if any(isinstance(one.error, Interrupted) for one in self.slots):
            return Interrupted.exit_code
        started = [one for one in self.slots if one.launched is not None]
        return 0 if len(started) == len(self.slots) else 3 if started else 1


def load_matrix(path: str) -> Matrix:
    """The matrix in this file. Raises UsageFault with file, line and key, or NotFound."""
    return matrix.load(path)


def launch_group(runtime: Runtime, request: LaunchRequest, slots: Sequence[Slot]) -> GroupLaunched:
    """Launch every slot; `request` says what they share, and `request.worktree` where.

    Raises UsageFault, NotFound, AdapterUnavailable or Locked for what is wrong with the whole.
    A slot that fails is rolled back and reported; the others go on.
    """
    for slot in slots:
        registry.load(slot.adapter)
    db = runtime.state
    reconcile(runtime, db)
    if request.max_running is not None:
        with reading(db):
            refuse_crowd(db, request.max_running, more=len(slots))
    group = group_id()
    planned = _plan_worktrees(runtime, request, slots, group)
    names, common = suffixes(slots), request.options.name
    requests = [
        replace(
            request,
            adapter=slot.adapter,
            model=slot.model or request.model,
            prompt=slot.prompt or request.prompt,
            options=replace(request.options, name=f"{common}-{name}" if common else None),
            group=group,
            planned=own,
        )
        for slot, own, name in zip(slots, planned, names, strict=True)
    ]
    outcomes = _side_by_side(runtime, requests)
    return GroupLaunched(
        group,
        tuple(
            Started(
                slot=slot,
                branch=own.branch,
                path=own.path,
                launched=outcome if isinstance(outcome, Launched) else None,
                error=outcome if isinstance(outcome, AgentctlError) else None,
            )
            for slot, own, outcome in zip(slots, planned, outcomes, strict=True)
        ),
    )


def _plan_worktrees(
    runtime: Runtime, request: LaunchRequest, slots: Sequence[Slot], group: str
) -> list[PlannedWorktree]:
    """A worktree for each slot, all in the same repository, each at a path of its own."""
    wanted = request.worktree or WorktreeRequest(request.cwd)
    try:
        found = repository.find(wanted.repository, runtime.environ)
    except NotFound as error:
        raise UsageFault(
            f"{error.message}, and agents that work side by side need a worktree each",
            hint="name a repository with --worktree or --cwd",
        ) from error
    asked = [slot._replace(branch=slot.branch or wanted.branch) for slot in slots]
    names = branches(asked, group)
    bases = [slot.base_branch or wanted.base for slot in slots]
    for name in names:
        check_branch(found, name)
    given = [name for name, slot in zip(names, asked, strict=True) if slot.branch]
    notes = fetch(found, [*given, *filter(None, bases)])
    planned: list[PlannedWorktree] = []
    for name, base in zip(names, bases, strict=True):
        one = WorktreeRequest(wanted.repository, name, base)
        planned.append(plan_worktree(runtime, one, taken=[each.path for each in planned], is_fetched=True))
    return [planned[0]._replace(notes=(*notes, *planned[0].notes)), *planned[1:]]


def _side_by_side(runtime: Runtime, requests: Sequence[LaunchRequest]) -> list[Launched | AgentctlError]:
    """Each request's session or error.

    ^C lets those that have started go on and starts no more; a second one leaves at once,
    which each step of a launch is made to bear.
    """
    from concurrent.futures import ThreadPoolExecutor

    interrupted = Event()

    def check() -> None:
        if interrupted.is_set():
            raise Interrupted("interrupted before its agent was started")

    def start(request: LaunchRequest) -> Launched | AgentctlError:
        own = runtime.another()
        try:
            check()
            return launch(own, request, before_start=check)
        except AgentctlError as error:
            return error
        finally:
            own.close()

    with spawn.default_signals():
        pool = ThreadPoolExecutor(len(requests))
        futures = [pool.submit(start, request) for request in requests]
        try:
            while True:
                try:
                    return [future.result() for future in futures]
                except KeyboardInterrupt:
                    if interrupted.is_set():
                        raise
                    interrupted.set()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if interrupted.is_set():
                _let_hooks_end(futures)


def _let_hooks_end(futures: Sequence[Future[Launched | AgentctlError]]) -> None:
    """After ^C a hook is ended at once, but no further ^C may come between."""
    from concurrent.futures import wait

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        wait(futures, timeout=HOOKS_END_WITHIN)
    finally:
        signal.signal(signal.SIGINT, before)
