"""The heart: from a row, its fuse and one look at the world to what is true now.

Status is derived from evidence, never remembered. The rows below are tried from the
top and the first that matches wins:

     #  exit record  liveness  condition                       verdict
     1  yes          any                                       ended at the record's time
     2  no           unknown                                   unchanged; lost if it was given up
     3  no           ending                                    shown as stopping, nothing written
     4  no           dead                                      cancelled, timed out or lost
     5  no           alive     a stop was asked for            stopping; next rung when its time has come
     6  no           alive     fuse due, action stop           fire it: stopping, first rung
     7  no           alive     fuse not due yet                running
     8  no           alive     younger than the grace          running
     9  no           alive     listing running or unavailable  running
    10  no           alive     listing absent or ended         ended `unlisted`, process lingering

Row 7 is why this program exists: an agent's own store may not list a session that is
at work, so a fuse that has not blown and a process that lives outweigh its silence.
Row 4 is the mirror image: no promise outweighs a process that is gone.
In row 1 a success is proved, not assumed: where the agent's program owes a record of its
result, exit 0 without a complete one that says so is a failure.

Everything here is a pure function of its arguments. It asks for effects and performs
none. A rule that needs a new fact gets a field in `Observation`, never a call.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from agentctl.core.deadlines import expired_effects, pass_time
from agentctl.core.durations import format_duration
from agentctl.core.effects import AppendEvent, Effect, PostWebhook, ReleaseLocks, RunHook, Signal, Sweep
from agentctl.core.learning import learn
from agentctl.core.model import (
    GRACE,
    TERM_THEN_KILL,
    AgentVerdict,
    ExitRecord,
    Fuse,
    FuseAction,
    FuseState,
    Listing,
    Liveness,
    Observation,
    Outcome,
    Session,
    Status,
    StopCause,
    Verdict,
)
from agentctl.core.signals import signal_name, signal_of_status

STATUS_OF: dict[Outcome, Status] = {
    Outcome.SUCCEEDED: Status.STOPPED,
    Outcome.CANCELLED: Status.STOPPED,
    Outcome.UNLISTED: Status.STOPPED,
    Outcome.FAILED: Status.ERROR,
    Outcome.TIMED_OUT: Status.ERROR,
    Outcome.LOST: Status.ERROR,
}

EVENT_OF: dict[Outcome, str] = {
    Outcome.SUCCEEDED: "session.stopped",
    Outcome.CANCELLED: "session.stopped",
    Outcome.UNLISTED: "session.stopped",
    Outcome.FAILED: "session.error",
    Outcome.LOST: "session.error",
    Outcome.TIMED_OUT: "session.timeout",
}


def decide(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> Verdict:
    """What is true of `session` at `now`, why, and what is to be done about it.

    Total: it never raises and always gives a reason. Idempotent: deciding again on the
    result changes nothing. The caller applies the verdict by compare-and-set.
    """
    if session.is_final:
        return _decide_final(session, fuse, seen)
    if seen.exit is None and seen.liveness is Liveness.UNKNOWN:
        if session.stop_cause is StopCause.GIVEN_UP:
            return give_up(session, fuse, seen, now)
        return _unchanged(2, session, fuse, seen.evidence)
    if seen.exit is None and seen.liveness is Liveness.ENDING:
        reason = f"the agent has ended, but this is not yet recorded: {seen.evidence}"
        return _unchanged(3, session, fuse, reason, shown=Status.STOPPING)
    adopted, effects = _adopt(session, seen)
    if seen.fired and adopted.stop_cause is StopCause.NONE:
        adopted = adopted._replace(stop_cause=StopCause.FUSE)
        if fuse is not None and fuse.state is FuseState.ARMED:
            fuse, effects = fuse._replace(state=FuseState.FIRED), (*effects, *expired_effects(fuse))
    if seen.exit is not None:
        verdict = _ended_by_record(adopted, fuse, seen, seen.exit)
    elif seen.liveness is Liveness.DEAD:
        verdict = _ended_without_record(adopted, fuse, seen, now)
    else:
        verdict = _decide_alive(adopted, fuse, seen, now)
    return verdict._replace(effects=(*effects, *verdict.effects)) if effects else verdict


def needs_listing(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> bool:
    """Whether the verdict depends on the agent's own store (rows 9 and 10), the one costly look."""
    if session.is_final or seen.exit is not None or seen.fired or seen.liveness is not Liveness.ALIVE:
        return False
    if session.native_id is None or session.store_path is None or session.stop_cause is not StopCause.NONE:
        return False
    if fuse is not None and (fuse.vouches(now) or _stops(fuse, now)):
        return False
    adopted, _ = _adopt(session, seen)
    return adopted.pid is not None and _is_past_grace(adopted, now)


