"""A launch of the same prompt and options as a finished session's: `rerun`."""

from __future__ import annotations

from dataclasses import replace

from agentctl.core.ids import short
from agentctl.errors import UsageFault
from agentctl.ops.start.plan import LaunchRequest, StartOptions
from agentctl.ops.start.predecessor import ended, inherited
from agentctl.runtime import Runtime


def rerun_request(runtime: Runtime, text: str, options: StartOptions) -> LaunchRequest:
    """A launch of the same prompt and options; values of --env come from this environment."""
    session = ended(runtime, text)
    if session.is_external:
        raise UsageFault(
            f"session {short(session.id)} was not launched by agentctl, so how it was started is not known",
            hint="launch a new session, or continue this one: agentctl resume",
        )
    options = inherited(session, options)
    missing = [name for name in session.env_keys if name not in options.env and name not in runtime.environ]
    if missing:
        raise UsageFault(
            f"session {short(session.id)} was launched with --env {', '.join(missing)},"
            " whose value is not stored",
            hint=f"set {missing[0]} in the environment, or pass --env {missing[0]}=VALUE",
        )
    stored = {name: runtime.environ[name] for name in session.env_keys if name in runtime.environ}
    return LaunchRequest(
        adapter=session.adapter,
        prompt=session.prompt,
        cwd=session.cwd,
        model=session.requested_model,
        args=session.args,
        options=replace(options, env={**stored, **options.env}),
        predecessor=session,
    )
