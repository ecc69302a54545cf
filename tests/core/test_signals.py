"""Signal numbers: their names, and the statuses a shell makes of them."""

from __future__ import annotations

import signal

import pytest

from agentctl.core.signals import signal_name, signal_of_status


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (9, "SIGKILL"),
        (15, "SIGTERM"),
        (int(signal.SIGSTOP), "SIGSTOP"),
        (0, "signal 0"),
        (127, "signal 127"),
    ],
)
def test_a_signal_has_the_name_people_know(number: int, name: str) -> None:
    assert signal_name(number) == name


@pytest.mark.parametrize(
    ("status", "number"),
    [(129, 1), (130, 2), (137, 9), (143, 15)],
)
def test_a_status_above_128_tells_the_signal(status: int, number: int) -> None:
    assert signal_of_status(status) == number


@pytest.mark.parametrize("status", [None, 0, 1, 15, 127, 128, 255])
def test_any_other_status_tells_none(status: int | None) -> None:
    assert signal_of_status(status) is None


@pytest.mark.parametrize("name", ["CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH"])
def test_a_signal_that_ends_no_process_is_not_behind_a_status(name: str) -> None:
    """A program that leaves with 145 was not ended by SIGCHLD."""
    assert signal_of_status(128 + signal.Signals[f"SIG{name}"]) is None


def test_every_known_signal_has_its_name_and_a_status_unless_processes_survive_it() -> None:
    ended_by = {known for known in signal.Signals if signal_of_status(128 + known) == int(known)}
    assert len(signal.Signals) - len(ended_by) == 8
    for known in signal.Signals:
        assert signal_name(known) == known.name
