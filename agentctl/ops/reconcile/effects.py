"""Effects that are rows: events, freed locks, hooks and webhooks to be delivered.

Called inside the transaction that made the transition, so that a transition and its
side effects are one step. Must not deliver anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agentctl.core import variables
from agentctl.core.effects import AppendEvent, Effect, PostWebhook, ReleaseLocks, RunHook
from agentctl.core.ids import event_id as lasting_event_id
from agentctl.core.ids import new_id
from agentctl.core.ledger import Delivery, DeliveryKind
from agentctl.core.metrics import FUSES_EXPIRED, counts_of
from agentctl.core.model import Fuse, Session
from agentctl.core.posts import ENDINGS, EXPIRED, exit_status, hook_type
from agentctl.runtime import Runtime
from agentctl.store import counters, events, locks, outbox
from agentctl.store.db import Database

UNKNOWN_TARGET = ""
"""Target of a delivery that was queued while the configuration was wrong; `deliver` looks it up."""

ONCE = frozenset({"session.started", "session.gone"})


def record_effects(
    runtime: Runtime, db: Database, session: Session, effects: Iterable[Effect], now: datetime
) -> int:
    """Store what the effects of a won transition leave behind; how many deliveries were queued."""
    queued = 0
    event_id = new_id(os.urandom(16))
    for effect in effects:
        match effect:
            case ReleaseLocks():
                locks.release_session(db, session.id)
            case AppendEvent():
                event_id = _event_id(session, effect.type)  # what follows is about this event, and no other
                append_event(runtime, db, effect, session.id, now)
                if effect.type in ENDINGS:
                    for name, by in counts_of(session).items():
                        counters.increment(db, name, by)
            case RunHook():
                queued += queue_hook(runtime, db, session, effect.name, event_id, now)
            case PostWebhook():
                queued += queue_webhook(runtime, db, session, effect.type, event_id, now)
            case _:
                pass
    return queued


def _event_id(session: Session, type_: str) -> str:
    """Ids of what happens once follow from the session: a rebuild that records it again repeats no hook."""
    if type_ in ENDINGS:
        return lasting_event_id(session.id, "ended")
    if type_ in ONCE:
        return lasting_event_id(session.id, type_)
    return new_id(os.urandom(16))


def record_fuse_effects(
    runtime: Runtime, db: Database, fuse: Fuse, effects: Iterable[Effect], now: datetime
) -> int:
    """The same for a directory's fuse, which has no session."""
    queued = 0
    event_id = new_id(os.urandom(16))
    for effect in effects:
        match effect:
            case AppendEvent():
                append_event(runtime, db, effect, None, now)
            case RunHook() if fuse.command is not None:
                environment = {
                    variables.CWD: fuse.directory or "",
                    variables.FUSE_ID: fuse.id,
                    variables.EVENT_ID: event_id,
                }
                payload = {"cwd": fuse.directory, "env": environment}
                hook = Delivery(DeliveryKind.HOOK, effect.name, fuse.command, event_id, payload, now)
                outbox.enqueue(db, hook)
                queued += 1
            case PostWebhook():
                # The fuse's own address is for its expiry alone.
                own = fuse.url if effect.type == EXPIRED and not hears_endings(runtime, fuse.url) else None
                url = own or _target(runtime, DeliveryKind.WEBHOOK, effect.type, None)
                if url is not None:
                    post: dict[str, Any] = {
                        "hook_type": hook_type(effect.type),
                        "event": effect.type,
                        "exit_status": exit_status(effect.type, None, None),
                        "cwd": fuse.directory,
                        "fuse": fuse.id,
                        "timestamp": _instant(now),
                        "event_id": event_id,
                    }
                    outbox.enqueue(db, Delivery(DeliveryKind.WEBHOOK, effect.type, url, event_id, post, now))
                    queued += 1
            case _:
                pass
    return queued


def hears_endings(runtime: Runtime, url: str | None) -> bool:
    """The ends of sessions go to this address, and it did not ask for fuses: it would take one for an end."""
    settings = runtime.sound_settings
    return settings is not None and url == settings.webhook_url and EXPIRED not in settings.webhook_events


