"""A launch that continues the conversation of an ended session: `resume`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentctl.adapters import registry
from agentctl.adapters.base import Capability
from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import AdapterUnavailable, Locked, UsageFault
from agentctl.ops.start.plan import LaunchRequest
from agentctl.ops.start.predecessor import ended, inherited
from agentctl.runtime import Runtime


def resume_request(
    runtime: Runtime, text: str, message: str, model: str | None, options: Mapping[str, Any]
) -> LaunchRequest:
    """A launch that goes on with the conversation of the session that `text` means."""
    session = ended(runtime, text)
    _refuse_open_elsewhere(runtime, session)
    if Capability.RESUME not in registry.load(session.adapter).CAPABILITIES:
        raise AdapterUnavailable(
            f"adapter {session.adapter} cannot resume a session",
            hint=f"start it again with the same prompt: agentctl rerun {short(session.id)}",
        )
    if not message.strip():
        raise UsageFault("an empty message", hint="say what the agent is to do next")
    return LaunchRequest(
        adapter=session.adapter,
        prompt=message,
        cwd=session.cwd,
        model=model,
        args=session.args,
        predecessor=session,
        is_resume=True,
        **inherited(session, options),
    )


def _refuse_open_elsewhere(runtime: Runtime, session: Session) -> None:
    """Raise Locked where a process that agentctl did not start is at work on this conversation."""
    from agentctl.ops.external.sessions import external_sessions

    if session.native_id is None:
        return
    # A conversation that was led through ACP lies in another agent's store.
    adapter = None if session.adapter == "acp" else session.adapter
    for one in external_sessions(runtime, runtime.readable_state, adapter=adapter, live_only=True):
        if one.session.native_id == session.native_id:
            raise Locked(
                f"the conversation of session {short(session.id)} is open outside agentctl: {one.reason}",
                hint=f"end it there, or stop it first: agentctl stop {short(one.session.id)}",
            )
