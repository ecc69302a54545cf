"""The permanent record: events, and the deliveries that are still to be made of them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

EVENT_TYPES = (
    "session.started",
    "session.stopping",
    "session.stopped",
    "session.error",
    "session.timeout",
    "session.gone",
    "session.swept",
    "session.imported",
    "fuse.set",
    "fuse.extended",
    "fuse.cancelled",
    "fuse.warned",
    "fuse.expired",
    "lock.acquired",
    "lock.released",
    "lock.expired",
    "state.rebuilt",
)
"""Every type of event that is recorded."""


class Event(NamedTuple):
    """One line of the append-only ledger. `cursor` grows without gaps being reused."""

    cursor: int
    type: str
    session_id: str | None
    at: datetime
    actor: str
    reason: str | None
    data: Mapping[str, Any]


class DeliveryState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    WAITING = "waiting"
    """For a call that has the address or the secret which the launch had in its environment."""


class DeliveryKind(StrEnum):
    """What a delivery is made by: a shell command, or a post to an address."""

    HOOK = "hook"
    WEBHOOK = "webhook"


ON_CREATE = "on_create"
"""The hook that runs before its session's agent, as a part of the launch."""


class Delivery(NamedTuple):
    """An outbox row: one hook to run or one webhook to post."""

    kind: DeliveryKind
    name: str
    """Hook name (`on_complete`) or event type (`session.stopped`)."""
    target: str
    """Shell command or URL."""
    event_id: str
    """Idempotency key, the same in every attempt."""
    payload: Mapping[str, Any]
    created_at: datetime
    session_id: str | None = None
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    claimed_until: datetime | None = None
    delivered_at: datetime | None = None
    last_error: str | None = None
    output: str | None = None
    id: int = 0
    """0 until it is queued."""

    @property
    def may_be_retried(self) -> bool:
        """It has not arrived. An on-create hook belongs to its launch, which is over."""
        return self.state is not DeliveryState.DONE and self.name != ON_CREATE


def shown_target(delivery: Delivery) -> str:
    """Where it goes, as people and their logs may see it: an address without its secrets."""
    from agentctl.core.addresses import without_secrets

    return without_secrets(delivery.target) if delivery.kind is DeliveryKind.WEBHOOK else delivery.target
