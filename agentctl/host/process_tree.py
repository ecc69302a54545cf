"""Which processes belong to a session, so that stopping it leaves none of them.

Agents run tools in process sessions of their own and with other environments, so neither a
signal to the group nor a mark in the environment is enough. On Linux the shim is the reaper
of everything below it: whatever the agent started, and whatever loses its parent, stays
below the shim. Where there is no such shim (it was killed, or is of an older version), the
agent's descendants, its group, and younger processes of the same user that carry the
session's id are taken.

Never part of it: this process and its ancestors, shims with their timers and finalising
calls, hooks, and other sessions. The words in an environment do not prove that, because
anybody can set them; an open file of the state does, and so does a recorded identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from typing import NamedTuple

from agentctl.core import variables
from agentctl.core.model import Identity, Life
from agentctl.core.sweeping import Tree
from agentctl.host import clock, machine, pid_file, processes
from agentctl.host.paths import SessionFiles
from agentctl.host.processes import Stat

GIVEN_TO_AGENTS = frozenset({"output.log", "tree", "prompt"})
"""Files of a session that its agent is given, and its tools with it."""

TICKS_OF_DOUBT = 2
"""The time of a file and the start of a process are not measured by the same clock."""


class Whose(NamedTuple):
    """What is known about a session before its processes are looked for."""

    session_id: str
    sessions: str
    """The directory of all sessions."""
    agent: Identity | None
    shim: Identity | None = None
    """The shim, if it is the reaper of what is below it and still holds the liveness lock."""
    user: int | None = None
    """Who ran the agent; None where nobody knows."""
    ended: float | None = None
    """When the agent's end was recorded, in ticks; None if it is not."""
    has_left: bool = False
    """The shim was the reaper, recorded the end and left: what it saw below it is remembered."""


def snapshot(
    whose: Whose,
    *,
    remembered: Iterable[Identity] = (),
    stoppers: Iterable[Identity] = (),
    by_mark: bool = False,
) -> Tree:
    """Everything that belongs to the session now, with what of `remembered` still lives.

    The agent counts only while it is the process recorded. `stoppers` are other commands
    that are stopping it: a tool of the agent may be one, and is spared as this process is.
    Once a reaper has left, a mark in an environment counts only with `by_mark`: for naming
    what may belong to the session, never for ending it unasked.
    """
    seen = _Seen(_living(), whose)
    mine = {pid for target in remembered if (pid := seen.pid_of(target)) is not None}
    agent, shim = seen.pid_of(whose.agent), seen.pid_of(whose.shim)
    if shim is not None:
        mine |= seen.below_reaper(shim, agent)
    elif by_mark or not (whose.has_left or whose.shim):
        # Nor by marks where the reaper left just after its lock was seen held: the next look knows more.
        mine |= seen.marked(agent)
    if agent is not None:
        mine.add(agent)
    mine = seen.with_descendants(mine)
    for pid in (os.getpid(), *filter(None, map(seen.pid_of, stoppers))):
        mine -= _ancestors(pid, seen.table)
    return seen.named(mine)


def below(pid: int) -> Tree:
    """All processes below this one."""
    seen = _Seen(_living(), Whose(session_id="", sessions="/", agent=None))
    return seen.named(seen.with_descendants({pid}) - {pid})


def alive(targets: Iterable[Identity]) -> frozenset[Identity]:
    """The processes among them that are still running."""
    return frozenset(
        target for target in targets if processes.look(target.pid, target.start_token) is Life.ALIVE
    )


def ticks_since(at: datetime) -> float:
    """An instant as a process's start would have it."""
    if not machine.LINUX:
        return at.timestamp()
    import time

    age = clock.utcnow().timestamp() - at.timestamp()
    return (time.clock_gettime(time.CLOCK_BOOTTIME) - age) * os.sysconf("SC_CLK_TCK")


def _living() -> dict[int, Stat]:
    return {pid: stat for pid, stat in processes.table().items() if not stat.is_zombie}


