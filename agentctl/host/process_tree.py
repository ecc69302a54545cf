"""Which processes belong to a session, so that stopping it leaves none of them.

Agents run tools in process sessions of their own, so a signal to the group is not
enough: the tree is the agent's descendants, the members of its group, and whatever
carries its session id in the environment. Never part of it: this process and its
ancestors, shims with their timers and finalising calls, hooks, and other sessions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentctl.core import variables
from agentctl.core.model import Life
from agentctl.host import processes
from agentctl.host.processes import Stat


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that was identified, to be checked again before it is signalled."""

    pid: int
    start_token: str


def snapshot(
    session_id: str,
    agent: Identity | None,
    *,
    remembered: Iterable[Identity] = (),
    stoppers: Iterable[Identity] = (),
) -> frozenset[Identity]:
    """Everything that belongs to the session now, and what of `remembered` still lives.

    `agent` counts only while it is the process recorded. `stoppers` are other commands
    that are stopping it: a tool of the agent may be one, and is spared as this process is.
    """
    table = {pid: stat for pid, stat in processes.table().items() if not stat.is_zombie}
    mine = {target.pid for target in remembered if _is(table, target)}
    if agent is not None and _is(table, agent):
        group = table[agent.pid].group
        mine |= {agent.pid} | {pid for pid, stat in table.items() if stat.group == group > 1}
    environments = {pid: processes.environment_of(pid) for pid in table}
    mine |= {pid for pid, environ in environments.items() if environ.get(variables.SESSION_ID) == session_id}
    barred = {pid for pid, environ in environments.items() if _is_spared(environ, session_id)}
    mine = _with_descendants(mine - barred, table, sparing=barred)
    for pid in (os.getpid(), *(stopper.pid for stopper in stoppers if _is(table, stopper))):
        mine -= _ancestors(pid, table)
    return frozenset(Identity(pid, processes.token(table[pid].ticks)) for pid in mine)


def alive(targets: Iterable[Identity]) -> frozenset[Identity]:
    """The processes among them that are still running."""
    return frozenset(
        target for target in targets if processes.look(target.pid, target.start_token) is Life.ALIVE
    )


def _is(table: Mapping[int, Stat], target: Identity) -> bool:
    stat = table.get(target.pid)
    return stat is not None and processes.token(stat.ticks) == target.start_token


def _is_spared(environ: Mapping[str, str], session_id: str) -> bool:
    """A shim's own processes, hooks, and the processes of another session."""
    if variables.SHIM in environ or variables.HOOK in environ:
        return True
    return environ.get(variables.SESSION_ID, session_id) != session_id


def _with_descendants(pids: set[int], table: Mapping[int, Stat], *, sparing: set[int]) -> set[int]:
    """The processes and all below them, but for those to be spared and what is below these."""
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(stat.parent, []).append(pid)
    found, waiting = set(pids), list(pids)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found and child not in sparing:
                found.add(child)
                waiting.append(child)
    return found


def _ancestors(pid: int, table: Mapping[int, Stat]) -> set[int]:
    """The process itself, and all above it."""
    found = {pid}
    while pid in table and (pid := table[pid].parent) > 1 and pid not in found:
        found.add(pid)
    return found
