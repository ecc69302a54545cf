"""What agentctl costs, as ratios to something else that was run beside it. Asserts nothing.

    python tests/bench/run.py [--quick]

Needs agentctl installed for the interpreter that runs it. A ratio is the median of some
rounds, each with one run of every subject and of its reference, in processor time (user +
system) and in elapsed time; the last figure is the shortest run. Writes below a temporary
directory only, and ends what it started. On a busy machine believe processor time.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.measure import Costs, Subject, measure
from tests.bench.worlds import TRANSCRIPTS as HOMES
from tests.bench.worlds import World, home_with_transcripts, opencode_store, private_memory, world_in

SCRIPT = Path(sys.executable).with_name("agentctl")
AGENTCTL = (str(SCRIPT),) if SCRIPT.exists() else (sys.executable, "-P", "-m", "agentctl")
CLICK = "import click"
SLEEP = ("--", "sleep", "3600")

SIZES = {"few": 1_000, "many": 100_000}
"""Rows of sessions, ten of them live, in the two states that are compared."""
CROWD = 200
TRANSCRIPTS = 2_000
BIG_LOG = 2 * 1024**3
SMALL_LOG = 2 * 1024
MEMORY_BUDGET = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often each subject runs."""

    light: int
    """Of what takes a twentieth of a second."""
    heavy: int


QUICK = Rounds(light=5, heavy=3)
FULL = Rounds(light=25, heavy=15)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure agentctl against its budgets.")
    parser.add_argument("--quick", action="store_true", help="fewer runs of each, in about a minute")
    rounds = QUICK if parser.parse_args(arguments).quick else FULL
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"{'':44}{'processor':>12}{'elapsed':>10}{'budget':>9}{'shortest':>10}   against")
    with tempfile.TemporaryDirectory(prefix="agentctl-bench-") as name, ExitStack() as stack:
        directory = Path(name).resolve()
        for subjects, times in _groups(directory, stack, rounds):
            _show(subjects, measure(subjects, times, cwd=name))
        _show_memory(stack.enter_context(world_in(directory, "memory")))
    return 0


def _groups(directory: Path, stack: ExitStack, rounds: Rounds) -> Iterator[tuple[list[Subject], int]]:
    """Subjects that run in turn; each world is made when its turn comes."""
    plain = stack.enter_context(world_in(directory, "plain"))
    yield _starting(plain), rounds.light
    few, many = (stack.enter_context(world_in(directory, name)) for name in SIZES)
    for world, rows in zip((few, many), SIZES.values(), strict=True):
        world.add_live(10)
        world.add_final(rows - 10)
    yield _listing(few, many), rounds.light
    yield _discovering(few, opencode_store(directory / "data", TRANSCRIPTS)), rounds.light
    yield _discovering_transcripts(plain, directory), rounds.light
    busy = stack.enter_context(world_in(directory, "busy"))
    busy.add_final(TRANSCRIPTS)
    yield _answering_with_transcripts(plain, busy, directory), rounds.heavy
    crowd = stack.enter_context(world_in(directory, "crowd"))
    crowd.add_live(CROWD)
    yield _crowded(crowd), rounds.heavy
    crowd.clear()
    yield _launching(plain), rounds.heavy
    yield _reading_logs(plain), rounds.light


def _reference(world: World) -> Subject:
    return Subject(name=CLICK, argv=(sys.executable, "-c", CLICK), environ=world.environ)


def _subject(
    world: World, name: str, *words: str, budget: float | None, against: str = CLICK, **more: str
) -> Subject:
    return Subject(
        name=name,
        argv=(*AGENTCTL, *words),
        environ={**world.environ, **more},
        against=against,
        budget=budget,
    )


def _starting(world: World) -> list[Subject]:
    completing = {"_AGENTCTL_COMPLETE": "bash_complete", "COMP_WORDS": "agentctl li", "COMP_CWORD": "1"}
    return [
        _reference(world),
        _subject(world, "--version", "--version", budget=1.3),
        _subject(world, "--help", "--help", budget=1.3),
        _subject(world, "completion of a command", budget=1.3, **completing),
    ]


