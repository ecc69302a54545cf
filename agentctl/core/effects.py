"""What a verdict asks for: data, not calls."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple


class Signal(NamedTuple):
    """Send this signal to the agent."""

    number: int


class Sweep(NamedTuple):
    """End what a stopped agent left behind: its tools, asked first, and killed after that."""

    patience_until: datetime | None = None
    """How long they may take at least; None where nobody said."""
    at_once: bool = False
    """Kill without asking."""


class ReleaseLocks(NamedTuple):
    """Free the directory locks of this session, and of no other."""

    effect: str = "release locks"


class AppendEvent(NamedTuple):
    type: str
    reason: str
    data: Mapping[str, Any] = MappingProxyType({})


class RunHook(NamedTuple):
    """Queue the hook of this name, if the session or the configuration has one."""

    name: str


class PostWebhook(NamedTuple):
    """Queue a webhook of this event type, if one is configured."""

    type: str


Effect = Signal | Sweep | ReleaseLocks | AppendEvent | RunHook | PostWebhook
