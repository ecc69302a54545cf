"""What the tests of openclaw share: sessions of the captured answers, and a clean environment."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from agentctl.adapters import openclaw
from agentctl.adapters.base import NativeSession
from agentctl.core.model import Session, Status
from tests.fake_gateway import (
    FakeGateway,
)

RUNNING = "ws-sessions-list-while-running"


ADDRESS = "ws://127.0.0.1:18789"


MAIN, INCIDENT = "0fe89871-cdbf-4530-bb28-8fcdf1c6805e", "07187523-1cd5-449b-a3d3-fc0c2da103a9"


SLOW = "2d785ea4-fb6b-45bc-821d-e2dc2322882e"


INSTALL = 'install it: pip install "agentctl[openclaw]"'


AT_MOST = 2.0
"""Seconds: more than the budget that these tests set, less than what a person waits for."""


@pytest.fixture(autouse=True)
def no_real_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)


def use(running: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)


def session(running: FakeGateway, native_id: str | None) -> Session:
    return Session(
        id="a" * 8,
        adapter="openclaw",
        cwd="",
        status=Status.IDLE,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        native_id=native_id,
        store_path=running.address,
    )


def discovered(running: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, NativeSession]:
    use(running, monkeypatch)
    address = openclaw.store_path(os.environ)
    assert address == running.address
    return {native.native_id: native for native in openclaw.discover(address)}
