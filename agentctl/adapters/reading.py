"""Bounded reading of agents' logs and transcripts: JSON lines among other text.

A log is written while it is read, by a program that may be killed in the middle of a
line, and may be gigabytes long. So nothing here reads more than it is told to, and
nothing but `open_regular` raises on what it finds. Must not know any agent's vocabulary.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from agentctl.adapters.values import real
from agentctl.core.model import AgentVerdict, Result, Session

HEAD_BYTES = 256 * 1024
"""Of a log: by then an agent has said which session it works on."""

WORK_SECONDS = 2.0
"""Of one reading of a database. An agent's store may be anybody's: no command may wait for it for ever."""

TAIL_BYTES = 4 * 1024 * 1024
"""Of a log or a transcript: what is read of a long one."""


def head_lines(path: str, limit_bytes: int = HEAD_BYTES) -> list[str]:
    """The lines among the first `limit_bytes`, without one that the limit cuts."""
    data = _read(path, 0, limit_bytes + 1)
    if len(data) > limit_bytes:
        data = data[: data.rfind(b"\n", 0, limit_bytes) + 1]
    return _lines(data)


def tail_lines(path: str, limit_bytes: int = TAIL_BYTES) -> list[str]:
    """The lines among the last `limit_bytes`, without one that the limit cuts."""
    start = max(0, size(path) - limit_bytes)
    # One byte earlier: where that is a line's end, the first line is whole.
    data = _read(path, max(0, start - 1), limit_bytes + 1)
    if start > 0:
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    return _lines(data)


def size(path: str) -> int:
    """Bytes of the file; 0 where it cannot be seen."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def proved(session: Session, result: Result, log_path: str) -> Result:
    """The result of a program that always records how a run has ended: what is missing, if it is silent."""
    if session.exit_code is None or result.verdict is not AgentVerdict.SILENT:
        return result
    return result._replace(missing=f"there is no result record{_damage(log_path)}")


def _damage(log_path: str) -> str:
    """What is wrong with a log that could not be written, as the end of a clause; empty if nothing is."""
    try:
        with open_regular(log_path) as file:
            if file.seek(0, os.SEEK_END) == 0:
                return ": nothing was written to its log"
            file.seek(-1, os.SEEK_END)
            return "" if file.read(1) == b"\n" else ": its log could not be written to the end"
    except OSError as error:
        return f": its log cannot be read ({error.strerror})"


def json_objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects, in order; other text and half-written lines are skipped."""
    for line in lines:
        value = json_object(line)
        if value is not None:
            yield value


def json_object(line: object) -> dict[str, Any] | None:
    """The JSON object in this line; None for any other line."""
    # Editors and some tools put a byte order mark before the first record.
    text = line.lstrip(" \t\r\n\ufeff") if isinstance(line, str) else ""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def timestamp(text: object) -> datetime | None:
    """The UTC instant of an ISO 8601 string with an offset; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):  # the year 1 east of Greenwich has no UTC
        return None


def instant(milliseconds: object) -> datetime | None:
    """The UTC instant of a JavaScript timestamp; None for anything else."""
    number = real(milliseconds)
    if number is None:
        return None
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def changed_at(path: str) -> datetime | None:
    """When the file was last written; None where it cannot be seen."""
    try:
        return instant(os.stat(path).st_mtime * 1000)
    except OSError:
        return None


def names(directory: str) -> list[str]:
    """The entries of a directory; none where it cannot be read."""
    try:
        return os.listdir(directory)
    except OSError:
        return []


def is_name(text: str) -> bool:
    """Whether this can be a file's name. Ids come from agents' logs: one must not lead out of a store."""
    return text not in ("", ".", "..") and not {"/", "\0"} & set(text)


def place(environ: Mapping[str, str], variable: str, *below_home: str) -> str | None:
    """The absolute directory that a variable names, else one below HOME; None where neither says."""
    path = environ.get(variable)
    if not path and environ.get("HOME"):
        path = os.path.join(environ["HOME"], *below_home)
    return path if path and os.path.isabs(path) else None


def is_regular_or_absent(path: str) -> bool:
    """Whether opening this file cannot block."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_over_time() -> Callable[[], bool]:
    """A question that says whether WORK_SECONDS are over since now."""
    end = time.monotonic() + WORK_SECONDS
    return lambda: time.monotonic() > end


def open_regular(path: str) -> BinaryIO:
    """The file, opened for reading. OSError for anything but a regular file: a pipe would never answer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _read(path: str, start: int, limit_bytes: int) -> bytes:
    try:
        with open_regular(path) as file:
            file.seek(start)
            return file.read(limit_bytes)
    except OSError:
        return b""


def _lines(data: bytes) -> list[str]:
    """Split at newlines alone: JSON text may hold other line separators."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
