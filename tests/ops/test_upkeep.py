"""The calls that a shim makes: they record the end although others write to the row meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agentctl.adapters import exec, registry
from agentctl.core.model import Outcome, Result, Session, Status
from agentctl.ops.upkeep import finalise
from agentctl.runtime import Runtime
from agentctl.store import sessions
from agentctl.store.db import transaction
from tests.planting import NOON, Field, field_in, write_exit


@pytest.fixture
def place(sealed_home: Path) -> Iterator[Field]:
    with field_in(sealed_home) as field:
        yield field


def test_an_end_is_recorded_although_the_launcher_records_the_start_meanwhile(
    place: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row moves on between the finalising call's look and its write, as when a launcher is slow."""
    planted = place.plant(adapter="interfering", status=Status.STARTING, started_at=None, pid=None)
    write_exit(place.directory(planted.id), "0", NOON)
    looks = 0

    def result(session: Session, log_path: str) -> Result:
        nonlocal looks
        looks += 1
        if looks == 1:
            with place.database() as db, transaction(db):
                sessions.update(db, session._replace(status=Status.RUNNING, started_at=NOON))
        return Result()

    module = ModuleType("interfering")
    vars(module).update(vars(exec) | {"NAME": "interfering", "result": result})
    monkeypatch.setitem(sys.modules, "interfering", module)
    monkeypatch.setitem(registry.ADAPTERS, "interfering", "interfering")

    runtime = Runtime(paths=place.paths, environ=dict(os.environ), delivers=True)
    finalise(runtime, planted.id)
    runtime.close()

    stored = place.stored(planted)
    assert (stored.status, stored.outcome, looks) == (Status.STOPPED, Outcome.SUCCEEDED, 2)
    assert place.event_types(planted).count("session.stopped") == 1
