"""Where state and configuration are. AGENTCTL_HOME overrides the platform's own directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from agentctl.core import variables
from agentctl.errors import StateUnusable
from agentctl.host.owner import give_to_owner


class Paths(NamedTuple):
    """Absolute paths of this user's state; nothing is created by naming them."""

    state: str
    config_file: str

    @staticmethod
    def from_environment(environ: Mapping[str, str]) -> Paths:
        """AGENTCTL_HOME (absolute, or taken from the current directory) or the platform's places."""
        home = environ.get(variables.HOME)
        if home:
            root = os.path.expanduser(home)
            if root.startswith("~"):
                raise _no_home(home)
            root = os.path.abspath(root)
            return Paths(state=root, config_file=os.path.join(root, "config.toml"))
        import platformdirs

        try:
            state = str(platformdirs.user_state_path("agentctl", appauthor=False))
            config = str(platformdirs.user_config_path("agentctl", appauthor=False))
        except RuntimeError as error:  # pathlib's, for a user without a home
            raise _no_home(None) from error
        for path in (state, config):
            if not os.path.isabs(path):
                raise _no_home(None if path.startswith("~") else path)
        return Paths(state=state, config_file=os.path.join(config, "config.toml"))

    @property
    def told_endings(self) -> str:
        """Left by the reap that has said which events are posted by default."""
        return os.path.join(self.state, "told-endings")

    @property
    def database(self) -> str:
        return os.path.join(self.state, "agentctl.db")

    @property
    def sessions(self) -> str:
        return os.path.join(self.state, "sessions")

    def session(self, session_id: str) -> SessionFiles:
        return SessionFiles(os.path.join(self.sessions, session_id))

    def create(self) -> None:
        """Make the state directories, private from the first moment. Raises StateUnusable."""
        try:
            os.makedirs(self.state, mode=0o700, exist_ok=True)
            os.makedirs(self.sessions, mode=0o700, exist_ok=True)
            give_to_owner(self.state)
            give_to_owner(self.sessions)
        except (FileExistsError, NotADirectoryError) as error:
            raise StateUnusable(
                f"state directory {self.state} cannot be created:"
                f" {_in_the_way(self.sessions)} is not a directory",
                hint="move it away, or point AGENTCTL_HOME at a directory you can write to",
            ) from error
        except OSError as error:
            raise StateUnusable(
                f"state directory {self.state} cannot be created: {error.strerror}",
                hint="point AGENTCTL_HOME at a directory you can write to",
            ) from error
        for directory in (self.state, self.sessions):
            if not os.access(directory, os.W_OK | os.X_OK):
                raise StateUnusable(
                    f"state directory {directory} cannot be written: no permission, or it is read-only",
                    hint=f"look at its owner and mode (ls -ld {directory}),"
                    " or point AGENTCTL_HOME at a directory you can write to",
                )


def _no_home(path: str | None) -> StateUnusable:
    """The error where the state's directory cannot be named."""
    about = "" if path is None else f", so {path} names no directory"
    return StateUnusable(
        f"this user has no home directory: HOME is not set to one, and there is no passwd entry{about}",
        hint="set HOME, or point AGENTCTL_HOME at a directory that you can write to",
    )


def _in_the_way(path: str) -> str:
    """The existing part of a path that cannot be created: the part that is not a directory."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


STOPPER = "stopper."
"""The beginning of the names of such files; the pid follows."""


class SessionFiles(NamedTuple):
    """The files of one session; see `shim.sh` for who writes which."""

    directory: str

    def _at(self, name: str) -> str:
        return f"{self.directory}/{name}"

    @property
    def lock(self) -> str:
        return self._at("lock")

    @property
    def tree(self) -> str:
        """Locked by the agent and by what it starts, as the log is."""
        return self._at("tree")

    @property
    def prompt(self) -> str:
        return self._at("prompt")

    @property
    def log(self) -> str:
        return self._at("output.log")

    @property
    def pid(self) -> str:
        return self._at("pid")

    @property
    def exit(self) -> str:
        return self._at("exit")

    @property
    def fuse(self) -> str:
        return self._at("fuse")

    @property
    def fired(self) -> str:
        """Left by a timer that ended the agent itself at its deadline."""
        return self._at("fired")

    @property
    def manifest(self) -> str:
        return self._at("session.json")

    @property
    def sweep(self) -> str:
        """Held by whoever ends what the session leaves running."""
        return self._at("sweep")

    def stopper(self, pid: int) -> str:
        """Where the process `pid` says that it is stopping the session."""
        return self._at(f"{STOPPER}{pid}")
