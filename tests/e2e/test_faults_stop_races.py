"""Fifty stops, each against the agent's own end at the same moment."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentctl.core.model import Outcome, Status
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import (
    PATIENCE,
    at_gate,
    begin,
    endings,
    finish,
    held,
    open_gate,
    processes_of,
    row,
)

RACES = 50
SIDE_BY_SIDE = 10


def test_fifty_stops_race_with_the_agents_own_ends(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    """Takes about twenty seconds: a hundred agentctl processes, of which every two race."""
    outcomes = []
    for batch in range(RACES // SIDE_BY_SIDE):
        places = [tmp_path / f"work-{batch}-{number}" for number in range(SIDE_BY_SIDE)]
        ids = []
        for place in places:
            words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), "--", *at_gate(place)]
            ids.append(run(words).stdout.strip())
        stops = [begin(["stop", session_id]) for session_id in ids]
        # Some gates open while the stoppers start, the others one by one as these come to work.
        for number, place in enumerate(places):
            if number % 2:
                wait_until(partial(_is_touched, ids[number // 2]), timeout=PATIENCE)
            _open_if_there(place)
        done = [finish(each) for each in stops]
        assert [each.exit for each in done] == [0] * SIDE_BY_SIDE, "\n".join(map(str, done))
        for session_id in ids:
            ended = row(session_id)
            assert (ended.outcome, ended.exit_code) in (
                (Outcome.SUCCEEDED, 0),
                (Outcome.CANCELLED, 0),
                (Outcome.CANCELLED, 143),
            )
            assert endings(session_id) == ["session.stopped"]
            outcomes.append(ended.outcome)
    assert len(outcomes) == RACES
    assert held() == []
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)


def _is_touched(session_id: str) -> bool:
    return row(session_id).status is not Status.RUNNING


def _open_if_there(place: Path) -> None:
    try:
        open_gate(place, timeout=0)
    except AssertionError:
        return  # stopped already
