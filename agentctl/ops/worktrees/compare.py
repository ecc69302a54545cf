"""The sessions of a group side by side: how each ended, what it changed, how its tests went.

Works after the fact, offline, and with whatever still exists: a reason stands for each part
that is missing. Must not change anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from agentctl.core.compare import Changes, HookResult, hook_result, in_common
from agentctl.errors import AgentctlError, NotFound, UsageFault
from agentctl.host import repository
from agentctl.ops.found import Found
from agentctl.ops.sessions.find import in_group
from agentctl.ops.worktrees.changes import BASE_HINT, Work, changes_of
from agentctl.ops.worktrees.save import PREFIX as SAVED
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    found: Found
    changes: Changes | None
    missing: str | None
    """Why `changes` is None."""
    has_failed: bool
    """Its changes could not be read, so they are not known."""
    hook: HookResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    group: str
    siblings: tuple[Sibling, ...]
    shared: Mapping[str, tuple[str, ...]]
    """Path → ids of the sessions that touched it, if there are several."""


def compare(runtime: Runtime, group: str, *, base: str | None = None) -> Comparison:
    """Every session of the group, oldest first. NotFound for an unknown group, or an unknown base."""
    if base is not None and (not base or base.startswith("-")):
        raise UsageFault(f"'{base}' is not a valid commit name", hint=BASE_HINT)
    members = in_group(runtime, group)
    common = _common_repository(runtime, members)
    siblings = _told_apart([_sibling(runtime, each, base, common) for each in members])
    if base is not None and not any(each.changes for each in siblings):
        wrong = [each.missing for each in siblings if each.missing and f"no commit {base} " in each.missing]
        if wrong:
            raise NotFound(wrong[0], hint=BASE_HINT)
    seen = {each.found.session.id: each.changes for each in siblings if each.changes is not None}
    return Comparison(group=group, siblings=siblings, shared=in_common(seen))


def _sibling(runtime: Runtime, found: Found, base: str | None, common: str | None) -> Sibling:
    session = found.session
    with reading(runtime.readable_state):
        hook = hook_result(outbox.list_all(runtime.readable_state, session_id=session.id))
    work = Work(
        cwd=session.cwd,
        branch=session.branch,
        base_commit=session.base_commit,
        repository=session.repo or common,
        saved=SAVED + session.id,
    )
    changes, missing, has_failed = None, None, False
    try:
        changes = changes_of(work, base=base, environ=runtime.environ)
    except NotFound as error:
        missing = error.message
    except AgentctlError as error:
        missing, has_failed = error.message, True
    return Sibling(found=found, changes=changes, missing=missing, has_failed=has_failed, hook=hook)


def _told_apart(siblings: list[Sibling]) -> tuple[Sibling, ...]:
    """The same siblings, with a note on each that shares its directory with another."""
    noted = []
    for each in siblings:
        changes = each.changes
        others = [
            other.found.session.id[:8]
            for other in siblings
            if changes and other.changes and other is not each and other.changes.place == changes.place
        ]
        if changes is not None and others:
            note = f"shares its directory with {', '.join(others)}: their changes cannot be told apart"
            each = replace(each, changes=changes._replace(notes=(*changes.notes, note)))
        noted.append(each)
    return tuple(noted)


def _common_repository(runtime: Runtime, members: list[Found]) -> str | None:
    """The repository of all siblings whose directory still exists, if it is one and the same."""
    known = set()
    for each in members:
        with suppress(AgentctlError):  # reported with the session's changes
            known.add(repository.find(each.session.cwd, runtime.environ).common)
    return known.pop() if len(known) == 1 else None
