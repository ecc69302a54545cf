"""From locks and an identity to one word.

lock     agent recorded as        tree  liveness
held     (none recorded yet)            alive: its launcher or shim is at work
held     alive                          alive
held     gone, zombie                   ending: the shim has yet to write the exit file
held     anything else                  alive: only the lock can be believed
free     alive                          alive, unsupervised: its shim is gone
free     gone, zombie, rebooted         dead
free     (none recorded)                dead: the launcher did not get that far
free     unseen                   free  dead: nothing of the session holds a file any more
free     anything else                  unknown
unknown  alive                          alive
unknown  gone, zombie, rebooted         dead
unknown  anything else                  unknown

The tree is two locks that the agent and what it starts inherit. Some programs close one, some
redirect the other: either of them held is a sign of life, and only both free are a sign of none.
"""

from __future__ import annotations

from agentctl.core.model import Held, Life, Liveness

_ENDED = frozenset({Life.GONE, Life.ZOMBIE})
_NOT_LIVING = _ENDED | {Life.REBOOTED}


def judge(lock: Held, agent: Life | None, tree: Held) -> Liveness:
    """The table above; `agent` is None where no pid was recorded."""
    if lock is Held.YES:
        return Liveness.ENDING if agent in _ENDED else Liveness.ALIVE
    if agent is Life.ALIVE:
        return Liveness.ALIVE
    if agent in _NOT_LIVING or (agent is None and lock is Held.NO):
        return Liveness.DEAD
    if agent is Life.UNSEEN and lock is tree is Held.NO:
        return Liveness.DEAD
    return Liveness.UNKNOWN


def together(locks: frozenset[Held]) -> Held:
    """What several locks on the same processes say: held if one is, free only if all are."""
    if Held.YES in locks:
        return Held.YES
    return Held.NO if locks == {Held.NO} else Held.UNKNOWN


def explain(lock: Held, agent: Life | None, pid: int | None, tree: Held) -> str:
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
        case Life.REBOOTED if lock is Held.YES:
            process = f"pid {pid} belongs to another machine with the same id"
        case Life.REBOOTED:
            process = f"pid {pid} belongs to an earlier boot"
        case Life.FOREIGN:
            process = f"pid {pid} belongs to another machine"
        case Life.UNSEEN:
            process = (
                f"pid {pid} belongs to another container, which is not visible here, tree locks {tree.value}"
            )
        case Life.UNREADABLE:
            process = f"pid {pid} cannot be identified"
    return f"liveness lock {lock.value}, {process}"
