"""Containers of stopped sessions: looked for by their label, and stopped by the program that runs them."""

from __future__ import annotations

import os

from agentctl.core import containers
from agentctl.core.model import Session, StopCause
from agentctl.errors import AgentctlError
from agentctl.runtime import Runtime

ANSWERS_WITHIN = 10.0
ENDS_WITHIN = 30.0
"""Seconds; the program itself kills what does not end within ten."""


def end_container(runtime: Runtime, session: Session, *, force: bool) -> str | None:
    """End the container of a session that has ended; why it may still run, or None if there is none.

    One that a session left which ended by itself is ended only by force.
    """
    client = containers.client_of(session)
    if client is None or client.run is None:
        return None
    may_still_run = f"the container may still run: {client.name} cannot be asked"
    try:
        running = _running(runtime, session, client)
        if not running:
            return None
        if session.stop_cause is StopCause.NONE and not force:
            return f"its container still runs: {', '.join(running)}"
        may_still_run = f"the container may still run: {client.name} did not end it"
        _ask(runtime, session, client, ("kill" if force else "stop", *running), ENDS_WITHIN)
        if left := _running(runtime, session, client):
            return f"its container still runs: {', '.join(left)}"
    except AgentctlError as error:
        return f"{may_still_run} ({error.message})"
    return None


def _running(runtime: Runtime, session: Session, client: containers.Client) -> list[str]:
    words = ("ps", "--quiet", "--filter", f"label={containers.LABEL}={session.id}")
    return _ask(runtime, session, client, words, ANSWERS_WITHIN).split()


def _ask(
    runtime: Runtime, session: Session, client: containers.Client, words: tuple[str, ...], limit: float
) -> str:
    from agentctl.errors import OperationFailed
    from agentctl.host.capture import capture
    from agentctl.host.programs import find_program

    program, *options = client.asks
    cwd = session.cwd if os.path.isdir(session.cwd) else "/"
    found = find_program(program, cwd, runtime.environ) or program
    answer = capture([found, *options, *words], cwd=cwd, environ=runtime.environ, limit=limit)
    if answer.code != 0:
        raise OperationFailed(answer.last_line)
    return answer.stdout
