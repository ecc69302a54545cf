"""What every test gets: a home of its own, the command line, a bounded wait, and a clean end.

No test reads or writes the state of the person who runs it, and none waits by sleeping.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from agentctl.core.model import Life
from agentctl.host import processes, waiting
from tests.real_home import RealHome, watch

if TYPE_CHECKING:
    from tests.e2e.receiver import Receiver
    from tests.planting import Field

LEAKING = ("AGENTCTL_", "_AGENTCTL_", "XDG_", "OPENCODE", "CLAUDE", "CODEX", "PI_", "GIT_")
"""Beginnings of variables that would let the real surroundings into a test."""


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: two for each core, because half of the time a test waits for a process."""
    return 2 * (os.cpu_count() or 2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the command line left."""

    command: str
    exit: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.stdout)

    def error(self) -> Any:
        """The error object on standard error, of a run with --json."""
        return json.loads(self.stderr.splitlines()[-1])["error"]

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    def __str__(self) -> str:
        return (
            f"$ agentctl {self.command}\nexit {self.exit}\n"
            f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}{_bug_reports()}"
        )


def _bug_reports() -> str:
    """The log that an internal error points to, so that a failed test shows the traceback."""
    log = Path(os.environ["AGENTCTL_HOME"], "internal-errors.log")
    return f"\n--- {log}\n{log.read_text()}" if log.exists() else ""


class Run(Protocol):
    """`run("list --json", exit=0)`; any exit code with `exit=None`."""

    def __call__(
        self,
        command: str | Sequence[str],
        *,
        exit: int | None = 0,  # noqa: A002
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] = ".",
        obj: object = None,
    ) -> Outcome: ...


class RunReal(Protocol):
    """The same through a process of its own."""

    def __call__(
        self,
        command: str | Sequence[str],
        *,
        exit: int | None = 0,  # noqa: A002
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60,
    ) -> Outcome: ...


class WaitUntil(Protocol):
    """`wait_until(condition)`: until it is true, or (for assertions) None; its value.

    An AssertionError means: not yet.
    """

    def __call__(self, condition: Callable[[], Any], timeout: float = 10) -> Any: ...


REAL_HOME = pytest.StashKey[RealHome]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REAL_HOME] = watch(str(config.rootpath))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch the real home from the first fixture's beginning to the last one's end."""
    with item.config.stash[REAL_HOME].watched():
        return (yield)


@pytest.fixture
def real_home(pytestconfig: pytest.Config) -> RealHome:
    return pytestconfig.stash[REAL_HOME]


@pytest.fixture(autouse=True)
def sealed_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_home: RealHome) -> Iterator[Path]:
    """HOME, AGENTCTL_HOME, TMPDIR and XDG_* below tmp_path; the value is AGENTCTL_HOME."""
    for name in list(os.environ):
        if name.startswith(LEAKING) or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    places = {
        "HOME": "home",
        "TMPDIR": "tmp",
        "XDG_STATE_HOME": "home/.local/state",
        "XDG_CONFIG_HOME": "home/.config",
        "XDG_DATA_HOME": "home/.local/share",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_RUNTIME_DIR": "run",
    }
    for variable, place in places.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(tmp_path / place))
    monkeypatch.setattr("tempfile.tempdir", None)  # it remembers the TMPDIR of before
    home = tmp_path / "agentctl"
    monkeypatch.setenv("AGENTCTL_HOME", str(home))
    yield home
    assert not real_home.touched, "the test touched the real home, and what it called hid the error"


@pytest.fixture(autouse=True)
def reap_leftovers(sealed_home: Path, tmp_path: Path) -> Iterator[None]:
    """End what a test started and did not end: every process with its tmp_path in the environment."""
    yield
    if not any(tmp_path.rglob("agentctl.db")):
        return
    leftovers = _living_below(tmp_path)
    for pid, token in leftovers.items():
        processes.signal_process(pid, token, signal.SIGKILL)
    # A zombie is gone: only PID 1 can reap an orphan, and it takes its time.
    waiting.poll(lambda: not any(map(_is_alive, leftovers.items())), timeout=5)


def _living_below(directory: Path) -> dict[int, str]:
    """Processes whose HOME is in `directory`: pid → start token."""
    return {
        pid: processes.token(stat.ticks)
        for pid, stat in processes.table().items()
        if pid != os.getpid()
        and not stat.is_zombie
        and processes.environment_of(pid).get("HOME", "").startswith(f"{directory}/")
    }


def _is_alive(process: tuple[int, str]) -> bool:
    return processes.look(*process) is Life.ALIVE


def _checked(outcome: Outcome, expected: int | None) -> Outcome:
    if expected is not None and outcome.exit != expected:
        pytest.fail(f"expected exit {expected}\n{outcome}", pytrace=False)
    return outcome


def _words(command: str | Sequence[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command)


@pytest.fixture
def run() -> Run:
    """Run the command line in this process, errors and exit codes as in a real one."""
    from click.testing import CliRunner

    from agentctl.cli import root

    def run_here(
        command: str | Sequence[str],
        *,
        exit: int | None = 0,  # noqa: A002
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        obj: object = None,
    ) -> Outcome:
        words = _words(command)
        # A test may have removed the directory that it is in: then nothing could lead back to it.
        with nullcontext() if cwd is None else chdir(cwd):
            result = CliRunner().invoke(root, words, input=input, env=env, obj=obj, catch_exceptions=False)
        return _checked(Outcome(shlex.join(words), result.exit_code, result.stdout, result.stderr), exit)

    return run_here


@pytest.fixture
def run_real() -> RunReal:
    """Run the command line as a process of its own: `python -P -m agentctl`."""

    def run_process(
        command: str | Sequence[str],
        *,
        exit: int | None = 0,  # noqa: A002
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60,
    ) -> Outcome:
        words = _words(command)
        environ = {**os.environ, **(env or {})}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agentctl", *words],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={name: value for name, value in environ.items() if value is not None},
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
        return _checked(Outcome(shlex.join(words), done.returncode, done.stdout, done.stderr), exit)

    return run_process


@pytest.fixture
def wait_until() -> WaitUntil:
    """Ask every 20 ms until it holds; fails with the last assertion once the time is over."""

    def wait(condition: Callable[[], Any], timeout: float = 10) -> Any:
        last: object = "never asked"
        for _ in waiting.ticks(interval=0.02, timeout=timeout):
            try:
                value = condition()
            except AssertionError as error:
                last = error
                continue
            if value is None or value:
                return value
            last = f"it was {value!r}"
        pytest.fail(f"not within {timeout} s: {last}")

    return wait


@pytest.fixture
def field(sealed_home: Path) -> Iterator[Field]:
    """A place for planted sessions, whose agents are ended with the test."""
    from tests.planting import field_in

    with field_in(sealed_home) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where posts arrive, on loopback."""
    from tests.e2e.receiver import receive

    with receive() as running:
        yield running
