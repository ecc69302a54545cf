"""What the tests of reconcile share: the instants on both sides of a boundary, and rows of other places."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory

from agentctl.core.model import (
    Session,
)
from tests.planting import (
    ABSENT,
    NOON,
    Agent,
    Field,
    seconds,
)

Clock = FrozenDateTimeFactory
See = Callable[[Session], dict[str, Any]]
JUST_BEFORE = 29.999
GRACE = 30.0
HOUR = timedelta(hours=1)


def at(clock: Clock, age: float) -> datetime:
    """Set the clock to `age` seconds after NOON."""
    clock.move_to(NOON + seconds(age))
    return NOON + seconds(age)


def unlisted(field: Field, agent: Agent | None, store: str, **changes: Any) -> Session:
    """A row whose native id the agent's own store, read completely, does not hold."""
    columns = {"adapter": "opencode", "native_id": ABSENT, "store_path": store}
    return field.plant(agent, **(columns | changes))


def foreign(token: str) -> str:
    """The same process, recorded on another machine."""
    ticks, _, _, namespace = token.split(":")
    return ":".join((ticks, "00000000-0000-0000-0000-000000000000", "0" * 32, namespace))


def rebooted(token: str) -> str:
    """The same process, recorded before this machine was booted."""
    ticks, _, machine, namespace = token.split(":")
    return ":".join((ticks, "00000000-0000-0000-0000-000000000000", machine, namespace))
