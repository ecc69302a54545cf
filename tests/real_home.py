"""The home of the person who runs the tests: a test that touches it fails at once.

Watches what this process opens, lists, makes, moves and removes. Children need no watching:
each test's HOME and XDG_* lie below its tmp_path, and children have no others.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentctl.host.paths import Paths

PATHS = {
    "open": (0,), "os.listdir": (0,), "os.scandir": (0,), "os.mkdir": (0,), "os.rmdir": (0,),
    "os.remove": (0,), "os.rename": (0, 1), "os.link": (0, 1), "os.symlink": (1,), "os.truncate": (0,),
    "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "sqlite3.connect": (0,),
}  # fmt: skip
"""Audit event → which of its arguments are paths."""

OF_AGENTS = (".claude", ".codex", ".local/share/opencode", ".pi", ".openclaw")


class TouchedRealHomeError(BaseException):
    """No Exception, so that nothing under test mistakes it for a failure that it handles."""


class RealHome:
    """Which paths belong to the person, as seen before any test changes the environment."""

    def __init__(self, environ: Mapping[str, str], needed: Iterable[str]) -> None:
        home = os.path.expanduser("~")
        theirs = [os.path.join(home, name) for name in OF_AGENTS]
        for variables in (environ, {name: environ[name] for name in environ if name != "AGENTCTL_HOME"}):
            paths = Paths.from_environment(variables)
            theirs += [paths.state, paths.config_file]
        if home != "/":
            theirs.append(home)
        verdicts = dict.fromkeys(needed, False) | dict.fromkeys(theirs, True)
        places = {os.path.realpath(place): verdict for place, verdict in verdicts.items() if place}
        self.theirs = tuple(theirs)
        self.touched: list[str] = []
        self._watching = False
        # The longest prefix decides: a checkout may lie in the home, and the home below /tmp.
        self._places = sorted(places.items(), key=lambda item: -len(item[0]))

    def is_theirs(self, path: str) -> bool:
        try:
            absolute = os.path.abspath(path)
        except FileNotFoundError:
            return False  # relative to a directory that was removed
        for place, verdict in self._places:
            if absolute == place or absolute.startswith(place + "/"):
                return verdict
        return False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """From here to the end of the block a touch raises."""
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise if an audit event of Python is about one of their paths."""
        if event not in PATHS or not self._watching:
            return
        for position in PATHS[event]:
            path = arguments[position]
            if isinstance(path, str | bytes) and self.is_theirs(os.fsdecode(path)):
                self.touched.append(f"{event} {os.fsdecode(path)}")
                raise TouchedRealHomeError(self.touched[-1])


def watch(checkout: str) -> RealHome:
    """Install the watch, which begins with `watched`; Python cannot remove it again."""
    needed = [checkout, tempfile.gettempdir(), sys.prefix, sys.base_prefix, *sys.path]
    needed += [sys.pycache_prefix or "", *sysconfig.get_paths().values()]
    made = RealHome(os.environ, needed)
    sys.addaudithook(made.audit)
    return made
