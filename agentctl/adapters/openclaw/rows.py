"""Rows of a gateway as sessions. Anything that a row does not say is None; the gateway knows what runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentctl.adapters.base import NativeSession, Standing
from agentctl.adapters.reading import instant
from agentctl.adapters.values import integer, mapping, real, string
from agentctl.core.model import AgentVerdict, Outcome, Result, Status, Tokens

OVER: Mapping[str, tuple[Status, Outcome, str]] = {
    "done": (Status.STOPPED, Outcome.SUCCEEDED, "the gateway says that its last run is done"),
    "failed": (Status.ERROR, Outcome.FAILED, "the gateway says that its last run failed"),
    "timeout": (Status.ERROR, Outcome.FAILED, "the gateway ended its last run for taking too long"),
    "killed": (Status.STOPPED, Outcome.CANCELLED, "its last run was stopped in the gateway"),
    "interrupted": (Status.STOPPED, Outcome.CANCELLED, "its last run was interrupted in the gateway"),
}
"""Status of a run that is over → what that means here."""

VERDICTS: Mapping[Outcome | None, AgentVerdict] = {
    Outcome.SUCCEEDED: AgentVerdict.OK,
    Outcome.FAILED: AgentVerdict.ERROR,
}


def native(row: Mapping[str, Any], defaults: Mapping[str, Any], address: str) -> NativeSession | None:
    """The session of a row; None for one without an id or any time."""
    native_id = string(row.get("sessionId")) or string(row.get("key"))
    times = {name: instant(row.get(name)) for name in ("createdAt", "startedAt", "updatedAt", "endedAt")}
    known = sorted(at for at in times.values() if at is not None)
    if not native_id or not known:
        return None
    standing = judge(row)
    ended_at = times["endedAt"] if standing.outcome else None
    model = _model(row, defaults)
    return NativeSession(
        native_id=native_id,
        store_path=address,
        cwd=None,
        title=_title(row),
        created_at=times["createdAt"] or times["startedAt"] or known[0],
        updated_at=ended_at or times["updatedAt"] or known[-1],
        model=model,
        is_open=standing.status is Status.RUNNING,
        tokens=Tokens(input=integer(row.get("inputTokens")), output=integer(row.get("outputTokens"))),
        result=Result(
            verdict=VERDICTS.get(standing.outcome, AgentVerdict.SILENT),
            native_id=native_id,
            model=model,
            cost_usd=real(row.get("estimatedCostUsd")),
        ),
        standing=standing,
    )


def judge(row: Mapping[str, Any]) -> Standing:
    """What the gateway proves about a session: it owns the runs, so no process needs to be found."""
    active, status = row.get("hasActiveRun"), string(row.get("status"))
    if active is True:
        return Standing(Status.RUNNING, None, "the gateway is running it")
    if status == "running" and active is None:
        return Standing(Status.RUNNING, None, "the gateway says that its last run is running")
    if status == "running":
        return Standing(
            Status.STOPPED, Outcome.LOST, "the gateway neither runs it nor has a record of its end"
        )
    if status == "queued":
        return Standing(Status.STARTING, None, "the gateway has queued a run of it")
    if row.get("abortedLastRun") is True and status not in ("failed", "timeout"):
        return Standing(*OVER["killed"])
    if status is not None and status in OVER:
        return Standing(*OVER[status])
    if row.get("archived") is True:
        return Standing(Status.STOPPED, None, "it is archived in the gateway")
    return Standing(Status.IDLE, None, "the gateway is not running it")


def _title(row: Mapping[str, Any]) -> str | None:
    """The title made from the first message, else the name that the session was given."""
    return next(
        (text for name in ("derivedTitle", "label", "displayName") if (text := string(row.get(name)))), None
    )


def _model(row: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
    """`provider/model`, as far as they are known; the gateway's default if the row has none."""
    source = row if string(row.get("model")) else mapping(defaults)
    model, provider = string(source.get("model")), string(source.get("modelProvider"))
    return f"{provider}/{model}" if model and provider else model
