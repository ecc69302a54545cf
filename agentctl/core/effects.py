"""What a verdict asks for: data, not calls."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Signal(NamedTuple):
    """Send this signal to the agent; KILL goes to its whole process tree."""

    number: int


class Sweep(NamedTuple):
    """End what a stopped agent left behind: its tools, found by group and environment tag."""

    effect: str = "sweep"
    """Without a field of its own, it would equal `ReleaseLocks()`."""


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
