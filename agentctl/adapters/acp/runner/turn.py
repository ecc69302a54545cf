"""What an agent says and does between a prompt and its answer.

Runs without the package: see `__main__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from agentctl.adapters.acp.runner.known import UNKNOWN
    from agentctl.adapters.acp.runner.records import Frame, mapping, one_line
else:
    from known import UNKNOWN
    from records import Frame, mapping, one_line

LONGEST_TEXT = 1024 * 1024
SYSTEM_ERROR = "the agent reports a system error"
COUNTS = ("inputTokens", "outputTokens", "cachedReadTokens", "cachedWriteTokens")


class Turn:
    """What the agent said and did between the prompt and its answer."""

    def __init__(self) -> None:
        self.known = UNKNOWN
        self.has_spoken = False
        self.tools: set[str] = set()
        self.denied: list[str] = []
        self.is_denied_last = False
        """The agent has said nothing since a permission was denied."""
        self.retries = 0
        self.notice: str | None = None
        """The last notice, if the agent has said nothing since."""
        self.awaits_model = False
        """The agent has said nothing since a tool call or a notice of a retry: its model is due to answer."""
        self.system_error: str | None = None
        """The error state that the agent itself reports (codex-acp), with its reason."""
        self.cost: float | None = None
        self.cost_before: float | None = None
        self._reason: str | None = None
        self._counts: dict[str, int] = {}
        self._message: list[str] = []
        self._key: object = None

    @property
    def text(self) -> str | None:
        """The last message, put together; the last notice where there is no message."""
        return "".join(self._message)[:LONGEST_TEXT] or self.notice

    def spent(self, *, is_new: bool) -> float | None:
        """US dollars of this turn, by an agent that reports what its whole session has cost so far."""
        before = 0 if is_new else self.cost_before
        return None if self.cost is None or before is None else self.cost - before

    def usage(self, answer: Frame) -> Frame | None:
        """The tokens of the turn: from the answer, the answer's metadata (gemini) or the messages' (qwen)."""
        told = mapping(answer.get("usage"))
        if told:
            return told
        count = mapping(mapping(mapping(answer.get("_meta")).get("quota")).get("token_count"))
        if count:
            return {"inputTokens": count.get("input_tokens"), "outputTokens": count.get("output_tokens")}
        return dict(self._counts) or None

    def failure(self, usage: Frame | None) -> str | None:
        """What the agent itself says has gone wrong, although it ended its turn as if nothing had."""
        if self.system_error is not None:
            return self.system_error
        # After a tool call the answer reports the usage of what went well before.
        if self.is_failure_noted and (usage is None or self.awaits_model):
            return one_line(self.notice or "")
        return None

    @property
    def is_failure_noted(self) -> bool:
        """The last words look like a notice of failure; a model may also have begun its answer so."""
        return self.notice is not None and self.known.failure.match(self.notice) is not None

    def deny(self, title: str) -> None:
        self.denied.append(title)
        self.is_denied_last = True

    def end_message(self) -> None:
        """What comes next is another message, although it may have no id of its own."""
        self._key = None

    def take(self, update: Frame) -> None:
        kind = update.get("sessionUpdate")
        meta = mapping(update.get("_meta"))
        self._count(mapping(meta.get("usage")))
        if kind == "agent_message_chunk":
            self._say(update)
        elif kind in ("tool_call", "tool_call_update"):
            self.tools.add(str(update.get("toolCallId")))
            self.awaits_model, self.notice = True, None
            self.end_message()
        elif kind in ("agent_thought_chunk", "plan"):
            self.end_message()
        elif kind == "session_info_update":
            self._take_state(mapping(meta.get("codex")))

    def _count(self, usage: Frame) -> None:
        """qwen reports each request's tokens beside an empty piece of text."""
        for name in COUNTS:
            if isinstance(count := usage.get(name), int):
                self._counts[name] = self._counts.get(name, 0) + count

    def _take_state(self, codex: Frame) -> None:
        error = mapping(codex.get("error"))
        reason = error.get("additionalDetails") or error.get("message")
        if isinstance(reason, str):
            self._reason = one_line(reason)
        status = mapping(codex.get("threadStatus")).get("type")
        if status is not None:
            self.system_error = (self._reason or SYSTEM_ERROR) if status == "systemError" else None

    def _say(self, update: Frame) -> None:
        content = mapping(update.get("content"))
        text = content.get("text")
        if not isinstance(text, str):
            self.has_spoken = self.has_spoken or bool(content)
            return
        if not text:
            return
        if self._is_notice(text.strip()):
            self.end_message()
            return
        if self.is_failure_noted:
            # More follows: it was the beginning of an answer after all.
            text = f"{self.notice}{text}"
        if text.strip():
            self.has_spoken, self.is_denied_last = True, False
            self.notice, self.awaits_model = None, False
        key = update.get("messageId") or "unnamed"
        if key != self._key:
            self._message, self._key = [], key
        self._message.append(text)

    def _is_notice(self, text: str) -> bool:
        known = self.known
        is_retry = known.retry.match(text) is not None
        self.retries += is_retry
        self.awaits_model |= is_retry
        if not (is_retry or known.notice.match(text) or known.failure.match(text)):
            return False
        self.notice = text
        return True
