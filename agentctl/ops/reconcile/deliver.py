"""Runs hooks and posts webhooks from the outbox, after the transaction that queued them.

A row is claimed by compare-and-set before it is tried, so any number of deliverers
run it once; a deliverer that dies leaves a claim that expires, so it is run at least
once. A failure is kept with its error and tried again later; it changes no session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentctl.core import variables
from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.model import Held
from agentctl.host import flock, spawn
from agentctl.ops.reconcile.effects import AS_CONFIGURED, configured
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import Database, reading, transaction

if TYPE_CHECKING:
    from agentctl.host.shell import Ran

MARGIN = timedelta(seconds=30)
"""How much longer a claim is held than what it covers may take."""

BACKOFF = (5, 15, 60, 300, 900, 3600, 3600, 3600, 3600, 3600)
"""Seconds before each further attempt; after the last the row is `failed`."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did."""

    done: int = 0
    failed: int = 0


def start_deliverer(runtime: Runtime) -> None:
    """Start one detached deliverer unless one is at work; the command goes on meanwhile."""
    if flock.probe(_lock_path(runtime)) is Held.YES:
        return
    # Marked: it may be started by an agent's tool, but is not part of that agent's tree.
    environ = {**runtime.environ, variables.SHIM: "deliverer"}
    spawn.forget(spawn.start_agentctl(["_deliver"], environ))


def deliver_alone(runtime: Runtime, db: Database) -> Delivered:
    """Deliver what is due, unless another process is doing so: then nothing."""
    total, tried = Delivered(), set[int]()
    while True:
        lock = flock.try_hold(_lock_path(runtime))
        if lock is None:
            return total
        try:
            round_ = deliver(runtime, db, tried=tried)
        finally:
            os.close(lock)
        total = Delivered(total.done + round_.done, total.failed + round_.failed)
        # What was queued between the last look and the release found the lock held,
        # and started no deliverer: so there is one more look once it is free.
        if not _due(runtime, db, tried, None):
            return total


def deliver(
    runtime: Runtime, db: Database, *, session_id: str | None = None, tried: set[int] | None = None
) -> Delivered:
    """Try everything due once (of one session, if named), until nothing is due any more.

    `tried` are those that this process has tried before; what is tried now is added.
    """
    done = failed = 0
    tried = set() if tried is None else tried
    while mine := _due(runtime, db, tried, session_id):
        for row in mine:
            tried.add(row.id)
            claimed = claim(runtime, db, row)
            if claimed is not None:
                succeeded = attempt(runtime, db, claimed)
                done, failed = done + succeeded, failed + (not succeeded)
    return Delivered(done, failed)


def _due(runtime: Runtime, db: Database, tried: Set[int], session_id: str | None) -> list[Delivery]:
    """What this process has not tried yet (of one session, if named)."""
    with reading(db):
        due = outbox.due(db, runtime.clock())
    return [row for row in due if row.id not in tried and session_id in (None, row.session_id)]


def claim(runtime: Runtime, db: Database, row: Delivery) -> Delivery | None:
    """Take a row for this process; None if another one has it."""
    now = runtime.clock()
    with transaction(db):
        return outbox.claim(db, row.id, now=now, until=now + longest(runtime, row))


def claim_again(runtime: Runtime, db: Database, row: Delivery) -> Delivery | None:
    """Take an undelivered row that need not be due; None if another process has it.

    In one step: a row that was only made due would be any deliverer's for a moment.
    """
    now = runtime.clock()
    with transaction(db):
        outbox.retry(db, row.id, now)
        return outbox.claim(db, row.id, now=now, until=now + longest(runtime, row))


def longest(runtime: Runtime, row: Delivery) -> timedelta:
    """How long a claim must hold: what the attempt may take, and a margin."""
    settings = runtime.settings
    return MARGIN + (settings.hook_timeout if row.kind is DeliveryKind.HOOK else settings.webhook_timeout)


def attempt(runtime: Runtime, db: Database, row: Delivery) -> bool:
    """Run or post a claimed row once and record how it went; whether it succeeded."""
    output: str | None = None
    error: str | None = None
    # A hook that failed is not run again by itself: it may have done half its work.
    may_repeat = row.kind is not DeliveryKind.HOOK
    # What was queued while the configuration was wrong is looked up in it, whole again.
    looked_up = row.target == AS_CONFIGURED
    target = configured(runtime.settings, row.kind, row.name) if looked_up else row.target
    if target is None:
        output = "nothing is configured for it"
    elif row.kind is DeliveryKind.HOOK:
        ran = _run_hook(runtime, row, target)
        error, output, may_repeat = ran.error, ran.output, ran.is_worth_repeating
    else:
        error = _post(runtime, row, target)
    now = runtime.clock()
    with transaction(db):
        if error is None:
            outbox.finish(db, row.id, delivered_at=now, output=output)
        else:
            again = _next_attempt(row, now) if may_repeat else None
            outbox.fail(db, row.id, error=error, output=output, next_attempt_at=again)
    return error is None


def _next_attempt(row: Delivery, now: datetime) -> datetime | None:
    if row.attempts > len(BACKOFF):
        return None
    return now + timedelta(seconds=BACKOFF[max(row.attempts - 1, 0)])


def _run_hook(runtime: Runtime, row: Delivery, command: str) -> Ran:
    from agentctl.host import shell

    environ = {
        name: value
        for name, value in runtime.environ.items()
        if not name.startswith((variables.SET, variables.SHIM))
    }
    environ |= row.payload["env"]
    environ[variables.HOOK] = "1"
    return shell.run(
        command,
        # Nowhere else: what is meant for a worktree does harm in the main checkout.
        cwd=row.payload["cwd"] or "/",
        environ=environ,
        limit=runtime.settings.hook_timeout.total_seconds(),
    )


def _post(runtime: Runtime, row: Delivery, url: str) -> str | None:
    from agentctl.host import http

    settings = runtime.settings
    headers = {"Idempotency-Key": row.event_id, "X-Agentctl-Event": row.name, "User-Agent": "agentctl"}
    return http.post(
        url,
        json.dumps(row.payload).encode(),
        headers=headers,
        secret=settings.webhook_secret,
        limit=settings.webhook_timeout.total_seconds(),
    ).error


def _lock_path(runtime: Runtime) -> str:
    return os.path.join(runtime.paths.state, "deliver.lock")
