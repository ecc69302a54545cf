"""An external session that was resumed from here is hidden; its id means the row that hides it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.ids import external_id
from agentctl.core.model import Outcome, Session, Status
from tests.adapters.opencode_samples import DATA, FINISHED, WITH_TOOL, change
from tests.conftest import Run
from tests.planting import NOON, Field


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What the real opencode left, where it would look for it."""
    path = tmp_path / "home" / ".local" / "share" / "opencode" / "opencode.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(DATA / "opencode-1.18.33.db", path)
    return path


def resumed(field: Field, native_id: str | None, *, later: float = 0, **changes: Any) -> Session:
    at = NOON + timedelta(hours=later)
    over: dict[str, Any] = {"status": Status.STOPPED, "outcome": Outcome.SUCCEEDED, "ended_at": at}
    began = {"adapter": "opencode", "native_id": native_id, "created_at": at, "started_at": at}
    return field.plant(**(over | began | changes))


def shown(run: Run, text: str) -> dict[str, Any]:
    (one,) = run(["status", "--json", text]).json()["sessions"]
    found: dict[str, Any] = one
    return found


def test_the_id_of_a_hidden_session_means_its_newest_row(run: Run, store: Path, field: Field) -> None:
    outside = external_id("opencode", str(store), FINISHED)
    assert shown(run, outside)["source"] == "external"
    resumed(field, FINISHED)
    newest = resumed(field, FINISHED, later=1)
    resumed(field, FINISHED, later=0.5)
    resumed(field, WITH_TOOL, later=2)
    for text in (outside, outside[:12], outside.upper()):
        assert shown(run, text)["id"] == newest.id
    assert run(["why", "--json", outside]).json()["id"] == newest.id


def test_a_live_row_comes_first(run: Run, store: Path, field: Field) -> None:
    live = field.plant(field.start(), adapter="opencode", native_id=FINISHED)
    resumed(field, FINISHED, later=1)
    assert shown(run, external_id("opencode", str(store), FINISHED))["id"] == live.id


def test_an_id_that_hides_nothing_is_not_found(run: Run, store: Path, field: Field) -> None:
    resumed(field, FINISHED)
    run(["status", external_id("opencode", str(store), "ses_never")], exit=10)
    run(["status", external_id("opencode", "/elsewhere.db", FINISHED)], exit=10)


def test_a_session_whose_title_names_its_launch_is_that_launch(run: Run, store: Path, field: Field) -> None:
    """Its own id is not known yet when the store has it already."""
    row = resumed(field, None)
    change(store, "UPDATE session SET title = ? WHERE id = ?", (f"agentctl {row.id}", FINISHED))
    assert shown(run, external_id("opencode", str(store), FINISHED))["id"] == row.id
