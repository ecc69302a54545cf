"""The on-create hook: the one hook that runs before its session's agent, and can prevent it."""

from __future__ import annotations

import os

from agentctl.core.ids import new_id
from agentctl.core.model import Session
from agentctl.errors import OperationFailed
from agentctl.ops import deliver
from agentctl.ops.record import queue_hook
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import Database, transaction


def run_on_create(runtime: Runtime, db: Database, session: Session) -> None:
    """Run the hook and wait for it; OperationFailed if it fails. Its output is kept like any other's."""
    now = runtime.clock()
    event_id = new_id(os.urandom(16))
    with transaction(db):
        if not queue_hook(runtime, db, session, "on_create", event_id, now):
            return
        row = next(one for one in outbox.list_all(db, session_id=session.id) if one.event_id == event_id)
    claimed = deliver.claim(runtime, db, row)
    if claimed is not None and not deliver.attempt(runtime, db, claimed):
        raise OperationFailed(
            "its on-create hook failed", hint=f"agentctl hooks list {session.id[:8]} shows what it printed"
        )
