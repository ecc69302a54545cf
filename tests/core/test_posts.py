"""What posts say, read as a receiver of the TypeScript agentctl reads them."""

from __future__ import annotations

from itertools import product

import pytest

from agentctl.core.decide import EVENT_OF
from agentctl.core.model import Outcome
from agentctl.core.posts import ENDINGS, exit_status, hook_type

CODES = (None, 0, 1, 3, 75, 127, 128, 129, 137, 143, 255)


def read(kind: str, status: int | None) -> str | None:
    """The receiver: every post but a start is an end; 0 and none are success, above 128 is cancelled."""
    if kind == "start":
        return None
    if not status:
        return "success"
    return "cancelled" if status > 128 else "failure"


@pytest.mark.parametrize(("outcome", "code"), [*product(Outcome, CODES)])
def test_an_end_reads_as_success_only_if_it_succeeded(outcome: Outcome, code: int | None) -> None:
    event = EVENT_OF[outcome]
    heard = read(hook_type(event), exit_status(event, outcome, code))
    assert hook_type(event) == "session.stopped"
    assert (heard == "success") == (outcome is Outcome.SUCCEEDED)
    if outcome is Outcome.CANCELLED:
        assert heard == "cancelled"


def test_a_known_code_that_is_not_0_is_posted_as_it_is() -> None:
    assert exit_status("session.error", Outcome.FAILED, 75) == 75
    assert exit_status("session.error", Outcome.FAILED, 0) == 1, "the agent said that it failed"
    assert exit_status("session.timeout", Outcome.TIMED_OUT, None) == 1
    assert exit_status("session.stopped", Outcome.SUCCEEDED, None) == 0


def test_a_start_is_no_end_and_a_fuse_no_success() -> None:
    assert read(hook_type("session.started"), exit_status("session.started", None, None)) is None
    assert read(hook_type("fuse.expired"), exit_status("fuse.expired", None, None)) == "failure"


def test_every_outcome_has_one_of_the_endings() -> None:
    assert set(EVENT_OF.values()) == set(ENDINGS)
