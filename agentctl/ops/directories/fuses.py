"""Fuses that people set, extend and cancel: at most one armed for a session or directory.

Each change reads the row and writes it in one transaction, so that no extension is lost
and a fuse that was moved cannot fire at its old deadline. Must not fire anything:
reconcile does, first of all in every function here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentctl.core import variables
from agentctl.core.addresses import is_web_address
from agentctl.core.deadlines import decide_fuse
from agentctl.core.effects import AppendEvent, PostWebhook
from agentctl.core.ids import new_id, short
from agentctl.core.model import DEFAULT_DIRECTORY_FUSE, Fuse, FuseAction, FuseState, Status, StopCause
from agentctl.errors import Ambiguous, NotFound, OperationFailed, UsageFault
from agentctl.ops.directories.paths import existing_directory, possible_paths
from agentctl.ops.reconcile import deliver, manifest
from agentctl.ops.reconcile.effects import hears_endings, record_effects, record_fuse_effects
from agentctl.ops.reconcile.reconcile import Reconciled, reconcile
from agentctl.ops.sessions.find import find_one
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions
from agentctl.store.db import Database, reading, transaction

SESSION_ACTIONS = (FuseAction.STOP, FuseAction.NONE)
DIRECTORY_ACTIONS = (FuseAction.SCRIPT, FuseAction.WEBHOOK, FuseAction.EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseRequest:
    """What is to happen, and when; None for what depends on the kind of target."""

    target: str
    length: timedelta | None = None
    deadline: datetime | None = None
    action: FuseAction | None = None
    command: str | None = None
    url: str | None = None
    warn: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseTarget:
    """What a fuse belongs to: a session, or the first of `paths` that has one."""

    session_id: str | None = None
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.paths[0] if self.session_id is None else f"session {short(self.session_id)}"


def set_fuse(runtime: Runtime, request: FuseRequest) -> Fuse:
    """Arm a fuse; it replaces the one that is armed, if any."""
    db = runtime.state
    target = _find(runtime, db, request.target)
    if target.session_id is None:
        target = FuseTarget(paths=(existing_directory(target.paths[0]),))
    wanted = _wanted(runtime, request, target)

    def armed() -> Fuse:
        current = _newest(db, target)
        _refuse_over(db, target)
        if current is None:
            return wanted
        # The newest fuse is the one that counts, even if the clock was set back since.
        newest = wanted._replace(created_at=max(wanted.created_at, current.created_at))
        if current.state is not FuseState.ARMED:
            return newest
        return newest._replace(id=current.id, revision=current.revision)

    return _change(runtime, db, "fuse.set", armed)


def extend(runtime: Runtime, text: str, by: timedelta) -> Fuse:
    """Postpone the deadline of an armed fuse, and its warning."""
    db = runtime.state
    target = _find(runtime, db, text)

    def later() -> Fuse:
        fuse = _armed(db, target)
        try:
            warn_at = None if fuse.warn_at is None else fuse.warn_at + by
            return fuse._replace(deadline=fuse.deadline + by, warn_at=warn_at)
        except OverflowError as error:
            raise UsageFault(f"the fuse of {target} cannot be extended beyond the year 9999") from error

    return _change(runtime, db, "fuse.extended", later)


def cancel(runtime: Runtime, text: str) -> Fuse:
    """Disarm a fuse; NotFound if no fuse is armed."""
    db = runtime.state
    target = _find(runtime, db, text)
    return _change(
        runtime, db, "fuse.cancelled", lambda: _armed(db, target)._replace(state=FuseState.CANCELLED)
    )


def list_fuses(runtime: Runtime, *, ended: bool = False) -> list[Fuse]:
    """Armed fuses, the nearest deadline first; with `ended` all fuses, the newest first."""
    db = runtime.readable_state
    reconciled = reconcile(runtime, db)
    with reading(db):
        if not ended:
            return armed_fuses(runtime, db, reconciled)
        return _as_judged(runtime, fuses.all(db, include_ended=True), reconciled)


def armed_fuses(runtime: Runtime, db: Database, reconciled: Reconciled) -> list[Fuse]:
    """The fuses that are armed after this reconcile, the nearest deadline first."""
    rows = _as_judged(runtime, fuses.armed(db), reconciled)
    return [row for row in rows if row.state is FuseState.ARMED]


def _as_judged(runtime: Runtime, rows: list[Fuse], reconciled: Reconciled) -> list[Fuse]:
    """The rows as they would be if this reconcile could have been written."""
    if reconciled.written:
        return rows
    judged = {verdict.fuse.id: verdict.fuse for verdict in reconciled.verdicts if verdict.fuse is not None}
    return [judged.get(row.id, row) if row.session_id else decide_fuse(row, runtime.now)[0] for row in rows]


# Whose fuse


def _find(runtime: Runtime, db: Database, text: str) -> FuseTarget:
    """The session, directory or fuse that `text` names; reconciles first."""
    if text in ("", ".", "..") or "/" in text or text.startswith("~"):
        reconcile(runtime, db)
        return FuseTarget(paths=possible_paths(text))
    try:
        found = find_one(runtime, text)
    except NotFound:
        if os.path.isdir(text):
            return FuseTarget(paths=possible_paths(text))
        return _of_fuse(db, text)
    if found.is_external:
        raise OperationFailed(
            f"session {short(found.session.id)} was not launched by agentctl, so it cannot have a fuse",
            hint="agentctl launch --fuse starts a session with a fuse",
        )
    return FuseTarget(session_id=found.session.id)


def _of_fuse(db: Database, text: str) -> FuseTarget:
    """The target of the fuse with this id or prefix."""
    with reading(db):
        found = [fuse for fuse in fuses.all(db, include_ended=True) if fuse.id.startswith(text.lower())]
    if not found:
        raise NotFound(
            f"no session, directory or fuse {text}", hint="agentctl list and agentctl fuse list show them"
        )
    if len(found) > 1:
        listed = "\n".join(f"  {fuse.id}  {fuse.state}" for fuse in found[:10])
        raise Ambiguous(f"{text} matches {len(found)} fuses:\n{listed}", hint="give more characters of one")
    fuse = found[0]
    return FuseTarget(session_id=fuse.session_id, paths=() if fuse.directory is None else (fuse.directory,))


def _newest(db: Database, target: FuseTarget) -> Fuse | None:
    """The target's armed fuse, else its latest fuse."""
    if target.session_id is not None:
        return fuses.for_session(db, target.session_id)
    for path in target.paths:
        if burning := fuses.armed_for_directory(db, path):
            return burning[0]
    ended = fuses.all(db, include_ended=True)
    return next((fuse for fuse in ended if fuse.directory in target.paths), None)


