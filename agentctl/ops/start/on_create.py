"""The on-create hook: the one hook that runs before its session's agent, and can prevent it."""

from __future__ import annotations

import os
from collections.abc import Callable

from agentctl.core import variables
from agentctl.core.ids import new_id, short
from agentctl.core.ledger import ON_CREATE
from agentctl.core.model import Session
from agentctl.core.sweeping import Tree
from agentctl.errors import OperationFailed
from agentctl.host import watched
from agentctl.host.surroundings import of_hooks
from agentctl.ops.reconcile import sweep, terminate
from agentctl.ops.reconcile.effects import hook_environment, queue_hook
from agentctl.runtime import Runtime
from agentctl.store import outbox, sweeps
from agentctl.store.db import Database, reading, transaction


def run_on_create(runtime: Runtime, db: Database, session: Session, check: Callable[[], None]) -> None:
    """Run the hook and wait for it; OperationFailed if it fails. Its output is kept like any other's.

    What it leaves running, such as a server, belongs to the session and ends with it. What
    `check` raises meanwhile ends the hook with all that it started.
    """
    now, event_id = runtime.clock(), new_id(os.urandom(16))
    with transaction(db):
        if not queue_hook(runtime, db, session, ON_CREATE, event_id, now):
            return
        row = next(one for one in outbox.list_all(db, session_id=session.id) if one.name == ON_CREATE)
        outbox.claim(db, row.id, now=now, until=now)  # counts the attempt
        # Given up in the transaction that queues it, so that no deliverer takes it from under us.
        # Should this launcher die, nobody may run it for a session that never began.
        outbox.fail(db, row.id, error="its launcher did not see its end", output=None, next_attempt_at=None)
    ran = watched.run(
        row.target,
        cwd=session.cwd,
        environ={**of_hooks(runtime.environ), **hook_environment(session, event_id), variables.HOOK: "1"},
        limit=runtime.settings.hook_timeout.total_seconds(),
        check=check,
    )
    with transaction(db):
        if ran.left:
            sweep.remember(db, session.id, ran.left)
        if ran.error is None:
            outbox.finish(db, row.id, delivered_at=runtime.clock(), output=ran.output)
        else:
            outbox.fail(db, row.id, error=ran.error, output=ran.output, next_attempt_at=None)
    if ran.error is not None:
        raise OperationFailed(
            "its on-create hook failed",
            hint=f"agentctl hooks list {short(session.id)} shows what it printed",
        )


def end_what_it_left(runtime: Runtime, db: Database, session: Session) -> Tree:
    """End what the hook left running, of a session that will have no agent; what was ended."""
    with reading(db):
        row = sweeps.get(db, session.id)
    if row is None or not row.targets:
        return {}
    ended = terminate.finish(session, runtime.paths.session(session.id), row.targets)
    sweep.record(runtime, db, session, ended)
    return ended.ended
