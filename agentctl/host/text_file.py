"""Reading text from a file that a person named. Must not know what the text is for."""

from __future__ import annotations

import errno
import os

from agentctl.errors import AgentctlError, NotFound, OperationFailed, UsageFault


def read_text_file(
    path: str, *, what: str = "file", limit: int | None = None, too_large: str | None = None, hint: str
) -> str:
    """The file's text, without a byte order mark.

    Raises NotFound if it does not exist, UsageFault if it is a directory, longer than `limit`
    bytes or not UTF-8 text. `what` names the file in messages, `too_large` and `hint` are the
    ways out for a file that is too large or not text.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            # One byte more than allowed shows that there is more, also of a pipe, which has no size.
            raw = file.read(-1 if limit is None else limit + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from error
    if limit is not None and len(raw) > limit:
        actual = f"{size} bytes" if size > limit else "more"
        raise UsageFault(f"{what} {path} is too large: {actual}, where {limit} are allowed", hint=too_large)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageFault(f"{what} {path} is not text: byte {error.start} is not UTF-8", hint=hint) from error
    if "\0" in text:
        raise UsageFault(f"{what} {path} is not text: it contains NUL bytes", hint=hint)
    return text


def _unreadable(path: str, what: str, error: OSError | ValueError) -> AgentctlError:
    if not isinstance(error, OSError):
        return UsageFault(f"{what} {path!a}: {error}")
    if error.errno == errno.EISDIR:
        return UsageFault(f"{what} {path} is a directory", hint="name a file")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        relative = None if os.path.isabs(path) else f"paths start at the current directory, {_here()}"
        return NotFound(f"{what} {path} does not exist", hint=relative)
    return OperationFailed(f"{what} {path} cannot be read: {error.strerror}")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "which no longer exists"
