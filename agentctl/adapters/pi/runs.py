"""What both programs called pi say about a session: in its log, and in its file where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentctl.adapters import reading
from agentctl.adapters.base import Message
from agentctl.adapters.pi import files, records
from agentctl.adapters.pi.rendering import log_messages, stored_messages
from agentctl.core.model import Listing, Result, Session

HEAD_BYTES = 64 * 1024
LOG_BYTES = 8 * 1024 * 1024
"""Of a longer log only the end is read: releases before 0.84 write a hundred times what they say."""

FileOf = Callable[[Session, str | None], str | None]
"""Session and native id → the file of its conversation; None before pi has made one."""


def native_id(session: Session, log_path: str) -> str | None:
    """From the log's first event, which pi prints before it asks its model."""
    return records.read_log(reading.head_lines(log_path, HEAD_BYTES)).native_id


def listing(session: Session, file_of: FileOf) -> Listing:
    """`running` for any session that has a file: it says no more, and a missing file proves nothing."""
    found = session.native_id is not None and file_of(session, session.native_id) is not None
    return Listing.RUNNING if found else Listing.UNAVAILABLE


def result(session: Session, log_path: str, file_of: FileOf) -> Result:
    """From the log, and from the session's file the answers that the log's end lacks."""
    run = records.read_log(reading.tail_lines(log_path, LOG_BYTES))
    is_complete = reading.size(log_path) <= LOG_BYTES
    if not is_complete:
        run = run._replace(native_id=native_id(session, log_path), has_begun=True)
    file = file_of(session, run.native_id or session.native_id)
    if file is not None and not (is_complete and run.answers):
        # A predecessor's answers are older than this row.
        stored = files.answers_since(file, session.created_at)
        run, is_complete = run._replace(answers=stored or run.answers), bool(stored)
    found = records.result_of(run, exit_code=session.exit_code, file=file, is_complete=is_complete)
    return reading.proved(session, found, log_path)


def messages(session: Session, log_path: str, file_of: FileOf) -> Iterator[Message]:
    """The conversation from the session's file; from the log before there is one."""
    file = file_of(session, session.native_id)
    if file is None:
        return log_messages(reading.tail_lines(log_path))
    return stored_messages(reading.json_objects(reading.tail_lines(file)))
