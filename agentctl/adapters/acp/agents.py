"""Agents that speak the Agent Client Protocol and have a name of their own: `agentctl launch gemini`.

Each is the `acp` adapter with a command that is known. What such an agent sends is judged by
the runner, which knows agents by the name that they give themselves (`runner/known.py`).
"""

from __future__ import annotations

from agentctl.adapters import acp
from agentctl.adapters.acp import commands
from agentctl.adapters.base import Command, CommandRequest
from agentctl.adapters.words import model_of
from agentctl.core.model import Session

OPTIONS = tuple(option for option in acp.OPTIONS if option.name not in ("agents", "agent"))


class KnownAgent:
    """One agent as an adapter."""

    CAPABILITIES = acp.CAPABILITIES
    LADDER = acp.LADDER
    PROCESS_NAMES = acp.PROCESS_NAMES
    OPTIONS = OPTIONS

    native_id = staticmethod(acp.native_id)
    result = staticmethod(acp.result)
    messages = staticmethod(acp.messages)
    log_messages = staticmethod(acp.log_messages)
    store_path = staticmethod(acp.store_path)
    listing = staticmethod(acp.listing)
    sources = staticmethod(acp.sources)
    discover = staticmethod(acp.discover)
    match = staticmethod(acp.match)
    is_transient = staticmethod(acp.is_transient)

    def __init__(
        self,
        name: str,
        title: str,
        command: tuple[str, ...],
        package: str,
        *,
        verified: str,
        model_flag: str | None = None,
    ) -> None:
        self.NAME = name
        self.SUMMARY = f"{title}, by the Agent Client Protocol."
        self.PROGRAM = command[0]
        self.INSTALL = f"npm install -g {package}"
        self.VERIFIED = verified
        self._command = command
        self._model_flag = model_flag
        """The agent's own option for its model, where it offers a client only models that it knows."""

    def launch_command(self, request: CommandRequest) -> Command:
        model = model_of(request)
        words = self._words(request, request.args, model)
        return commands.launch_words(request, words, None if self._model_flag else model)

    def resume_command(self, session: Session, request: CommandRequest) -> Command:
        words = self._words(request, request.args or session.args, request.model)
        return commands.resume_words(session, request, words, None if self._model_flag else request.model)

    def _words(self, request: CommandRequest, given: tuple[str, ...], model: str | None) -> tuple[str, ...]:
        flag = (self._model_flag, model) if self._model_flag and model else ()
        program = request.program or self._command[:1]
        return (*program, *self._command[1:], *flag, *commands.further_words(request), *given)


gemini = KnownAgent(
    "gemini",
    "Gemini CLI",
    ("gemini", "--acp"),
    "@google/gemini-cli",
    verified="0.61.0",
    model_flag="--model",
)
copilot = KnownAgent(
    "copilot",
    "GitHub Copilot CLI",
    ("copilot", "--acp"),
    "@github/copilot",
    verified="1.0.102",
    model_flag="--model",
)
qwen = KnownAgent(
    "qwen", "Qwen Code", ("qwen", "--acp"), "@qwen-code/qwen-code", verified="0.24.4", model_flag="--model"
)
kimi = KnownAgent("kimi", "Kimi Code", ("kimi", "acp"), "@moonshot-ai/kimi-code", verified="2.1.0")
codex_acp = KnownAgent(
    "codex-acp", "Codex", ("codex-acp",), "@agentclientprotocol/codex-acp", verified="2.6.0"
)
claude_agent_acp = KnownAgent(
    "claude-agent-acp",
    "Claude Agent",
    ("claude-agent-acp",),
    "@agentclientprotocol/claude-agent-acp",
    verified="0.101.0",
)
