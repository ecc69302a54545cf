"""What starting from an earlier session asks of it: that it has ended, and what it hands on."""

from __future__ import annotations

import os
from dataclasses import replace

from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import Locked, UsageFault
from agentctl.ops.sessions.doubt import way_out
from agentctl.ops.sessions.find import find_one
from agentctl.ops.start.plan import StartOptions
from agentctl.runtime import Runtime


def ended(runtime: Runtime, text: str) -> Session:
    """The session that `text` means. Raises Locked while it runs, UsageFault without its worktree."""
    found = find_one(runtime, text)
    session = found.session
    if not session.is_settled:
        state = "lingering" if session.lingering else found.status.value
        if found.is_external:
            hint = f"end it where it was started, or stop it first: agentctl stop {short(session.id)}"
        else:
            hint = f"wait for it or stop it first: agentctl stop {short(session.id)}"
            hint = way_out(runtime, session, hint)
        raise Locked(
            f"session {short(session.id)} is still {state}",
            hint=hint,
        )
    if session.repo and not os.path.isdir(session.cwd):
        raise UsageFault(
            f"the worktree of session {short(session.id)} is gone: {session.cwd}",
            hint=f"git -C {session.repo} worktree add {session.cwd} {session.branch or ''}".rstrip(),
        )
    return session


def inherited(session: Session, options: StartOptions) -> StartOptions:
    """The options given now, over the hooks and callbacks that the session had."""
    return replace(
        options,
        hooks={**session.hooks, **options.hooks},
        meta={**session.meta, **options.meta},
    )
