"""From an exception to a message and an exit code; called by `cli` alone.

A module of its own because a command that succeeds need not load it. Writes to
standard error and, for a bug, to a log file; never to standard output.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from agentctl import __version__
from agentctl.core.text import clean, one_line
from agentctl.errors import AgentctlError
from agentctl.streams import discard, flush_error, has_no_reader

BUG = 70

_USED_UP = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
)
"""What the machine lacks or refuses, wherever it happens: not a bug in agentctl."""

_LOG_LIMIT = 1_000_000


def report(error: Exception, *, command: str, as_json: bool) -> int:
    """Say what went wrong; the exit code for it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        error.show()
        return error.exit_code
    if isinstance(error, click.UsageError):
        from agentctl.usage import fault

        error = fault(error)
    if isinstance(error, AgentctlError):
        _say(error.slug, error.message, error.hint, as_json=as_json)
        return error.exit_code
    if isinstance(error, click.ClickException):
        _say("failed", error.format_message(), None, as_json=as_json)
        return error.exit_code
    if isinstance(error, OSError) and (code := _environment_fault(error, as_json=as_json)) is not None:
        return code
    return _internal_error(error, command=command, as_json=as_json)


def output_lost(error: OSError, *, code: int, as_json: bool) -> int:
    """A reader that left had all it wanted (`events -f | head -1`): no error. A full disk is one."""
    discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return code
    _say("failed", f"cannot write to standard output: {error.strerror}", None, as_json=as_json)
    return code or 1


def _say(slug: str, message: str, hint: str | None, *, as_json: bool) -> None:
    """Write one error to standard error, without anything that a terminal would obey."""
    message, hint = clean(message), hint and clean(hint)
    if as_json:
        import json

        text = json.dumps({"error": {"code": slug, "message": message, "hint": hint}})
    else:
        text = f"agentctl: {message}" + (f"\nhint: {hint}" if hint else "")
    try:
        click.echo(text, err=True)
    except OSError:
        discard(sys.stderr)  # nobody reads it; the exit code still tells


def _environment_fault(error: OSError, *, as_json: bool) -> int | None:
    """The exit code if a reader has gone or a resource is used up; None if it is a bug in agentctl."""
    if (broken := flush_error(sys.stdout)) is not None:
        return output_lost(broken, code=0, as_json=as_json)
    if error.errno == errno.EPIPE:
        if has_no_reader(sys.stdout):
            return output_lost(error, code=0, as_json=as_json)
        if flush_error(sys.stderr) is not None or has_no_reader(sys.stderr):
            discard(sys.stderr)
            return 1
        return None  # a pipe or socket of the command's own
    if error.errno not in _USED_UP:
        return None
    where = f": {error.filename}" if error.filename else ", while writing to standard output or the state"
    _say("failed", f"{error.strerror}{where}", None, as_json=as_json)
    return 1


def _internal_error(error: Exception, *, command: str, as_json: bool) -> int:
    """A bug: one line for the person, everything else for a file."""
    path = _write_log(_details(error, command))
    details = f" (details in {path})" if path else ""
    what = one_line(f"{type(error).__name__}: {error}", 300)
    _say("internal", f"internal error: {what}{details}", None, as_json=as_json)
    return BUG


def _details(error: Exception, command: str) -> str:
    import platform
    import traceback
    from importlib.metadata import version

    from agentctl.host.clock import utcnow

    return (
        f"{utcnow().isoformat()} agentctl {__version__} {command}\n"
        f"python {sys.version.split()[0]}, click {version('click')}, {platform.platform()}\n"
        + "".join(traceback.format_exception(error))
        + "\n"
    )


def _write_log(text: str) -> str | None:
    """The file that now holds `text`: in the state directory, else a temporary one, else None."""
    import tempfile

    try:
        descriptor, path = _open_log()
    except Exception:
        # The state, or finding it, may be the very thing that is broken.
        try:
            descriptor, path = tempfile.mkstemp(prefix="agentctl-", suffix=".log")
        except OSError:
            return None
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path


def _open_log() -> tuple[int, str]:
    """One file for all bugs, with one predecessor: a cron job that fails does not fill the disk."""
    from agentctl.host.paths import Paths

    paths = Paths.from_environment(os.environ)
    paths.create()
    path = os.path.join(paths.state, "internal-errors.log")
    if os.path.exists(path) and os.path.getsize(path) > _LOG_LIMIT:
        os.replace(path, path + ".1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), path
