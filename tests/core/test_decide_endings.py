"""Rows 1 to 4 of `decide`, where nothing is known to live, and the rows that are final already."""

from __future__ import annotations

from itertools import product

import pytest

from agentctl.core.decide import decide
from agentctl.core.effects import AppendEvent, PostWebhook, ReleaseLocks, RunHook, Sweep
from agentctl.core.model import (
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
    Tokens,
)
from tests.core.deciding import (
    ABSENT,
    AGENT,
    ALIVE,
    DEAD,
    ENDING,
    RUNNING,
    STARTING,
    UNKNOWN,
    UNLISTED,
    at,
    exited,
    fused,
    saw,
    stopping,
)

# Row 1: the exit record.

BY_RECORD: dict[tuple[StopCause, int | None], tuple[Outcome, int | None, str]] = {
    (StopCause.NONE, 0): (Outcome.SUCCEEDED, None, "exit 0 after 3s"),
    (StopCause.NONE, 1): (Outcome.FAILED, None, "exit 1 after 3s"),
    (StopCause.NONE, 143): (Outcome.FAILED, 15, "killed by SIGTERM after 3s"),
    (StopCause.NONE, None): (Outcome.LOST, None, "the exit file is empty or unreadable"),
    (StopCause.USER, 0): (Outcome.CANCELLED, None, "stopped on request after 3s"),
    (StopCause.USER, 1): (Outcome.CANCELLED, None, "stopped on request after 3s"),
    (StopCause.USER, 143): (Outcome.CANCELLED, 15, "stopped on request after 3s"),
    (StopCause.USER, None): (Outcome.CANCELLED, None, "stopped on request after 3s"),
    (StopCause.FUSE, 0): (Outcome.TIMED_OUT, None, "blew its 2h fuse"),
    (StopCause.FUSE, 1): (Outcome.TIMED_OUT, None, "blew its 2h fuse"),
    (StopCause.FUSE, 143): (Outcome.TIMED_OUT, 15, "blew its 2h fuse"),
    (StopCause.FUSE, None): (Outcome.TIMED_OUT, None, "blew its 2h fuse"),
}

STATUS_AND_EVENT = {
    Outcome.SUCCEEDED: (Status.STOPPED, "session.stopped"),
    Outcome.CANCELLED: (Status.STOPPED, "session.stopped"),
    Outcome.UNLISTED: (Status.STOPPED, "session.stopped"),
    Outcome.FAILED: (Status.ERROR, "session.error"),
    Outcome.LOST: (Status.ERROR, "session.error"),
    Outcome.TIMED_OUT: (Status.ERROR, "session.timeout"),
}


@pytest.mark.parametrize("verdict", [AgentVerdict.OK, AgentVerdict.SILENT])
@pytest.mark.parametrize(("cause", "code"), BY_RECORD)
def test_row_1_a_record_ends_by_cause_then_by_code(
    cause: StopCause, code: int | None, verdict: AgentVerdict
) -> None:
    outcome, signal, reason = BY_RECORD[cause, code]
    status, event = STATUS_AND_EVENT[outcome]
    session = RUNNING if cause is StopCause.NONE else stopping(cause)
    seen = exited(code, result=Result(verdict=verdict, text="done"))
    result = decide(session, fused(state=FuseState.FIRED), seen, at(60))
    after = result.session
    assert result.rule == 1
    assert (after.status, after.outcome, after.reason) == (status, outcome, reason)
    assert (after.exit_code, after.signal, after.ended_at) == (code, signal, at(3))
    assert (result.shown, result.reason) == (status, reason)
    swept = () if cause is StopCause.NONE else (Sweep(at(10)),)
    evidence = f"exit file {'unreadable' if code is None else code}, {seen.evidence}"
    data = {"outcome": outcome.value, "exit_code": code, "rule": 1, "evidence": evidence}
    assert result.effects == (
        ReleaseLocks(),
        AppendEvent(event, reason, data),
        *swept,
        RunHook("on_complete"),
        PostWebhook(event),
    )