def _armed(db: Database, target: FuseTarget) -> Fuse:
    """The armed fuse; raises with the reason if there is none."""
    fuse = _newest(db, target)
    if fuse is not None and fuse.state is FuseState.FIRED:
        raise OperationFailed(
            f"the fuse of {target} has already fired (action {fuse.action})",
            hint="agentctl fuse set arms a new one",
        )
    _refuse_over(db, target)
    if fuse is None or fuse.state is not FuseState.ARMED:
        raise NotFound(f"{target} has no armed fuse", hint="agentctl fuse set arms one")
    return fuse


def _refuse_over(db: Database, target: FuseTarget) -> None:
    """Raise unless the session is running: only then can its fuse be changed."""
    if target.session_id is None:
        return
    session = sessions.get(db, target.session_id)
    if session is None:
        raise NotFound(f"{target} has been pruned")
    if session.is_final:
        raise OperationFailed(
            f"{target} has ended: {session.reason}",
            hint=f"agentctl rerun {short(session.id)} starts it again",
        )
    if session.stop_cause is not StopCause.NONE:
        raise OperationFailed(f"{target} is being stopped, so its fuse can no longer be changed")
    if session.status is Status.STARTING:
        # Its launcher records the start only if row and fuse are still as it wrote them.
        raise OperationFailed(f"{target} is still being launched", hint="try again in a moment")


# What the fuse is to be


def _wanted(runtime: Runtime, request: FuseRequest, target: FuseTarget) -> Fuse:
    """A new fuse as requested; UsageFault for anything that its kind of target cannot have."""
    now = runtime.now
    length = request.length
    if target.session_id is not None and length is None and request.deadline is None:
        raise UsageFault("a session's fuse needs a deadline", hint="give --for 2h or --at TIME")
    deadline = request.deadline or now + (length or DEFAULT_DIRECTORY_FUSE)
    action = request.action or _implied(request, target)
    _refuse_mixed(runtime, request, target, action)
    return Fuse(
        id=new_id(),
        deadline=deadline,
        action=action,
        created_at=now,
        session_id=target.session_id,
        directory=None if target.session_id else target.paths[0],
        warn_at=_warning(runtime, request, action, deadline),
        command=request.command,
        url=request.url or _configured_here(runtime, action),
    )


