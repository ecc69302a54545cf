"""What deadlines ask for as time passes: of directories, of locks, and of sessions that go on.

Pure, like `decide`, which judges the fuses that end a session.
"""

from __future__ import annotations

from datetime import datetime

from agentctl.core.durations import format_duration
from agentctl.core.effects import AppendEvent, Effect, PostWebhook, RunHook
from agentctl.core.model import Fuse, FuseAction, FuseState, Lock


def decide_fuse(fuse: Fuse, now: datetime) -> tuple[Fuse, tuple[Effect, ...]]:
    """A directory's fuse: fired once, at or after its deadline, with what its action asks for."""
    if not fuse.is_due(now):
        return fuse, ()
    return fuse._replace(state=FuseState.FIRED), expired_effects(fuse)


def decide_lock(lock: Lock, now: datetime) -> bool:
    """Whether a lock has outlived the time its holder asked for. Locks of sessions never do."""
    return lock.session_id is None and lock.expires_at is not None and now >= lock.expires_at


def pass_time(fuse: Fuse | None, now: datetime) -> tuple[Fuse | None, tuple[Effect, ...]]:
    """A due fuse that ends nothing fires as an event; a warning is queued inside its window."""
    if fuse is None:
        return None, ()
    if fuse.is_due(now):
        return decide_fuse(fuse, now)
    if fuse.vouches(now) and fuse.warn_at is not None and now >= fuse.warn_at:
        left = format_duration(fuse.deadline - now)
        warned = AppendEvent("fuse.warned", f"{left} left", {"fuse": fuse.id})
        return fuse._replace(warn_at=None), (warned, RunHook("on_fuse_warn"))
    return fuse, ()


def expired_effects(fuse: Fuse) -> tuple[Effect, ...]:
    event = AppendEvent(
        "fuse.expired",
        f"its deadline passed; action {fuse.action}",
        {"fuse": fuse.id, "action": fuse.action.value, "directory": fuse.directory},
    )
    if fuse.action is FuseAction.SCRIPT:
        return (event, RunHook("fuse_script"), PostWebhook("fuse.expired"))
    return (event, PostWebhook("fuse.expired"))