def _listing(few: World, many: World) -> list[Subject]:
    subjects = [_reference(few)]
    for words, budget in (("list -q", 1.5), ("list --json", 1.5), ("list", 2.6)):
        name = f"{words}, 10 live of 1,000"
        subjects += [
            _subject(few, name, *words.split(), budget=budget),
            _subject(many, f"{words}, 10 live of 100,000", *words.split(), budget=1.1, against=name),
        ]
    return subjects


def _discovering(world: World, data_home: str) -> list[Subject]:
    without = "list -q without discovery"
    return [
        _reference(world),
        _subject(world, without, "list", "-q", budget=1.5),
        _subject(
            world,
            f"list -q, {TRANSCRIPTS:,} unchanged transcripts",
            "list",
            "-q",
            budget=1.5,
            against=without,
            XDG_DATA_HOME=data_home,
        ),
    ]


def _discovering_transcripts(world: World, directory: Path) -> list[Subject]:
    without = "list -a -q without discovery"
    subjects = [_reference(world), _subject(world, without, "list", "-a", "-q", budget=1.5)]
    for agent in HOMES:
        home = home_with_transcripts(directory / f"home-{agent}", agent, TRANSCRIPTS)
        name = f"list -a -q, {TRANSCRIPTS:,} of {agent}"
        subjects.append(_subject(world, name, "list", "-a", "-q", budget=1.5, against=without, HOME=home))
    return subjects


def _answering_with_transcripts(plain: World, busy: World, directory: Path) -> list[Subject]:
    """Thousands of this week, which are all shown: beside as many that agentctl launched itself."""
    launched = f"list -a -q, {TRANSCRIPTS:,} launched this week"
    home = home_with_transcripts(directory / "home-busy", "codex", TRANSCRIPTS, recent=TRANSCRIPTS)
    return [
        _reference(busy),
        _subject(busy, launched, "list", "-a", "-q", budget=None),
        _subject(
            plain,
            f"list -a -q, {TRANSCRIPTS:,} of codex this week",
            "list",
            "-a",
            "-q",
            budget=1.5,
            against=launched,
            HOME=home,
        ),
    ]


def _crowded(world: World) -> list[Subject]:
    return [_reference(world), _subject(world, f"list -q, {CROWD} live", "list", "-q", budget=2.2)]


def _launching(world: World) -> list[Subject]:
    return [
        _reference(world),
        Subject(
            name="launch exec --settle 0s -- true",
            argv=(*AGENTCTL, "launch", "exec", "--settle", "0s", "--", "true"),
            environ=world.environ,
            against=CLICK,
            budget=3.0,
            afterwards=world.settle,
        ),
    ]


def _reading_logs(world: World) -> list[Subject]:
    small, big = world.add_log(SMALL_LOG), world.add_log(BIG_LOG)
    name = "logs -n 50 of 2 KB"
    return [
        _reference(world),
        _subject(world, name, "logs", "-n", "50", small, budget=2.6),
        _subject(world, "logs -n 50 of 2 GB", "logs", "-n", "50", big, budget=1.1, against=name),
    ]


def _show(subjects: Sequence[Subject], costs: dict[str, Costs]) -> None:
    for subject in subjects:
        cost = costs[subject.name]
        if subject.against is None or subject.budget is None:
            print(f"{subject.name:66}{cost.best * 1000:10.1f} ms", flush=True)
            continue
        ratio = cost.times(costs[subject.against])
        mark = "over" if ratio.processor > subject.budget else ""
        print(
            f"{subject.name:44}{ratio.processor:11.2f}x{ratio.elapsed:9.2f}x{subject.budget:8.1f}x"
            f"{cost.best * 1000:7.1f} ms   {subject.against:32}{mark}".rstrip(),
            flush=True,
        )


def _show_memory(world: World) -> None:
    """Real launches: what stays beside an agent, without a timer and with one."""
    for name, words in (("a session", ()), ("a session with --fuse", ("--fuse", "1h"))):
        command = [*AGENTCTL, "launch", "exec", "--settle", "0s", *words, *SLEEP]
        session_id = _output(world, command)
        try:
            size = private_memory(world, session_id)
        finally:
            _output(world, [*AGENTCTL, "stop", "--force", "-q", session_id])
            world.settle(session_id)
        told = "cannot be told here" if size is None else f"{size // 1024} KB"
        print(f"private memory of {name}: {told} (budget {MEMORY_BUDGET // 1024} KB)", flush=True)


def _output(world: World, argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv,
        env=dict(world.environ),
        cwd=world.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
