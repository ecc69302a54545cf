"""From a lock and an identity to one word.

lock     agent recorded as        liveness
held     (none recorded yet)      alive: its launcher or shim is at work
held     alive                    alive
held     gone, zombie, rebooted   ending: the shim has yet to write the exit file
held     foreign, unreadable      alive: only the lock can be believed
free     alive                    alive, unsupervised: its shim is gone
free     gone, zombie, rebooted   dead
free     (none recorded)          dead: the launcher did not get that far
free     foreign, unreadable      unknown
unknown  alive                    alive
unknown  gone, zombie, rebooted   dead
unknown  anything else            unknown
"""

from __future__ import annotations

from agentctl.core.model import Held, Life, Liveness

_NOT_LIVING = frozenset({Life.GONE, Life.ZOMBIE, Life.REBOOTED})


def judge(lock: Held, agent: Life | None) -> Liveness:
    """The table above; `agent` is None where no pid was recorded."""
    if lock is Held.YES:
        return Liveness.ENDING if agent in _NOT_LIVING else Liveness.ALIVE
    if agent is Life.ALIVE:
        return Liveness.ALIVE
    if agent in _NOT_LIVING or (agent is None and lock is Held.NO):
        return Liveness.DEAD
    return Liveness.UNKNOWN


def explain(lock: Held, agent: Life | None, pid: int | None) -> str:
    """The evidence in words that a person can check."""
    match agent:
        case None:
            process = "no agent process recorded"
        case Life.ALIVE:
            process = f"pid {pid} alive"
        case Life.GONE:
            process = f"pid {pid} gone"
        case Life.ZOMBIE:
            process = f"pid {pid} is a zombie"
        case Life.REBOOTED:
            process = f"pid {pid} belongs to an earlier boot"
        case Life.FOREIGN:
            process = f"pid {pid} belongs to another machine"
        case Life.UNSEEN:
            process = f"pid {pid} belongs to another container, which is not visible here"
        case Life.UNREADABLE:
            process = f"pid {pid} cannot be identified"
    return f"liveness lock {lock.value}, {process}"
