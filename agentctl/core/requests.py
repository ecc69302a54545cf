"""Verdicts that somebody asked for, rather than evidence: start, give up, stop.

The same shape as `decide` gives, so that they are applied in the same way, by
compare-and-set and with their effects.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agentctl.core.decide import Ending, climb, end
from agentctl.core.effects import AppendEvent, Effect, PostWebhook
from agentctl.core.model import (
    TERM_THEN_KILL,
    AgentRecord,
    Fuse,
    FuseState,
    Outcome,
    Rung,
    Session,
    Status,
    StopCause,
    Verdict,
)

_OUTCOME_OF = {StopCause.USER: Outcome.CANCELLED, StopCause.FUSE: Outcome.TIMED_OUT}


def started(session: Session, fuse: Fuse | None, agent: AgentRecord) -> Verdict:
    """A `starting` session whose agent is known: running from when the agent began."""
    after = session._replace(
        status=Status.RUNNING,
        pid=agent.pid,
        start_token=agent.start_token,
        started_at=agent.started_at,
    )
    effects = (
        AppendEvent("session.started", "launched", {"pid": agent.pid}),
        PostWebhook("session.started"),
    )
    return Verdict(rule=8, session=after, fuse=fuse, shown=after.status, reason="launched", effects=effects)


def abandoned(session: Session, fuse: Fuse | None, reason: str, now: datetime) -> Verdict:
    """A session whose agent could not be started."""
    outcome = _OUTCOME_OF.get(session.stop_cause, Outcome.FAILED)
    return end(session, fuse, Ending(4, outcome, f"not started: {reason}", now))


def stop_asked(
    session: Session, fuse: Fuse | None, now: datetime, *, force: bool, patience: timedelta | None
) -> Verdict:
    """A user's request to stop a live session: the first rung, or KILL at once with `force`.

    `patience` replaces the waiting time before the last rung. A request that was made
    before is kept; asking again with `force` leaves only the last rung, and goes to it now.
    """
    ladder = session.ladder or TERM_THEN_KILL
    escalate_at = session.stop_escalate_at
    if patience is not None and len(ladder) > 1:
        ladder = (*(Rung(rung.signal, patience) for rung in ladder[:-1]), ladder[-1])
    if patience is not None and escalate_at is not None:
        escalate_at = min(escalate_at, now + patience)
    if force:
        ladder = ladder[-1:]
    first_request = session.stop_cause is StopCause.NONE
    after = session._replace(
        ladder=ladder,
        stop_cause=StopCause.USER if first_request else session.stop_cause,
        stop_stage=0 if force else session.stop_stage,
        stop_escalate_at=escalate_at,
    )
    effects: tuple[Effect, ...] = ()
    if first_request:
        effects = (AppendEvent("session.stopping", "stop requested", {"force": force}),)
    if first_request or force:
        after, signal = climb(after, now)
        effects = (*effects, signal)
    if fuse is not None and fuse.state is FuseState.ARMED:
        fuse = fuse._replace(state=FuseState.CANCELLED)
        effects = (*effects, AppendEvent("fuse.cancelled", "its session is being stopped", {"fuse": fuse.id}))
    return Verdict(
        rule=5, session=after, fuse=fuse, shown=after.status, reason="stop requested", effects=effects
    )
