"""What agents are known for: how their notices look and what their own messages mean, by their name.

A notice is what an agent sends as text of its own that is not an answer of its model. It is
always a whole chunk.

Runs without the package: see `__main__`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NEVER = re.compile(r"(?!)")


class Known(NamedTuple):
    """The facts of one agent."""

    notice: re.Pattern[str] = NEVER
    retry: re.Pattern[str] = NEVER
    """A notice that the agent asks its model's server again."""
    failure: re.Pattern[str] = NEVER
    """A notice that shows why the turn failed, if the answer reports no usage."""
    ignores_end: bool = False
    """Takes no notice of the end of its input: it is sent TERM without being waited for."""


UNKNOWN = Known()
AGENTS = {
    "pi-acp": Known(
        notice=re.compile(r"Retry finished, resuming\.$"),
        retry=re.compile(r"Retrying \(attempt \d+/\d+, waiting \S+\)\.\.\.$"),
    ),
    "Copilot": Known(
        notice=re.compile(r"Info: "),
        retry=re.compile(r"Info: Request failed due to a transient API error\. Retrying\.\.\.$"),
        failure=re.compile(r"Error: "),
    ),
    "@agentclientprotocol/codex-acp": Known(notice=re.compile(r"Warning: ")),
    "codex-acp": Known(notice=re.compile(r"(Warning: )?Model metadata for `"), ignores_end=True),
    "@zed-industries/claude-code-acp": Known(ignores_end=True),
}
"""`agentInfo.name` → its facts. The last two are older bridges, made by Zed."""
