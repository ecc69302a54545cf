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
from typing import TYPE_CHECKING, TypeAlias

from agentctl.core import variables
from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.model import Held
from agentctl.host import flock, spawn
from agentctl.ops.reconcile import webhook
from agentctl.ops.reconcile.effects import UNKNOWN_TARGET, configured
from agentctl.runtime import Runtime
from agentctl.store import outbox, sessions
from agentctl.store.db import Database, reading, transaction

if TYPE_CHECKING:
    from agentctl.host.shell import Ran

Try: TypeAlias = tuple[int, DeliveryState]
"""A delivery, and the state in which it was found."""

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
    total, tried = Delivered(), set[Try]()
    while True:
        lock = flock.try_hold(_lock_path(runtime))
        if lock is None:
            # That process may lack the address or the secret that this one has.
            waiting = deliver(runtime, db, only_waiting=True)
            return Delivered(total.done + waiting.done, total.failed + waiting.failed)
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
    runtime: Runtime,
    db: Database,
    *,
    session_id: str | None = None,
    tried: set[Try] | None = None,
    only_waiting: bool = False,
) -> Delivered:
    """Try everything due once (of one session, if named), until nothing is due any more.

    `tried` are those that this process has tried before; what is tried now is added.
    `only_waiting`: only posts that wait for values which this process has.
    """
    done = failed = 0
    tried = set() if tried is None else tried
    while mine := _due(runtime, db, tried, session_id):
        for row in mine:
            tried.add((row.id, row.state))
            if is_running(runtime, row) or (only_waiting and row.state is not DeliveryState.WAITING):
                continue
            take = claim_again if row.state is DeliveryState.WAITING else claim
            claimed = take(runtime, db, row)
            if claimed is not None and (succeeded := attempt(runtime, db, claimed)) is not None:
                done, failed = done + succeeded, failed + (not succeeded)
    return Delivered(done, failed)


def _due(runtime: Runtime, db: Database, tried: Set[Try], session_id: str | None) -> list[Delivery]:
    """What this process has not tried yet (of one session, if named)."""
    with reading(db):
        due, waiting = outbox.due(db, runtime.clock()), outbox.waiting(db)
    rows = [*due, *(row for row in waiting if can_be_made(runtime, row))]
    return [row for row in rows if (row.id, row.state) not in tried and session_id in (None, row.session_id)]


def can_be_made(runtime: Runtime, row: Delivery) -> bool:
    """This process has the address and the secret that a waiting post waits for."""
    return not isinstance(webhook.resolve(runtime, row.target), webhook.Waits)


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


def is_running(runtime: Runtime, row: Delivery) -> bool:
    """A hook's keeper is at work, whatever the row and the clock say of the claim."""
    from agentctl.host import keeper

    return row.kind is DeliveryKind.HOOK and keeper.is_kept(_place(runtime, row))


def attempt(runtime: Runtime, db: Database, row: Delivery, *, again: bool = False) -> bool | None:
    """Run or post a claimed row once and record how it went: whether it succeeded, None if it must wait.

    `again`: the end of an earlier run was recorded, and the hook is to be run once more.
    """
    output: str | None = None
    error: str | None = None
    # A hook that failed is not run again by itself: it may have done half its work.
    may_repeat = row.kind is not DeliveryKind.HOOK
    target: str | webhook.Post | webhook.Waits | None = _target(runtime, db, row)
    if isinstance(target, str) and row.kind is DeliveryKind.WEBHOOK:
        target = webhook.resolve(runtime, target)
    match target:
        case None:
            output = "nothing is configured for it"
        case str():
            ran = _run_hook(runtime, row, target, again=again)
            if ran is None:
                return None  # somebody else has just started it
            error, output, may_repeat = ran.error, ran.output, ran.is_worth_repeating
        case webhook.Post():
            error = _post(runtime, row, target)
        case webhook.Waits():
            with transaction(db):
                outbox.park(db, row.id, target.reason)
            return None
    now = runtime.clock()
    with transaction(db):
        if error is None:
            outbox.finish(db, row.id, delivered_at=now, output=output)
        else:
            later = _next_attempt(row, now) if may_repeat else None
            outbox.fail(db, row.id, error=error, output=output, next_attempt_at=later)
    if row.kind is DeliveryKind.HOOK:
        _forget(runtime, row)
    return error is None


def _target(runtime: Runtime, db: Database, row: Delivery) -> str | None:
    """What is stored as its target; looked up, for what was queued while the configuration was wrong."""
    if row.target != UNKNOWN_TARGET:
        return row.target
    with reading(db):
        session = sessions.get(db, row.session_id) if row.session_id else None
    return configured(runtime, row.kind, row.name, session.webhook if session else None)


def _next_attempt(row: Delivery, now: datetime) -> datetime | None:
    if row.attempts > len(BACKOFF):
        return None
    return now + timedelta(seconds=BACKOFF[max(row.attempts - 1, 0)])


def _run_hook(runtime: Runtime, row: Delivery, command: str, *, again: bool) -> Ran | None:
    from agentctl.host import keeper
    from agentctl.host.surroundings import of_hooks

    environ = {**of_hooks(runtime.environ), **row.payload["env"]}
    environ |= {variables.HOOK: "1", variables.ATTEMPT: str(row.attempts)}
    return keeper.run(
        command,
        place=_place(runtime, row),
        # Nowhere else: what is meant for a worktree does harm in the main checkout.
        cwd=row.payload["cwd"] or "/",
        environ=environ,
        limit=runtime.settings.hook_timeout.total_seconds(),
        again=again,
    )


def _place(runtime: Runtime, row: Delivery) -> str:
    """Where the files of a hook's run are: with those of its session, as long as there are any."""
    own = runtime.paths.session(row.session_id).directory if row.session_id else None
    directory = own if own and os.path.isdir(own) else runtime.paths.state
    return os.path.join(directory, "hooks", f"{row.event_id}.{row.name}")


def _forget(runtime: Runtime, row: Delivery) -> None:
    """Delete what the row now says. A session keeps the code: a rebuilt database must not repeat the hook."""
    from agentctl.host import keeper

    keeper.forget(_place(runtime, row), code=row.session_id is None)


def _post(runtime: Runtime, row: Delivery, post: webhook.Post) -> str | None:
    from agentctl.host import http

    headers = {"Idempotency-Key": row.event_id, "X-Agentctl-Event": row.name, "User-Agent": "agentctl"}
    return http.post(
        post.url,
        json.dumps(row.payload).encode(),
        headers=headers,
        secret=post.secret,
        limit=runtime.settings.webhook_timeout.total_seconds(),
    ).error


def _lock_path(runtime: Runtime) -> str:
    return os.path.join(runtime.paths.state, "deliver.lock")
