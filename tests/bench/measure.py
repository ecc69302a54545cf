"""Runs programs in turn, and tells how many times the cost of one another has.

What is compared is run beside what it is compared with, round after round, and compared
within its round: a machine that gets busy slows both. Must not know what is run or what
it may cost.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


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
    """Of one run, in seconds; or of one thing, as multiples of the same of another."""

    processor: float
    elapsed: float


@dataclass(frozen=True, slots=True)
class Costs:
    """All runs of one subject, in the order of the rounds."""

    runs: tuple[Cost, ...]

    @property
    def best(self) -> float:
        """The least time from start to end."""
        return min(run.elapsed for run in self.runs)

    def times(self, other: Costs) -> Cost:
        """How many times `other` it costs: the median of all rounds."""
        pairs = list(zip(self.runs, other.runs, strict=True))
        return Cost(
            median(mine.processor / theirs.processor for mine, theirs in pairs),
            median(mine.elapsed / theirs.elapsed for mine, theirs in pairs),
        )


def measure(subjects: Sequence[Subject], rounds: int, *, cwd: str) -> dict[str, Costs]:
    """Name of each subject → its costs in `rounds` rounds, after one that does not count."""
    taken: dict[str, list[Cost]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        for subject in subjects:
            cost = _run(subject, cwd)
            if number:
                taken[subject.name].append(cost)
    return {name: Costs(tuple(costs)) for name, costs in taken.items()}


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
