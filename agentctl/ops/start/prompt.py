"""Gathering what goes into a prompt: files as they are now, an issue as it is now.

Read once, before anything is launched; what was read is stored with the prompt, so that
`rerun` sends the same. Must not start an agent.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from agentctl.core.context import Attached, compose
from agentctl.errors import AgentctlError, NotFound, OperationFailed, UsageFault
from agentctl.ops.directories.paths import real_directory
from agentctl.runtime import Runtime

MAX_FILE_SIZE = 50 * 1024
"""Bytes of one file: a slip such as a log or a lock file would fill the agent's whole context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest:
    """What is to go before the prompt; paths are seen from the current directory."""

    spec: str | None = None
    files: tuple[str, ...] = ()
    issue: int | None = None
    repo: str | None = None
    max_file_size: int = MAX_FILE_SIZE

    @property
    def is_empty(self) -> bool:
        return self.spec is None and not self.files and self.issue is None


def in_prompts(
    runtime: Runtime, request: ContextRequest, prompts: Sequence[str | None], *, cwd: str
) -> list[str | None]:
    """Each prompt with all of it, for agents that work in `cwd`; without any, the prompts as they are.

    Raises UsageFault, NotFound, OperationFailed or ProgramUnavailable, naming the file or issue.
    """
    if request.is_empty:
        return list(prompts)
    is_all = request.spec is None and request.issue is None
    if is_all and not any((prompt or "").strip() for prompt in prompts):
        raise UsageFault("--file without a prompt", hint="say with -p what is to be done with it")
    directory = real_directory(cwd)
    limit = request.max_file_size
    spec = None if request.spec is None else _attached(request.spec, directory, limit)
    files = [_attached(path, directory, limit) for path in request.files]
    issue = None
    if request.issue is not None:
        from agentctl.host import gh

        # Last: the one step that can take long.
        issue = gh.read_issue(request.issue, repo=request.repo, cwd=directory, environ=runtime.environ)
    return [compose(prompt, issue=issue, spec=spec, files=files) for prompt in prompts]


def _attached(path: str, directory: str, limit: int) -> Attached:
    """The file's text, under its path from the agent's directory if it is below that."""
    if not path:
        raise UsageFault("an empty text names no file")
    named = os.path.expanduser(path)
    try:
        with open(named, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            # One byte more than allowed tells that there is more, also of a pipe, which has no size.
            raw = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(raw) > limit:
        actual = f"{size} bytes" if size > limit else "more"
        raise UsageFault(
            f"file {path} is too large: {actual}, where {limit} are allowed",
            hint="raise it with --max-file-size, or let the agent read the file itself",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(path, f"byte {error.start} is no UTF-8") from error
    if "\0" in text:
        raise _not_text(path, "it has NUL bytes")
    real = os.path.realpath(named)
    below = real.startswith(directory.rstrip("/") + "/")
    return Attached(os.path.relpath(real, directory) if below else os.path.abspath(named), text)


def _unreadable(path: str, error: OSError | ValueError) -> AgentctlError:
    if not isinstance(error, OSError):
        return UsageFault(f"file {path!a}: {error}")
    if error.errno == errno.EISDIR:
        return UsageFault(f"{path} is a directory", hint="name its files one by one: --file A --file B")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(
            f"no file {path}", hint=f"paths are seen from the current directory, {_here()}, not from --cwd"
        )
    return OperationFailed(f"file {path} cannot be read: {error.strerror}")


def _not_text(path: str, why: str) -> UsageFault:
    return UsageFault(
        f"file {path} is not text: {why}", hint="let the agent read it itself: name its path in the prompt"
    )


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "which is gone"