def append_event(
    runtime: Runtime, db: Database, event: AppendEvent, session_id: str | None, now: datetime
) -> None:
    """A line of the ledger: what happened, to whom, by whom and why."""
    events.append(
        db,
        type=event.type,
        session_id=session_id,
        at=now,
        actor=runtime.actor,
        reason=event.reason,
        data=event.data,
    )
    if event.type == EXPIRED:
        counters.increment(db, FUSES_EXPIRED)


def queue_hook(
    runtime: Runtime, db: Database, session: Session, name: str, event_id: str, now: datetime
) -> int:
    """Queue a session's hook, its own or the configured one; 0 where there is none."""
    command = hook_command(runtime, session, name)
    if command is None:
        return 0
    payload = {"cwd": session.cwd, "env": hook_environment(session, event_id)}
    outbox.enqueue(db, Delivery(DeliveryKind.HOOK, name, command, event_id, payload, now, session.id))
    return 1


def hook_command(runtime: Runtime, session: Session, name: str) -> str | None:
    """The shell command of a hook: given at launch, else configured, else None."""
    own = session.hooks.get(name)
    return own or _target(runtime, DeliveryKind.HOOK, name, None)


def hook_environment(session: Session, event_id: str) -> dict[str, str]:
    """What a hook learns of its session. Unknown values are absent, not empty."""
    values: dict[str, object] = {
        variables.SESSION_ID: session.id,
        variables.NAME: session.name,
        variables.CWD: session.cwd,
        variables.ADAPTER: session.adapter,
        variables.BRANCH: session.branch,
        variables.GROUP: session.group,
        variables.MODEL: session.model,
        variables.EXIT_CODE: session.exit_code,
        variables.OUTCOME: session.outcome,
        variables.EVENT_ID: event_id,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def queue_webhook(
    runtime: Runtime, db: Database, session: Session, type_: str, event_id: str, now: datetime
) -> int:
    """Queue a post to the configured webhook; 0 where none is configured or wanted."""
    url = _target(runtime, DeliveryKind.WEBHOOK, type_, session.webhook)
    if url is None:
        return 0
    payload = {**_session_payload(session, type_, now), "event_id": event_id}
    outbox.enqueue(db, Delivery(DeliveryKind.WEBHOOK, type_, url, event_id, payload, now, session.id))
    return 1


def _target(runtime: Runtime, kind: DeliveryKind, name: str, wish: str | None) -> str | None:
    """`configured`; what cannot be known while the configuration is wrong is looked up at the delivery."""
    return UNKNOWN_TARGET if runtime.sound_settings is None else configured(runtime, kind, name, wish)


def configured(runtime: Runtime, kind: DeliveryKind, name: str, wish: str | None) -> str | None:
    """Where a hook (its command) or webhook (what stands for its address) of this name goes, if anywhere.

    `wish` is what the session's launch wanted of its posts.
    """
    settings = runtime.settings
    if kind is DeliveryKind.HOOK:
        return settings.hook(name)
    from agentctl.ops.reconcile import webhook

    return webhook.target(runtime, wish) if name in settings.webhook_events else None


def _session_payload(session: Session, type_: str, now: datetime) -> dict[str, Any]:
    """The body as the TypeScript agentctl sent it, with the truth beside what its receivers make of it."""
    ended = session.ended_at or now
    began = session.started_at or session.created_at
    return {
        "hook_type": hook_type(type_),
        "event": type_,
        "session_id": session.id,
        "cwd": session.cwd,
        "adapter": session.adapter,
        "duration_seconds": round(max((ended - began).total_seconds(), 0.0), 3),
        "exit_status": exit_status(type_, session.outcome, session.exit_code),
        "exit_code": session.exit_code,
        "summary": session.result or session.reason,
        "meta": {**session.meta, "name": session.name, "group": session.group, "model": session.model},
        "timestamp": _instant(now),
        "outcome": session.outcome,
        "reason": session.reason,
    }


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
