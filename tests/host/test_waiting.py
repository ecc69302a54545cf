"""Waiting is bounded, asks often enough, and heeds no clock but the monotonic one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import freezegun
import pytest

from agentctl.host import clock, waiting
from tests.planting import NOON, touch


class TestPoll:
    def test_what_holds_already_is_not_waited_for(self) -> None:
        assert waiting.poll(lambda: True, timeout=0)

    def test_it_asks_until_it_holds(self) -> None:
        answers = iter([False, False, False, True])
        assert waiting.poll(lambda: next(answers), timeout=10)
        assert next(answers, None) is None

    def test_it_gives_up_and_not_before_its_time(self) -> None:
        asked: list[float] = []
        stopwatch = waiting.ticks(interval=0)

        def never() -> bool:
            asked.append(next(stopwatch))
            return False

        assert not waiting.poll(never, timeout=0.05)
        assert asked[-1] - asked[0] >= 0.05
        assert len(asked) >= 3

    def test_without_time_it_asks_all_the_same(self) -> None:
        answers = iter([False, False])
        assert not waiting.poll(lambda: next(answers), timeout=0)
        assert next(answers, None) is None, "once, and once more at the end"

    def test_pauses_do_not_grow_beyond_the_longest(self) -> None:
        """Growing on, they would fill this half second with some 14 questions instead of a hundred."""
        asked: list[float] = []
        stopwatch = waiting.ticks(interval=0)

        def never() -> bool:
            asked.append(next(stopwatch))
            return False

        waiting.poll(never, timeout=0.5, first=0.001, longest=0.004)
        assert len(asked) > 20


class TestTicks:
    def test_the_first_comes_at_once_and_the_last_after_the_time(self) -> None:
        seen = list(waiting.ticks(interval=0.01, timeout=0.05))
        assert seen[0] < 0.01
        assert seen[-1] >= 0.05
        assert seen == sorted(seen)

    def test_without_time_there_is_one(self) -> None:
        assert len(list(waiting.ticks(interval=1, timeout=0))) == 1

    def test_a_stopped_clock_does_not_stop_the_waiting(self) -> None:
        with freezegun.freeze_time(NOON):
            assert not waiting.poll(lambda: False, timeout=0.02)
            assert list(waiting.ticks(interval=0.01, timeout=0.02))[-1] >= 0.02
            assert clock.utcnow() == NOON


class TestWithin:
    def test_the_answer_is_the_works_own(self) -> None:
        assert waiting.within(20, lambda: "done") == "done"

    def test_work_that_is_late_is_not_waited_for(self) -> None:
        over = threading.Event()
        stopwatch = waiting.ticks(interval=0)
        began = next(stopwatch)
        assert waiting.within(0.05, lambda: over.wait(20)) is None
        assert 0.05 <= next(stopwatch) - began < 10
        over.set()

    def test_a_failure_is_the_callers(self) -> None:
        with pytest.raises(ZeroDivisionError):
            waiting.within(20, lambda: 1 // 0)


class TestClock:
    def test_instants_are_aware_and_in_utc(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()
        touch(str(file), NOON)
        for at in (clock.utcnow(), clock.modified_at(os.stat(file)), clock.from_epoch(0)):
            assert at.utcoffset() is not None
            assert at.tzname() == "UTC"
        assert clock.modified_at(os.stat(file)) == NOON
        assert clock.from_epoch(NOON.timestamp()) == NOON
