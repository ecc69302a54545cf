"""Which processes belong to a session: real ones, in groups and sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.model import Identity
from agentctl.host import process_tree, processes, waiting
from agentctl.host.process_tree import Whose

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

    def is_there() -> bool:
        table = processes.table()
        found[:] = [
            pid
            for pid, stat in table.items()
            if " ".join(processes.arguments_of(pid)) == command and target.pid in lineage(stat.pid, table)
        ]
        return bool(found)

    assert waiting.poll(is_there, timeout=20), f"no {command} below {target.pid}"
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

    def is_there() -> bool:
        found[:] = [pid for pid in processes.table() if " ".join(processes.arguments_of(pid)) == command]
        return bool(found)

    assert waiting.poll(is_there, timeout=20)
    token = processes.token_of(found[0])
    assert token is not None
    return Identity(found[0], token)


def look(agent: Identity | None, sessions: Path | None = None, **more: Any) -> set[Identity]:
    """What the session has, where no shim leads to it."""
    whose = Whose(session_id=ID, sessions=str(sessions or "/nowhere/sessions"), agent=agent)
    return set(process_tree.snapshot(whose, **more))


def gone(agent: Identity) -> Identity:
    """The record of an agent that began then and has ended."""
    return Identity(0, agent.start_token)


class TestBelongs:
    def test_the_agent_and_what_it_started(self, grow: Grow) -> None:
        agent = grow("sleep 60 & sleep 60.5; wait", AGENTCTL_SESSION_ID=ID)
        tools = {below(agent, "sleep 60"), below(agent, "sleep 60.5")}
        assert look(agent) == {agent, *tools}

    def test_a_tool_in_a_session_of_its_own_that_outlived_its_parent(self, grow: Grow) -> None:
        """As agents start them: neither its parent nor its group leads to the agent, its environment does."""
        command = f"sleep 60.{os.getpid()}1"
        agent = grow(f"setsid sh -c 'exec {command}' & sleep 60", AGENTCTL_SESSION_ID=ID)
        orphaning = grow(f"(setsid {command}2 &)", AGENTCTL_SESSION_ID=ID)
        orphan = tagged(f"{command}2")
        tool = tagged(command)
        assert {tool, orphan} <= look(agent)
        assert {agent, tool, orphan} <= look(gone(agent))
        assert orphaning.pid != orphan.pid

    def test_a_member_of_the_agents_group_without_the_tag(self, grow: Grow) -> None:
        command = f"sleep 60.{os.getpid()}3"
        agent = grow(f"(env -u AGENTCTL_SESSION_ID {command} &) ; sleep 60", AGENTCTL_SESSION_ID=ID)
        member = tagged(command)
        assert member in look(agent)
        assert member not in look(gone(agent))

    def test_a_descendant_that_has_cleared_its_environment(self, grow: Grow) -> None:
        agent = grow(f"setsid env -i {BARE}", AGENTCTL_SESSION_ID=ID)
        tool = below(agent, BARE)
        assert tool in look(agent)

    def test_what_is_remembered_and_still_the_same(self, grow: Grow) -> None:
        other = grow("sleep 60")
        ticks, _, rest = other.start_token.partition(":")
        recycled = Identity(other.pid, f"{int(ticks) - 1}:{rest}")
        assert other in look(None, remembered=[other])
        assert look(None, remembered=[recycled]) == frozenset()


class TestDoesNotBelong:
    def test_a_stranger(self, grow: Grow) -> None:
        agent, stranger = grow(AGENTCTL_SESSION_ID=ID), grow()
        assert stranger not in look(agent)

    def test_whoever_has_the_agents_number_now(self, grow: Grow) -> None:
        stranger = grow()
        ticks, _, rest = stranger.start_token.partition(":")
        agent = Identity(stranger.pid, f"{int(ticks) - 1}:{rest}")
        assert look(agent) == frozenset()

    def test_older_processes_and_those_of_unknown_age_whatever_their_environment_says(
        self, grow: Grow
    ) -> None:
        """A person's editor may have been started from a shell that had the variable."""
        editor = grow(AGENTCTL_SESSION_ID=ID)
        ticks, _, rest = editor.start_token.partition(":")
        younger = Identity(0, f"{int(ticks) + 1000}:{rest}")
        assert look(younger) == look(None) == set()

    def test_a_process_of_another_user_whatever_its_environment_says(self, grow: Grow) -> None:
        agent = grow(AGENTCTL_SESSION_ID=ID)
        whose = Whose(session_id=ID, sessions="/nowhere/sessions", agent=gone(agent), user=os.geteuid() + 1)
        assert process_tree.snapshot(whose) == {}

    @pytest.mark.parametrize(
        "word",
        ["AGENTCTL_SHIM=1", "AGENTCTL_HOOK=1", f"AGENTCTL_SESSION_ID={CHILD_ID}"],
        ids=["shim", "hook", "session"],
    )
    def test_what_is_spared_is_proved_by_an_open_file_and_not_by_its_word(
        self, word: str, grow: Grow, tmp_path: Path
    ) -> None:
        """A deliverer, a keeper of a hook, the tools of a child session."""
        directory = tmp_path / "sessions" / CHILD_ID
        directory.mkdir(parents=True)
        (directory / "lock").touch()
        script = f"{word} sleep 60 & {word} sleep 60.7 7<{directory}/lock & sleep 60.5"
        agent = grow(script, AGENTCTL_SESSION_ID=ID)
        forger, ours, other = (below(agent, f"sleep {each}") for each in ("60", "60.7", "60.5"))
        seen = look(agent, tmp_path / "sessions")
        assert {forger, other} <= seen
        assert ours not in seen
        assert ours not in look(gone(agent), tmp_path / "sessions")

    def test_a_child_sessions_agent_that_is_recorded_and_its_tool_that_has_cleared_its_environment(
        self, grow: Grow, tmp_path: Path
    ) -> None:
        """Sparing a process and ending its tools would be no mercy."""
        script = f"AGENTCTL_SESSION_ID={CHILD_ID} sh -c 'setsid env -i {BARE}; :' & sleep 60.5"
        agent = grow(script, AGENTCTL_SESSION_ID=ID)
        tool = below(agent, BARE)
        assert tool in look(agent, tmp_path)
        child = psutil.Process(tool.pid).ppid()
        ticks = processes.table()[child].ticks
        (tmp_path / CHILD_ID).mkdir()
        (tmp_path / CHILD_ID / "pid").write_text(f"{child} {ticks} boot 1 2 machine namespace\n")
        assert {tool.pid, child}.isdisjoint(target.pid for target in look(agent, tmp_path))
        own = Whose(CHILD_ID, str(tmp_path), Identity(child, processes.token(ticks)))
        assert tool in process_tree.snapshot(own)

    def test_the_stopper_and_its_ancestors(self) -> None:
        """An agent that stops its own session from below."""
        own, parent = os.getpid(), os.getppid()
        targets = [
            Identity(pid, token) for pid in (own, parent) if (token := processes.token_of(pid)) is not None
        ]
        seen = look(targets[0], remembered=targets)
        assert {own, parent}.isdisjoint(target.pid for target in seen)

    def test_another_stopper_and_its_ancestors_but_not_whoever_has_its_number_now(self, grow: Grow) -> None:
        command = f"sleep 60.{os.getpid()}4"
        agent = grow(f"setsid sh -c '{command}; :' & sleep 60", AGENTCTL_SESSION_ID=ID)
        stopper = below(agent, command)
        ticks, _, rest = stopper.start_token.partition(":")
        recycled = Identity(stopper.pid, f"{int(ticks) - 1}:{rest}")
        assert {agent, stopper} <= look(agent)
        assert {agent, stopper} <= look(agent, stoppers=[recycled])
        spared = look(agent, stoppers=[stopper])
        assert stopper not in spared
        assert psutil.Process(stopper.pid).ppid() not in {target.pid for target in spared}

    def test_a_zombie(self, grow: Grow) -> None:
        agent = grow(AGENTCTL_SESSION_ID=ID)
        processes.signal_process(agent.pid, agent.start_token, signal.SIGKILL)
        os.waitid(os.P_PID, agent.pid, os.WEXITED | os.WNOWAIT)
        assert agent not in look(agent)
        assert process_tree.alive([agent]) == frozenset()


def test_alive_keeps_those_that_still_run(grow: Grow) -> None:
    here = grow()
    ticks, _, rest = here.start_token.partition(":")
    gone = Identity(here.pid, f"{int(ticks) + 1}:{rest}")
    assert process_tree.alive([here, gone]) == {here}
