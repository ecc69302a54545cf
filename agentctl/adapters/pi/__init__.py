"""Pi, the TypeScript coding agent: `pi -p --mode json` as a detached process, its log and its files.

In json mode pi exits with 0 even if its model could not be asked, so the last answer decides
the verdict. Releases before 0.99 make the session's file only with the first answer: a
missing file proves nothing, so the listing never says `absent`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from agentctl.adapters.base import ALL_LOCAL, Message, NativeSession, Option, Process, never_transient
from agentctl.adapters.pi import files, runs
from agentctl.adapters.pi.commands import file_of
from agentctl.adapters.pi.commands import launch_command as launch_command
from agentctl.adapters.pi.commands import resume_command as resume_command
from agentctl.adapters.pi.rendering import log_messages as log_messages
from agentctl.adapters.pi.runs import native_id as native_id
from agentctl.core.model import TERM_THEN_KILL, Listing, Result, Session

NAME = "pi"
SUMMARY = "Pi, with any model of any provider; its tools run without asking."
PROGRAM = "pi"
INSTALL = "npm install -g @earendil-works/pi-coding-agent"
VERIFIED = "0.73.1 (recorded samples: 1.5.2)"
CAPABILITIES = ALL_LOCAL
LADDER = TERM_THEN_KILL
"""Never INT: pi dies of it and leaves its tools running."""
PROCESS_NAMES = frozenset({"pi"})
OPTIONS = (
    Option(
        "tools",
        "Tools that pi may use, all of them without asking; pi's own default if not set, none if empty.",
        kind=list,
    ),
    Option("provider", "Provider of the model; by default what the model's name says."),
    Option(
        "thinking",
        "How much the model thinks; pi's own default if not set.",
        choices=("off", "minimal", "low", "medium", "high", "xhigh", "max"),
    ),
)

is_transient = never_transient
sources = files.session_files

STARTING = timedelta(seconds=10)
"""A process begins its session within this time of its own start; on an idle machine in one second."""


def store_path(environ: Mapping[str, str]) -> str | None:
    """The directory of all sessions."""
    return files.directory_in(environ, "PI_CODING_AGENT_SESSION_DIR", setting="sessionDir")


def listing(session: Session) -> Listing:
    """`running` for any session that has a file."""
    return runs.listing(session, file_of)


def result(session: Session, log_path: str) -> Result:
    """From the log, and from the session's file what the log's end lacks."""
    return runs.result(session, log_path, file_of)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from the session's file, else from the log."""
    return runs.messages(session, log_path, file_of)


def discover(source: str) -> Iterable[NativeSession]:
    """The session of a file that is not one of the Rust port's."""
    return files.discover(source, lambda header: not header.is_rust)


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the only process that began where and when the session did.

    pi's process title hides its command line: which process resumed a session is unknown.
    """
    pairs = [(native, run) for run in processes for native in natives if _began_together(native, run)]
    return {
        native.native_id: run
        for native, run in pairs
        if sum(native is other or run is rival for other, rival in pairs) == 1
    }


def _began_together(native: NativeSession, run: Process) -> bool:
    # pi works where it was started; `PWD` may be that of whoever started it.
    place = run.directory or run.cwd
    if native.cwd is None or place is None:
        return False
    age = native.created_at - run.started_at
    return timedelta() <= age <= STARTING and os.path.realpath(place) == os.path.realpath(native.cwd)
