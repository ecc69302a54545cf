"""From the words on a command line to sessions, reconciled first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from agentctl.adapters import registry
from agentctl.core.ids import resolve
from agentctl.core.model import Fuse, Session, Verdict, as_stored
from agentctl.errors import NotFound
from agentctl.ops.found import Found
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from agentctl.store import fuses, sessions
from agentctl.store.db import Database, reading


def find_one(runtime: Runtime, text: str, *, adapter: str | None = None) -> Found:
    """The session that `text` means: id or native-id prefix, or name. NotFound or Ambiguous otherwise."""
    return find_all(runtime, [text], adapter=adapter)[0]


def find_all(runtime: Runtime, texts: Sequence[str], *, adapter: str | None = None) -> list[Found]:
    """Each text's session once, in the order given; the state is reconciled first.

    With `adapter`, only its sessions can be meant. AdapterUnavailable for one that nobody provides.
    """
    db = runtime.readable_state
    if adapter is not None:
        refuse_unknown(db, adapter)
    known = {one.session.id: one for one in live(runtime, db)}
    external = cache(lambda: _external(runtime, db))
    meant = [_resolve(runtime, db, text, known.values(), external, adapter) for text in texts]
    return list({one.session.id: one for one in meant}.values())


def live(runtime: Runtime, db: Database) -> list[Found]:
    """Every session that is not settled, as reconcile now judges it."""
    return [found(runtime, verdict) for verdict in reconcile(runtime, db).verdicts]


def found(runtime: Runtime, verdict: Verdict) -> Found:
    """The answer about a tracked session, whose log is ours."""
    return Found(verdict, runtime.paths.session(verdict.session.id).log)


def settled(runtime: Runtime, session: Session, fuse: Fuse | None) -> Found:
    """A row that needs no judging."""
    return found(runtime, as_stored(session, fuse))


def in_group(runtime: Runtime, group: str) -> list[Found]:
    """The sessions of one parallel launch; NotFound for a group without any."""
    db = runtime.readable_state
    known = {one.session.id: one for one in live(runtime, db)}
    with reading(db):
        rows = sessions.in_group(db, group)
        burnt = fuses.for_sessions(db, [row.id for row in rows])
    if not rows:
        raise NotFound(f"no sessions in group {group}", hint="agentctl list -a shows all sessions")
    return [known.get(row.id) or settled(runtime, row, burnt.get(row.id)) for row in rows]


def _resolve(
    runtime: Runtime,
    db: Database,
    text: str,
    known: Iterable[Found],
    external: Callable[[], list[Found]],
    adapter: str | None,
) -> Found:
    """The agents' own stores are asked once, and only for what no row is."""

    def fitting(found: Iterable[Session]) -> list[Session]:
        return [one for one in found if adapter in (None, one.adapter)]

    text = text.strip("\r\n")
    judged = {one.session.id: one for one in known}
    with reading(db):
        rows = {row.id: row for row in sessions.candidates(db, text)}
    candidates = {**rows, **{key: one.session for key, one in judged.items()}}
    try:
        session = resolve(text, fitting(candidates.values()))
    except NotFound:
        try:
            outside = (one.session for one in external())
            session = resolve(text, fitting([*candidates.values(), *outside]))
        except NotFound as error:
            stand_in = _stand_in(runtime, db, text)
            if stand_in is None or not fitting([stand_in]):
                raise NotFound(error.message, hint=_meant(db, text) or error.hint) from None
            session = stand_in
        for one in external():
            if one.session.id == session.id:
                return one
    if session.id in judged:
        return judged[session.id]
    with reading(db):
        fuse = fuses.for_session(db, session.id)
    return settled(runtime, session, fuse)


def refuse_unknown(db: Database, adapter: str) -> None:
    """AdapterUnavailable for an adapter that nobody provides and no session has.

    The installed packages are asked last: that costs more than a whole listing.
    """
    if adapter in registry.ADAPTERS:
        return
    with reading(db):
        if sessions.has_adapter(db, adapter):
            return
    if adapter not in registry.names():
        raise registry.unknown(adapter)


def _meant(db: Database, text: str) -> str | None:
    """What was probably meant: names, and ids that differ in a character or two."""
    from agentctl.core.near import did_you_mean, near_matches

    with reading(db):
        rows = [*sessions.unsettled(db), *sessions.recent(db, since=None, limit=200)]
    known = {row.name: row.name for row in rows if row.name} | {row.id[: len(text)]: row.id for row in rows}
    near = [known[word] for word in near_matches(text, known, cutoff=0.7)]
    return f"{did_you_mean(near)} agentctl list -a shows all sessions" if near else None


def _external(runtime: Runtime, db: Database) -> list[Found]:
    from agentctl.ops.external.sessions import external_sessions

    return external_sessions(runtime, db)


def _stand_in(runtime: Runtime, db: Database, text: str) -> Session | None:
    """The row of the external session that `text` meant before it was resumed from here; None for no such."""
    from agentctl.ops.external.sessions import stand_ins

    hidden = stand_ins(runtime, db, text)
    if not hidden:
        return None
    return hidden[resolve(text, [row._replace(id=before) for before, row in hidden.items()]).id]
