"""Which processes belong to a session: real ones, in groups and sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from agentctl.host import process_tree, processes, waiting
from agentctl.host.process_tree import Identity

# Of this process, so that tests in another one do not count as the same session.
ID = f"5e551017-0000-4000-8000-{os.getpid():012}"
CHILD_ID = f"5e551017-0000-4000-8001-{os.getpid():012}"
BARE = f"sleep 61.{os.getpid()}"
"""What a tool runs that has cleared its environment: found again by its arguments."""

Grow = Callable[..., Identity]


@pytest.fixture
def grow() -> Iterator[Grow]:
    """Start a shell program; every process of its session is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    found: set[Identity] = set()

    def begin(script: str = "sleep 60", **environ: str) -> Identity:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCTL_")}
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"{script}; :"],
            stderr=subprocess.DEVNULL,
            env={**plain, "GARDEN": str(os.getpid()), **environ},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        token = processes.token_of(process.pid)
        assert token is not None
        found.add(Identity(process.pid, token))
        return Identity(process.pid, token)

    yield begin
    garden = {
        pid
        for pid in processes.table()
        if processes.environment_of(pid).get("GARDEN") == str(os.getpid())
        or " ".join(processes.arguments_of(pid)) == BARE
    }
    for pid in garden:
        if (token := processes.token_of(pid)) is not None:
            processes.signal_process(pid, token, signal.SIGKILL)
    for process in started:
        process.wait()


def below(target: Identity, command: str) -> Identity:
    """The process of this command line that descends from `target`, once it is there."""
    found: list[int] = []

    def look() -> bool:
        table = processes.table()
        found[:] = [
            pid
            for pid, stat in table.items()
            if " ".join(processes.arguments_of(pid)) == command and target.pid in lineage(stat.pid, table)
        ]
        return bool(found)

    assert waiting.poll(look, timeout=20), f"no {command} below {target.pid}"
    token = processes.token_of(found[0])
    assert token is not None
    return Identity(found[0], token)


def lineage(pid: int, table: dict[int, processes.Stat]) -> set[int]:
    seen: set[int] = set()
    while pid in table and pid not in seen:
        seen.add(pid)
        pid = table[pid].parent
    return seen


