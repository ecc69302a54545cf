"""The latest messages of a conversation, read by its adapter: `peek`. Must not print."""

from __future__ import annotations

from dataclasses import dataclass

from agentctl.adapters.base import Capability, Message, Role
from agentctl.core.model import Session
from agentctl.ops.sessions.logs import adapter_of, last, shown_messages
from agentctl.runtime import Runtime

ASSISTANT = frozenset({Role.ASSISTANT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What an agent said last, oldest first; `note` says where it comes from if not from a conversation."""

    messages: tuple[Message, ...]
    note: str | None = None


def conversation(
    runtime: Runtime, session: Session, count: int, *, roles: frozenset[Role] = ASSISTANT
) -> Conversation:
    """The last `count` messages of these roles; for an adapter without conversations its log."""
    adapter = adapter_of(session)
    if adapter is None or Capability.PEEK not in adapter.CAPABILITIES:
        return Conversation(
            messages=tuple(shown_messages(runtime, session, count)),
            note=f"{session.adapter} keeps no conversation: these are the last lines of its output",
        )
    said = adapter.messages(session, runtime.paths.session(session.id).log)
    return Conversation(messages=last((one for one in said if one.role in roles), count))
