"""Every expected failure: its exit code, its slug, its remedy.

A message names the object and the fact; `hint` names the way out. Raised where
the fact is known, caught in `cli` alone. Must not import anything of ours.
"""


class AgentctlError(Exception):
    """A failure that a user can act on."""

    exit_code = 1
    slug = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class OperationFailed(AgentctlError):
    """The thing asked for was tried and did not work."""


class UsageFault(AgentctlError):
    """Options or values that contradict each other or cannot be read."""

    exit_code = 2
    slug = "usage"


class PartlyDone(AgentctlError):
    """Some of several objects were done, some were not."""

    exit_code = 3
    slug = "partly_done"


class NotFound(AgentctlError):
    """No session, lock, fuse, file or directory of that name."""

    exit_code = 10
    slug = "not_found"


class Ambiguous(AgentctlError):
    """One name or prefix, several objects."""

    exit_code = 10
    slug = "ambiguous"


class Locked(AgentctlError):
    """Held by somebody else, or still running."""

    exit_code = 11
    slug = "locked"


class AdapterUnavailable(AgentctlError):
    """The adapter is unknown, or its program is not installed."""

    exit_code = 12
    slug = "adapter_unavailable"


class ProgramUnavailable(AgentctlError):
    """A program that a command needs beside the agents', such as git or gh, is not installed."""

    exit_code = 12
    slug = "program_unavailable"


class StateUnusable(AgentctlError):
    """The state directory or database cannot be read or written."""

    exit_code = 13
    slug = "state_unusable"


class Interrupted(AgentctlError):
    """Ctrl-C came when something had been started already."""

    exit_code = 130
    slug = "interrupted"
