"""What a verdict asks for: data, not calls. Most verdicts ask for nothing and load none of this."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple


class Signal(NamedTuple):
    """Send the ladder's rung `stage` (1 is the first); KILL goes to the whole tree."""

    stage: int
    number: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """End what a stopped agent left behind: its tools, found by group and environment tag."""


@dataclass(frozen=True, slots=True)
class ReleaseLocks:
    """Free the directory locks of this session, and of no other."""


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
