"""The only module that waits.

Deadlines here are monotonic: a stepped clock neither shortens nor lengthens a wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

FOREVER = float("inf")


def poll(
    predicate: Callable[[], bool], *, timeout: float, first: float = 0.002, longest: float = 0.1
) -> bool:
    """Ask until `predicate` holds or `timeout` seconds passed; the last answer.

    Pauses grow from `first` to `longest` seconds. Asks at least once, and once more at the end.
    """
    deadline = time.monotonic() + timeout
    pause = first
    while not predicate():
        left = deadline - time.monotonic()
        if left <= 0:
            return predicate()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)
    return True


def ticks(*, interval: float, timeout: float = FOREVER) -> Iterator[float]:
    """Yield the seconds since the start: at once, then every `interval`, until `timeout` passed."""
    start = time.monotonic()
    while True:
        elapsed = time.monotonic() - start
        yield elapsed
        left = timeout - (time.monotonic() - start)
        if left <= 0:
            return
        time.sleep(min(interval, left))


def within(limit: float, work: Callable[[], T]) -> T | None:
    """What `work` answers; None if that takes more than `limit` seconds.

    Late work continues in its own thread until it or the process ends: that must do no harm.
    """
    import threading

    answers: list[T] = []
    failures: list[BaseException] = []

    def do() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # the caller's to judge, as if it had called `work` itself
            failures.append(error)

    worker = threading.Thread(target=do, name="within", daemon=True)
    worker.start()
    worker.join(limit)
    if failures:
        raise failures[0]
    return answers[0] if answers else None
