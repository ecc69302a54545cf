"""Taking over what the TypeScript agentctl left in its directory.

Everything is read and judged first; then rows and settings are written in one
transaction, so nothing is half imported. Its files stay as they are. No process is
signalled, and none is called ended on the word of a bare pid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentctl.adapters import registry
from agentctl.core import legacy
from agentctl.core import settings as schema
from agentctl.core.model import Fuse, Session
from agentctl.errors import NotFound, OperationFailed
from agentctl.host import clock, processes
from agentctl.host import config_file as file
from agentctl.ops.external.sessions import external_sessions
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from agentctl.store import events, fuses, locks, sessions
from agentctl.store.db import Database, reading, transaction

STATE, LOCKS, FUSES, CONFIG = "state.json", "locks.json", "fuses.json", "config.json"
PID_FILE = "agentctl.pid"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of the old directory: what it is, its name there, and what became of it and why."""

    kind: str
    """`session`, `lock`, `fuse` or `setting`."""
    name: str
    detail: str
    id: str | None = None
    """Of the session or fuse that was made."""


@dataclass(frozen=True, slots=True)
class Imported:
    directory: str
    taken: tuple[Item, ...]
    left: tuple[Item, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What is going to be written, collected before anything is."""

    sessions: list[Session] = field(default_factory=list)
    locks: list[legacy.OldLock] = field(default_factory=list)
    fuses: list[Fuse] = field(default_factory=list)
    config: str | None = None
    taken: list[Item] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)


def import_from(runtime: Runtime, directory: str | None, *, dry_run: bool) -> Imported:
    """Take over the files of `directory` (by default ~/.agentctl); with `dry_run` only say what would be.

    Raises NotFound without any of its files, OperationFailed for one that is not what it should be.
    """
    place = os.path.abspath(os.path.expanduser(directory or "~/.agentctl"))
    content = {name: _read(os.path.join(place, name)) for name in (STATE, LOCKS, FUSES, CONFIG)}
    if all(value is None for value in content.values()):
        raise NotFound(
            f"{place} has no files of the TypeScript agentctl",
            hint=f"name the directory that has {STATE}, {LOCKS}, {FUSES} or {CONFIG}",
        )
    db = runtime.readable_state if dry_run else runtime.state
    reconcile(runtime, db)
    plan = _Plan()
    with reading(db):
        _plan_locks(db, content[LOCKS], plan, os.path.join(place, LOCKS))
        _plan_fuses(runtime, db, content[FUSES], plan, os.path.join(place, FUSES))
    _plan_sessions(runtime, db, content[STATE], plan, os.path.join(place, STATE))
    # Planned on the file as it is and written at once: no setting made meanwhile is lost.
    with nullcontext() if dry_run else file.alone(runtime.paths.config_file):
        _plan_settings(runtime, content[CONFIG], plan, os.path.join(place, CONFIG))
        if not dry_run:
            _write(runtime, db, plan)
    return Imported(place, tuple(plan.taken), tuple(plan.left), _notes(place))


def _write(runtime: Runtime, db: Database, plan: _Plan) -> None:
    """Rows, their events and the settings. The settings last: if they cannot be written, nothing is."""
    now = runtime.clock()

    def tell(type_: str, session_id: str | None, reason: str, data: Mapping[str, Any]) -> None:
        events.append(
            db, type=type_, session_id=session_id, at=now, actor=runtime.actor, reason=reason, data=data
        )

    with transaction(db):
        for session in plan.sessions:
            sessions.insert(db, session)
            tell("session.imported", session.id, session.reason or "", {"native_id": session.native_id})
        for lock in plan.locks:
            locks.acquire(
                db,
                directory=lock.directory,
                holder=lock.holder,
                session_id=None,
                created_at=lock.locked_at or now,
                reason=lock.reason,
            )
            tell("lock.acquired", None, "imported", {"directory": lock.directory, "holder": lock.holder})
        for fuse in plan.fuses:
            fuses.insert(db, fuse)
            tell("fuse.set", None, "imported", {"fuse": fuse.id, "directory": fuse.directory})
        if plan.config is not None:
            file.write(runtime.paths.config_file, plan.config)


# What of it can be taken


def _consider(plan: _Plan, kind: str, name: str, make: Callable[[], Item]) -> None:
    """Note what `make` takes, or why it is left out: an invalid record does not stop the others."""
    try:
        plan.taken.append(make())
    except ValueError as error:
        plan.left.append(Item(kind, name, str(error)))


def _plan_sessions(runtime: Runtime, db: Database, content: Any, plan: _Plan, path: str) -> None:
    if content is None:
        return
    if not isinstance(content, Mapping) or not isinstance(content.get("sessions", {}), Mapping):
        raise _not_ours(path)
    version = content.get("version", legacy.VERSION)
    if version != legacy.VERSION:
        raise OperationFailed(
            f"{path} is of version {version!r}; version {legacy.VERSION} is understood",
            hint="nothing was imported",
        )
    saved_at = clock.modified_at(os.stat(path))
    outside = _Outside(runtime, db)
    for key, record in content.get("sessions", {}).items():

        def make(key: str = key, record: object = record) -> Item:
            session = legacy.session_of(key, record, saved_at=saved_at)
            _refuse_known(db, session)
            is_live = isinstance(record, Mapping) and record["status"] in legacy.LIVE
            outside.refuse_listed(session, is_live=is_live)
            if is_live:
                _refuse_alive(record, saved_at)
            plan.sessions.append(session)
            return Item("session", key, f"{session.outcome}: {session.reason}", session.id)

        _consider(plan, "session", key, make)


def _refuse_known(db: Database, session: Session) -> None:
    with reading(db):
        if sessions.get(db, session.id) is not None:
            raise ValueError("it is here already")
        if events.since(db, 0, limit=1, session_id=session.id):
            raise ValueError("it was imported before, and forgotten since")
        native = session.native_id
        if native is not None and sessions.native_ids(db, among=[native]):
            raise ValueError("agentctl has a session of this conversation already")


def _refuse_alive(record: Any, saved_at: datetime) -> None:
    """ValueError where a process of the record's pid began before the pid was written down."""
    pid = record.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
        return
    stat = processes.stat_of(pid)
    if stat is not None and not stat.is_zombie and processes.started_at(stat) <= saved_at:
        raise ValueError(f"process {pid} is there and may be its agent: import again when it has ended")


class _Outside:
    """What the agents' own stores list, read once for each adapter that has a record here."""

    def __init__(self, runtime: Runtime, db: Database) -> None:
        self._runtime, self._db = runtime, db
        self._listed: dict[str, dict[str, bool] | None] = {}

    def refuse_listed(self, session: Session, *, is_live: bool) -> None:
        """ValueError where the agent's own store says what this session is, better than an old record.

        A row of ours would hide it there.
        """
        adapter = session.adapter
        if adapter not in self._listed:
            self._listed[adapter] = self._read(adapter)
        listed = self._listed[adapter]
        if listed is None:
            if is_live:
                raise ValueError("its agent's own store cannot be read: import again when it can")
            return
        at_work = listed.get(session.native_id or "")
        if at_work or (at_work is not None and is_live):
            raise ValueError("its agent's own store has it: agentctl list -a shows it from there")

    def _read(self, adapter: str) -> dict[str, bool] | None:
        """Native id → whether it is at work; None where the store could not be read."""
        before = len(self._runtime.notices)
        found = external_sessions(self._runtime, self._db, adapter=adapter)
        if len(self._runtime.notices) > before:
            return None
        return {one.session.native_id or "": not one.session.is_final for one in found}


def _plan_locks(db: Database, content: Any, plan: _Plan, path: str) -> None:
    for record in _list(content, path):

        def make(record: object = record) -> Item:
            old = legacy.lock_of(record)
            lock = old._replace(directory=_existing(old.directory))
            here = [row.holder for row in locks.holders(db, lock.directory)]
            here += [one.holder for one in plan.locks if one.directory == lock.directory]
            if lock.holder in here:
                raise ValueError("it is here already")
            if here:
                raise ValueError(f"{here[0]} holds the directory here")
            plan.locks.append(lock)
            return Item("lock", lock.directory, f"held by {lock.holder}")

        _consider(plan, "lock", _named(record), make)


def _plan_fuses(runtime: Runtime, db: Database, content: Any, plan: _Plan, path: str) -> None:
    for record in _list(content, path):

        def make(record: object = record) -> Item:
            made = legacy.fuses_of(record, now=runtime.now)
            directory = _existing(made[0].directory or "")
            if any(fuses.get(db, fuse.id) for fuse in made):
                raise ValueError("it is here already")
            planned = any(fuse.directory == directory for fuse in plan.fuses)
            if planned or fuses.armed_for_directory(db, directory):
                raise ValueError("the directory has a fuse here")
            plan.fuses += [fuse._replace(directory=directory) for fuse in made]
            return Item("fuse", directory, f"action {' and '.join(fuse.action for fuse in made)}", made[0].id)

        _consider(plan, "fuse", _named(record), make)


def _plan_settings(runtime: Runtime, content: Any, plan: _Plan, path: str) -> None:
    if content is None:
        return
    if not isinstance(content, Mapping):
        raise _not_ours(path)
    ours = runtime.paths.config_file
    for key, value in content.items():

        def make(key: str = key, value: object = value) -> Item:
            text = file.read_text(ours) if plan.config is None else plan.config
            if key not in legacy.SETTINGS:
                raise ValueError(legacy.NO_SETTING.get(key, "it is not known"))
            name = legacy.SETTINGS[key]
            parts = name.split(".")
            if schema.lookup(file.parse(ours, text), parts) is not None:
                raise ValueError(f"{name} is set here already")
            known = schema.find_key(name)
            if known is not None:
                known.read(value)
            if name == "adapter" and value not in registry.names():
                raise ValueError(f"there is no adapter {value} here")
            plan.config = file.with_value(text, parts, value)
            return Item("setting", key, f"now {name}")

        _consider(plan, "setting", key, make)


# Its files


def _read(path: str) -> Any:
    """The content of a JSON file, None where there is none."""
    try:
        with open(path, "rb") as opened:
            return json.loads(opened.read().decode("utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationFailed(
            f"{path} cannot be read: {error.strerror}", hint="nothing was imported"
        ) from error
    except (ValueError, RecursionError) as error:
        raise OperationFailed(
            f"{path} is not valid JSON: {error}", hint="nothing was imported; fix or remove the file"
        ) from error


def _list(content: Any, path: str) -> list[object]:
    if content is None:
        return []
    if not isinstance(content, list):
        raise _not_ours(path)
    return content


def _not_ours(path: str) -> OperationFailed:
    return OperationFailed(
        f"{path} is not a file of the TypeScript agentctl", hint="nothing was imported; name its directory"
    )


def _named(record: object) -> str:
    directory = record.get("directory") if isinstance(record, Mapping) else None
    return directory if isinstance(directory, str) else "a record without a directory"


def _existing(path: str) -> str:
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise ValueError("the directory is not there")
    return real


def _notes(place: str) -> tuple[str, ...]:
    """A word of warning where the old daemon has left its pid file: it may go on writing here."""
    path = os.path.join(place, PID_FILE)
    if not os.path.exists(path):
        return ()
    return (f"{path} is there: if the old daemon is running, stop it, or it keeps using what was imported",)
