"""What an agent says and does between a prompt and its answer.

Runs without the package: see `__main__`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from agentctl.adapters.acp.runner.records import Frame, mapping
else:
    from records import Frame, mapping

LONGEST_TEXT = 1024 * 1024
NOTICE = re.compile(r"Retrying \(attempt \d+/\d+, waiting \S+\)\.\.\.|Retry finished, resuming\.")
"""What pi-acp sends as the agent's own text while the model's server fails: not part of an answer."""


class Turn:
    """What the agent said and did between the prompt and its answer."""

    def __init__(self) -> None:
        self.has_spoken = False
        self.tools: set[str] = set()
        self.denied: list[str] = []
        self.is_denied_last = False
        """Nothing was said since a permission was denied."""
        self.retries = 0
        self.cost: float | None = None
        self.cost_before: float | None = None
        self._message: list[str] = []
        self._key: object = None

    @property
    def text(self) -> str | None:
        """The last message, put together."""
        return "".join(self._message)[:LONGEST_TEXT] or None

    def spent(self, *, is_new: bool) -> float | None:
        """US dollars of this turn, by an agent that reports what its whole session has cost so far."""
        before = 0 if is_new else self.cost_before
        return None if self.cost is None or before is None else self.cost - before

    def deny(self, title: str) -> None:
        self.denied.append(title)
        self.is_denied_last = True

    def take(self, update: Frame) -> None:
        kind = update.get("sessionUpdate")
        if kind == "agent_message_chunk":
            self._say(update)
        elif kind in ("tool_call", "tool_call_update"):
            self.tools.add(str(update.get("toolCallId")))
            self._key = None
        elif kind in ("agent_thought_chunk", "plan"):
            self._key = None

    def _say(self, update: Frame) -> None:
        content = mapping(update.get("content"))
        text = content.get("text")
        if not isinstance(text, str):
            self.has_spoken = self.has_spoken or bool(content)
            return
        if NOTICE.fullmatch(text.strip()):
            self.retries += 1
            return
        if text.strip():
            self.has_spoken, self.is_denied_last = True, False
        key = update.get("messageId") or "unnamed"
        if key != self._key:
            self._message, self._key = [], key
        self._message.append(text)