@pytest.mark.parametrize(
    ("cause", "code", "outcome", "reason"),
    [
        (
            StopCause.NONE,
            0,
            Outcome.FAILED,
            "exit 0 after 3s, but the agent reports an error: model not found",
        ),
        (StopCause.NONE, 1, Outcome.FAILED, "exit 1 after 3s: model not found"),
        (StopCause.NONE, 143, Outcome.FAILED, "killed by SIGTERM after 3s"),
        (StopCause.NONE, None, Outcome.LOST, "the exit file is empty or unreadable"),
        (StopCause.USER, 0, Outcome.CANCELLED, "stopped on request after 3s"),
        (StopCause.FUSE, 0, Outcome.TIMED_OUT, "blew its 2h fuse"),
    ],
)
def test_row_1_an_agent_that_reports_an_error_did_not_succeed(
    cause: StopCause, code: int | None, outcome: Outcome, reason: str
) -> None:
    session = RUNNING if cause is StopCause.NONE else stopping(cause)
    seen = exited(code, result=Result(verdict=AgentVerdict.ERROR, text="model not found"))
    result = decide(session, fused(state=FuseState.FIRED), seen, at(60))
    assert (result.session.outcome, result.reason) == (outcome, reason)


def test_row_1_an_error_without_words_is_an_error_all_the_same() -> None:
    result = decide(RUNNING, None, exited(0, result=Result(verdict=AgentVerdict.ERROR)), at(60))
    assert result.session.outcome is Outcome.FAILED
    assert result.reason == "exit 0 after 3s, but the agent reports an error"


@pytest.mark.parametrize(
    ("cause", "code", "verdict", "outcome"),
    [
        (StopCause.NONE, 0, AgentVerdict.SILENT, Outcome.FAILED),
        (StopCause.NONE, 0, AgentVerdict.OK, Outcome.SUCCEEDED),
        (StopCause.USER, 0, AgentVerdict.SILENT, Outcome.CANCELLED),
        (StopCause.FUSE, 0, AgentVerdict.SILENT, Outcome.TIMED_OUT),
    ],
)
def test_row_1_a_success_without_the_record_that_is_due_is_a_failure(
    cause: StopCause, code: int, verdict: AgentVerdict, outcome: Outcome
) -> None:
    session = RUNNING if cause is StopCause.NONE else stopping(cause)
    said = Result(verdict=verdict, text="Done.", missing="there is no result record")
    result = decide(session, fused(state=FuseState.FIRED), exited(code, result=said), at(60))
    assert result.session.outcome is outcome
    assert result.session.result == "Done."
    if outcome is Outcome.FAILED:
        assert result.reason == "exit 0 after 3s, but there is no result record"


@pytest.mark.parametrize(("liveness", "listing"), list(product(Liveness, Listing)))
def test_row_1_the_record_beats_everything(liveness: Liveness, listing: Listing) -> None:
    seen = saw(liveness, exit=ExitRecord(code=0, at=at(3)), listing=listing)
    result = decide(RUNNING, fused(seconds=10), seen, at(60))
    assert (result.rule, result.session.outcome) == (1, Outcome.SUCCEEDED)
    assert result.fuse == fused(seconds=10, state=FuseState.CANCELLED)


def test_row_1_the_end_is_the_records_time_also_if_the_clock_was_set_back() -> None:
    result = decide(RUNNING, None, exited(1, seconds=-5), at(-4))
    assert result.session.ended_at == at(-5)
    assert result.reason == "exit 1 after 0s"


def test_row_1_without_a_start_no_length_is_told() -> None:
    result = decide(STARTING, None, exited(127), at(60))
    assert result.reason == "exit 127"
    assert result.session.started_at is None


def test_row_1_a_timed_out_session_without_its_fuse_row_still_says_so() -> None:
    assert decide(stopping(StopCause.FUSE), None, exited(143), at(60)).reason == "blew its fuse"


def test_row_1_a_fuse_is_named_by_its_own_length() -> None:
    """One set an hour after the launch for ten minutes is a fuse of ten minutes."""
    late = Fuse(id="f", created_at=at(3600), deadline=at(4200), action=FuseAction.STOP, state=FuseState.FIRED)
    result = decide(stopping(StopCause.FUSE), late, exited(143, seconds=4201), at(4202))
    assert result.reason == "blew its 10m fuse"


