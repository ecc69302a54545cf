"""Looking at deliveries, and trying undelivered ones again at a person's request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentctl.core.ids import short
from agentctl.core.ledger import ON_CREATE, Delivery, DeliveryState
from agentctl.errors import NotFound, OperationFailed
from agentctl.ops.reconcile import deliver
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.ops.sessions.find import find_one
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of each: another process is making the `busy` ones; the `over` ones had arrived before."""

    done: tuple[int, ...] = ()
    failed: tuple[Delivery, ...] = ()
    busy: tuple[int, ...] = ()
    over: tuple[int, ...] = ()


def deliveries(runtime: Runtime, session: str | None, *, failed_only: bool) -> list[Delivery]:
    """Deliveries (of the session that this text means), newest first."""
    db = runtime.readable_state
    if session is None:
        reconcile(runtime, db)
        session_id = None
    else:
        session_id = find_one(runtime, session).session.id
    with reading(db):
        return outbox.list_all(db, failed_only=failed_only, session_id=session_id)


def retry(runtime: Runtime, ids: Sequence[int] | None) -> Retried:
    """Try these deliveries now (None: every undelivered one).

    NotFound for an unknown id, OperationFailed for an on-create hook.
    """
    db = runtime.state
    reconcile(runtime, db)
    with reading(db):
        known = {row.id: row for row in outbox.list_all(db)}
    for number in ids or ():
        if number not in known:
            raise NotFound(f"no delivery {number}", hint="agentctl hooks list shows all of them")
        if known[number].name == ON_CREATE:
            raise OperationFailed(
                f"delivery {number} is an on-create hook: it is a part of its launch and never retried",
                hint=f"launch again: agentctl rerun {short(known[number].session_id or '')}",
            )
    chosen = [number for number in (known if ids is None else ids) if known[number].may_be_retried]
    over = [number for number in ids or () if number not in chosen]
    done, busy = [], []
    failed: list[Delivery] = []
    for number in sorted(set(chosen)):
        was_over = known[number].state is DeliveryState.FAILED
        is_running = deliver.is_running(runtime, known[number])
        claimed = None if is_running else deliver.claim_again(runtime, db, known[number])
        if claimed is None:
            busy.append(number)
        elif deliver.attempt(runtime, db, claimed, again=was_over):
            done.append(number)
        else:
            failed.append(claimed)
    with reading(db):
        after = {row.id: row for row in outbox.list_all(db)}
    return Retried(
        done=tuple(done),
        failed=tuple(after.get(row.id, row) for row in failed),
        busy=tuple(busy),
        over=tuple(over),
    )
