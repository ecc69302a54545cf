"""What the contract tests share: a request and a session for any adapter; which adapters a test needs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.adapters import base, registry
from agentctl.adapters.base import Adapter, Capability, CommandRequest, NativeSession, StoreUnreadable
from agentctl.core.model import Session, Status

DATA = Path(__file__).parent.parent / "data"


SESSION_ID = "0f9a1b2c-0000-4000-8000-000000000000"


NATIVE_ID = "ses_0000000000000000000000000a"


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


COMMANDS = {"exec": ("make", "check"), "acp": ("some-agent", "--acp")}
"""Adapters that have to be told a command after `--`."""


def having(capability: Capability) -> pytest.MarkDecorator:
    """Run the test with the adapters that have this capability, and no other."""
    names = [name for name in registry.ADAPTERS if can(registry.load(name), capability)]
    return pytest.mark.parametrize("adapter", [registry.load(name) for name in names], ids=names)


def can(adapter: Adapter, capability: Capability) -> bool:
    return capability in adapter.CAPABILITIES


def having_own(*verbs: str) -> pytest.MarkDecorator:
    """Run the test with the adapters that have at least one of these verbs themselves."""
    names = [name for name in registry.ADAPTERS if any(own(registry.load(name), *verbs))]
    return pytest.mark.parametrize("adapter", [registry.load(name) for name in names], ids=names)


def own(adapter: Adapter, *verbs: str) -> list[str]:
    """Those of these verbs that the adapter does not take from the defaults."""
    return [verb for verb in verbs if getattr(adapter, verb).__module__ != base.__name__]


def launch_request(adapter: Adapter, **changes: object) -> CommandRequest:
    """A request that this adapter can serve; an adapter that takes commands gets one."""
    takes_prompt = Capability.PROMPT in adapter.CAPABILITIES
    given: dict[str, object] = {
        "session_id": SESSION_ID,
        "cwd": "/srv/project",
        "prompt": "Say hello" if takes_prompt else None,
        "args": COMMANDS.get(adapter.NAME, ()),
        "environ": {"HOME": "/home/u", "PATH": "/usr/bin"},
    }
    return CommandRequest(**(given | changes))  # type: ignore[arg-type]


def row(adapter: Adapter, store_path: str | None, **changes: object) -> Session:
    """A session of this adapter, whose native id no store holds."""
    given: dict[str, object] = {
        "id": SESSION_ID,
        "adapter": adapter.NAME,
        "cwd": "/srv/project",
        "status": Status.RUNNING,
        "created_at": NOW,
        "native_id": NATIVE_ID,
        "store_path": store_path,
    }
    return Session(**(given | changes))  # type: ignore[arg-type]


def discovered(adapter: Adapter, source: str) -> list[NativeSession]:
    """What can be read of a source, whether or not the adapter complains of the rest."""
    try:
        return list(adapter.discover(source))
    except StoreUnreadable as error:
        return list(error.found)
