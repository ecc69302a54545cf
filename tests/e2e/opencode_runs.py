"""What the tests of the real opencode say over and over: start it, ask about it, watch it from outside."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import Outcome, RunReal, WaitUntil

PATIENCE = 60
"""Seconds for anything that needs opencode to start; alone on a machine it takes two to five."""

PRECISION = 0.5
"""Seconds by which a recorded instant may differ from what a test saw itself."""


def launch(
    run_real: RunReal,
    cwd: Path,
    *options: str,
    model: str = "mock/mock",
    prompt: str = "Say hello.",
    exit: int | None = 0,  # noqa: A002
) -> Outcome:
    """`agentctl launch opencode` in a directory that is made if it is not there."""
    cwd.mkdir(exist_ok=True)
    words = ["launch", "opencode", "--cwd", str(cwd), "--model", model, "-p", prompt, *options]
    return run_real(words, exit=exit, timeout=3 * PATIENCE)


def status(run_real: RunReal, session: str) -> dict[str, Any]:
    """The session's document, as a process of its own tells it now."""
    found: dict[str, Any] = run_real(["status", "--json", session]).json()["sessions"][0]
    return found


def listed(run_real: RunReal, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_real(["list", "--json", *options]).json()["sessions"]
    return found


def events(run_real: RunReal, session: str) -> list[dict[str, Any]]:
    """Everything that has happened to a session, oldest first."""
    lines = run_real(["events", "--json", "--since", "0", "--session", session]).lines
    return [json.loads(line) for line in lines]


def when_known(run_real: RunReal, wait_until: WaitUntil, session: str) -> dict[str, Any]:
    """The session's document once opencode has made its own session of it."""

    def look() -> dict[str, Any] | bool:
        found = status(run_real, session)
        assert found["status"] == "running", found
        return found if found["native_id"] is not None else False

    known: dict[str, Any] = wait_until(look, PATIENCE)
    return known


def instant(text: str) -> float:
    """An RFC 3339 time in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


class Watch:
    """A process as the test itself sees it, without agentctl: when it began, and when it was gone."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.started = began(self.process)
        self.ended: float | None = None
        self._thread = threading.Thread(target=self._see_it_go, daemon=True)
        self._thread.start()

    def _see_it_go(self) -> None:
        self.process.wait()
        self.ended = time.time()

    @property
    def is_alive(self) -> bool:
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE


def began(process: psutil.Process) -> float:
    """When a process began. On Linux psutil rounds the instant of the boot to a second: too coarse."""
    if not os.path.exists("/proc/self/stat"):
        return process.create_time()
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def processes(matches: Callable[[psutil.Process], bool]) -> Iterator[psutil.Process]:
    """Living processes for which `matches` holds; those that cannot be looked at are passed over."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and matches(process):
                yield process
        except psutil.Error:
            continue


def tagged(session: str) -> list[int]:
    """Pids of everything that carries the session's id in its environment, its shim included."""
    return [p.pid for p in processes(lambda p: session in p.environ().values())]


def tool(seconds: int, home: Path) -> list[psutil.Process]:
    """The `sleep` that model tool-bash-<seconds> made an agent below `home` run."""
    wanted = ["sleep", str(seconds)]
    return list(processes(lambda p: p.cmdline() == wanted and p.environ().get("HOME") == str(home)))
