"""Pi, the TypeScript coding agent: `pi -p --mode json` as a detached process, its log and its files.

In json mode pi exits 0 also when its model could not be asked, so the verdict is that of
the last answer. Releases before 0.99 make the session's file only with the first answer:
that a file is missing proves nothing, and the listing never says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from agentctl.adapters import reading
from agentctl.adapters.base import (
    Capability,
    Message,
    NativeSession,
    Option,
    Process,
    never_transient,
)
from agentctl.adapters.pi import files, records
from agentctl.adapters.pi.commands import file_of
from agentctl.adapters.pi.commands import launch_command as launch_command
from agentctl.adapters.pi.commands import resume_command as resume_command
from agentctl.adapters.pi.rendering import log_messages as log_messages
from agentctl.adapters.pi.rendering import stored_messages
from agentctl.core.model import TERM_THEN_KILL, Listing, Result, Rung, Session

NAME = "pi"
SUMMARY = "Pi, any model of any provider; its tools run without asking."
PROGRAM: str | None = "pi"
INSTALL: str | None = "npm install -g @earendil-works/pi-coding-agent"
VERIFIED = "0.73.1 (recorded samples: 1.5.2)"
CAPABILITIES = frozenset(
    {
        Capability.LAUNCH,
        Capability.PROMPT,
        Capability.MODEL,
        Capability.RESUME,
        Capability.PEEK,
        Capability.DISCOVER,
    }
)
LADDER: tuple[Rung, ...] = TERM_THEN_KILL
"""Never INT: pi dies of it and leaves its tools behind."""
PROCESS_NAMES = frozenset({"pi"})
OPTIONS: tuple[Option, ...] = (
    Option(
        "tools",
        "Tools that pi may use, each at once and without asking; its own default if not set, none if empty.",
        kind=list,
    ),
    Option("provider", "Provider of the models that are asked for; what the model's name says by default."),
    Option(
        "thinking",
        "How much the model thinks; pi's own default if not set.",
        choices=("off", "minimal", "low", "medium", "high", "xhigh", "max"),
    ),
)

is_transient = never_transient
sources = files.session_files

HEAD_BYTES = 64 * 1024
LOG_BYTES = 8 * 1024 * 1024
"""Of a longer log only the end is read: releases before 0.84 write a hundred times what they say."""
PEEK_BYTES = 4 * 1024 * 1024

STARTING = timedelta(seconds=10)
"""A process begins its session within this time of its own start; alone on a machine in one second."""


def store_path(environ: Mapping[str, str]) -> str | None:
    """The directory of all sessions."""
    return files.directory_in(environ, "PI_CODING_AGENT_SESSION_DIR")


def native_id(session: Session, log_path: str) -> str | None:
    """From the log's first event, which pi prints before it asks its model."""
    return records.read_log(reading.head_lines(log_path, HEAD_BYTES)).native_id


def listing(session: Session) -> Listing:
    """`running` for any session that has a file: it does not tell more, and a missing one tells nothing."""
    found = session.native_id is not None and file_of(session, session.native_id) is not None
    return Listing.RUNNING if found else Listing.UNAVAILABLE


def result(session: Session, log_path: str) -> Result:
    """From the log; what its end no longer holds as a whole, from the session's file."""
    run = records.read_log(reading.tail_lines(log_path, LOG_BYTES))
    is_complete = reading.size(log_path) <= LOG_BYTES
    if not is_complete:
        run = run._replace(native_id=native_id(session, log_path), has_begun=True)
    file = file_of(session, run.native_id or session.native_id)
    if not is_complete and file is not None:
        # A predecessor's answers are older than this row.
        stored = files.answers_since(file, session.created_at)
        run, is_complete = run._replace(answers=stored or run.answers), bool(stored)
    return records.result_of(run, exit_code=session.exit_code, file=file, is_complete=is_complete)


def messages(session: Session, log_path: str) -> Iterator[Message]:
    """The conversation from the session's file; from the log before there is one."""
    file = file_of(session, session.native_id)
    if file is None:
        return log_messages(reading.tail_lines(log_path, PEEK_BYTES))
    return stored_messages(reading.json_objects(reading.tail_lines(file, PEEK_BYTES)))


def discover(source: str) -> Iterable[NativeSession]:
    """The session of a file that is not one of the Rust port's."""
    return files.discover(source, lambda header: not header.is_rust)


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the only process that began where and when the session did, and no other.

    A process title hides pi's command line: which process resumed a session cannot be told.
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
