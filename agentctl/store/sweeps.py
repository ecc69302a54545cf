"""Rows of sweeps: what a stopped session left running, until it is ended. Writes need a transaction.

Must not judge who belongs to a session, nor signal anybody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from agentctl.core.model import Identity
from agentctl.core.sweeping import PendingSweep
from agentctl.store import codecs
from agentctl.store.db import Database, change, fetch_first, insert_row

_COLUMNS = PendingSweep._fields


def put(db: Database, sweep: PendingSweep) -> None:
    """Write a session's row in place of the one it has."""
    change(db, "DELETE FROM sweeps WHERE session_id = ?", (sweep.session_id,))
    insert_row(
        db,
        "sweeps",
        {
            "session_id": sweep.session_id,
            "targets": _to_text(sweep.targets),
            "kill_at": codecs.optional_instant(sweep.kill_at),
            "term_at": codecs.optional_instant(sweep.term_at),
            "done_at": codecs.optional_instant(sweep.done_at),
            "ended": _to_text(sweep.ended),
            "survivors": _to_text(sweep.survivors),
        },
    )


def get(db: Database, session_id: str) -> PendingSweep | None:
    sql = f"SELECT {', '.join(_COLUMNS)} FROM sweeps WHERE session_id = ?"
    return fetch_first(db, _decode, sql, (session_id,))


def _decode(row: sqlite3.Row) -> PendingSweep:
    return PendingSweep(
        session_id=row["session_id"],
        targets=_from_text(row["targets"]),
        kill_at=codecs.read_optional_instant(row["kill_at"]),
        term_at=codecs.read_optional_instant(row["term_at"]),
        done_at=codecs.read_optional_instant(row["done_at"]),
        ended=_from_text(row["ended"]),
        survivors=_from_text(row["survivors"]),
    )


def _to_text(targets: Mapping[Identity, str]) -> str:
    return codecs.to_json([[one.pid, one.start_token, name] for one, name in sorted(targets.items())])


def _from_text(text: str) -> dict[Identity, str]:
    import json

    return {Identity(int(pid), str(token)): str(name) for pid, token, name in json.loads(text)}