class Ending(NamedTuple):
    """How a session ended, before it is turned into a row and its effects."""

    rule: int
    outcome: Outcome
    reason: str
    at: datetime
    code: int | None = None
    signal: int | None = None
    lingering: bool = False
    evidence: str | None = None
    """What was seen, for the ledger; None where somebody gave up before there was anything to see."""


def _adopt(session: Session, seen: Observation) -> tuple[Session, tuple[Effect, ...]]:
    """Take over an agent whose launcher did not live to record it, and note a vanished shim."""
    effects: tuple[Effect, ...] = ()
    if session.pid is None and seen.agent is not None:
        session = session._replace(
            pid=seen.agent.pid, start_token=seen.agent.start_token, started_at=seen.agent.started_at
        )
        if session.status is Status.STARTING:
            session = session._replace(status=Status.RUNNING)
        effects = (
            AppendEvent(
                "session.started",
                "agent found running",
                {"pid": seen.agent.pid, "evidence": seen.evidence},
            ),
            PostWebhook("session.started"),
        )
    if seen.liveness is Liveness.ALIVE and not seen.supervised and not session.unsupervised:
        session = session._replace(unsupervised=True)
    return learn(session, seen.result), effects


def _decide_final(session: Session, fuse: Fuse | None, seen: Observation) -> Verdict:
    """A final row never changes, but for a lingering one whose process has gone."""
    reason = session.reason or "ended"
    gone = seen.exit is not None or seen.liveness is Liveness.DEAD
    if not session.lingering or not gone:
        return _unchanged(0, session, fuse, reason)
    code = seen.exit.code if seen.exit is not None else None
    after = session._replace(lingering=False, exit_code=code, signal=signal_of_status(code))
    return Verdict(
        rule=0,
        session=after,
        fuse=fuse,
        shown=after.status,
        reason=reason,
        effects=(
            ReleaseLocks(),
            AppendEvent(
                "session.gone",
                "the process has ended",
                {"exit_code": code, "evidence": seen.evidence},
            ),
        ),
    )


def _ended_by_record(session: Session, fuse: Fuse | None, seen: Observation, record: ExitRecord) -> Verdict:
    """Row 1: the shim's record beats everything, also what was asked for at the same moment."""
    code, signal = record.code, signal_of_status(record.code)
    lasted = _lasted(session, record.at)
    match session.stop_cause:
        case StopCause.USER:
            outcome, reason = Outcome.CANCELLED, f"stopped on request{lasted}"
        case StopCause.FUSE:
            outcome, reason = Outcome.TIMED_OUT, f"blew its {_fuse_length(fuse)}fuse"
        case _ if code is None:
            outcome, reason = Outcome.LOST, "the exit file is empty or unreadable"
        case _ if signal is not None:
            outcome, reason = Outcome.FAILED, f"killed by {signal_name(signal)}{lasted}"
        case _ if code != 0:
            outcome, reason = Outcome.FAILED, f"exit {code}{lasted}{_agent_words(seen)}"
        case _ if seen.result.verdict is AgentVerdict.ERROR:
            outcome, reason = (
                Outcome.FAILED,
                f"exit 0{lasted}, but the agent reports an error{_agent_words(seen)}",
            )
        case _ if seen.result.verdict is AgentVerdict.SILENT and seen.result.missing:
            outcome, reason = Outcome.FAILED, f"exit 0{lasted}, but {seen.result.missing}"
        case _:
            outcome, reason = Outcome.SUCCEEDED, f"exit 0{lasted}"
    evidence = f"exit file {'unreadable' if code is None else code}, {seen.evidence}"
    ending = Ending(1, outcome, reason, record.at, code, signal, evidence=evidence)
    return end(session, fuse, ending)