def _implied(request: FuseRequest, target: FuseTarget) -> FuseAction:
    if target.session_id is not None:
        return FuseAction.STOP
    if request.command is not None:
        return FuseAction.SCRIPT
    return FuseAction.EVENT if request.url is None else FuseAction.WEBHOOK


def _refuse_mixed(runtime: Runtime, request: FuseRequest, target: FuseTarget, action: FuseAction) -> None:
    """UsageFault for options that do not go together."""
    kind, allowed = ("session", SESSION_ACTIONS) if target.session_id else ("directory", DIRECTORY_ACTIONS)
    if action not in allowed:
        raise UsageFault(
            f"the fuse of a {kind} cannot have the action {action}", hint=f"possible: {', '.join(allowed)}"
        )
    if (request.command is not None) != (action is FuseAction.SCRIPT):
        raise UsageFault("--command and --action script (of a directory) go together")
    if request.command is not None and not request.command.strip():
        raise UsageFault("--command is empty")
    if request.url is not None:
        if action is not FuseAction.WEBHOOK:
            raise UsageFault("--url goes with --action webhook (of a directory)")
        if not is_web_address(request.url):
            raise UsageFault("--url must be an address that begins with https:// or http://, in ASCII")
        if hears_endings(runtime, request.url):
            raise UsageFault(
                "the address of --url gets the ends of sessions, and would take the fuse for one",
                hint="give another --url, or add fuse.expired to webhook.events",
            )
    elif action is FuseAction.WEBHOOK and not _posts_expiries(runtime):
        hint = "give --url; webhook.url gets it only if webhook.events has fuse.expired"
        raise UsageFault("no address to post to", hint=hint)
    if request.warn is not None and target.session_id is None:
        raise UsageFault("--warn is only for sessions, not for directories")


def _configured_here(runtime: Runtime, action: FuseAction) -> str | None:
    """What stands for an address of this environment: what expires the fuse may run in another one."""
    from agentctl.ops.reconcile import webhook

    is_here = action is FuseAction.WEBHOOK and runtime.environ.get(variables.WEBHOOK_URL)
    return webhook.target(runtime, None) if is_here else None


def _posts_expiries(runtime: Runtime) -> bool:
    settings = runtime.settings
    return settings.webhook_url is not None and "fuse.expired" in settings.webhook_events


def _warning(
    runtime: Runtime, request: FuseRequest, action: FuseAction, deadline: datetime
) -> datetime | None:
    """When to warn: as requested, or as configured for fuses that stop; None if that time has passed."""
    warn = request.warn or (runtime.settings.fuse_warn if action is FuseAction.STOP else None)
    if warn is None:
        return None
    if deadline - runtime.now > warn:
        return deadline - warn
    if request.warn is None:
        return None
    raise UsageFault(
        "the warning would already be due",
        hint="--warn says how long before the deadline to warn: make it shorter than the time that is left",
    )


# Writing it down


def _change(runtime: Runtime, db: Database, type_: str, make: Callable[[], Fuse]) -> Fuse:
    """Store the fuse that `make` returns, with its event; then update the file of the shim's timer."""
    with transaction(db):
        # No other process writes until the commit, so `make` reads exactly what is replaced.
        after = make()
        if after.state is FuseState.ARMED and after.deadline <= runtime.now:
            raise UsageFault(
                f"the deadline {_instant(after.deadline)} has passed", hint="give a time in the future"
            )
        if fuses.update(db, after) is None:
            fuses.insert(db, after)
        queued = _record(runtime, db, type_, after)
    if after.session_id is not None:
        manifest.keep_in_step(runtime, db, after.session_id)
    if queued:
        deliver.start_deliverer(runtime)
    return after


def _record(runtime: Runtime, db: Database, type_: str, fuse: Fuse) -> int:
    reason = {
        "fuse.set": f"due {_instant(fuse.deadline)}, action {fuse.action}",
        "fuse.extended": f"now due {_instant(fuse.deadline)}",
        "fuse.cancelled": "cancelled by a user",
    }[type_]
    data = {
        "fuse": fuse.id,
        "deadline": _instant(fuse.deadline),
        "action": fuse.action.value,
        "directory": fuse.directory,
    }
    session = sessions.get(db, fuse.session_id) if fuse.session_id else None
    effects = (AppendEvent(type_, reason, data), PostWebhook(type_))
    if session is not None:
        return record_effects(runtime, db, session, effects, runtime.now)
    return record_fuse_effects(runtime, db, fuse, effects, runtime.now)


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
