"""A launcher that kills itself at one step: `killed_launcher.py STEP launch ...`.

The code that runs is the real one. One function of it is wrapped, in this process alone,
so that the process sends itself SIGKILL just before or just after it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

STEPS: dict[str, tuple[str, str, str]] = {
    "before the lock file": ("agentctl.host.flock", "hold", "before"),
    "after the lock file": ("agentctl.host.flock", "hold", "after"),
    "inside the first transaction": ("agentctl.store.locks", "acquire", "after"),
    "after the first transaction": ("agentctl.ops.start.launch", "_insert", "after"),
    "after the worktree": ("agentctl.ops.start.launch", "_make_worktree", "after"),
    "after the files": ("agentctl.ops.start.launch", "_write_files", "after"),
    "just before the shim": ("agentctl.host.spawn", "start_shim", "before"),
    "just after the shim": ("agentctl.host.spawn", "start_shim", "after"),
    "when the lock is handed over": ("agentctl.ops.start.launch", "_await_agent", "before"),
    "after the pid file": ("agentctl.ops.start.launch", "_await_agent", "after"),
    "before the second transaction": ("agentctl.ops.start.launch", "_record_start", "before"),
    "inside the second transaction": ("agentctl.ops.reconcile.effects", "record_effects", "after"),
    "after the second transaction": ("agentctl.ops.start.launch", "commit", "after"),
    "while it settles": ("agentctl.ops.start.launch", "_settle", "before"),
}
"""Step → module, function, and on which side of it the end comes."""

WITHOUT_ROW = frozenset(list(STEPS)[:3])
WITHOUT_AGENT = frozenset(list(STEPS)[3:7])
"""A row is there, and nobody will ever run for it."""


def die_at(step: str) -> None:
    module_name, name, side = STEPS[step]
    module = importlib.import_module(module_name)
    real: Callable[..., Any] = getattr(module, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        if side == "after":
            real(*args, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, wrapped)


if __name__ == "__main__":
    from agentctl.cli import main

    die_at(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