def _ended_without_record(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> Verdict:
    """Row 4: gone, and nobody recorded how. A deadline that passed alone explains nothing."""
    match session.stop_cause:
        case StopCause.USER:
            ending = Ending(4, Outcome.CANCELLED, "stopped on request; its exit was not recorded", now)
        case StopCause.FUSE:
            reason = f"blew its {_fuse_length(fuse)}fuse; its exit was not recorded"
            ending = Ending(4, Outcome.TIMED_OUT, reason, now)
        case _:
            ending = Ending(4, Outcome.LOST, _how_lost(session, seen), now)
    return end(session, fuse, ending._replace(evidence=f"no exit file, {seen.evidence}"))


def give_up(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> Verdict:
    """A user's last word on a session that nobody can say anything about: its process may still live."""
    given_up = session._replace(stop_cause=StopCause.GIVEN_UP)
    reason = "given up by a user; nobody could be asked"
    return end(given_up, fuse, Ending(2, Outcome.LOST, reason, now, lingering=True, evidence=seen.evidence))


def _how_lost(session: Session, seen: Observation) -> str:
    if session.pid is None:
        return "the launcher vanished before the agent started"
    if seen.booted_at is not None:
        return f"process vanished; host rebooted at {seen.booted_at:%Y-%m-%d %H:%M:%S} UTC"
    if session.unsupervised:
        return "process vanished after its shim had been killed, so nobody recorded how"
    return "process vanished together with its shim, so nobody recorded how"


def _decide_alive(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> Verdict:
    if session.stop_cause is not StopCause.NONE:
        return _stopping(session, fuse, now)
    if fuse is not None and _stops(fuse, now):
        return _fire(session, fuse, now)
    fuse, effects = pass_time(fuse, now)
    verdict = _decide_unasked(session, fuse, seen, now)
    return verdict._replace(effects=(*effects, *verdict.effects)) if effects else verdict


def _decide_unasked(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> Verdict:
    """Rows 7 to 10: alive, and nothing has asked for its end."""
    if session.pid is None:
        # The launcher holds the liveness lock: it is still at work on this row.
        return _unchanged(8, session, fuse, "launching")
    alive = f"process {session.pid} is {'suspended (SIGSTOP)' if seen.suspended else 'alive'}"
    if fuse is not None and fuse.vouches(now):
        return _alive(7, session, fuse, alive)
    if not _is_past_grace(session, now):
        return _alive(8, session, fuse, f"{alive}, started less than {format_duration(GRACE)} ago")
    match seen.listing:
        case Listing.RUNNING:
            return _alive(9, session, fuse, f"{alive} and the agent's store lists this session")
        case Listing.UNAVAILABLE:
            return _alive(9, session, fuse, alive)
        case Listing.ABSENT | Listing.ENDED:
            said = "did not list it" if seen.listing is Listing.ABSENT else "listed it as ended"
            reason = f"the agent's store {said}, although process {session.pid} was alive"
            evidence = f"the agent's store says {seen.listing.value}, {seen.evidence}"
            ending = Ending(10, Outcome.UNLISTED, reason, now, lingering=True, evidence=evidence)
            return end(session, fuse, ending)


def _stopping(session: Session, fuse: Fuse | None, now: datetime) -> Verdict:
    """Row 5: the next rung, once its time has come; the last one is repeated while the agent lives."""
    reason = f"stopping ({_asked_by(session.stop_cause)})"
    effects: tuple[Effect, ...] = ()
    if session.stop_escalate_at is None or now >= session.stop_escalate_at:
        session, signal = climb(session, now)
        effects = (signal,)
        reason = f"{reason}: {signal_name(signal.number)}"
    session = session._replace(status=Status.STOPPING)
    return Verdict(rule=5, session=session, fuse=fuse, shown=session.status, reason=reason, effects=effects)


def climb(session: Session, now: datetime) -> tuple[Session, Signal]:
    """The next rung of the ladder and when the one after it is due. The last rung repeats."""
    ladder = session.ladder or TERM_THEN_KILL
    stage = min(session.stop_stage + 1, len(ladder))
    rung = ladder[stage - 1]
    after = session._replace(status=Status.STOPPING, stop_stage=stage, stop_escalate_at=now + rung.wait)
    return after, Signal(rung.signal)


def _fire(session: Session, fuse: Fuse, now: datetime) -> Verdict:
    """Row 6."""
    session, signal = climb(session._replace(stop_cause=StopCause.FUSE), now)
    length = _fuse_length(fuse)
    return Verdict(
        rule=6,
        session=session,
        fuse=fuse._replace(state=FuseState.FIRED),
        shown=session.status,
        reason=f"its {length}fuse blew; stopping",
        effects=(*expired_effects(fuse), signal),
    )


def _alive(rule: int, session: Session, fuse: Fuse | None, why: str) -> Verdict:
    """Running, or idle as before. `why` is shown to people: "running (process 42 is alive)"."""
    if session.unsupervised:
        why = f"{why}; its shim was killed, so its exit code will not be known"
    session = session._replace(status=Status.RUNNING) if session.status is Status.STARTING else session
    return _unchanged(rule, session, fuse, f"{session.status} ({why})")


def _unchanged(
    rule: int, session: Session, fuse: Fuse | None, reason: str, *, shown: Status | None = None
) -> Verdict:
    return Verdict(rule=rule, session=session, fuse=fuse, shown=shown or session.status, reason=reason)


def end(session: Session, fuse: Fuse | None, ending: Ending) -> Verdict:
    """Every ending: its time, its reason, its locks, and exactly one event."""
    after = session._replace(
        status=STATUS_OF[ending.outcome],
        outcome=ending.outcome,
        reason=ending.reason,
        exit_code=ending.code,
        signal=ending.signal,
        ended_at=ending.at,
        lingering=ending.lingering,
        stop_escalate_at=None,
    )
    if fuse is not None and fuse.state is FuseState.ARMED:
        fuse = fuse._replace(state=FuseState.CANCELLED)
    type_ = EVENT_OF[ending.outcome]
    data = {
        "outcome": ending.outcome.value,
        "exit_code": ending.code,
        "rule": ending.rule,
        "evidence": ending.evidence,
    }
    effects: list[Effect] = [] if ending.lingering else [ReleaseLocks()]
    effects.append(AppendEvent(type_, ending.reason, data))
    if session.stop_cause in (StopCause.USER, StopCause.FUSE):
        effects.append(_sweep(session))
    effects += [RunHook("on_complete"), PostWebhook(type_)]
    return Verdict(
        rule=ending.rule,
        session=after,
        fuse=fuse,
        shown=after.status,
        reason=ending.reason,
        effects=tuple(effects),
    )


def _sweep(session: Session) -> Sweep:
    """What the agent left has the rest of its patience; after KILL there is none left."""
    is_over = session.stop_stage >= len(session.ladder)
    return Sweep(None if is_over else session.stop_escalate_at, at_once=len(session.ladder) == 1)


def _stops(fuse: Fuse, now: datetime) -> bool:
    return fuse.is_due(now) and fuse.action is FuseAction.STOP


def _is_past_grace(session: Session, now: datetime) -> bool:
    """Exactly 30.000 s is past it; an age below zero (the clock was set back) is inside it."""
    return now - (session.started_at or session.created_at) >= GRACE


def _asked_by(cause: StopCause) -> str:
    return "its fuse blew" if cause is StopCause.FUSE else "asked by a user"


def _lasted(session: Session, at: datetime) -> str:
    if session.started_at is None:
        return ""
    return f" after {format_duration(max(at - session.started_at, timedelta()))}"


def _fuse_length(fuse: Fuse | None) -> str:
    if fuse is None:
        return ""
    length = fuse.deadline - fuse.created_at
    return f"{format_duration(length)} " if length > timedelta() else ""


def _agent_words(seen: Observation) -> str:
    return f": {seen.result.text}" if seen.result.verdict is AgentVerdict.ERROR and seen.result.text else ""
