"""The on-create hook: the one hook that runs before its session's agent, and can prevent it."""

from __future__ import annotations

import os

from agentctl.core.ids import new_id, short
from agentctl.core.ledger import ON_CREATE
from agentctl.core.model import Session
from agentctl.errors import OperationFailed
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.effects import queue_hook
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import Database, transaction


def run_on_create(runtime: Runtime, db: Database, session: Session) -> None:
    """Run the hook and wait for it; OperationFailed if it fails. Its output is kept like any other's."""
    now = runtime.clock()
    with transaction(db):
        if not queue_hook(runtime, db, session, ON_CREATE, new_id(os.urandom(16)), now):
            return
        # Claimed in the transaction that queues it, so that no deliverer takes it from under us.
        row = next(one for one in outbox.list_all(db, session_id=session.id) if one.name == ON_CREATE)
        claimed = outbox.claim(db, row.id, now=now, until=now + deliver.longest(runtime, row))
        # Given up beforehand: should this launcher die, nobody may run it for a session that never began.
        outbox.fail(db, row.id, error="its launcher did not see its end", output=None, next_attempt_at=None)
    if claimed is None or not deliver.attempt(runtime, db, claimed):
        raise OperationFailed(
            "its on-create hook failed",
            hint=f"agentctl hooks list {short(session.id)} shows what it printed",
        )