def tagged(command: str) -> Identity:
    """A process of this command line, wherever it is."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in processes.table() if " ".join(processes.arguments_of(pid)) == command]
        return bool(found)

    assert waiting.poll(look, timeout=20)
    token = processes.token_of(found[0])
    assert token is not None
    return Identity(found[0], token)


class TestBelongs:
    def test_the_agent_and_what_it_started(self, grow: Grow) -> None:
        agent = grow("sleep 60 & sleep 60.5; wait", AGENTCTL_SESSION_ID=ID)
        tools = {below(agent, "sleep 60"), below(agent, "sleep 60.5")}
        assert process_tree.snapshot(ID, agent) == {agent, *tools}

    def test_a_tool_in_a_session_of_its_own_that_outlived_its_parent(self, grow: Grow) -> None:
        """As agents start them: neither its parent nor its group leads to the agent, its environment does."""
        command = f"sleep 60.{os.getpid()}1"
        agent = grow(f"setsid sh -c 'exec {command}' & sleep 60", AGENTCTL_SESSION_ID=ID)
        orphaning = grow(f"(setsid {command}2 &)", AGENTCTL_SESSION_ID=ID)
        orphan = tagged(f"{command}2")
        tool = tagged(command)
        assert {tool, orphan} <= process_tree.snapshot(ID, agent)
        assert {tool, orphan} <= process_tree.snapshot(ID, None)
        assert agent in process_tree.snapshot(ID, None)
        assert orphaning.pid != orphan.pid

    def test_a_member_of_the_agents_group_without_the_tag(self, grow: Grow) -> None:
        command = f"sleep 60.{os.getpid()}3"
        agent = grow(f"(env -u AGENTCTL_SESSION_ID {command} &) ; sleep 60", AGENTCTL_SESSION_ID=ID)
        member = tagged(command)
        assert member in process_tree.snapshot(ID, agent)
        assert member not in process_tree.snapshot(ID, None)

    def test_a_descendant_that_has_cleared_its_environment(self, grow: Grow) -> None:
        agent = grow(f"setsid env -i {BARE}", AGENTCTL_SESSION_ID=ID)
        tool = below(agent, BARE)
        assert tool in process_tree.snapshot(ID, agent)

    def test_what_is_remembered_and_still_the_same(self, grow: Grow) -> None:
        other = grow("sleep 60")
        ticks, _, rest = other.start_token.partition(":")
        recycled = Identity(other.pid, f"{int(ticks) - 1}:{rest}")
        assert other in process_tree.snapshot(ID, None, remembered=[other])
        assert process_tree.snapshot(ID, None, remembered=[recycled]) == frozenset()


class TestDoesNotBelong:
    def test_a_stranger(self, grow: Grow) -> None:
        agent, stranger = grow(AGENTCTL_SESSION_ID=ID), grow()
        assert stranger not in process_tree.snapshot(ID, agent)

    def test_whoever_has_the_agents_number_now(self, grow: Grow) -> None:
        stranger = grow()
        ticks, _, rest = stranger.start_token.partition(":")
        agent = Identity(stranger.pid, f"{int(ticks) - 1}:{rest}")
        assert process_tree.snapshot(ID, agent) == frozenset()

    @pytest.mark.parametrize("mark", ["AGENTCTL_SHIM", "AGENTCTL_HOOK"])
    def test_a_shim_and_a_hook_below_the_agent(self, mark: str, grow: Grow) -> None:
        agent = grow(f"{mark}=1 sleep 60 & sleep 60.5", AGENTCTL_SESSION_ID=ID)
        spared = below(agent, "sleep 60")
        seen = process_tree.snapshot(ID, agent)
        assert spared not in seen
        assert below(agent, "sleep 60.5") in seen

    def test_a_child_session_below_the_agent(self, grow: Grow) -> None:
        agent = grow(f"AGENTCTL_SESSION_ID={CHILD_ID} sleep 60 & sleep 60.5", AGENTCTL_SESSION_ID=ID)
        child = below(agent, "sleep 60")
        below(agent, "sleep 60.5")
        assert child not in process_tree.snapshot(ID, agent)
        assert child in process_tree.snapshot(CHILD_ID, None)

    def test_a_child_sessions_tool_that_has_cleared_its_environment(self, grow: Grow) -> None:
        """Sparing a process and ending its tools would be no mercy."""
        script = f"AGENTCTL_SESSION_ID={CHILD_ID} sh -c 'setsid env -i {BARE}; :' & sleep 60.5"
        agent = grow(script, AGENTCTL_SESSION_ID=ID)
        tool = below(agent, BARE)
        assert tool not in process_tree.snapshot(ID, agent)
        assert tool in process_tree.snapshot(CHILD_ID, None)

    def test_the_stopper_and_its_ancestors(self) -> None:
        """An agent that stops its own session from below."""
        own, parent = os.getpid(), os.getppid()
        targets = [
            Identity(pid, token) for pid in (own, parent) if (token := processes.token_of(pid)) is not None
        ]
        seen = process_tree.snapshot(ID, targets[0], remembered=targets)
        assert {own, parent}.isdisjoint(target.pid for target in seen)

    def test_another_stopper_and_its_ancestors_but_not_whoever_has_its_number_now(self, grow: Grow) -> None:
        command = f"sleep 60.{os.getpid()}4"
        agent = grow(f"setsid sh -c '{command}; :' & sleep 60", AGENTCTL_SESSION_ID=ID)
        stopper = below(agent, command)
        ticks, _, rest = stopper.start_token.partition(":")
        recycled = Identity(stopper.pid, f"{int(ticks) - 1}:{rest}")
        assert {agent, stopper} <= process_tree.snapshot(ID, agent)
        assert {agent, stopper} <= process_tree.snapshot(ID, agent, stoppers=[recycled])
        spared = process_tree.snapshot(ID, agent, stoppers=[stopper])
        assert stopper not in spared
        assert psutil.Process(stopper.pid).ppid() not in {target.pid for target in spared}

    def test_a_zombie(self, grow: Grow) -> None:
        agent = grow(AGENTCTL_SESSION_ID=ID)
        processes.signal_process(agent.pid, agent.start_token, signal.SIGKILL)
        os.waitid(os.P_PID, agent.pid, os.WEXITED | os.WNOWAIT)
        assert agent not in process_tree.snapshot(ID, agent)
        assert process_tree.alive([agent]) == frozenset()


def test_alive_keeps_those_that_still_run(grow: Grow) -> None:
    here = grow()
    ticks, _, rest = here.start_token.partition(":")
    gone = Identity(here.pid, f"{int(ticks) + 1}:{rest}")
    assert process_tree.alive([here, gone]) == {here}
