"""A launch that continues a finished conversation: `resume`."""

from __future__ import annotations

from agentctl.adapters import registry
from agentctl.adapters.base import Capability, rerun_hint
from agentctl.adapters.showing import GOES_ON
from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import AdapterUnavailable, AgentctlError, Locked, UsageFault
from agentctl.ops.start.plan import LaunchRequest, StartOptions
from agentctl.ops.start.predecessor import ended, inherited
from agentctl.runtime import Runtime


def resume_request(
    runtime: Runtime, text: str, message: str | None, model: str | None, options: StartOptions
) -> LaunchRequest:
    """A launch that continues the conversation of the session that `text` means."""
    session = ended(runtime, text)
    _refuse_open_elsewhere(runtime, session)
    if Capability.RESUME not in registry.load(session.adapter).CAPABILITIES:
        raise AdapterUnavailable(
            f"adapter {session.adapter} cannot resume a session",
            hint=rerun_hint(session),
        )
    if message is not None and not message.strip():
        raise UsageFault("message is empty", hint="say what the agent should do next")
    return LaunchRequest(
        adapter=session.adapter,
        prompt=message,
        cwd=session.cwd,
        model=model,
        args=session.args,
        predecessor=session,
        options=inherited(session, options),
        is_resume=True,
    )


def goes_on_by_itself(runtime: Runtime, text: str) -> bool:
    """Whether the session that `text` means has work of its own left, so that it needs no message."""
    try:
        return GOES_ON in ended(runtime, text).notes
    except AgentctlError:
        return False


def _refuse_open_elsewhere(runtime: Runtime, session: Session) -> None:
    """Raise Locked if a process that agentctl did not start has this conversation open."""
    from agentctl.ops.external.sessions import external_sessions

    if session.native_id is None:
        return
    # A conversation held through ACP is in another agent's store.
    adapter = None if session.adapter == "acp" else session.adapter
    for one in external_sessions(runtime, runtime.readable_state, adapter=adapter, live_only=True):
        if one.session.native_id == session.native_id:
            raise Locked(
                f"the conversation of session {short(session.id)} is open outside agentctl: {one.reason}",
                hint=f"end it there, or stop it first: agentctl stop {short(one.session.id)}",
            )
