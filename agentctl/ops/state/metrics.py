"""Gathering the metrics: what is true now, and what was counted since the state was made.

From the database and the processes alone: agents' own stores are not read, so that cron
can ask every minute. Must not format anything.
"""

from __future__ import annotations

import os

from agentctl.core.exposition import Family
from agentctl.core.metrics import Levels, families
from agentctl.errors import NotFound, OperationFailed, UsageFault
from agentctl.host.files import write_shared
from agentctl.ops.directories.fuses import armed_fuses
from agentctl.ops.directories.locks import binding_locks
from agentctl.ops.reconcile.reconcile import reconcile
from agentctl.runtime import Runtime
from agentctl.store import counters
from agentctl.store.db import reading


def gather(runtime: Runtime) -> tuple[Family, ...]:
    """Every metric as it is now; the state is reconciled first."""
    db = runtime.readable_state
    reconciled = reconcile(runtime, db)
    with reading(db):
        held = binding_locks(runtime, db, reconciled)
        burning = armed_fuses(runtime, db, reconciled)
        totals = counters.all(db)
    by_people = sum(lock.session_id is None for lock in held)
    levels = Levels(
        sessions=sum(not verdict.session.is_final for verdict in reconciled.verdicts),
        locks_of_sessions=len(held) - by_people,
        locks_of_people=by_people,
        fuses=len(burning),
    )
    return families(levels, totals)


def publish(text: str, path: str) -> None:
    """Put the text at `path` at once, readable by everybody: the exporter is another user.

    Raises UsageFault for anything but a file, NotFound without its directory, OperationFailed otherwise.
    """
    target = os.path.realpath(os.path.expanduser(path))
    if not path or os.path.isdir(target):
        raise UsageFault(f"'{path}' names no file", hint="such as /var/lib/node_exporter/agentctl.prom")
    if os.path.exists(target) and not os.path.isfile(target):
        # A rename would put a plain file in the place of /dev/null.
        raise UsageFault(
            f"{path} is not a regular file", hint="without --output the text goes to standard output"
        )
    try:
        write_shared(target, text.encode())
    except FileNotFoundError as error:
        raise NotFound(f"no directory {os.path.dirname(target)}", hint="make it first") from error
    except OSError as error:
        raise OperationFailed(f"{target} cannot be written: {error.strerror}") from error
