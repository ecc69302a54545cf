"""Commands that start a container: `podman run …`. The container outlives the command that asked for it.

An ended client proves nothing about its container, so the container is given a label by
which its own program finds it again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agentctl.core.model import Session

PROGRAMS = frozenset({"podman", "docker", "nerdctl"})
LABEL = "agentctl.session"


class Client(NamedTuple):
    """A program for containers, and where its word `run` is, if it has been given that."""

    argv: tuple[str, ...]
    run: int | None

    @property
    def name(self) -> str:
        return self.argv[0].rpartition("/")[2]

    @property
    def asks(self) -> tuple[str, ...]:
        """The beginning of every other call: the program with the options before `run`."""
        return self.argv[: self.run]


def client(argv: Sequence[str]) -> Client | None:
    """What the command asks which program for containers; None for any other command."""
    if not argv or argv[0].rpartition("/")[2] not in PROGRAMS:
        return None
    for at, word in enumerate(argv[1:], start=1):
        if word == "run":
            return Client(tuple(argv), at)
        # A word after an option may be the option's value; any other is a command of its own.
        if not word.startswith("-") and word != "container" and not argv[at - 1].startswith("-"):
            break
    return Client(tuple(argv), None)


def client_of(session: Session) -> Client | None:
    return client(session.args) if session.adapter == "exec" else None


def labelled(argv: Sequence[str], session_id: str) -> tuple[str, ...]:
    """The command with a label for its container, if it runs one."""
    found = client(argv)
    if found is None or found.run is None:
        return tuple(argv)
    at = found.run + 1
    return (*argv[:at], "--label", f"{LABEL}={session_id}", *argv[at:])


def warning(found: Client) -> str:
    """What a person should know who launches this."""
    fact = f"{found.name} starts containers that outlive it"
    if found.run is None:
        return f"{fact}; agentctl stop ends the command, not the containers"
    return f"{fact}; the container gets the label {LABEL}, by which agentctl stop looks for it"
