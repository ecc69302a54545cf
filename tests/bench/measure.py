"""Runs programs in turn and keeps the best of each: processor time and elapsed time.

What is compared is run beside what it is compared with, round after round, so that a
busy machine slows both. Must not know what is run or what it may cost.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A program to run, and what it is compared with."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    against: str | None = None
    """Name of another subject of the same rounds; None for one that is only a reference."""
    budget: float | None = None
    """How many times the other it may cost."""
    afterwards: Callable[[str], None] | None = None
    """Gets what was printed, after each run and outside the measurement."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds."""

    processor: float
    elapsed: float


def best_of(subjects: Sequence[Subject], rounds: int, *, cwd: str) -> dict[str, Cost]:
    """The least that each subject took in `rounds` rounds, after one that does not count."""
    taken: dict[str, list[Cost]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        for subject in subjects:
            cost = _run(subject, cwd)
            if number:
                taken[subject.name].append(cost)
    return {
        name: Cost(min(cost.processor for cost in costs), min(cost.elapsed for cost in costs))
        for name, costs in taken.items()
    }


def _run(subject: Subject, cwd: str) -> Cost:
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            subject.argv,
            cwd=cwd,
            env=dict(subject.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if process.returncode != 0:
        raise RuntimeError(f"{subject.name}: exit {process.returncode}\n{printed}")
    if subject.afterwards is not None:
        subject.afterwards(printed)
    return Cost(usage.ru_utime + usage.ru_stime, elapsed)
