"""Random faults, judged by the agents' own records: see `fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.fuzz import fuzz

FAULTS = 100
ENOUGH = 240
"""Seconds that the harm may take: several times what it takes on two busy cores."""


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_fault_makes_a_false_verdict(seed: int, tmp_path: Path) -> None:
    """Neither a false ending nor a false success, one event and one hook for each ending, no lock left."""
    world = fuzz(tmp_path / "home", seed=seed, faults=FAULTS, seconds=ENOUGH)
    assert world.wrong == []
    assert world.faults.total() == FAULTS, "the harm took too long"
    assert world.looks > 5 and len(world.agents()) > 5
