"""A prompt with what belongs to it: an issue, a specification, files.

Text of others is fenced, so that nothing in it can pass for the end of it or for the
person's own words. Must not read files or ask anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from agentctl.core.text import one_line

LONGEST_TITLE = 300


class Attached(NamedTuple):
    """A file's text under the name that the agent knows it by."""

    path: str
    text: str


class Issue(NamedTuple):
    """An issue of GitHub as its author wrote it."""

    number: int
    title: str
    body: str
    url: str | None = None


def compose(
    prompt: str | None,
    *,
    issue: Issue | None = None,
    spec: Attached | None = None,
    files: Iterable[Attached] = (),
) -> str:
    """One text: the issue, the specification, the files, and last what the person asks for."""
    parts: list[str] = []
    if issue is not None:
        parts.append(_issue(issue))
    if spec is not None:
        parts.append(f"Specification: {one_line(spec.path)}\n{fenced(spec.text)}")
    parts += [f"File: {one_line(each.path)}\n{fenced(each.text)}" for each in files]
    if prompt is not None and prompt.strip():
        parts.append(prompt)
    return "\n\n".join(parts)


def fenced(text: str) -> str:
    """`text` between two fences longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{fence}\n{text}{end}{fence}"


def _issue(issue: Issue) -> str:
    lines = [f"GitHub issue #{issue.number}: {one_line(issue.title, LONGEST_TITLE)}"]
    if issue.url:
        lines.append(one_line(issue.url))
    body = issue.body.replace("\r\n", "\n")
    lines.append(fenced(body) if body.strip() else "(It has no description.)")
    return "\n".join(lines)
