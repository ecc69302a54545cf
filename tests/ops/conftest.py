"""What the tests of operations share: a frozen clock, a store of opencode, and what `list` shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import freezegun
import pytest
from freezegun.api import FrozenDateTimeFactory

from agentctl.core.model import (
    Session,
)
from agentctl.host.paths import Paths
from agentctl.runtime import Runtime
from tests.adapters.opencode_samples import copy_store
from tests.conftest import Run
from tests.ops.reconciling import See
from tests.planting import (
    NOON,
)


@pytest.fixture
def clock() -> Iterator[FrozenDateTimeFactory]:
    with freezegun.freeze_time(NOON) as frozen:
        assert isinstance(frozen, FrozenDateTimeFactory)
        yield frozen


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A copy of a real opencode store; ABSENT is not in it, FINISHED is."""
    return str(copy_store(tmp_path))


@pytest.fixture
def see(run: Run) -> See:
    """What `list -a --json` shows of one session."""

    def see_one(session: Session) -> dict[str, Any]:
        found = run("list -a --json").json()["sessions"]
        shown: dict[str, Any] = next(one for one in found if one["id"] == session.id)
        return shown

    return see_one


@pytest.fixture
def runtime(sealed_home: Path) -> Iterator[Runtime]:
    """The runtime of one invocation in the sealed home."""
    made = Runtime(paths=Paths.from_environment(os.environ), environ=dict(os.environ))
    yield made
    made.close()
