"""The laws of `decide`, over every combination of statuses, observations and instants.

Each product below is whole in the values that its rows can depend on; the last one
walks the product of everything with a stride, so that values which ought not to matter
are mixed in too. The rows themselves are written down a second time, in `expected_row`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product
from math import gcd, prod

import pytest

from agentctl.core.deadlines import decide_fuse
from agentctl.core.decide import decide, needs_listing
from agentctl.core.effects import AppendEvent, Effect, PostWebhook, ReleaseLocks, RunHook, Signal
from agentctl.core.model import (
    FINAL,
    AgentRecord,
    AgentVerdict,
    ExitRecord,
    Fuse,
    FuseAction,
    FuseState,
    Listing,
    Liveness,
    Observation,
    Outcome,
    Result,
    Session,
    Status,
    StopCause,
    Verdict,
)
from tests.core.deciding import LEGAL, START, TICK, is_legal

CREATED = START - timedelta(seconds=20)
"""Before the agent began: its launcher had a worktree to make."""
SOON = START + timedelta(seconds=10)
"""A deadline inside the grace."""
LATER = START + timedelta(hours=2)
WARNING = timedelta(minutes=10)

INSTANTS = (
    START - timedelta(hours=1),
    START,
    SOON,
    START + timedelta(seconds=29.999),
    START + timedelta(seconds=30),
    LATER - WARNING,
    LATER - TICK,
    LATER,
    LATER + timedelta(days=1),
)
LONG_AGO, FAR_AHEAD = START - timedelta(days=1), START + timedelta(days=30)

Combination = tuple[Session, Fuse | None, Observation, datetime]

GIVEN_UP = (StopCause.GIVEN_UP, Liveness.UNKNOWN)

ENDINGS = frozenset({"session.stopped", "session.error", "session.timeout"})
LIVE = (Status.STARTING, Status.RUNNING, Status.IDLE, Status.STOPPING)


def a_session(
    status: Status,
    *,
    has_pid: bool = True,
    cause: StopCause = StopCause.NONE,
    stage: int = 0,
    escalate_at: datetime | None = None,
    unsupervised: bool = False,
    lingering: bool = False,
) -> Session:
    final = status in FINAL
    return Session(
        id="s",
        adapter="opencode",
        cwd="/work",
        status=status,
        created_at=CREATED,
        native_id="ses_1",
        store_path="/store",
        started_at=START if has_pid else None,
        pid=42 if has_pid else None,
        start_token="t" if has_pid else None,
        stop_cause=cause,
        stop_stage=stage,
        stop_escalate_at=escalate_at,
        unsupervised=unsupervised,
        lingering=lingering,
        outcome=(Outcome.UNLISTED if status is Status.STOPPED else Outcome.FAILED) if final else None,
        reason="as it was" if final else None,
        ended_at=START + timedelta(seconds=3) if final else None,
    )


def a_fuse(
    action: FuseAction, deadline: datetime, *, warned: bool = True, state: FuseState = FuseState.ARMED
) -> Fuse:
    return Fuse(
        id="f",
        session_id="s",
        created_at=CREATED,
        deadline=deadline,
        action=action,
        warn_at=None if warned else deadline - WARNING,
        state=state,
    )


def an_observation(
    liveness: Liveness,
    *,
    record: ExitRecord | None = None,
    listing: Listing = Listing.UNAVAILABLE,
    supervised: bool = True,
    verdict: AgentVerdict = AgentVerdict.SILENT,
    agent: AgentRecord | None = None,
    fired: bool = False,
    suspended: bool = False,
) -> Observation:
    return Observation(
        liveness=liveness,
        evidence="liveness lock held",
        exit=record,
        agent=agent,
        supervised=supervised,
        fired=fired,
        suspended=suspended,
        listing=listing,
        result=Result(verdict=verdict, text="words") if verdict is not AgentVerdict.SILENT else Result(),
    )


ACTIONS = (FuseAction.STOP, FuseAction.NONE, FuseAction.SCRIPT)
FUSES: tuple[Fuse | None, ...] = (
    None,
    *(
        a_fuse(action, deadline, warned=warned)
        for action, deadline, warned in product(ACTIONS, (SOON, LATER), (True, False))
    ),
    *(
        a_fuse(action, LATER, warned=False, state=state)
        for action, state in product(ACTIONS, (FuseState.FIRED, FuseState.CANCELLED))
    ),
)
FEW_FUSES: tuple[Fuse | None, ...] = (
    None,
    a_fuse(FuseAction.STOP, LATER, warned=False),
    a_fuse(FuseAction.NONE, SOON),
    a_fuse(FuseAction.STOP, LATER, state=FuseState.FIRED),
)
RECORDS: tuple[ExitRecord | None, ...] = (
    None,
    *(ExitRecord(code=code, at=START + timedelta(seconds=3)) for code in (0, 1, 143, None)),
)
AGENTS = (None, AgentRecord(pid=77, start_token="u", started_at=START))
BOTH = (False, True)
REQUESTS = (
    (StopCause.NONE, 0, None),
    (StopCause.GIVEN_UP, 0, None),
    *product((StopCause.USER, StopCause.FUSE), (0, 1, 2), (None, LONG_AGO, LATER, FAR_AHEAD)),
)
"""Who asked for the end, the rungs already climbed, and when the next is due."""

SESSIONS = tuple(
    a_session(
        status,
        has_pid=has_pid,
        cause=cause,
        stage=stage,
        escalate_at=escalate_at,
        unsupervised=unsupervised,
        lingering=lingering,
    )
    for status, has_pid, (cause, stage, escalate_at), unsupervised, lingering in product(
        Status, BOTH, REQUESTS, BOTH, BOTH
    )
)
OBSERVATIONS = tuple(
    an_observation(
        liveness,
        record=record,
        listing=listing,
        supervised=supervised,
        verdict=verdict,
        agent=agent,
        fired=fired,
        suspended=suspended,
    )
    for liveness, record, listing, supervised, verdict, agent, (fired, suspended) in product(
        Liveness, RECORDS, Listing, BOTH, AgentVerdict, AGENTS, ((False, False), (True, False), (False, True))
    )
)


def alive_and_wanted() -> Iterator[Combination]:
    """Rows 6 to 10: nobody asked for the end."""
    sessions = [
        a_session(status, has_pid=has_pid, unsupervised=unsupervised)
        for status, has_pid, unsupervised in product(LIVE, BOTH, BOTH)
    ]
    seen = [
        an_observation(Liveness.ALIVE, listing=listing, supervised=supervised, agent=agent)
        for listing, supervised, agent in product(Listing, BOTH, AGENTS)
    ]
    return product(sessions, FUSES, seen, INSTANTS)


def alive_and_unwanted() -> Iterator[Combination]:
    """Row 5: every stage of the ladder, with its next rung past, exact, ahead or unknown."""
    sessions = [
        a_session(status, has_pid=has_pid, cause=cause, stage=stage, escalate_at=escalate_at)
        for status, has_pid, (cause, stage, escalate_at) in product(LIVE, BOTH, REQUESTS[1:])
    ]
    seen = [
        an_observation(Liveness.ALIVE, listing=Listing.ABSENT, agent=agent, fired=fired)
        for agent, fired in product(AGENTS, BOTH)
    ]
    return product(sessions, FEW_FUSES, seen, INSTANTS)


def recorded_or_not_alive() -> Iterator[Combination]:
    """Rows 1 to 4."""
    sessions = [
        a_session(status, has_pid=has_pid, cause=cause, stage=stage, unsupervised=unsupervised)
        for status, has_pid, (cause, stage), unsupervised in product(
            LIVE, BOTH, tuple((cause, stage) for stage, cause in enumerate(StopCause)), BOTH
        )
    ]
    seen = [
        an_observation(liveness, record=record, verdict=verdict, agent=agent, fired=fired)
        for liveness, record, verdict, agent, fired in product(Liveness, RECORDS, AgentVerdict, AGENTS, BOTH)
        if record is not None or liveness is not Liveness.ALIVE
    ]
    return product(sessions, FEW_FUSES, seen, (LATER - TICK, LATER))


def already_final() -> Iterator[Combination]:
    """Row 0: final, lingering or not."""
    sessions = [
        a_session(status, has_pid=has_pid, cause=cause, lingering=lingering)
        for status, has_pid, cause, lingering in product(sorted(FINAL), BOTH, StopCause, BOTH)
    ]
    seen = [
        an_observation(liveness, record=record, listing=listing)
        for liveness, record, listing in product(Liveness, RECORDS, Listing)
    ]
    return product(sessions, FEW_FUSES, seen, (START, LATER))


def strided(count: int) -> Iterator[Combination]:
    """`count` combinations spread evenly over the product of everything there is."""
    axes = (SESSIONS, FUSES, OBSERVATIONS, INSTANTS)
    total = prod(len(axis) for axis in axes)
    stride = next(step for step in range(total // count, total) if gcd(step, total) == 1)
    for turn in range(count):
        at = turn * stride % total
        at, i = divmod(at, len(SESSIONS))
        at, j = divmod(at, len(FUSES))
        at, k = divmod(at, len(OBSERVATIONS))
        yield SESSIONS[i], FUSES[j], OBSERVATIONS[k], INSTANTS[at]


def expected_row(session: Session, fuse: Fuse | None, seen: Observation, now: datetime) -> int:
    """The table once more, as short as it can be said."""
    if session.status in FINAL:
        return 0
    if seen.exit is not None:
        return 1
    if seen.liveness is not Liveness.ALIVE:
        return {Liveness.UNKNOWN: 2, Liveness.ENDING: 3, Liveness.DEAD: 4}[seen.liveness]
    if session.stop_cause is not StopCause.NONE or seen.fired:
        return 5
    armed = fuse is not None and fuse.state is FuseState.ARMED
    if fuse is not None and armed and fuse.action is FuseAction.STOP and fuse.deadline <= now:
        return 6
    if session.pid is None and seen.agent is None:
        return 8
    if fuse is not None and armed and now < fuse.deadline:
        return 7
    if now < START + timedelta(seconds=30):
        return 8
    return 9 if seen.listing in (Listing.RUNNING, Listing.UNAVAILABLE) else 10


def told(effects: Iterable[Effect]) -> list[str]:
    return [effect.type for effect in effects if isinstance(effect, AppendEvent)]


def broken_laws(combination: Combination) -> list[str]:
    """The laws that this combination breaks, by name; none, one hopes."""
    session, fuse, seen, now = combination
    verdict = decide(session, fuse, seen, now)
    checks = {
        "a reason, in one line": bool(verdict.reason) and "\n" not in verdict.reason,
        "the first row that matches": verdict.rule == expected_row(session, fuse, seen, now),
        "a legal step": is_legal(session.status, verdict.session.status),
        "final rows never change": keeps_final_rows(session, seen, verdict),
        "idempotent": is_idempotent(verdict, seen, now),
        "signals only to the living": signals_only_the_living(session, seen, verdict),
        "what is not known is not written": keeps_the_unknown(session, fuse, seen, verdict),
        "an ending is whole": ends_whole(session, seen, now, verdict),
        "shown is what is stored": verdict.shown is verdict.session.status or verdict.rule == 3,
        "only a fuse times out": times_out_by_fuse_alone(session, seen, verdict),
        "a fuse is spent once": spends_fuse_once(fuse, seen, now, verdict),
        "a request is kept": keeps_the_request(session, seen, verdict),
        "a process is kept": session.pid is None or verdict.session.pid == session.pid,
    }
    return [law for law, holds in checks.items() if not holds]


def keeps_final_rows(session: Session, seen: Observation, verdict: Verdict) -> bool:
    if session.status not in FINAL:
        return True
    gone = seen.exit is not None or seen.liveness is Liveness.DEAD
    if not session.lingering or not gone:
        return verdict.session == session and verdict.effects == ()
    code = seen.exit.code if seen.exit is not None else None
    signal = 15 if code == 143 else None
    return (
        verdict.session == session._replace(lingering=False, exit_code=code, signal=signal)
        and told(verdict.effects) == ["session.gone"]
        and verdict.effects[0] == ReleaseLocks()
        and len(verdict.effects) == 2
    )


def is_idempotent(verdict: Verdict, seen: Observation, now: datetime) -> bool:
    again = decide(verdict.session, verdict.fuse, seen, now)
    return (
        again.session == verdict.session
        and again.fuse == verdict.fuse
        and again.effects == ()
        and again.shown is verdict.shown
    )


def signals_only_the_living(session: Session, seen: Observation, verdict: Verdict) -> bool:
    sent = [effect for effect in verdict.effects if isinstance(effect, Signal)]
    if not sent:
        return verdict.session.stop_stage == session.stop_stage
    stage = min(session.stop_stage + 1, len(session.ladder))
    return (
        sent == [Signal(session.ladder[stage - 1].signal)]
        and seen.liveness is Liveness.ALIVE
        and seen.exit is None
        and verdict.session.stop_stage == stage
        and verdict.session.status is Status.STOPPING
    )


def keeps_the_unknown(session: Session, fuse: Fuse | None, seen: Observation, verdict: Verdict) -> bool:
    if seen.exit is not None or seen.liveness not in (Liveness.UNKNOWN, Liveness.ENDING):
        return True
    if session.status not in FINAL and (session.stop_cause, seen.liveness) == GIVEN_UP:
        after = verdict.session
        return (after.outcome, after.lingering, after.exit_code) == (Outcome.LOST, True, None)
    return verdict.session is session and verdict.fuse is fuse and verdict.effects == ()


def ends_whole(session: Session, seen: Observation, now: datetime, verdict: Verdict) -> bool:
    after, effects = verdict.session, verdict.effects
    endings = [type_ for type_ in told(effects) if type_ in ENDINGS]
    if session.status in FINAL or after.status not in FINAL:
        return not endings and (session.status in FINAL or (after.outcome is None and after.ended_at is None))
    at, code = (now, None) if seen.exit is None else (seen.exit.at, seen.exit.code)
    return (
        len(endings) == 1
        and after.outcome is not None
        and after.reason == verdict.reason
        and (after.ended_at, after.exit_code, after.stop_escalate_at) == (at, code, None)
        and after.lingering is (verdict.rule in (2, 10))
        and (after.outcome is Outcome.UNLISTED) is (verdict.rule == 10)
        and effects.count(ReleaseLocks()) == (0 if after.lingering else 1)
        and effects.count(RunHook("on_complete")) == effects.count(PostWebhook(endings[0])) == 1
        and (verdict.fuse is None or verdict.fuse.state is not FuseState.ARMED)
    )


def times_out_by_fuse_alone(session: Session, seen: Observation, verdict: Verdict) -> bool:
    if session.status in FINAL or verdict.session.status not in FINAL:
        return True
    timed_out = verdict.session.outcome is Outcome.TIMED_OUT
    blew = session.stop_cause is StopCause.FUSE or (seen.fired and session.stop_cause is StopCause.NONE)
    cancelled = verdict.session.outcome is Outcome.CANCELLED
    return timed_out is blew and cancelled is (session.stop_cause is StopCause.USER)


def spends_fuse_once(fuse: Fuse | None, seen: Observation, now: datetime, verdict: Verdict) -> bool:
    after = verdict.fuse
    expired = told(verdict.effects).count("fuse.expired")
    warned = verdict.effects.count(RunHook("on_fuse_warn"))
    if fuse is None or after is None:
        return fuse is after and not expired and not warned
    if fuse.state is not FuseState.ARMED:
        return after is fuse and not expired and not warned
    in_window = fuse.warn_at is not None and fuse.warn_at <= now < fuse.deadline
    return (
        expired == (after.state is FuseState.FIRED)
        and (after.state is not FuseState.FIRED or now >= fuse.deadline or seen.fired)
        and warned <= in_window
        and (after.warn_at == fuse.warn_at) is not bool(warned)
        and after._replace(state=fuse.state, warn_at=fuse.warn_at) == fuse
    )


def keeps_the_request(session: Session, seen: Observation, verdict: Verdict) -> bool:
    if session.stop_cause is not StopCause.NONE:
        return verdict.session.stop_cause is session.stop_cause
    blew = verdict.rule == 6 or (seen.fired and verdict.rule in (1, 4, 5))
    return verdict.session.stop_cause is (StopCause.FUSE if blew else StopCause.NONE)


def show(combination: Combination, broken: Sequence[str]) -> str:
    session, fuse, seen, now = combination
    verdict = decide(session, fuse, seen, now)
    return (
        f"broken: {', '.join(broken)}\n{session}\n{fuse}\n{seen}\nat {now.isoformat()}\n"
        f"row {verdict.rule}, shown {verdict.shown}: {verdict.reason}\n"
        f"{verdict.session}\n{verdict.fuse}\n{verdict.effects}"
    )


def hold(combinations: Iterable[Combination]) -> set[int]:
    """Fail at the first combination that breaks a law; the rows that were met."""
    rows = set()
    for combination in combinations:
        broken = broken_laws(combination)
        if broken:
            pytest.fail(show(combination, broken))
        rows.add(expected_row(*combination))
    return rows


# These take seconds, because each looks at tens of thousands of combinations.


def test_the_laws_hold_for_the_living() -> None:
    assert hold(alive_and_wanted()) == {6, 7, 8, 9, 10}


def test_the_laws_hold_for_those_being_stopped() -> None:
    assert hold(alive_and_unwanted()) == {5}


def test_the_laws_hold_for_the_recorded_the_dead_and_the_unknown() -> None:
    assert hold(recorded_or_not_alive()) == {1, 2, 3, 4}


def test_the_laws_hold_for_the_final() -> None:
    assert hold(already_final()) == {0}


def test_the_laws_hold_for_everything_mixed() -> None:
    assert hold(strided(25_000)) == set(range(11))


def test_the_store_is_asked_exactly_where_rows_9_and_10_decide() -> None:
    for combination in alive_and_wanted():
        asked = needs_listing(*combination)
        assert asked is (expected_row(*combination) in (9, 10)), show(combination, [f"asked: {asked}"])
    for combination in strided(25_000):
        asked = needs_listing(*combination)
        assert asked is (expected_row(*combination) in (9, 10)), show(combination, [f"asked: {asked}"])


def test_without_the_store_no_live_session_is_ended() -> None:
    """A store that was not asked is unavailable, and row 10 cannot be reached."""
    for session, fuse, seen, now in alive_and_wanted():
        unasked = seen._replace(listing=Listing.UNAVAILABLE)
        assert decide(session, fuse, unasked, now).session.status not in FINAL


def test_a_vouched_for_or_supervised_death_depends_on_no_store() -> None:
    """Dead is dead: neither fuse nor listing keeps a process alive that is gone."""
    for status, fuse, listing, now in product(LIVE, FUSES, Listing, INSTANTS):
        verdict = decide(a_session(status), fuse, an_observation(Liveness.DEAD, listing=listing), now)
        assert verdict.session.outcome is Outcome.LOST


# Fuses are monotone.


def test_a_fuse_that_is_due_is_due_at_every_later_instant() -> None:
    for fuse, (i, early), (j, late) in product(FUSES, enumerate(INSTANTS), enumerate(INSTANTS)):
        if fuse is None or i > j:
            continue
        assert fuse.is_due(late) or not fuse.is_due(early), (fuse, early, late)
        assert fuse.vouches(early) or not fuse.vouches(late), (fuse, early, late)
        fired_early = decide_fuse(fuse, early)[0].state is FuseState.FIRED
        assert decide_fuse(fuse, late)[0].state is FuseState.FIRED or not fired_early, (fuse, early, late)


def test_a_fuse_of_a_directory_fires_once_however_often_it_is_looked_at() -> None:
    for fuse, first, second in product(FUSES, INSTANTS, INSTANTS):
        if fuse is None:
            continue
        once, effects = decide_fuse(fuse, first)
        twice, more = decide_fuse(once, second)
        assert told((*effects, *more)).count("fuse.expired") == (
            twice.state is FuseState.FIRED and fuse.state is FuseState.ARMED
        )
        assert decide_fuse(once, first) == (once, ())


def test_a_stop_fuse_seen_late_does_what_it_would_have_done_on_time() -> None:
    fuse, seen = a_fuse(FuseAction.STOP, LATER), an_observation(Liveness.ALIVE)
    on_time = decide(a_session(Status.RUNNING), fuse, seen, LATER)
    late = decide(a_session(Status.RUNNING), fuse, seen, LATER + timedelta(days=1))
    assert (late.rule, late.fuse, late.effects) == (on_time.rule, on_time.fuse, on_time.effects)


# The ladder, walked over time: the last rung repeats after its wait, and not before.


def test_a_process_that_ignores_everything_is_asked_once_per_rung_and_then_killed_again() -> None:
    session, seen = a_session(Status.RUNNING), an_observation(Liveness.ALIVE)
    fuse: Fuse | None = a_fuse(FuseAction.STOP, START)
    sent = []
    for half_second in range(60):
        now = START + timedelta(seconds=half_second / 2)
        verdict = decide(session, fuse, seen, now)
        session, fuse = verdict.session, verdict.fuse
        sent += [(half_second / 2, e.number) for e in verdict.effects if isinstance(e, Signal)]
    assert sent == [(0, 15), (10, 9), (15, 9), (20, 9), (25, 9)]


def test_the_table_of_legal_changes_lets_every_live_session_end_and_no_final_one_live() -> None:
    assert set(LEGAL) == set(Status)
    for status, after in LEGAL.items():
        assert (after >= FINAL) is (status not in FINAL)
        assert bool(after) is (status not in FINAL)
        assert Status.STARTING not in after
