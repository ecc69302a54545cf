"""Gathering what goes into a prompt: files as they are now, an issue as it is now.

Read once, before anything is launched; what was read is stored with the prompt, so that
`rerun` sends the same. Must not start an agent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from agentctl.core.context import Attached, compose
from agentctl.errors import UsageFault
from agentctl.host.text_file import read_text_file
from agentctl.ops.directories.paths import existing_directory
from agentctl.runtime import Runtime

MAX_FILE_SIZE = 50 * 1024
"""Bytes of one file: a slip such as a log or a lock file would fill the agent's whole context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest:
    """What goes before the prompt; paths start at the current directory."""

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
    """Each prompt with everything requested before it, for agents that work in `cwd`.

    Raises UsageFault, NotFound, OperationFailed or ProgramUnavailable, naming the file or issue.
    """
    if request.is_empty:
        return list(prompts)
    is_all = request.spec is None and request.issue is None
    if is_all and not any((prompt or "").strip() for prompt in prompts):
        raise UsageFault("--file without a prompt", hint="say with -p what to do with it")
    directory = existing_directory(cwd)
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
    text = read_text_file(
        path,
        limit=limit,
        too_large="raise it with --max-file-size, or let the agent read the file itself",
        hint="let the agent read it itself: name its path in the prompt",
    )
    named = os.path.expanduser(path)
    real = os.path.realpath(named)
    below = real.startswith(directory.rstrip("/") + "/")
    return Attached(os.path.relpath(real, directory) if below else os.path.abspath(named), text)


def read_prompt(path: str) -> str:
    """The prompt, or the message, that is in this file."""
    return read_text_file(path, what="prompt file", hint="standard input takes any bytes: give - for it")
