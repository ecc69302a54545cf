"""What the tests of adapters share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.core.model import Session, Status
from tests.adapters.acp_runs import Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ACP runners; what is still running after the test is ended."""
    starting = Start(tmp_path)
    yield starting
    starting.close()


@pytest.fixture
def acp_session() -> Session:
    """A row as the reading of a log needs one."""
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    return Session(id="s", adapter="acp", cwd="/", status=Status.STOPPED, created_at=now)