class _Seen:
    """The process table at one instant, and what a session makes of it."""

    def __init__(self, table: Mapping[int, Stat], whose: Whose) -> None:
        self.table = table
        self.whose = whose
        self.children: dict[int, list[int]] = {}
        for pid, stat in table.items():
            self.children.setdefault(stat.parent, []).append(pid)

    def pid_of(self, target: Identity | None) -> int | None:
        """The number of the process if it is still the one recorded."""
        stat = None if target is None else self.table.get(target.pid)
        if stat is None or target is None or processes.token(stat.ticks) != target.start_token:
            return None
        return target.pid

    def named(self, pids: Set[int]) -> Tree:
        found = {pid: self.table[pid] for pid in sorted(pids)}
        return {Identity(pid, processes.token(stat.ticks)): stat.command for pid, stat in found.items()}

    def below_reaper(self, shim: int, agent: int | None) -> set[int]:
        """The children of the shim that are the session's: the agent, and what has lost its parent."""
        found = set()
        for pid in self.children.get(shim, ()):
            if pid == agent:
                found.add(pid)
                continue
            environ = processes.environment_of(pid)
            if self._is_shims_own(pid, shim, environ, agent) or self._is_spared(pid, environ):
                continue
            is_tagged = environ.get(variables.SESSION_ID) == self.whose.session_id
            is_agents = is_tagged and variables.HOOK not in environ
            if is_agents or not self._began_after_end(pid):
                found.add(pid)
        return found

    def marked(self, agent: int | None) -> set[int]:
        """Where no shim leads to them: younger processes of the same user, by group or by tag."""
        began = _ticks(self.whose.agent)
        if began is None:
            return set()  # without an age to compare, a tag proves nothing
        group = None if agent is None else self.table[agent].group
        found, barred = set(), set()
        for pid, stat in self.table.items():
            if float(stat.ticks) < began or not self._is_same_user(pid):
                continue
            environ = processes.environment_of(pid)
            if self._is_spared(pid, environ):
                barred.add(pid)
            elif environ.get(variables.SESSION_ID) == self.whose.session_id or stat.group == group != 1:
                found.add(pid)
        return {pid for pid in found if barred.isdisjoint(_ancestors(pid, self.table))}

    def with_descendants(self, pids: Set[int]) -> set[int]:
        """The processes and all below them, but for those to be spared and what is below these."""
        found, waiting = set(pids), list(pids)
        while waiting:
            for child in self.children.get(waiting.pop(), ()):
                if child not in found and not self._is_spared(child, processes.environment_of(child)):
                    found.add(child)
                    waiting.append(child)
        return found

    def _is_shims_own(self, pid: int, shim: int, environ: Mapping[str, str], agent: int | None) -> bool:
        """The timer, which is older than the agent, or a helper or call after the agent's end."""
        if environ.get(variables.SHIM) != self.whose.session_id or self.table[pid].group != shim:
            return False
        began = _ticks(self.whose.agent)
        if began is not None and float(self.table[pid].ticks) <= began:
            return processes.arguments_of(pid) == processes.arguments_of(shim)
        return agent is None and (self.whose.ended is None or self._began_after_end(pid))

    def _began_after_end(self, pid: int) -> bool:
        ended = self.whose.ended
        return ended is not None and float(self.table[pid].ticks) > ended - TICKS_OF_DOUBT

    def _is_same_user(self, pid: int) -> bool:
        try:
            return os.stat(f"/proc/{pid}").st_uid == self._user if machine.LINUX else True
        except OSError:
            return False

    @property
    def _user(self) -> int:
        return os.geteuid() if self.whose.user is None else self.whose.user

    def _is_spared(self, pid: int, environ: Mapping[str, str]) -> bool:
        """A shim, a deliverer, a hook or a process of another session: by its word and by proof."""
        session = environ.get(variables.SESSION_ID, self.whose.session_id)
        others = {session, environ.get(variables.SHIM, "")} - {self.whose.session_id, ""}
        if variables.HOOK not in environ and not others:
            return False
        if processes.arguments_of(pid)[1:4] == ("-P", "-m", "agentctl") and variables.SHIM in environ:
            return True
        if any(self._is_recorded(pid, other) for other in others):
            return True
        return any(self._proves(path, others) for path in _open_files(pid))

    def _is_recorded(self, pid: int, session_id: str) -> bool:
        """The process is the agent or the shim that another session has recorded."""
        if "/" in session_id:
            return False
        written = pid_file.read(SessionFiles(os.path.join(self.whose.sessions, session_id)).pid)
        if written is None:
            return False
        known = ((written.pid, written.ticks), (written.shim, written.shim_ticks))
        return (pid, self.table[pid].ticks) in known

    def _proves(self, path: str, others: Set[str]) -> bool:
        """Whether a process that has this file open is one of agentctl's own, or of another session."""
        directory, name = os.path.split(path)
        sessions, session_id = os.path.split(directory)
        if os.path.basename(sessions) == "sessions" and session_id in others:
            return True
        state = os.path.dirname(self.whose.sessions)
        return path.startswith(f"{state}/") and name not in GIVEN_TO_AGENTS


def _open_files(pid: int) -> tuple[str, ...]:
    """Paths of the files that a process has open; none where they cannot be read."""
    found = []
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    found.append(os.readlink(entry.path))
                except OSError:
                    continue  # closed meanwhile
    except OSError:
        return ()
    return tuple(found)


def _ticks(target: Identity | None) -> float | None:
    """When a process of this boot began; None for one that is not recorded, or of another boot."""
    if target is None:
        return None
    ticks, _, surroundings = target.start_token.partition(":")
    boot = processes.token(ticks).split(":")[1]
    try:
        return float(ticks) if surroundings.split(":")[0] == boot else None
    except ValueError:
        return None


def _ancestors(pid: int, table: Mapping[int, Stat]) -> set[int]:
    """The process itself, and all above it."""
    found = {pid}
    while pid in table and (pid := table[pid].parent) > 1 and pid not in found:
        found.add(pid)
    return found
