"""What the tests of deliveries share."""

from __future__ import annotations

from agentctl.core.ledger import Delivery
from agentctl.runtime import Runtime
from agentctl.store import outbox
from agentctl.store.db import reading


def rows(runtime: Runtime) -> dict[int, Delivery]:
    """Every delivery by its number."""
    with reading(runtime.state):
        return {row.id: row for row in outbox.list_all(runtime.state)}
