"""A launch of the same prompt and options as an ended session: `rerun`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentctl.core.ids import short
from agentctl.errors import UsageFault
from agentctl.ops.start.plan import LaunchRequest
from agentctl.ops.start.predecessor import ended, inherited
from agentctl.runtime import Runtime


def rerun_request(runtime: Runtime, text: str, options: Mapping[str, Any]) -> LaunchRequest:
    """A launch of the same prompt and options; values of --env come from this environment."""
    session = ended(runtime, text)
    if session.is_external:
        raise UsageFault(
            f"session {short(session.id)} was not launched by agentctl, so how it was started is not known",
            hint="launch it anew, or go on with it: agentctl resume",
        )
    given = inherited(session, options)
    missing = [name for name in session.env_keys if name not in given["env"] and name not in runtime.environ]
    if missing:
        raise UsageFault(
            f"session {short(session.id)} was launched with --env {', '.join(missing)},"
            " whose value is not stored",
            hint=f"set {missing[0]} in the environment, or pass --env {missing[0]}=VALUE",
        )
    given["env"] = {
        **{name: runtime.environ[name] for name in session.env_keys if name in runtime.environ},
        **given["env"],
    }
    return LaunchRequest(
        adapter=session.adapter,
        prompt=session.prompt,
        cwd=session.cwd,
        model=session.requested_model,
        args=session.args,
        predecessor=session,
        **given,
    )