def test_row_1_a_status_above_128_without_such_a_signal_is_an_exit_code() -> None:
    result = decide(RUNNING, None, exited(255), at(60))
    assert (result.session.exit_code, result.session.signal) == (255, None)
    assert result.reason == "exit 255 after 3s"


def test_row_1_what_the_agent_reports_is_kept() -> None:
    report = Result(
        verdict=AgentVerdict.OK,
        text="All tests pass.",
        native_id="other",
        model="sonnet",
        tokens=Tokens(input=10, output=2),
        cost_usd=0.5,
        turns=3,
        notes=("one tool denied",),
        transcript_path="/t.jsonl",
        adapter_version="1.2",
    )
    after = decide(RUNNING._replace(model="wanted"), None, exited(0, result=report), at(60)).session
    assert after.native_id == "ses_1"
    assert (after.model, after.tokens, after.cost_usd) == ("sonnet", Tokens(input=10, output=2), 0.5)
    assert (after.turns, after.result, after.notes) == (3, "All tests pass.", ("one tool denied",))
    assert (after.transcript_path, after.adapter_version) == ("/t.jsonl", "1.2")


def test_row_1_what_the_agent_does_not_say_stays_as_it_was() -> None:
    known = RUNNING._replace(model="wanted", tokens=Tokens(input=1), cost_usd=0.1, turns=1, notes=("n",))
    after = decide(known, None, exited(0, result=Result(text="hello")), at(60)).session
    assert (after.model, after.tokens, after.cost_usd) == ("wanted", Tokens(input=1), 0.1)
    assert (after.turns, after.notes, after.result) == (1, ("n",), "hello")


# Rows 2 and 3: nothing may be concluded, nothing is written.


@pytest.mark.parametrize("session", [STARTING, RUNNING, stopping(StopCause.USER)])
def test_row_2_what_cannot_be_read_changes_nothing(session: Session) -> None:
    fuse = fused(seconds=10)
    result = decide(session, fuse, UNKNOWN._replace(agent=AGENT), at(60))
    assert result.rule == 2
    assert result.session is session
    assert result.fuse is fuse
    assert (result.shown, result.reason, result.effects) == (session.status, UNKNOWN.evidence, ())


@pytest.mark.parametrize("session", [STARTING, RUNNING, stopping(StopCause.FUSE)])
def test_row_3_an_agent_that_ended_is_shown_as_stopping_until_its_shim_recorded_it(session: Session) -> None:
    fuse = fused(seconds=10)
    result = decide(session, fuse, ENDING._replace(agent=AGENT), at(60))
    assert result.rule == 3
    assert result.session is session
    assert result.fuse is fuse
    assert (result.shown, result.effects) == (Status.STOPPING, ())
    assert result.reason == f"the agent has ended, but this is not yet recorded: {ENDING.evidence}"


# Row 4: gone without a record.


@pytest.mark.parametrize(
    ("cause", "outcome", "reason"),
    [
        (StopCause.NONE, Outcome.LOST, "process vanished together with its shim, so nobody recorded how"),
        (StopCause.USER, Outcome.CANCELLED, "stopped on request; its exit was not recorded"),
        (StopCause.FUSE, Outcome.TIMED_OUT, "blew its 2h fuse; its exit was not recorded"),
    ],
)
def test_row_4_gone_without_a_record(cause: StopCause, outcome: Outcome, reason: str) -> None:
    session = RUNNING if cause is StopCause.NONE else stopping(cause)
    result = decide(session, fused(state=FuseState.FIRED), DEAD, at(60))
    after = result.session
    status, event = STATUS_AND_EVENT[outcome]
    assert result.rule == 4
    assert (after.status, after.outcome, after.reason) == (status, outcome, reason)
    assert (after.exit_code, after.signal, after.ended_at) == (None, None, at(60))
    swept = () if cause is StopCause.NONE else (Sweep(at(10)),)
    evidence = f"no exit file, {DEAD.evidence}"
    data = {"outcome": outcome.value, "exit_code": None, "rule": 4, "evidence": evidence}
    assert result.effects == (
        ReleaseLocks(),
        AppendEvent(event, reason, data),
        *swept,
        RunHook("on_complete"),
        PostWebhook(event),
    )


