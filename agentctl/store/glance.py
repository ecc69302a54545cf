"""What shell completion reads: a few columns of recorded rows, over a connection that cannot write.

Apart from the other tables' modules because those load the codecs and the model, which
cost more than a completion may. Errors leave as they are: completion keeps them to itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from agentctl.store.journal import readable_uri
from agentctl.store.migrations import SETTLED, UNSETTLED

RECENT = 50
"""How many settled sessions are offered."""

_BUSY_SECONDS = 0.1
_COLUMNS = "id, name, substr(prompt, 1, 500), adapter, group_id"


class Glimpse(NamedTuple):
    """What completion shows of a session."""

    id: str
    name: str | None
    prompt: str | None
    adapter: str
    group: str | None


@contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """An existing database, for reading only. Neither makes nor migrates one."""
    with closing(sqlite3.connect(readable_uri(path), timeout=_BUSY_SECONDS, uri=True)) as connection:
        yield connection


def live(connection: sqlite3.Connection) -> list[Glimpse]:
    """Sessions that are not settled, newest first."""
    sql = f"SELECT {_COLUMNS} FROM sessions WHERE {UNSETTLED} ORDER BY created_at DESC"
    return [Glimpse(*row) for row in connection.execute(sql)]


def settled(connection: sqlite3.Connection) -> list[Glimpse]:
    """The newest of those that are."""
    sql = f"SELECT {_COLUMNS} FROM sessions WHERE {SETTLED} ORDER BY ended_at DESC LIMIT ?"
    return [Glimpse(*row) for row in connection.execute(sql, (RECENT,))]


def in_worktrees(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    """Id, directory and branch of the newest sessions that ran in a worktree."""
    sql = "SELECT id, cwd, branch FROM sessions WHERE repo IS NOT NULL ORDER BY created_at DESC LIMIT ?"
    return connection.execute(sql, (RECENT,)).fetchall()


def held(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Held directories with their holders."""
    return connection.execute("SELECT directory, holder FROM locks ORDER BY directory, id").fetchall()
