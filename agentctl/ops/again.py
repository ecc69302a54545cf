"""Starting from an earlier session: the same conversation (`resume`) or the same task (`rerun`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from agentctl.adapters import registry
from agentctl.adapters.base import Capability
from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import AdapterUnavailable, Locked, UsageFault
from agentctl.ops.find import find_one
from agentctl.ops.planning import LaunchRequest
from agentctl.runtime import Runtime


def resume_request(
    runtime: Runtime, text: str, message: str, model: str | None, options: Mapping[str, Any]
) -> LaunchRequest:
    """A launch that goes on with the conversation of the session that `text` means."""
    session = _ended(runtime, text)
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
        **_inherited(session, options),
    )


def rerun_request(runtime: Runtime, text: str, options: Mapping[str, Any]) -> LaunchRequest:
    """A launch of the same prompt and options; values of --env come from this environment."""
    session = _ended(runtime, text)
    if session.source == "external":
        raise UsageFault(
            f"session {short(session.id)} was not launched by agentctl, so how it was started is not known",
            hint="launch it anew, or go on with it: agentctl resume",
        )
    inherited = _inherited(session, options)
    missing = [
        name for name in session.env_keys if name not in inherited["env"] and name not in runtime.environ
    ]
    if missing:
        raise UsageFault(
            f"session {short(session.id)} was launched with --env {', '.join(missing)},"
            " whose value is not stored",
            hint=f"set {missing[0]} in the environment, or pass --env {missing[0]}=VALUE",
        )
    inherited["env"] = {
        **{name: runtime.environ[name] for name in session.env_keys if name in runtime.environ},
        **inherited["env"],
    }
    return LaunchRequest(
        adapter=session.adapter,
        prompt=session.prompt,
        cwd=session.cwd,
        model=session.requested_model,
        args=session.args,
        predecessor=session,
        **inherited,
    )


def _ended(runtime: Runtime, text: str) -> Session:
    found = find_one(runtime, text)
    session = found.session
    if not session.is_settled:
        state = "lingering" if session.lingering else found.status.value
        way_out = "end it where it was started, or" if found.is_external else "wait for it or"
        raise Locked(
            f"session {short(session.id)} is still {state}",
            hint=f"{way_out} stop it first: agentctl stop {short(session.id)}",
        )
    if session.repo and not os.path.isdir(session.cwd):
        raise UsageFault(
            f"the worktree of session {short(session.id)} is gone: {session.cwd}",
            hint=f"git -C {session.repo} worktree add {session.cwd} {session.branch or ''}".rstrip(),
        )
    return session


def _refuse_open_elsewhere(runtime: Runtime, session: Session) -> None:
    """Raise Locked where a process that agentctl did not start is at work on this conversation."""
    from agentctl.ops.discover import external_sessions

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


def _inherited(session: Session, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options given now, over the hooks and callbacks that the session had."""
    return {
        **options,
        "hooks": {**session.hooks, **options["hooks"]},
        "meta": {**session.meta, **options["meta"]},
    }