@pytest.mark.parametrize("action", [FuseAction.STOP, FuseAction.NONE])
def test_row_4_a_deadline_that_passed_alone_never_makes_timed_out(action: FuseAction) -> None:
    result = decide(RUNNING, fused(action, seconds=10), DEAD, at(10))
    assert result.session.outcome is Outcome.LOST
    assert result.fuse == fused(action, seconds=10, state=FuseState.CANCELLED)
    assert not any(
        isinstance(effect, AppendEvent) and effect.type == "fuse.expired" for effect in result.effects
    )


def test_row_4_a_vouching_fuse_outweighs_no_dead_process() -> None:
    result = decide(RUNNING, fused(), DEAD._replace(listing=Listing.ABSENT), at(60))
    assert (result.rule, result.session.outcome) == (4, Outcome.LOST)
    assert result.fuse == fused(state=FuseState.CANCELLED)


def test_row_4_a_store_that_lists_it_outweighs_no_dead_process() -> None:
    result = decide(RUNNING, None, DEAD._replace(listing=Listing.RUNNING), at(60))
    assert (result.rule, result.session.outcome) == (4, Outcome.LOST)


def test_row_4_a_reboot_explains_the_loss() -> None:
    result = decide(RUNNING, None, DEAD._replace(booted_at=at(45)), at(60))
    assert result.reason == "process vanished; host rebooted at 2026-03-01 12:00:45 UTC"


def test_row_4_a_killed_shim_explains_the_loss() -> None:
    result = decide(RUNNING._replace(unsupervised=True), None, DEAD, at(60))
    assert result.reason == "process vanished after its shim had been killed, so nobody recorded how"


def test_row_4_a_launcher_that_died_before_the_agent_started() -> None:
    result = decide(STARTING, fused(), DEAD, at(1))
    assert (result.session.status, result.session.outcome) == (Status.ERROR, Outcome.LOST)
    assert result.reason == "the launcher vanished before the agent started"


# Final rows, and those that linger.


@pytest.mark.parametrize("liveness", Liveness)
@pytest.mark.parametrize("outcome", Outcome)
def test_a_final_row_never_changes(outcome: Outcome, liveness: Liveness) -> None:
    status, _ = STATUS_AND_EVENT[outcome]
    final = RUNNING._replace(status=status, outcome=outcome, reason="as it was", ended_at=at(3))
    for record in (None, ExitRecord(code=1, at=at(50))):
        result = decide(final, None, saw(liveness, exit=record, agent=AGENT), at(60))
        assert result.session is final
        assert (result.rule, result.shown, result.reason, result.effects) == (0, status, "as it was", ())


@pytest.mark.parametrize("seen", [ABSENT, ALIVE, ENDING, UNKNOWN])
def test_a_lingering_row_waits_until_its_process_is_known_to_be_gone(seen: Observation) -> None:
    result = decide(UNLISTED, None, seen, at(600))
    assert result.session is UNLISTED
    assert (result.shown, result.reason, result.effects) == (Status.STOPPED, "not listed", ())


@pytest.mark.parametrize(
    ("seen", "code", "signal"),
    [
        (exited(0), 0, None),
        (exited(143), 143, 15),
        (exited(None), None, None),
        (saw(Liveness.ALIVE, exit=ExitRecord(code=1, at=at(599))), 1, None),
        (DEAD, None, None),
    ],
)
def test_a_lingering_row_learns_its_code_and_frees_its_directory_once_gone(
    seen: Observation, code: int | None, signal: int | None
) -> None:
    result = decide(UNLISTED, None, seen, at(600))
    assert result.session == UNLISTED._replace(lingering=False, exit_code=code, signal=signal)
    assert result.effects == (
        ReleaseLocks(),
        AppendEvent(
            "session.gone",
            "the process has ended",
            {"exit_code": code, "evidence": seen.evidence},
        ),
    )
    assert decide(result.session, None, seen, at(601)).effects == ()
