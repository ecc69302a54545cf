"""Reading an issue with GitHub's own program, which knows the user's login.

If no repository is named, `gh` derives it from the remotes. Must not know what the issue
is used for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from agentctl.core.context import Issue
from agentctl.core.text import one_line
from agentctl.errors import AgentctlError, NotFound, OperationFailed, ProgramUnavailable
from agentctl.host.capture import Captured, capture
from agentctl.host.programs import find_program

LIMIT = 30.0
FIELDS = "number,title,body,url"
NEEDS_LOGIN = 4
"""The exit code of `gh` when nobody is logged in."""

QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GH_PAGER": "cat",
    "NO_COLOR": "1",
    "GIT_TERMINAL_PROMPT": "0",
}

UNWANTED = ("GIT_", "GH_FORCE_TTY", "CLICOLOR_FORCE")
"""Beginnings of variables that would choose another repository, or colour the JSON."""

_NO_REPOSITORY = re.compile(
    r"no git remotes|none of the git remotes|not a git repository|unable to determine.*repo", re.IGNORECASE
)
_NO_LOGIN = re.compile(r"HTTP 401|Bad credentials|gh auth login|GH_TOKEN", re.IGNORECASE)
_NO_ISSUE = re.compile(r"Could not resolve to an? (issue|pull)|HTTP 404|issues? .*not found", re.IGNORECASE)
_NO_SUCH_REPOSITORY = re.compile(r"Could not resolve to a repository", re.IGNORECASE)


def read_issue(
    number: int, *, repo: str | None, cwd: str, environ: Mapping[str, str], limit: float = LIMIT
) -> Issue:
    """The issue of this number in `repo`, or in the repository that `cwd` belongs to.

    Raises ProgramUnavailable without `gh`, NotFound if there is no such issue, OperationFailed otherwise.
    """
    program = find_program("gh", cwd, environ)
    if program is None:
        raise ProgramUnavailable(
            f"issue #{number} cannot be read: GitHub's program gh is not installed",
            hint="get it from https://cli.github.com, then gh auth login; or put the text in a file: --spec",
        )
    argv = [program, "issue", "view", str(number), "--json", FIELDS]
    if repo is not None:
        argv += ["--repo", repo]
    kept = {name: value for name, value in environ.items() if not name.startswith(UNWANTED)}
    ended = capture(argv, cwd=cwd, environ={**kept, **QUIET}, limit=limit)
    if ended.code != 0:
        raise _explained(ended, number, repo)
    return _parsed(ended.stdout, number)


def _explained(ended: Captured, number: int, repo: str | None) -> AgentctlError:
    """The error that `gh` reported, with a way out."""
    said, last = ended.stderr, one_line(ended.last_line, 300)
    where = repo or "this repository"
    if _NO_REPOSITORY.search(said):
        return OperationFailed(
            f"issue #{number}: this directory has no GitHub remote ({last})",
            hint="name the repository with --repo OWNER/NAME",
        )
    if _NO_SUCH_REPOSITORY.search(said):
        return NotFound(f"no repository {where} that you may read", hint="gh auth status shows who you are")
    if _NO_ISSUE.search(said):
        return NotFound(f"no issue #{number} in {where}", hint="gh issue list shows the open issues")
    if ended.code == NEEDS_LOGIN or _NO_LOGIN.search(said):
        return OperationFailed(
            f"issue #{number} cannot be read: gh is not logged in to GitHub",
            hint="gh auth login, or set GH_TOKEN",
        )
    return OperationFailed(f"issue #{number} of {where} cannot be read: {last}")


def _parsed(text: str, number: int) -> Issue:
    try:
        found = json.loads(text)
        return Issue(
            number=int(found["number"]),
            title=str(found["title"]),
            body=str(found["body"] or ""),
            url=None if found.get("url") is None else str(found["url"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise OperationFailed(
            f"issue #{number}: the answer of gh is not an issue", hint="update gh"
        ) from error
